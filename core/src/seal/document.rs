//! Sealing and opening one document.

use chacha20poly1305::aead::{AeadInPlace, KeyInit};
use chacha20poly1305::{Tag, XChaCha20Poly1305, XNonce};
use rand::{CryptoRng, RngCore};

use super::header::{HEADER_LEN, Header, HeaderError};
use super::padding;
use super::secret::{AccountKeys, Collection};
use crate::id::{DocId, ReplicaId, Revision};

const NONCE_LEN: usize = 24;
const TAG_LEN: usize = 16;

/// BLAKE3 of a whole envelope.
pub type EnvelopeHash = [u8; 32];

/// Where a document stands: what its header says beside the account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// Its collection.
    pub collection: Collection,
    /// Its blinded id.
    pub document: DocId,
    /// The revision to seal.
    pub revision: Revision,
    /// Hash of the previous revision's envelope; zero for the first.
    pub previous: EnvelopeHash,
    /// The replica that seals it.
    pub replica: ReplicaId,
}

/// Why a payload cannot be sealed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// The payload is longer than 2 GiB.
    #[error("is too long to be sealed")]
    TooLong,
}

/// Why an envelope does not open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// The header is none.
    #[error("the document {0}")]
    Header(#[from] HeaderError),
    /// It belongs to another account, or to a collection that this account has not.
    #[error("document {0} is not of this account")]
    Foreign(DocId),
    /// It was sealed in a key epoch that is not known here.
    #[error("document {0} was sealed under newer keys of the account than this device has")]
    LaterEpoch(DocId),
    /// Altered, or sealed with another key.
    #[error("document {0} was altered or sealed with another key")]
    Forged(DocId),
}

/// Hash of an envelope, for the next revision's header and for comparing.
pub fn hash(envelope: &[u8]) -> EnvelopeHash {
    *blake3::hash(envelope).as_bytes()
}

/// Seals `payload` into an envelope, under the newest epoch's keys.
///
/// # Panics
/// Never: the newest epoch that is known is one.
///
/// # Examples
/// ```
/// use letterlock_core::id::{AccountId, ReplicaId, Revision};
/// use letterlock_core::seal::{self, AccountKeys, Collection, Place, RootKey};
/// let mut rng = rand::rngs::OsRng;
/// let keys = AccountKeys::derive(AccountId::new([1; 16]), 1, &RootKey::generate(&mut rng));
/// let place = Place {
///     collection: Collection::Mail,
///     document: keys.doc_id(Collection::Mail, b"what it is about"),
///     revision: Revision::ONE,
///     previous: [0; 32],
///     replica: ReplicaId::new([2; 16]),
/// };
/// let envelope = seal::seal(&keys, place, b"a secret", &mut rng).unwrap();
/// let (header, payload) = seal::open(&keys, &envelope).unwrap();
/// assert_eq!((header.document, &payload[..]), (place.document, &b"a secret"[..]));
/// ```
pub fn seal(
    keys: &AccountKeys,
    place: Place,
    payload: &[u8],
    rng: &mut (impl CryptoRng + RngCore),
) -> Result<Vec<u8>, SealError> {
    let epoch = keys.epoch();
    let header = Header {
        account: keys.account(),
        collection: keys.collection_id(place.collection),
        document: place.document,
        revision: place.revision,
        previous: place.previous,
        replica: place.replica,
        epoch,
    }
    .to_octets();
    let mut nonce = [0; NONCE_LEN];
    rng.fill_bytes(&mut nonce);
    let mut text = padding::pad(payload).ok_or(SealError::TooLong)?;
    let key = keys
        .document_key(epoch, place.collection, place.document)
        .expect("the newest epoch is one that is known");
    let tag = XChaCha20Poly1305::new((&*key).into())
        .encrypt_in_place_detached(XNonce::from_slice(&nonce), &header, &mut text)
        .map_err(|_| SealError::TooLong)?;
    Ok([&header[..], &nonce, &text, &tag].concat())
}

/// Opens an envelope: its header, now proven, and its payload.
pub fn open(keys: &AccountKeys, envelope: &[u8]) -> Result<(Header, Vec<u8>), OpenError> {
    let header = Header::parse(envelope)?;
    let sealed = envelope.split_at_checked(HEADER_LEN);
    let (bound, sealed) = sealed.ok_or(HeaderError::Short)?;
    let payload = open_in_place(keys, &header, bound, &mut sealed.to_vec())?.to_vec();
    Ok((header, payload))
}

/// Opens what stands behind the header of an envelope, where it is: the payload. `bound` is the
/// header as it stood.
pub(crate) fn open_in_place<'a>(
    keys: &AccountKeys,
    header: &Header,
    bound: &[u8],
    sealed: &'a mut [u8],
) -> Result<&'a [u8], OpenError> {
    let id = header.document;
    let collection = keys
        .collection(header.collection)
        .ok_or(OpenError::Foreign(id))?;
    if header.account != keys.account() || header.epoch < keys.first_epoch() {
        return Err(OpenError::Foreign(id));
    }
    let key = keys.document_key(header.epoch, collection, id);
    let key = key.ok_or(OpenError::LaterEpoch(id))?;
    let sealed = sealed.split_at_mut_checked(NONCE_LEN);
    let (nonce, rest) = sealed.ok_or(HeaderError::Short)?;
    let length = rest.len().checked_sub(TAG_LEN).ok_or(HeaderError::Short)?;
    let (text, tag) = rest
        .split_at_mut_checked(length)
        .ok_or(HeaderError::Short)?;
    XChaCha20Poly1305::new((&*key).into())
        .decrypt_in_place_detached(XNonce::from_slice(nonce), bound, text, Tag::from_slice(tag))
        .map_err(|_| OpenError::Forged(id))?;
    padding::unpad(text).ok_or(OpenError::Forged(id))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rand::SeedableRng;
    use rand_chacha::ChaCha20Rng;

    use super::super::secret::RootKey;
    use super::*;
    use crate::id::AccountId;

    fn keys(octet: u8) -> AccountKeys {
        let root = RootKey::from_octets([octet; 32]);
        AccountKeys::derive(AccountId::new([1; 16]), 1, &root)
    }

    fn sealed(keys: &AccountKeys, payload: &[u8]) -> Vec<u8> {
        let place = Place {
            collection: Collection::Mail,
            document: DocId::new([7; 16]),
            revision: Revision::ONE,
            previous: [0; 32],
            replica: ReplicaId::new([3; 16]),
        };
        seal(keys, place, payload, &mut ChaCha20Rng::seed_from_u64(1)).unwrap()
    }

    #[test]
    fn every_flipped_octet_is_noticed() {
        let keys = keys(1);
        let envelope = sealed(&keys, b"payload");
        assert_eq!(open(&keys, &envelope).unwrap().1, b"payload");
        for at in 0..envelope.len() {
            let mut altered = envelope.clone();
            altered[at] ^= 1;
            assert!(open(&keys, &altered).is_err(), "octet {at}");
        }
        for length in 0..envelope.len() {
            assert!(open(&keys, &envelope[..length]).is_err(), "length {length}");
        }
    }

    #[test]
    fn foreign_keys_do_not_open() {
        let envelope = sealed(&keys(1), b"payload");
        let other = keys(2);
        assert_eq!(
            open(&other, &envelope),
            Err(OpenError::Foreign(DocId::new([7; 16])))
        );
    }

    #[test]
    fn the_format_stands() {
        // Format "seal/1": a changed hash needs a new version and a migration.
        let envelope = sealed(&keys(1), b"payload");
        assert_eq!(envelope.len(), 120 + 24 + 192 + 16);
        let hex = format!("{:02x?}", &hash(&envelope)[..8]);
        assert_eq!(hex, "[53, 0a, 42, e5, 03, 16, 8e, c7]");
    }

    #[test]
    fn each_epoch_opens_what_was_sealed_in_it() {
        let (keys, before) = (keys(1), keys(1));
        let old = sealed(&keys, b"old");
        keys.begin(RootKey::from_octets([2; 32]));
        let new = sealed(&keys, b"new");
        assert_eq!(Header::parse(&new).unwrap().epoch, 2);
        assert_eq!(open(&keys, &old).unwrap().1, b"old");
        assert_eq!(open(&keys, &new).unwrap().1, b"new");
        // Who has the keys of the first epoch alone, and then those of another second one.
        let id = DocId::new([7; 16]);
        assert_eq!(open(&before, &new), Err(OpenError::LaterEpoch(id)));
        before.begin(RootKey::from_octets([3; 32]));
        assert_eq!(open(&before, &new), Err(OpenError::Forged(id)));
        // The header says another epoch than it was sealed in.
        let mut altered = new.clone();
        altered[11] = 1;
        assert_eq!(open(&keys, &altered), Err(OpenError::Forged(id)));
    }

    proptest! {
        #[test]
        fn sealing_goes_both_ways(payload in proptest::collection::vec(any::<u8>(), 0..5000)) {
            let keys = keys(1);
            let envelope = sealed(&keys, &payload);
            prop_assert_eq!(open(&keys, &envelope).unwrap().1, payload);
        }
    }
}

//! How envelopes are kept on the device: without what their place there tells already.
//!
//! Most documents are small, and the clear header of an envelope is 120 octets long. Which
//! account and document it is of is known from the store and the row's key, and a first
//! revision follows none.
//!
//! ```text
//! 0   whole envelope
//! 1   collection (1)              replica (16)                                  nonce, ciphertext, tag
//! 2   collection (1)              replica (16)   revision (8)   previous (32)   nonce, ciphertext, tag
//! 3   collection (1)  epoch (4)   replica (16)                                  nonce, ciphertext, tag
//! 4   collection (1)  epoch (4)   replica (16)   revision (8)   previous (32)   nonce, ciphertext, tag
//! ```
//!
//! Of the account's first key epoch are 1 and 2, of later ones 3 and 4.
//!
//! Invariant: [`unpack`] gives the octets that [`pack`] was given, whatever they are, so what is
//! pushed and what is authenticated is the envelope itself. Rejected: a shorter header on the
//! wire; the provider keeps documents of many accounts and must not have to guess.

use super::{Replica, ReplicaError};
use crate::id::{DocId, ReplicaId, Revision};
use crate::seal::header::HEADER_LEN;
use crate::seal::{AccountKeys, Collection, Header, open_in_place};
use crate::store::Table;

const WHOLE: u8 = 0;
const FIRST: u8 = 1;
const LATER: u8 = 2;
const FIRST_IN_EPOCH: u8 = 3;
const LATER_IN_EPOCH: u8 = 4;

impl<S> Replica<S> {
    /// An envelope as it is kept.
    pub(super) fn packed(&self, envelope: &[u8]) -> Vec<u8> {
        pack(&self.keys, envelope)
    }

    /// The envelope that is kept in a row.
    pub(super) fn unpacked(
        &self,
        table: Table,
        id: DocId,
        row: &[u8],
    ) -> Result<Vec<u8>, ReplicaError> {
        unpacked(&self.keys, table, id, row)
    }
}

/// The envelope that is kept in a row.
pub(super) fn unpacked(
    keys: &AccountKeys,
    table: Table,
    id: DocId,
    row: &[u8],
) -> Result<Vec<u8>, ReplicaError> {
    unpack(keys, id, row).ok_or(ReplicaError::Row(table.name()))
}

/// Opens the envelope that is kept in a row, in the row's memory: its header and payload.
pub(super) fn open<'a>(
    keys: &AccountKeys,
    (table, id): (Table, DocId),
    row: &'a mut [u8],
) -> Result<(Header, &'a [u8]), ReplicaError> {
    let damaged = || ReplicaError::Row(table.name());
    let (header, at) = head(keys, id, row).ok_or_else(damaged)?;
    let (before, sealed) = row.split_at_mut_checked(at).ok_or_else(damaged)?;
    let payload = match before.split_first() {
        Some((&WHOLE, bound)) => open_in_place(keys, &header, bound, sealed),
        _ => open_in_place(keys, &header, &header.to_octets(), sealed),
    };
    Ok((header, payload?))
}

/// The header of the envelope that is kept in a row, and where in the row goes on what is behind it.
fn head(keys: &AccountKeys, id: DocId, packed: &[u8]) -> Option<(Header, usize)> {
    let (&kind, rest) = packed.split_first()?;
    if kind == WHOLE {
        let header = Header::parse(rest).ok()?;
        return Some((header, HEADER_LEN.saturating_add(1)));
    }
    let (&index, rest) = rest.split_first()?;
    let collection = *Collection::ALL.get(usize::from(index))?;
    let (epoch, rest) = match kind {
        FIRST_IN_EPOCH | LATER_IN_EPOCH => {
            let (epoch, rest) = rest.split_first_chunk::<4>()?;
            (u32::from_be_bytes(*epoch), rest)
        }
        _ => (keys.first_epoch(), rest),
    };
    let (replica, rest) = rest.split_first_chunk::<16>()?;
    let (revision, previous, sealed) = match kind {
        FIRST | FIRST_IN_EPOCH => (Revision::ONE, [0; 32], rest),
        LATER | LATER_IN_EPOCH => {
            let (revision, rest) = rest.split_first_chunk::<8>()?;
            let (previous, rest) = rest.split_first_chunk::<32>()?;
            let revision = Revision::new(u64::from_be_bytes(*revision))?;
            (revision, *previous, rest)
        }
        _ => return None,
    };
    let header = Header {
        account: keys.account(),
        collection: keys.collection_id(collection),
        document: id,
        revision,
        previous,
        replica: ReplicaId::new(*replica),
        epoch,
    };
    Some((header, packed.len().checked_sub(sealed.len())?))
}

fn pack(keys: &AccountKeys, envelope: &[u8]) -> Vec<u8> {
    let shorter = shorten(keys, envelope);
    shorter.unwrap_or_else(|| [&[WHOLE], envelope].concat())
}

fn shorten(keys: &AccountKeys, envelope: &[u8]) -> Option<Vec<u8>> {
    let header = Header::parse(envelope).ok()?;
    let collection = keys.collection(header.collection)?;
    let (clear, sealed) = envelope.split_at_checked(HEADER_LEN)?;
    let is_implied = header.account == keys.account() && header.to_octets()[..] == *clear;
    if !is_implied {
        return None;
    }
    let is_first = header.revision == Revision::ONE && header.previous == [0; 32];
    let (epoch, is_of_first) = (
        header.epoch.to_be_bytes(),
        header.epoch == keys.first_epoch(),
    );
    let (kind, epoch) = match (is_first, is_of_first) {
        (true, true) => (FIRST, &[][..]),
        (false, true) => (LATER, &[][..]),
        (true, false) => (FIRST_IN_EPOCH, &epoch[..]),
        (false, false) => (LATER_IN_EPOCH, &epoch[..]),
    };
    let index = Collection::ALL.iter().position(|one| *one == collection)?;
    let head = [kind, u8::try_from(index).ok()?];
    let replica = header.replica.as_bytes();
    Some(if is_first {
        [&head[..], epoch, replica, sealed].concat()
    } else {
        let revision = header.revision.get().to_be_bytes();
        let previous = &header.previous[..];
        [&head[..], epoch, replica, &revision, previous, sealed].concat()
    })
}

fn unpack(keys: &AccountKeys, id: DocId, packed: &[u8]) -> Option<Vec<u8>> {
    if let Some((&WHOLE, envelope)) = packed.split_first() {
        return Some(envelope.to_vec());
    }
    let (header, at) = head(keys, id, packed)?;
    Some([&header.to_octets()[..], packed.get(at..)?].concat())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rand::SeedableRng;
    use rand_chacha::ChaCha20Rng;

    use super::*;
    use crate::id::AccountId;
    use crate::seal::{Place, RootKey, seal};

    fn keys(account: u8) -> AccountKeys {
        let root = RootKey::from_octets([1; 32]);
        AccountKeys::derive(AccountId::new([account; 16]), 1, &root)
    }

    fn envelope(keys: &AccountKeys, revision: u64, previous: [u8; 32]) -> Vec<u8> {
        let place = Place {
            collection: Collection::Contents,
            document: DocId::new([7; 16]),
            revision: Revision::new(revision).unwrap(),
            previous,
            replica: ReplicaId::new([3; 16]),
        };
        let mut rng = ChaCha20Rng::seed_from_u64(1);
        seal(keys, place, b"payload", &mut rng).unwrap()
    }

    #[test]
    fn envelopes_are_kept_shorter_and_come_back() {
        let (ours, theirs) = (keys(1), keys(2));
        let cases = [
            (envelope(&ours, 1, [0; 32]), -102),
            (envelope(&ours, 2, [9; 32]), -62),
            (envelope(&ours, 1, [9; 32]), -62),
            (envelope(&theirs, 1, [0; 32]), 1),
            (b"no envelope".to_vec(), 1),
        ];
        for (envelope, difference) in cases {
            let packed = pack(&ours, &envelope);
            let expected = envelope.len().checked_add_signed(difference).unwrap();
            assert_eq!(packed.len(), expected);
            let unpacked = unpack(&ours, DocId::new([7; 16]), &packed).unwrap();
            assert!(unpacked == envelope);
        }
    }

    proptest! {
        #[test]
        fn no_row_does_harm(row in proptest::collection::vec(any::<u8>(), 0..200)) {
            drop(unpack(&keys(1), DocId::new([7; 16]), &row));
        }
    }
}

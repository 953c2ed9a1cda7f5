//! Opening encrypted messages.
//!
//! Invariants: no octet of plaintext leaves before the integrity of all of it is proven (EFAIL);
//! the message is read to its end, and any error on the way voids everything; sizes, layers and
//! tries are bounded by [`limits`]; passwords are never tried, Argon2 from strangers costs
//! gigabytes. Old and expired keys of ours still open.
//! Rejected: rPGP's key search, which tries every key for every wildcard packet and does not tell
//! what was used; its streaming mode for SEIPD version 1, which releases unauthenticated octets.

use std::borrow::Cow;
use std::io::Read;
use std::panic::{AssertUnwindSafe, catch_unwind};

use futures::FutureExt as _;
use pgp::composed::{DecryptionOptions, Edata, Esk, Message, PlainSessionKey, TheRing};
use pgp::crypto::sym::SymmetricKeyAlgorithm;
use pgp::packet::{PublicKeyEncryptedSessionKey, Signature};
use pgp::types::{DecryptionKey, EskType, KeyDetails, Password, PkeskVersion, Seipdv1ReadMode};

use super::armor::{self, ArmorError, Kind};
use super::bulk::document::Inside;
use super::bulk::open::Body;
use super::bulk::{self, BulkCipher};
use super::pending::{PendingSignature, PendingSignatures};
use super::policy::{self, Refused, container, limits};
use super::protection::{Cipher, SignatureStatus, Undecryptable};
use super::{Certificate, Fingerprint, Plaintext, SecretCertificate};
use crate::id::{Address, Timestamp};

/// What may be spent on one message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Largest message, in octets of binary.
    pub ciphertext_octets: usize,
    /// Largest plaintext, in octets.
    pub plaintext_octets: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            ciphertext_octets: limits::MAX_CIPHERTEXT_OCTETS,
            plaintext_octets: limits::MAX_PLAINTEXT_OCTETS,
        }
    }
}

/// Why a message did not open. None of these tells more than which stage failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DecryptError {
    /// Refused before it was opened.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// Larger than the limit in octets, or it inflates too much.
    #[error("larger than {0} octets, or inflates too much")]
    TooLarge(usize),
    /// None of the keys opens it.
    #[error("not encrypted to any of these keys")]
    NoKey,
    /// Only a password opens it.
    #[error("encrypted with a password only")]
    PasswordOnly,
    /// Changed, cut off, nested too deep or otherwise broken.
    #[error("damaged")]
    Damaged,
}

impl DecryptError {
    /// The reason as it is stored and shown with the message.
    pub fn reason(&self) -> Undecryptable {
        match self {
            Self::NoKey => Undecryptable::NoKey,
            Self::PasswordOnly => Undecryptable::Password,
            Self::TooLarge(_) | Self::Refused(Refused::TooManySessionKeys) => {
                Undecryptable::TooLarge
            }
            Self::Damaged | Self::Refused(Refused::Form | Refused::NotEncrypted) => {
                Undecryptable::Damaged
            }
            Self::Refused(Refused::ChunkTooLarge { .. }) => Undecryptable::ChunkTooLarge,
            Self::Refused(Refused::NoIntegrity | Refused::Version) => Undecryptable::Unsupported,
        }
    }
}

/// An opened message; who signed it is still to be judged.
#[derive(Debug)]
pub struct Decrypted {
    /// What was encrypted.
    pub plaintext: Plaintext,
    /// The signatures inside.
    pub signatures: PendingSignatures,
    /// The certificate of ours that opened it.
    pub encrypted_to: Fingerprint,
    /// What it was encrypted with.
    pub cipher: Cipher,
}

/// Opens a binary or armored message with the first of our keys that fits.
pub fn message(
    octets: &[u8],
    keys: &[SecretCertificate],
    limits: &Limits,
) -> Result<Decrypted, DecryptError> {
    let opened = inspected(octets, limits)
        .and_then(|(binary, container)| caught(|| open(&binary, container, keys, limits)));
    #[cfg(test)]
    bulk::tests::assert_same(&opened, octets, keys, limits);
    opened
}

/// Like [`message`], with the platform's AES if that is handed in.
pub async fn message_with(
    octets: &[u8],
    keys: &[SecretCertificate],
    limits: &Limits,
    bulk: Option<&dyn BulkCipher>,
) -> Result<Decrypted, DecryptError> {
    let Some(bulk) = bulk else {
        return message(octets, keys, limits);
    };
    let (binary, container) = inspected(octets, limits)?;
    let in_bulk = AssertUnwindSafe(open_in_bulk(&binary, container, keys, limits, bulk));
    if let Ok(Some(opened)) = in_bulk.catch_unwind().await {
        return opened;
    }
    caught(|| open(&binary, container, keys, limits))
}

/// The binary form of a message that may be opened.
fn inspected<'a>(
    octets: &'a [u8],
    limits: &Limits,
) -> Result<(Cow<'a, [u8]>, container::Container), DecryptError> {
    let binary = armor::binary(octets, Kind::Message, limits.ciphertext_octets).map_err(
        |error| match error {
            ArmorError::TooLarge(limit) => DecryptError::TooLarge(limit),
            ArmorError::Form => DecryptError::Refused(Refused::Form),
        },
    )?;
    let container = container::inspect(&binary)?;
    if !container.has_recipient {
        return Err(if container.has_password {
            DecryptError::PasswordOnly
        } else {
            DecryptError::NoKey
        });
    }
    Ok((binary, container))
}

/// Panics in parsers keep turning up; natively one must not end the process.
fn caught<T>(read: impl FnOnce() -> Result<T, DecryptError>) -> Result<T, DecryptError> {
    catch_unwind(AssertUnwindSafe(read)).unwrap_or(Err(DecryptError::Damaged))
}

/// What the decrypt page shows.
#[derive(Debug)]
pub struct Letter {
    /// What was encrypted: text or a whole MIME entity.
    pub plaintext: Plaintext,
    /// What is to be said of its signature.
    pub signature: SignatureStatus,
    /// The signer's user id, if the signature means anything.
    pub signer: Option<String>,
}

/// Opens one message with one key and judges its signatures by the certificates at hand: the
/// whole of the decrypt page. There is no sender to compare with, so a good signature is `Valid`
/// for the first address of the signer's certificate.
pub async fn armored(
    text: &[u8],
    key: &SecretCertificate,
    certificates: &[Certificate],
    now: Timestamp,
    bulk: Option<&dyn BulkCipher>,
) -> Result<Letter, DecryptError> {
    let keys = core::slice::from_ref(key);
    let decrypted = message_with(text, keys, &Limits::default(), bulk).await?;
    let judge = |from: Option<&Address>| decrypted.signatures.judge(certificates, from, now);
    let mut signature = judge(None);
    if let SignatureStatus::WrongSender {
        address: Some(address),
        ..
    } = &signature
    {
        signature = judge(Some(&address.clone()));
    }
    let signer = match &signature {
        SignatureStatus::Valid { fingerprint, .. }
        | SignatureStatus::WrongSender { fingerprint, .. } => certificates
            .iter()
            .find(|certificate| certificate.fingerprint() == *fingerprint)
            .and_then(|certificate| certificate.user_ids(now).first().map(ToString::to_string)),
        _ => None,
    };
    Ok(Letter {
        plaintext: decrypted.plaintext,
        signature,
        signer,
    })
}

#[expect(
    clippy::disallowed_methods,
    reason = "the one place that opens messages, after the policy's look at the container"
)]
fn open(
    binary: &[u8],
    container: container::Container,
    keys: &[SecretCertificate],
    limits: &Limits,
) -> Result<Decrypted, DecryptError> {
    let damaged = |_| DecryptError::Damaged;
    let message = Message::from_bytes(binary).map_err(damaged)?;
    let Message::Encrypted { esk, edata, .. } = &message else {
        return Err(Refused::NotEncrypted.into());
    };
    if !matches!(edata, Edata::SymEncryptedProtectedData { .. }) {
        return Err(Refused::NoIntegrity.into());
    }
    let (session_key, encrypted_to) = session_key(esk, keys).ok_or(DecryptError::NoKey)?;
    let cipher = cipher(container, &session_key);
    let read_mode = Seipdv1ReadMode::CheckFirst {
        max_message_size: limits.ciphertext_octets,
    };
    let ring = TheRing {
        session_keys: vec![session_key],
        decrypt_options: DecryptionOptions::new().set_seipdv1_read_mode(read_mode),
        ..TheRing::default()
    };
    let (opened, _) = message.decrypt_the_ring(ring, true).map_err(damaged)?;
    let (plaintext, signatures) = contents(opened, binary.len(), limits)?;
    Ok(Decrypted {
        plaintext,
        signatures: PendingSignatures::new(signatures, Some(encrypted_to)),
        encrypted_to,
        cipher,
    })
}

fn cipher(container: container::Container, session_key: &PlainSessionKey) -> Cipher {
    match (container.aead_cipher, session_key.sym_algorithm()) {
        (Some(number), _) => policy::algorithm::cipher(SymmetricKeyAlgorithm::from(number), true),
        (None, Some(algorithm)) => policy::algorithm::cipher(algorithm, false),
        (None, None) => Cipher::Other,
    }
}

/// Opens a message as [`open`] does, with the platform's AES; `None` if rPGP is to decide.
pub(super) async fn open_in_bulk(
    binary: &[u8],
    container: container::Container,
    keys: &[SecretCertificate],
    limits: &Limits,
    bulk: &dyn BulkCipher,
) -> Option<Result<Decrypted, DecryptError>> {
    if binary.len() < bulk.least_octets() {
        return None;
    }
    let body = Body::find(binary)?;
    let (session_key, encrypted_to) = {
        let message = Message::from_bytes(binary).ok()?;
        let Message::Encrypted { esk, .. } = &message else {
            return None;
        };
        session_key(esk, keys)?
    };
    let inside = bulk::open::inside(body, &session_key, bulk, limits.plaintext_octets).await?;
    let (plaintext, signatures) = match inside {
        Inside::Document(text, signatures) => (Plaintext::from(text), signatures),
        Inside::Compressed(octets) => {
            let message = Message::from_bytes(&octets[..]).ok()?;
            match contents(message, binary.len(), limits) {
                Ok(read) => read,
                Err(error) => return Some(Err(error)),
            }
        }
    };
    Some(Ok(Decrypted {
        plaintext,
        signatures: PendingSignatures::new(signatures, Some(encrypted_to)),
        encrypted_to,
        cipher: cipher(container, &session_key),
    }))
}

/// Reads a signed message that is not encrypted (RFC 9580 10.3), binary or armored: its document,
/// and the signatures over it.
pub fn signed(
    octets: &[u8],
    limits: &Limits,
) -> Result<(Plaintext, PendingSignatures), DecryptError> {
    let form = || DecryptError::Refused(Refused::Form);
    let binary = armor::binary(octets, Kind::Message, limits.ciphertext_octets);
    let binary = binary.map_err(|_| form())?;
    let read = || {
        let message = Message::from_bytes(&*binary).map_err(|_| form())?;
        let (plaintext, signatures) = contents(message, binary.len(), limits)?;
        Ok((plaintext, PendingSignatures::new(signatures, None)))
    };
    caught(read)
}

/// What is inside a message whose encryption, if there was any, is open.
#[expect(
    clippy::disallowed_methods,
    reason = "the one place that inflates messages, within the policy's limits"
)]
fn contents(
    mut opened: Message<'_>,
    octets: usize,
    limits: &Limits,
) -> Result<(Plaintext, Vec<PendingSignature>), DecryptError> {
    let mut bound = limits.plaintext_octets;
    let mut layers = 0;
    while is_compressed(&opened) {
        layers += 1;
        if layers > limits::MAX_LAYERS {
            return Err(DecryptError::Damaged);
        }
        let inflated = octets.saturating_mul(limits::MAX_COMPRESSION_RATIO);
        bound = bound.min(inflated.max(limits::MIN_DECOMPRESSED_OCTETS));
        opened = opened.decompress().map_err(|_| DecryptError::Damaged)?;
    }
    let plaintext = read_to_end(&mut opened, bound, octets)?;
    let mut found = Vec::new();
    collect_signatures(&opened, &mut found, limits::MAX_LAYERS)?;
    let digest = digest_while_read(&opened).filter(|_| layers == 0);
    let signatures = found
        .into_iter()
        .map(|signature| PendingSignature::hashed(signature, digest.clone(), &plaintext))
        .collect();
    Ok((plaintext, signatures))
}

/// The digest that rPGP took while the document was read, if there is one layer of signatures right
/// around it, with one signature in it: hashing it once more would be half of the time that opening
/// takes. It has none where the one-pass packet and the signature tell of different things.
fn digest_while_read(message: &Message<'_>) -> Option<Vec<u8>> {
    let Message::Signed { reader, .. } = message else {
        return None;
    };
    // Among several, its digests do not always stand where their signatures do.
    let is_simple =
        reader.num_signatures() == 1 && matches!(reader.get_ref(), Message::Literal { .. });
    let digest = is_simple.then(|| reader.hash(0))??;
    Some(digest.to_vec())
}

/// The first session key that one of our keys opens, and whose it is.
fn session_key(
    packets: &[Esk],
    keys: &[SecretCertificate],
) -> Option<(PlainSessionKey, Fingerprint)> {
    let mut wildcards = 0;
    for packet in packets {
        let Esk::PublicKeyEncryptedSessionKey(packet) = packet else {
            continue;
        };
        let is_wildcard = packet.id().is_ok_and(pgp::types::KeyId::is_wildcard)
            || matches!(packet.fingerprint(), Ok(None) if packet.version() == PkeskVersion::V6);
        if is_wildcard {
            wildcards += 1;
            if wildcards > limits::MAX_WILDCARD_TRIES {
                continue;
            }
        }
        let opened = keys
            .iter()
            .find_map(|key| open_packet(packet, key).map(|opened| (opened, key.fingerprint())));
        if opened.is_some() {
            return opened;
        }
    }
    None
}

#[expect(
    clippy::disallowed_methods,
    reason = "tries one packet with one key of ours, as often as the policy lets it"
)]
fn open_packet(
    packet: &PublicKeyEncryptedSessionKey,
    secret: &SecretCertificate,
) -> Option<PlainSessionKey> {
    let version = match packet.version() {
        PkeskVersion::V3 => EskType::V3_4,
        PkeskVersion::V6 => EskType::V6,
        PkeskVersion::Other(_) => return None,
    };
    let values = packet.values().ok()?;
    let packets = secret.packets();
    let attempt =
        |key: &dyn DecryptionKey| key.decrypt(&Password::empty(), values, version).ok()?.ok();
    let primary = &packets.primary_key;
    if policy::algorithm::can_encrypt(primary.algorithm())
        && packet.match_identity(primary.public_key())
        && let Some(opened) = attempt(primary)
    {
        return Some(opened);
    }
    packets
        .secret_subkeys
        .iter()
        .filter(|subkey| policy::algorithm::can_encrypt(subkey.key.algorithm()))
        .filter(|subkey| packet.match_identity(subkey.key.public_key()))
        .find_map(|subkey| attempt(&subkey.key))
}

/// Whether the next layer is compression, directly or under a signature.
fn is_compressed(message: &Message<'_>) -> bool {
    match message {
        Message::Compressed { .. } => true,
        Message::Signed { reader, .. } => is_compressed(reader.get_ref()),
        _ => false,
    }
}

/// Reads all, usually so many octets, and refuses an octet more than `bound`: integrity and
/// signatures hold only at the end (check 15).
fn read_to_end(
    message: &mut Message<'_>,
    bound: usize,
    usual: usize,
) -> Result<Plaintext, DecryptError> {
    if holds_encryption(message) {
        return Err(DecryptError::Damaged);
    }
    let mut octets = Vec::with_capacity(usual.min(bound));
    let limit = u64::try_from(bound).unwrap_or(u64::MAX).saturating_add(1);
    let outcome = message.take(limit).read_to_end(&mut octets);
    let plaintext = Plaintext::new(octets);
    outcome.map_err(|_| DecryptError::Damaged)?;
    if plaintext.len() > bound {
        return Err(DecryptError::TooLarge(bound));
    }
    Ok(plaintext)
}

fn holds_encryption(message: &Message<'_>) -> bool {
    match message {
        Message::Encrypted { .. } => true,
        Message::Signed { reader, .. } => holds_encryption(reader.get_ref()),
        _ => false,
    }
}

fn collect_signatures(
    message: &Message<'_>,
    found: &mut Vec<Signature>,
    depth: usize,
) -> Result<(), DecryptError> {
    let Message::Signed { reader, .. } = message else {
        return Ok(());
    };
    let count = reader.num_signatures();
    if depth == 0 || found.len() + count > limits::MAX_DATA_SIGNATURES {
        return Err(DecryptError::Damaged);
    }
    for index in 0..count {
        found.extend(reader.signature(index).cloned());
    }
    collect_signatures(reader.get_ref(), found, depth - 1)
}

#[cfg(test)]
#[expect(
    clippy::disallowed_methods,
    reason = "tests make what no sender of ours would"
)]
mod tests;

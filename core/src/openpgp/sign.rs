//! Detached signatures over octets or text (RFC 9580 5.2, types 0x00 and 0x01), SHA-512.
//!
//! Invariant: mail is signed to the octet; line ends are the caller's matter.

use pgp::composed::{Deserializable, DetachedSignature, MessageBuilder};
use pgp::crypto::hash::HashAlgorithm;
use pgp::packet::{PacketTrait as _, Subpacket, SubpacketData};
use pgp::types::{KeyVersion, Password, SigningKey, Timestamp as PgpTimestamp};
use pgp::{composed::SubpacketConfig, packet::SignatureConfig, packet::SignatureType};
use rand::{CryptoRng, RngCore};

use super::armor::{self, Kind};
use super::pending::{PendingSignature, PendingSignatures};
use super::policy;
use super::policy::limits::{MAX_DATA_SIGNATURES, MAX_SIGNATURE_OCTETS};
use super::{Certificate, SecretCertificate};
use crate::id::Timestamp;

/// Why a document could not be signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SignError {
    /// The certificate has no private key that may sign now.
    #[error("the key may not sign now")]
    NoKey,
    /// The mathematics failed.
    #[error("signing failed")]
    Failed,
}

/// What of a document is signed (RFC 9580 5.2.1).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Mode {
    /// Its octets.
    #[default]
    Binary,
    /// Its text: line ends do not count.
    Text,
}

/// Signs a document with several keys; the answer is binary, one packet for each.
pub fn packets(
    document: &[u8],
    signers: &[SecretCertificate],
    mode: Mode,
    now: Timestamp,
    rng: &mut (impl CryptoRng + RngCore),
) -> Result<Vec<u8>, SignError> {
    let at = policy::seconds(now);
    let mut octets = Vec::new();
    for signer in signers {
        let key = signer.signing_key(at).ok_or(SignError::NoKey)?;
        let signature = sign(document, key, mode, at, rng).map_err(|_| SignError::Failed)?;
        signature
            .to_writer_with_header(&mut octets)
            .map_err(|_| SignError::Failed)?;
    }
    Ok(octets)
}

/// Signs a document with several keys and puts it between the signatures and what announces them: a
/// signed message (RFC 9580 10.3), binary. [`super::decrypt::signed`] reads it.
#[expect(
    clippy::disallowed_methods,
    reason = "signs documents like the function below, by keys that the policy lets sign"
)]
pub fn message(
    document: &[u8],
    signers: &[SecretCertificate],
    mode: Mode,
    now: Timestamp,
    rng: &mut (impl CryptoRng + RngCore),
) -> Result<Vec<u8>, SignError> {
    let at = policy::seconds(now);
    let failed = |_| SignError::Failed;
    let mut builder = MessageBuilder::from_bytes("", document.to_vec());
    if mode == Mode::Text {
        // The document stays as it is, whatever its line ends.
        builder.sign_text();
    }
    for signer in signers {
        let key = signer.signing_key(at).ok_or(SignError::NoKey)?;
        let subpackets = subpackets(key, at, &[]).map_err(failed)?;
        let hash = HashAlgorithm::Sha512;
        builder.sign_with_subpackets(key, Password::empty(), hash, subpackets);
    }
    builder.to_vec(rng).map_err(failed)
}

/// Signs octets; the answer is armored, CRLF line ends.
pub fn detached(
    document: &[u8],
    signer: &SecretCertificate,
    now: Timestamp,
    rng: &mut (impl CryptoRng + RngCore),
) -> Result<Vec<u8>, SignError> {
    let signers = core::slice::from_ref(signer);
    let packet = packets(document, signers, Mode::Binary, now, rng)?;
    let armored = armor::wrap(&packet).ok_or(SignError::Failed)?;
    Ok(armor::with_crlf(&armored))
}

/// Reads a detached signature block, binary or armored, over a document. The verdict comes with
/// [`PendingSignatures::judge`]; a block that cannot be read gives a verdict of malformed.
pub fn read_detached(document: &[u8], signature: &[u8]) -> PendingSignatures {
    let Ok(binary) = armor::binary(signature, Kind::Signature, MAX_SIGNATURE_OCTETS) else {
        return PendingSignatures::malformed();
    };
    let Ok(found) = DetachedSignature::from_bytes_many(&*binary) else {
        return PendingSignatures::malformed();
    };
    let signatures: Vec<PendingSignature> = found
        .filter_map(Result::ok)
        .take(MAX_DATA_SIGNATURES)
        .map(|detached| PendingSignature::new(detached.signature, document))
        .collect();
    if signatures.is_empty() {
        return PendingSignatures::malformed();
    }
    PendingSignatures::new(signatures, None)
}

/// The subpackets of a document signature: issuer, time, and for whom it is meant.
pub(super) fn subpackets(
    key: &dyn SigningKey,
    at: u32,
    recipients: &[Certificate],
) -> pgp::errors::Result<SubpacketConfig> {
    let mut hashed = vec![
        Subpacket::critical(SubpacketData::SignatureCreationTime(
            PgpTimestamp::from_secs(at),
        ))?,
        Subpacket::regular(SubpacketData::IssuerFingerprint(key.fingerprint()))?,
    ];
    for recipient in recipients {
        let fingerprint = recipient.fingerprint().to_pgp();
        hashed.push(Subpacket::regular(
            SubpacketData::IntendedRecipientFingerprint(fingerprint),
        )?);
    }
    let mut unhashed = vec![];
    if key.version() == KeyVersion::V4 {
        unhashed.push(Subpacket::regular(SubpacketData::IssuerKeyId(
            key.legacy_key_id(),
        ))?);
    }
    Ok(SubpacketConfig::UserDefined { hashed, unhashed })
}

/// What a signature says, before the document is hashed: made at a time, and for whom it is meant.
pub(super) fn config(
    key: &dyn SigningKey,
    mode: Mode,
    hash: HashAlgorithm,
    (at, recipients): (u32, &[Certificate]),
    rng: &mut (impl CryptoRng + RngCore),
) -> pgp::errors::Result<SignatureConfig> {
    let kind = match mode {
        Mode::Binary => SignatureType::Binary,
        Mode::Text => SignatureType::Text,
    };
    let mut config = match key.version() {
        KeyVersion::V6 => SignatureConfig::v6(rng, kind, key.algorithm(), hash)?,
        _ => SignatureConfig::v4(kind, key.algorithm(), hash),
    };
    if let SubpacketConfig::UserDefined { hashed, unhashed } = subpackets(key, at, recipients)? {
        config.hashed_subpackets = hashed;
        config.unhashed_subpackets = unhashed;
    }
    Ok(config)
}

#[expect(
    clippy::disallowed_methods,
    reason = "the one place that signs documents, by keys that the policy lets sign"
)]
fn sign(
    document: &[u8],
    key: &dyn SigningKey,
    mode: Mode,
    at: u32,
    rng: &mut (impl CryptoRng + RngCore),
) -> pgp::errors::Result<pgp::packet::Signature> {
    let config = config(key, mode, HashAlgorithm::Sha512, (at, &[]), rng)?;
    let mut hasher = config.into_hasher()?;
    std::io::Write::write_all(&mut hasher, document)?;
    hasher.sign(key, &Password::empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::openpgp::protection::{BadSignature, SignatureStatus};
    use crate::openpgp::test_support::{NOW, address, later, rng, secret};

    #[test]
    fn a_signature_is_over_exact_octets() {
        let alice = secret("alice");
        let certificates = [alice.certificate().clone()];
        let from = address("alice");
        let signature = detached(b"one\r\n", &alice, NOW, &mut rng(1)).unwrap();
        assert!(signature.starts_with(b"-----BEGIN PGP SIGNATURE-----\r\n"));
        let judge = |document: &[u8]| {
            read_detached(document, &signature).judge(&certificates, Some(&from), later(9))
        };
        assert_eq!(
            judge(b"one\r\n"),
            SignatureStatus::Valid {
                fingerprint: alice.fingerprint(),
                address: from.clone()
            }
        );
        assert_eq!(
            judge(b"one\n"),
            SignatureStatus::Bad {
                reason: BadSignature::Mismatch
            }
        );
        let garbage = read_detached(b"one\r\n", b"garbage");
        assert_eq!(
            garbage.judge(&certificates, Some(&from), NOW),
            SignatureStatus::Bad {
                reason: BadSignature::Malformed
            }
        );
    }
}

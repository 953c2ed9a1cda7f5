//! Whether a signature over a document is good, and whose it is (checks 1 to 15).
//!
//! The document's digest is taken when the document is read; the verdict may come later, when the
//! sender's certificate has been found. So a pending signature holds a digest and not the mail.

use std::io::Read;

use pgp::line_writer::LineBreak;
use pgp::normalize_lines::NormalizedReader;
use pgp::packet::{
    Signature, SignatureType, SignatureVersion, SignatureVersionSpecific, SubpacketData,
};
use pgp::types::{KeyDetails, KeyVersion, VerifyingKey};

use super::algorithm;
use super::certificate::{Unusable, Verified, created, has_unknown_critical, names};
use super::limits::CLOCK_SKEW_SECS;
use crate::id::{Address, Timestamp};
use crate::openpgp::Certificate;
use crate::openpgp::fingerprint::{Fingerprint, Issuer};
use crate::openpgp::protection::{BadSignature, SignatureStatus};

/// What a verdict depends on beside the signature.
pub(in crate::openpgp) struct Circumstances<'a> {
    /// Certificates that may be the signer's.
    pub(in crate::openpgp) certificates: &'a [Certificate],
    /// The one From address; `None` if the message has none or several.
    pub(in crate::openpgp) from: Option<&'a Address>,
    /// Fingerprints of our certificate, if the signature was inside encryption to it.
    pub(in crate::openpgp) opened_with: Option<Fingerprint>,
    /// Now, in seconds.
    pub(in crate::openpgp) now: u32,
}

/// The digest that a signature claims to be over; `None` if its type, version or hash is none
/// that signs documents.
pub(in crate::openpgp) fn digest(signature: &Signature, document: &[u8]) -> Option<Vec<u8>> {
    let config = signature.config()?;
    let mut hasher = config.hash_alg.new_hasher().ok()?;
    if let SignatureVersionSpecific::V6 { salt } = &config.version_specific {
        if config.hash_alg.salt_len() != Some(salt.len()) {
            return None;
        }
        hasher.update(salt);
    }
    match config.typ {
        SignatureType::Binary => hasher.update(document),
        SignatureType::Text => {
            let mut lines = NormalizedReader::new(document, LineBreak::Crlf);
            let mut buffer = vec![0; 64 * 1024];
            loop {
                let count = lines.read(&mut buffer).ok()?;
                if count == 0 {
                    break;
                }
                hasher.update(buffer.get(..count)?);
            }
        }
        _ => return None,
    }
    let length = config.hash_signature_data(&mut hasher).ok()?;
    hasher.update(&config.trailer(length).ok()?);
    Some(hasher.finalize().into_vec())
}

/// Whether a signature is of a type that signs documents.
pub(in crate::openpgp) fn is_over_document(signature: &Signature) -> bool {
    matches!(
        signature.typ(),
        Some(SignatureType::Binary | SignatureType::Text)
    )
}

/// Whom the signature names.
pub(in crate::openpgp) fn issuer(signature: &Signature) -> Option<Issuer> {
    let by_fingerprint = signature
        .issuer_fingerprint()
        .into_iter()
        .find_map(Fingerprint::from_pgp)
        .map(Issuer::Fingerprint);
    by_fingerprint.or_else(|| {
        let id = signature
            .issuer_key_id()
            .into_iter()
            .find(|id| !id.is_wildcard())?;
        <[u8; 8]>::try_from(id.as_ref()).ok().map(Issuer::KeyId)
    })
}

/// A signature that is good, whoever sent the document.
#[derive(Debug, Clone)]
pub struct Proof {
    /// The signer's certificate.
    pub certificate: Certificate,
    /// The key of it that signed: the primary key or a subkey.
    pub key: Fingerprint,
    /// When it was made.
    pub created_at: Timestamp,
    /// Over text (type 0x01), whose line ends do not count; else over exact octets.
    pub text: bool,
}

/// Judges one signature over a document with this digest, as one of its sender.
pub(in crate::openpgp) fn judge(
    signature: &Signature,
    digest: Option<&[u8]>,
    circumstances: &Circumstances<'_>,
) -> SignatureStatus {
    match prove(signature, digest, circumstances) {
        Ok(proof) => sender_verdict(&proof.certificate, circumstances),
        Err(status) => status,
    }
}

/// Judges one signature over a document with this digest, whoever sent it; else why it is no
/// good, or nothing can be said of it.
pub(in crate::openpgp) fn prove(
    signature: &Signature,
    digest: Option<&[u8]>,
    circumstances: &Circumstances<'_>,
) -> Result<Proof, SignatureStatus> {
    if let Err(reason) = check_form(signature, circumstances.now) {
        return Err(SignatureStatus::Bad { reason });
    }
    let Some(digest) = digest else {
        return Err(SignatureStatus::Bad {
            reason: BadSignature::Malformed,
        });
    };
    let mut worst = SignatureStatus::UnknownKey {
        issuer: issuer(signature),
    };
    for certificate in circumstances.certificates {
        for candidate in candidates(certificate.verified()) {
            if !names(signature, candidate.key) {
                // Named partly: one hint says this key, another one says otherwise.
                if names_partly(signature, candidate.key) {
                    worst = SignatureStatus::Bad {
                        reason: BadSignature::Issuer,
                    };
                }
                continue;
            }
            if let Err(reason) = verify(signature, digest, &candidate) {
                worst = SignatureStatus::Bad { reason };
                continue;
            }
            check_worth(signature, certificate, &candidate, circumstances)?;
            let key = Fingerprint::from_pgp(&candidate.key.fingerprint());
            return Ok(Proof {
                certificate: certificate.clone(),
                key: key.unwrap_or_else(|| certificate.fingerprint()),
                created_at: Timestamp::from_secs(i64::from(created(signature))),
                text: signature.typ() == Some(SignatureType::Text),
            });
        }
    }
    Err(worst)
}

/// A key that may have signed.
struct Candidate<'a> {
    key: &'a dyn VerifyingKey,
    subkey: Option<&'a pgp::composed::SignedPublicSubKey>,
}

fn candidates(verified: &Verified) -> impl Iterator<Item = Candidate<'_>> {
    let primary = Candidate {
        key: verified.primary(),
        subkey: None,
    };
    let subkeys = verified
        .packets()
        .public_subkeys
        .iter()
        .map(|subkey| Candidate {
            key: &subkey.key,
            subkey: Some(subkey),
        });
    core::iter::once(primary).chain(subkeys)
}

/// What can be said without a key: checks 2, 6 (in part) and 8.
fn check_form(signature: &Signature, now: u32) -> Result<(), BadSignature> {
    match signature.typ() {
        Some(SignatureType::Binary | SignatureType::Text) => {}
        Some(_) => return Err(BadSignature::Type),
        None => return Err(BadSignature::Malformed),
    }
    if !matches!(
        signature.version(),
        SignatureVersion::V4 | SignatureVersion::V6
    ) {
        return Err(BadSignature::Malformed);
    }
    if has_unknown_critical(signature) {
        return Err(BadSignature::Critical);
    }
    match signature.created() {
        Some(created) if created.as_secs() <= now.saturating_add(CLOCK_SKEW_SECS) => Ok(()),
        _ => Err(BadSignature::Time),
    }
}

/// The mathematics, and that the versions of key and signature belong together (check 3).
#[expect(clippy::disallowed_methods, reason = "the policy itself")]
fn verify(
    signature: &Signature,
    digest: &[u8],
    candidate: &Candidate<'_>,
) -> Result<(), BadSignature> {
    let v6_key = candidate.key.version() == KeyVersion::V6;
    let v6_signature = signature.version() == SignatureVersion::V6;
    if v6_key != v6_signature {
        return Err(BadSignature::Malformed);
    }
    let (Some(hash), Some(octets), Some(prefix)) = (
        signature.hash_alg(),
        signature.signature(),
        signature.signed_hash_value(),
    ) else {
        return Err(BadSignature::Malformed);
    };
    if digest.get(..2) != Some(prefix.as_slice()) {
        return Err(BadSignature::Mismatch);
    }
    candidate
        .key
        .verify(hash, digest, octets)
        .map_err(|_| BadSignature::Mismatch)
}

/// A signature that is mathematically right: what is it worth (checks 5, 6, 7, 10 to 12, 14)?
fn check_worth(
    signature: &Signature,
    certificate: &Certificate,
    candidate: &Candidate<'_>,
    circumstances: &Circumstances<'_>,
) -> Result<(), SignatureStatus> {
    let fingerprint = certificate.fingerprint();
    let bad = |reason| Err(SignatureStatus::Bad { reason });
    let at = created(signature);
    let verified = certificate.verified();
    let strong = signature.hash_alg().is_some_and(algorithm::hash_is_strong)
        && algorithm::key_is_strong(candidate.key);
    if !strong {
        return Err(SignatureStatus::Weak { fingerprint });
    }
    if at < candidate.key.created_at().as_secs() || at < verified.primary().created_at().as_secs() {
        return bad(BadSignature::Time);
    }
    let state = match candidate.subkey {
        None => verified.primary_signs(at),
        Some(subkey) => verified.subkey_signs(subkey, at),
    };
    match state {
        Ok(()) => {}
        Err(Unusable::Weak) => return Err(SignatureStatus::Weak { fingerprint }),
        Err(Unusable::Expired) => return Err(SignatureStatus::Expired { fingerprint }),
        Err(Unusable::Revoked) => return bad(BadSignature::Revoked),
        Err(Unusable::NotYetValid) => return bad(BadSignature::Time),
        Err(Unusable::NoKey) => return bad(BadSignature::Key),
    }
    let lifetime = signature
        .signature_expiration_time()
        .map_or(0, pgp::types::Duration::as_secs);
    if lifetime != 0 && at.saturating_add(lifetime) <= circumstances.now {
        return Err(SignatureStatus::Expired { fingerprint });
    }
    if !is_intended(signature, circumstances.opened_with) {
        return bad(BadSignature::NotForUs);
    }
    Ok(())
}

/// Check 13: the certificate must name the From address, now or when a revoked user id held.
fn sender_verdict(certificate: &Certificate, circumstances: &Circumstances<'_>) -> SignatureStatus {
    let fingerprint = certificate.fingerprint();
    let addresses = certificate.addresses_at(circumstances.now);
    let from = circumstances.from.filter(|from| {
        addresses
            .iter()
            .any(|address| address.canonical() == from.canonical())
    });
    match from {
        Some(address) => SignatureStatus::Valid {
            fingerprint,
            address: address.clone(),
        },
        None => SignatureStatus::WrongSender {
            fingerprint,
            address: addresses.into_iter().next(),
        },
    }
}

/// Check 14: a signature that names intended recipients, found inside encryption, must name us.
fn is_intended(signature: &Signature, opened_with: Option<Fingerprint>) -> bool {
    let Some(ours) = opened_with.map(Fingerprint::to_pgp) else {
        return true;
    };
    let Some(config) = signature.config() else {
        return false;
    };
    let mut named = config
        .hashed_subpackets()
        .filter_map(|subpacket| match &subpacket.data {
            SubpacketData::IntendedRecipientFingerprint(fingerprint) => Some(fingerprint),
            _ => None,
        })
        .peekable();
    named.peek().is_none() || named.any(|fingerprint| *fingerprint == ours)
}

fn names_partly(signature: &Signature, key: &dyn VerifyingKey) -> bool {
    let fingerprint = key.fingerprint();
    let id = key.legacy_key_id();
    signature
        .issuer_fingerprint()
        .into_iter()
        .any(|hint| *hint == fingerprint)
        || signature
            .issuer_key_id()
            .into_iter()
            .any(|hint| *hint == id)
}

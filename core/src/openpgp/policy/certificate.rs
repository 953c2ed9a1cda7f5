//! What is true of a certificate: which parts its primary key really vouches for, and what they
//! may be used for at a given time (checks 10, 11, 17, 19, 21 to 25).
//!
//! [`Verified`] is the proof that [`verify`] looked at every signature: parts without a good
//! binding are gone, self-signatures that do not verify are gone, and so a signature that names
//! the primary key as its issuer is by it. Signatures of third parties stay, unjudged, and count
//! for nothing here. Rejected: rPGP's `verify_bindings`, which fails on a legitimate third-party
//! certification and passes a revoked certificate.

mod certification;
mod union;

use pgp::composed::{SignedPublicKey, SignedPublicSubKey};
use pgp::crypto::aead::AeadAlgorithm;
use pgp::crypto::sym::SymmetricKeyAlgorithm;
use pgp::packet::{PublicKey, RevocationCode, Signature, SignatureType, SubpacketData};
use pgp::types::{KeyDetails, KeyVersion, SignedUser, Tag};

pub(in crate::openpgp) use self::union::{union, with_revocations};
use super::algorithm;
use super::limits::{CLOCK_SKEW_SECS, MAX_CERTIFICATE_SIGNATURES, MAX_SUBKEYS, MAX_USER_IDS};

/// Why octets are no certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CertificateDefect {
    /// Not OpenPGP, or no (single) transferable key.
    #[error("not an OpenPGP certificate")]
    Form,
    /// Larger than [`super::limits::MAX_CERTIFICATE_OCTETS`].
    #[error("a certificate of more than {0} octets")]
    TooLarge(usize),
    /// More subkeys, user ids or signatures than the limits allow.
    #[error("a certificate with too many parts")]
    TooManyParts,
    /// Key version other than 4 or 6.
    #[error("a key version that is not supported")]
    Version,
    /// The primary key has made no valid self-signature.
    #[error("a certificate without a valid self-signature")]
    NoSelfSignature,
}

/// Why a certificate cannot be used now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unusable {
    /// Its creation or self-signature lies ahead.
    #[error("not valid yet")]
    NotYetValid,
    /// Past its expiry.
    #[error("expired")]
    Expired,
    /// Revoked.
    #[error("revoked")]
    Revoked,
    /// Too weak, or of an algorithm that is not spoken here.
    #[error("too weak")]
    Weak,
    /// No part of it may do this.
    #[error("without a key for this use")]
    NoKey,
}

/// A certificate of which every self-made signature has been verified.
#[derive(Clone, PartialEq, Eq)]
pub(in crate::openpgp) struct Verified(SignedPublicKey);

impl Verified {
    /// The packets.
    pub(in crate::openpgp) fn packets(&self) -> &SignedPublicKey {
        &self.0
    }

    /// The primary key.
    pub(in crate::openpgp) fn primary(&self) -> &PublicKey {
        &self.0.primary_key
    }

    /// User ids that stand at `at`: bound, unexpired, unrevoked; the primary one first.
    pub(in crate::openpgp) fn user_ids(&self, at: u32) -> Vec<&str> {
        let mut standing: Vec<(&SignedUser, bool)> = self
            .0
            .details
            .users
            .iter()
            .filter_map(|user| {
                self.user_binding(user, at)
                    .map(|binding| (user, binding.is_primary()))
            })
            .collect();
        standing.sort_by_key(|(_, is_primary)| !is_primary);
        standing
            .iter()
            .filter_map(|(user, _)| user.id.as_str())
            .collect()
    }

    /// When the certificate expires, if ever, in seconds, by the self-signatures that hold at `at`.
    pub(in crate::openpgp) fn expires_at(&self, at: u32) -> Option<u32> {
        self.self_signatures(at)
            .into_iter()
            .find_map(Signature::key_expiration_time)
            .and_then(|lifetime| expiry(self.primary().created_at().as_secs(), lifetime.as_secs()))
    }

    /// Whether the certificate as a whole may be used at `at` (check 10).
    pub(in crate::openpgp) fn check(&self, at: u32) -> Result<(), Unusable> {
        let primary = self.primary();
        if !algorithm::key_is_strong(primary) {
            return Err(Unusable::Weak);
        }
        if self
            .0
            .details
            .revocation_signatures
            .iter()
            .any(|revocation| revokes(revocation, at))
        {
            return Err(Unusable::Revoked);
        }
        if primary.created_at().as_secs() > at.saturating_add(CLOCK_SKEW_SECS)
            || self.self_signatures(at).is_empty()
        {
            return Err(Unusable::NotYetValid);
        }
        match self.expires_at(at) {
            Some(end) if end <= at => Err(Unusable::Expired),
            _ => Ok(()),
        }
    }

    /// The subkey to encrypt to at `at`: the newest that may be used (checks 17 and 19). Never
    /// the primary key.
    pub(in crate::openpgp) fn encryption_key(
        &self,
        at: u32,
    ) -> Result<&SignedPublicSubKey, Unusable> {
        self.check(at)?;
        let mut why = Unusable::NoKey;
        let mut best: Option<&SignedPublicSubKey> = None;
        for subkey in &self.0.public_subkeys {
            if !algorithm::can_encrypt(subkey.key.algorithm()) {
                continue;
            }
            match subkey_binding(subkey, at) {
                Ok(binding) => {
                    let flags = binding.key_flags();
                    let newer =
                        best.is_none_or(|best| best.key.created_at() < subkey.key.created_at());
                    if (flags.encrypt_comms() || flags.encrypt_storage()) && newer {
                        best = Some(subkey);
                    }
                }
                Err(reason) => why = reason,
            }
        }
        best.ok_or(why)
    }

    /// Whether SEIPD version 2 may be sent at `at`, by a verified self-signature (check 18).
    pub(in crate::openpgp) fn reads_seipd_v2(&self, at: u32) -> bool {
        self.self_signatures(at)
            .into_iter()
            .find_map(Signature::features)
            .is_some_and(pgp::packet::Features::seipd_v2)
    }

    /// Whether AES-256 may be sent at `at`: unless the key lists ciphers and not this one.
    pub(in crate::openpgp) fn reads_aes256(&self, at: u32) -> bool {
        let stated = self.self_signatures(at).into_iter().find_map(|signature| {
            let ciphers = signature.preferred_symmetric_algs();
            (!ciphers.is_empty()).then_some(ciphers)
        });
        stated.is_none_or(|ciphers| ciphers.contains(&SymmetricKeyAlgorithm::AES256))
    }

    /// Whether AES-256 in GCM may be sent at `at`, beside OCB, which all of version 2 read.
    pub(in crate::openpgp) fn reads_gcm(&self, at: u32) -> bool {
        let wanted = (SymmetricKeyAlgorithm::AES256, AeadAlgorithm::Gcm);
        self.self_signatures(at)
            .into_iter()
            .any(|signature| signature.preferred_aead_algs().contains(&wanted))
    }

    /// Whether the self-signatures that hold at `at` say what the owner reads: SEIPD version 1, and
    /// AES-256.
    pub(in crate::openpgp) fn says_what_it_reads(&self, at: u32) -> bool {
        let said = self.self_signatures(at);
        let features = said.iter().find_map(|signature| signature.features());
        let ciphers = said
            .iter()
            .flat_map(|signature| signature.preferred_symmetric_algs());
        features.is_some_and(pgp::packet::Features::seipd_v1)
            && ciphers
                .copied()
                .any(|cipher| cipher == SymmetricKeyAlgorithm::AES256)
    }

    /// Whether a signature that holds at `at`, of the key for itself or for a subkey, is by a hash
    /// that serves only because it is old.
    pub(in crate::openpgp) fn is_said_weakly(&self, at: u32) -> bool {
        let bindings = self
            .0
            .public_subkeys
            .iter()
            .filter_map(|subkey| subkey_binding(subkey, at).ok());
        self.self_signatures(at)
            .into_iter()
            .chain(bindings)
            .any(|said| !said.hash_alg().is_some_and(algorithm::hash_is_strong))
    }

    /// Whether the primary key may sign documents at `at`.
    pub(in crate::openpgp) fn primary_signs(&self, at: u32) -> Result<(), Unusable> {
        self.check(at)?;
        let signs = self
            .self_signatures(at)
            .into_iter()
            .find_map(key_flags)
            .is_some_and(|flags| flags.sign());
        if signs { Ok(()) } else { Err(Unusable::NoKey) }
    }

    /// Whether the subkey may sign documents at `at`: bound with the flag, and itself agreeing by
    /// a back-signature (check 11).
    #[expect(clippy::disallowed_methods, reason = "the policy itself")]
    pub(in crate::openpgp) fn subkey_signs(
        &self,
        subkey: &SignedPublicSubKey,
        at: u32,
    ) -> Result<(), Unusable> {
        self.check(at)?;
        let binding = subkey_binding(subkey, at)?;
        let back_signed = || {
            binding.embedded_signature().is_some_and(|back| {
                acceptable(back, subkey.key.created_at().as_secs())
                    && back
                        .verify_primary_key_binding(&subkey.key, self.primary())
                        .is_ok()
            })
        };
        if binding.key_flags().sign() && back_signed() {
            Ok(())
        } else {
            Err(Unusable::NoKey)
        }
    }

    /// The self-signatures that speak for the primary key at `at`, the more binding first:
    /// version 4: the primary user id's, then the direct one; version 6: the direct one alone.
    fn self_signatures(&self, at: u32) -> Vec<&Signature> {
        let direct = newest(self.0.details.direct_signatures.iter(), at);
        if self.primary().version() == KeyVersion::V6 {
            return direct.into_iter().collect();
        }
        let user = self
            .0
            .details
            .users
            .iter()
            .filter_map(|user| self.user_binding(user, at))
            .max_by_key(|binding| (binding.is_primary(), created(binding)));
        user.into_iter().chain(direct).collect()
    }

    fn user_binding<'a>(&self, user: &'a SignedUser, at: u32) -> Option<&'a Signature> {
        let own = || {
            user.signatures
                .iter()
                .filter(|signature| names(signature, self.primary()))
        };
        let (revocations, certifications): (Vec<_>, Vec<_>) =
            own().partition(|signature| signature.typ() == Some(SignatureType::CertRevocation));
        let binding = newest(certifications.into_iter(), at)?;
        // A user id may be taken back and given again: the newest word holds.
        let revoked = newest(revocations.into_iter(), at)
            .is_some_and(|revocation| created(revocation) >= created(binding));
        (!revoked).then_some(binding)
    }
}

/// Verifies every signature that a certificate has made about itself and drops what does not hold.
#[expect(clippy::disallowed_methods, reason = "the policy itself")]
pub(in crate::openpgp) fn verify(
    mut packets: SignedPublicKey,
) -> Result<Verified, CertificateDefect> {
    check_limits(&packets)?;
    let primary = packets.primary_key.clone();
    if !matches!(primary.version(), KeyVersion::V4 | KeyVersion::V6) {
        return Err(CertificateDefect::Version);
    }
    let born = primary.created_at().as_secs();
    let own = |signature: &Signature| acceptable(signature, born) && names(signature, &primary);

    let details = &mut packets.details;
    details.user_attributes.clear();
    details.direct_signatures.retain(|signature| {
        own(signature)
            && signature.typ() == Some(SignatureType::Key)
            && signature.verify_key(&primary).is_ok()
    });
    // A revocation must not get lost for a detail: it needs to verify, and no more.
    details.revocation_signatures.retain(|signature| {
        signature.typ() == Some(SignatureType::KeyRevocation)
            && signature.verify_key(&primary).is_ok()
    });
    details.users.retain_mut(|user| {
        let id = user.id.clone();
        user.signatures.retain(|signature| {
            if names(signature, &primary) {
                let revocation = signature.typ() == Some(SignatureType::CertRevocation);
                (revocation || own(signature))
                    && signature
                        .verify_certification(&primary, Tag::UserId, &id)
                        .is_ok()
            } else {
                is_exportable(signature)
            }
        });
        user.signatures
            .iter()
            .any(|signature| names(signature, &primary))
    });
    packets.public_subkeys.retain_mut(|subkey| {
        let key = subkey.key.clone();
        subkey.signatures.retain(|signature| {
            let revocation = signature.typ() == Some(SignatureType::SubkeyRevocation);
            (revocation || own(signature))
                && names(signature, &primary)
                && signature.verify_subkey_binding(&primary, &key).is_ok()
        });
        key.version() == primary.version()
            && subkey
                .signatures
                .iter()
                .any(|signature| signature.typ() == Some(SignatureType::SubkeyBinding))
    });
    let vouched = !packets.details.direct_signatures.is_empty()
        || (primary.version() == KeyVersion::V4 && !packets.details.users.is_empty());
    if !vouched && packets.details.revocation_signatures.is_empty() {
        return Err(CertificateDefect::NoSelfSignature);
    }
    Ok(Verified(packets))
}

/// Whether all issuer hints of a signature, wherever they stand, name this key (checks 4 and 9).
pub(in crate::openpgp) fn names(signature: &Signature, key: &(impl KeyDetails + ?Sized)) -> bool {
    let fingerprint = key.fingerprint();
    let id = key.legacy_key_id();
    signature
        .issuer_fingerprint()
        .into_iter()
        .all(|hint| *hint == fingerprint)
        && signature
            .issuer_key_id()
            .into_iter()
            .all(|hint| *hint == id || hint.is_wildcard())
}

/// When a signature says it was made; 0 if it does not.
pub(super) fn created(signature: &Signature) -> u32 {
    signature
        .created()
        .map_or(0, pgp::types::Timestamp::as_secs)
}

/// Whether the hashed area marks something critical that is not understood (check 8).
pub(super) fn has_unknown_critical(signature: &Signature) -> bool {
    signature.config().is_none_or(|config| {
        config.hashed_subpackets().any(|subpacket| {
            subpacket.is_critical
                && matches!(
                    subpacket.data,
                    SubpacketData::Notation(_)
                        | SubpacketData::Experimental(..)
                        | SubpacketData::Other(..)
                        | SubpacketData::RegularExpression(_)
                        | SubpacketData::SignatureTarget(..)
                )
        })
    })
}

fn check_limits(packets: &SignedPublicKey) -> Result<(), CertificateDefect> {
    let details = &packets.details;
    let signatures = details.revocation_signatures.len()
        + details.direct_signatures.len()
        + details
            .users
            .iter()
            .map(|user| user.signatures.len())
            .sum::<usize>()
        + details
            .user_attributes
            .iter()
            .map(|attribute| attribute.signatures.len())
            .sum::<usize>()
        + packets
            .public_subkeys
            .iter()
            .map(|subkey| subkey.signatures.len())
            .sum::<usize>();
    if packets.public_subkeys.len() > MAX_SUBKEYS
        || details.users.len() > MAX_USER_IDS
        || signatures > MAX_CERTIFICATE_SIGNATURES
    {
        return Err(CertificateDefect::TooManyParts);
    }
    Ok(())
}

/// A self-signature that can count: strong enough, made when the key existed, understood.
fn acceptable(signature: &Signature, born: u32) -> bool {
    let Some(hash) = signature.hash_alg() else {
        return false;
    };
    let created = created(signature);
    created != 0
        && created >= born
        && algorithm::hash_serves_self_signature(hash, created)
        && !has_unknown_critical(signature)
}

/// A signature that its maker meant for others' eyes (check 24).
fn is_exportable(signature: &Signature) -> bool {
    signature.exportable_certification()
}

/// The newest signature made by `at` that has not expired by then.
fn newest<'a>(signatures: impl Iterator<Item = &'a Signature>, at: u32) -> Option<&'a Signature> {
    signatures
        .filter(|signature| created(signature) <= at.saturating_add(CLOCK_SKEW_SECS))
        .filter(|signature| {
            signature
                .signature_expiration_time()
                .and_then(|lifetime| expiry(created(signature), lifetime.as_secs()))
                .is_none_or(|end| end > at)
        })
        .max_by_key(|signature| created(signature))
}

/// The binding of a subkey that holds at `at`; else why there is none.
fn subkey_binding(subkey: &SignedPublicSubKey, at: u32) -> Result<&Signature, Unusable> {
    if !algorithm::key_is_strong(&subkey.key) {
        return Err(Unusable::Weak);
    }
    let revoked = subkey.signatures.iter().any(|signature| {
        signature.typ() == Some(SignatureType::SubkeyRevocation) && revokes(signature, at)
    });
    if revoked {
        return Err(Unusable::Revoked);
    }
    let bindings = subkey
        .signatures
        .iter()
        .filter(|signature| signature.typ() == Some(SignatureType::SubkeyBinding));
    let binding = newest(bindings, at).ok_or(Unusable::NotYetValid)?;
    let created = subkey.key.created_at().as_secs();
    let end = binding
        .key_expiration_time()
        .and_then(|lifetime| expiry(created, lifetime.as_secs()));
    match end {
        Some(end) if end <= at => Err(Unusable::Expired),
        _ => Ok(binding),
    }
}

/// Hard revocations count for all time, soft ones from when they were made (check 10).
fn revokes(revocation: &Signature, at: u32) -> bool {
    let soft = matches!(
        revocation.revocation_reason_code(),
        Some(
            RevocationCode::KeySuperseded
                | RevocationCode::KeyRetired
                | RevocationCode::CertUserIdInvalid
        )
    );
    !soft || created(revocation) <= at
}

/// `None` for a lifetime of 0, which means for ever (RFC 9580 5.2.3.13).
fn expiry(start: u32, lifetime: u32) -> Option<u32> {
    (lifetime != 0).then(|| start.saturating_add(lifetime))
}

fn key_flags(signature: &Signature) -> Option<pgp::packet::KeyFlags> {
    let stated = signature
        .config()?
        .hashed_subpackets()
        .any(|subpacket| matches!(subpacket.data, SubpacketData::KeyFlags(_)));
    stated.then(|| signature.key_flags())
}

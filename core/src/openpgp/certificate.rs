//! A certificate: somebody's public key with what it says of itself (RFC 9580 10.1.1).
//!
//! Invariant: a [`Certificate`] that exists is small, of version 4 or 6, and every part of it is
//! vouched for by its primary key; grafted subkeys and forged user ids are gone, and its octets
//! are those that remain. Whether it may be used *now* is asked each time, with `now`.
//! Rejected: keeping the octets as they came; what was not verified must not travel on.

use core::fmt;
use std::sync::Arc;

use pgp::composed::{Deserializable, SignedPublicKey};
use pgp::packet::KeyFlags;
use pgp::ser::Serialize as _;
use pgp::types::KeyDetails;

use super::armor::{self, ArmorError, Kind};
use super::fingerprint::{Fingerprint, Issuer};
use super::policy::certificate::{self, Verified};
use super::policy::limits::{MAX_CERTIFICATE_OCTETS, MAX_KEYRING_OCTETS};
use super::policy::{self, CertificateDefect, Unusable};
use crate::id::{Address, Timestamp};

/// A certificate, verified and cut to what its primary key vouches for.
#[derive(Clone)]
pub struct Certificate {
    verified: Arc<Verified>,
    octets: Arc<[u8]>,
    fingerprint: Fingerprint,
}

impl Certificate {
    /// Parses one binary or armored certificate.
    pub fn parse(octets: &[u8]) -> Result<Self, CertificateDefect> {
        let binary =
            armor::binary(octets, Kind::Certificate, MAX_CERTIFICATE_OCTETS).map_err(defect)?;
        let mut found =
            SignedPublicKey::from_bytes_many(&*binary).map_err(|_| CertificateDefect::Form)?;
        let Some(Ok(packets)) = found.next() else {
            return Err(CertificateDefect::Form);
        };
        if found.next().is_some() {
            return Err(CertificateDefect::Form);
        }
        Self::from_packets(packets)
    }

    /// Parses all certificates of a binary or armored keyring, of at most
    /// [`MAX_KEYRING_OCTETS`]. One that is not in order spoils them all.
    pub fn parse_all(octets: &[u8]) -> Result<Vec<Self>, CertificateDefect> {
        let binary =
            armor::binary(octets, Kind::Certificate, MAX_KEYRING_OCTETS).map_err(defect)?;
        let found =
            SignedPublicKey::from_bytes_many(&*binary).map_err(|_| CertificateDefect::Form)?;
        let all = found
            .map(|packets| Self::from_packets(packets.map_err(|_| CertificateDefect::Form)?))
            .collect::<Result<Vec<_>, _>>()?;
        if all.is_empty() {
            return Err(CertificateDefect::Form);
        }
        Ok(all)
    }

    /// The certificates of a binary or armored answer that are in order, at most so many.
    pub fn parse_some(octets: &[u8], most: usize) -> Vec<Self> {
        let Ok(binary) = armor::binary(octets, Kind::Certificate, MAX_KEYRING_OCTETS) else {
            return vec![];
        };
        let Ok(found) = SignedPublicKey::from_bytes_many(&*binary) else {
            return vec![];
        };
        found
            .take(most)
            .filter_map(|packets| Self::from_packets(packets.ok()?).ok())
            .collect()
    }

    pub(super) fn from_packets(packets: SignedPublicKey) -> Result<Self, CertificateDefect> {
        let verified = certificate::verify(packets)?;
        let fingerprint = Fingerprint::from_pgp(&verified.primary().fingerprint())
            .ok_or(CertificateDefect::Version)?;
        let octets = verified
            .packets()
            .to_bytes()
            .map_err(|_| CertificateDefect::Form)?;
        Ok(Self {
            verified: Arc::new(verified),
            octets: octets.into(),
            fingerprint,
        })
    }

    /// The primary key's fingerprint.
    pub fn fingerprint(&self) -> Fingerprint {
        self.fingerprint
    }

    /// When the primary key was made.
    pub fn created_at(&self) -> Timestamp {
        from_seconds(self.verified.primary().created_at().as_secs())
    }

    /// When it expires, as its self-signatures say that hold at `now`; `None` for never.
    pub fn expires_at(&self, now: Timestamp) -> Option<Timestamp> {
        self.verified
            .expires_at(policy::seconds(now))
            .map(from_seconds)
    }

    /// The user ids that stand at `now`, as they are written, the primary one first.
    pub fn user_ids(&self, now: Timestamp) -> Vec<&str> {
        self.verified.user_ids(policy::seconds(now))
    }

    /// The addresses in the user ids that stand at `now`, the primary one first.
    pub fn addresses(&self, now: Timestamp) -> Vec<Address> {
        self.addresses_at(policy::seconds(now))
    }

    pub(super) fn addresses_at(&self, at: u32) -> Vec<Address> {
        self.verified
            .user_ids(at)
            .into_iter()
            .filter_map(address_of_user_id)
            .collect()
    }

    /// Whether the certificate names this address at `now`.
    pub fn names(&self, address: &Address, now: Timestamp) -> bool {
        self.addresses(now)
            .iter()
            .any(|named| named.canonical() == address.canonical())
    }

    /// Whether mail can be encrypted to it at `now`; else why not.
    pub fn usable_for_encryption(&self, now: Timestamp) -> Result<(), Unusable> {
        self.verified
            .encryption_key(policy::seconds(now))
            .map(|_| ())
    }

    /// Whether the issuer that a signature names is this certificate's primary key or a subkey.
    pub fn has_key(&self, issuer: &Issuer) -> bool {
        let packets = self.verified.packets();
        let matches = |key: &dyn KeyDetails| match issuer {
            Issuer::Fingerprint(wanted) => {
                Fingerprint::from_pgp(&key.fingerprint()).as_ref() == Some(wanted)
            }
            Issuer::KeyId(wanted) => key.legacy_key_id().as_ref() == wanted,
        };
        matches(&packets.primary_key)
            || packets
                .public_subkeys
                .iter()
                .any(|subkey| matches(&subkey.key))
    }

    /// The binary form (RFC 9580 10.1.1), at most [`MAX_CERTIFICATE_OCTETS`].
    pub fn to_bytes(&self) -> Vec<u8> {
        self.octets.to_vec()
    }

    /// The binary form.
    pub fn as_bytes(&self) -> &[u8] {
        &self.octets
    }

    /// The armored form, LF line ends.
    pub fn to_armor(&self) -> String {
        armor::wrap(&self.octets)
            .and_then(|armored| String::from_utf8(armored).ok())
            .unwrap_or_default()
    }

    /// The five packets of Autocrypt Level 1: primary key, the user id for `address` with its
    /// newest self-signature, the encryption subkey with its newest binding. `None` if one of
    /// them is missing at `now`.
    pub fn to_autocrypt(&self, address: &Address, now: Timestamp) -> Option<Vec<u8>> {
        let at = policy::seconds(now);
        let mut packets = self.verified.packets().clone();
        let wanted = self.verified.encryption_key(at).ok()?.key.fingerprint();
        packets
            .public_subkeys
            .retain(|subkey| subkey.key.fingerprint() == wanted);
        packets.details.users.retain(|user| {
            let named = user.id.as_str().and_then(address_of_user_id);
            named.is_some_and(|named| named.canonical() == address.canonical())
        });
        packets.details.users.truncate(1);
        packets.details.revocation_signatures.clear();
        packets.details.direct_signatures.clear();
        let newest = |signatures: &mut Vec<pgp::packet::Signature>| {
            signatures.sort_by_key(pgp::packet::Signature::created);
            let last = signatures.pop();
            signatures.clear();
            signatures.extend(last);
        };
        packets
            .public_subkeys
            .iter_mut()
            .for_each(|subkey| newest(&mut subkey.signatures));
        for user in &mut packets.details.users {
            user.signatures.retain(|signature| {
                signature.typ() != Some(pgp::packet::SignatureType::CertRevocation)
                    && signature.key_flags() != KeyFlags::default()
            });
            newest(&mut user.signatures);
        }
        let complete = packets
            .details
            .users
            .iter()
            .any(|user| !user.signatures.is_empty());
        complete.then(|| packets.to_bytes().ok()).flatten()
    }

    /// The binary form for a directory: the user ids for `address` that stand at `now`, and no
    /// others. `None` if there is none.
    pub fn to_published(&self, address: &Address, now: Timestamp) -> Option<Vec<u8>> {
        let standing = self.verified.user_ids(policy::seconds(now));
        let mut packets = self.verified.packets().clone();
        packets.details.users.retain(|user| {
            let user_id = user.id.as_str().filter(|id| standing.contains(id));
            let named = user_id.and_then(address_of_user_id);
            named.is_some_and(|named| named.canonical() == address.canonical())
        });
        if packets.details.users.is_empty() {
            return None;
        }
        packets.to_bytes().ok()
    }

    /// Whether the key of `known` has certified, by `now`, that this certificate belongs to the
    /// address: how a key names its successor.
    pub fn is_certified_by(&self, known: &Self, address: &Address, now: Timestamp) -> bool {
        let is_meant = |user_id: &str| {
            let named = address_of_user_id(user_id);
            named.is_some_and(|named| named.canonical() == address.canonical())
        };
        self.is_certified_for(known, is_meant, now)
    }

    /// Whether the key of `known` has certified, by `now`, that one of the user ids that are meant
    /// and stand belongs to this certificate.
    pub fn is_certified_for(
        &self,
        known: &Self,
        is_meant: impl Fn(&str) -> bool,
        now: Timestamp,
    ) -> bool {
        let at = policy::seconds(now);
        self.verified.certified_by(&known.verified, at, is_meant)
    }

    /// Both certificates of one key as one: all that either has, revocations above all. A
    /// certificate of another key changes nothing.
    #[must_use]
    pub fn merge(&self, other: &Self) -> Self {
        if self.fingerprint != other.fingerprint {
            return self.clone();
        }
        let ours = self.verified.packets();
        let whole = certificate::union(ours, other.verified.packets());
        let revoked = certificate::with_revocations(ours, other.verified.packets());
        // Too many parts together: then at least nothing revoked comes to life again.
        Self::from_packets(whole)
            .or_else(|_| Self::from_packets(revoked))
            .unwrap_or_else(|_| self.clone())
    }

    pub(super) fn verified(&self) -> &Verified {
        &self.verified
    }
}

impl PartialEq for Certificate {
    fn eq(&self, other: &Self) -> bool {
        self.octets == other.octets
    }
}

impl Eq for Certificate {}

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Certificate({})", self.fingerprint)
    }
}

/// The address of a user id: `Name <local@domain>` or `local@domain`.
pub(super) fn address_of_user_id(user_id: &str) -> Option<Address> {
    let inside = match (user_id.rfind('<'), user_id.rfind('>')) {
        (Some(start), Some(end)) if start < end => user_id.get(start + 1..end)?,
        (None, None) => user_id.trim(),
        _ => return None,
    };
    Address::new(inside).ok()
}

pub(super) fn defect(error: ArmorError) -> CertificateDefect {
    match error {
        ArmorError::TooLarge(limit) => CertificateDefect::TooLarge(limit),
        ArmorError::Form => CertificateDefect::Form,
    }
}

fn from_seconds(seconds: u32) -> Timestamp {
    Timestamp::from_secs(i64::from(seconds))
}

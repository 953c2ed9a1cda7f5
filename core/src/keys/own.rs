//! An account's own keys: which are in use, what keeps them so, and how one follows another.
//!
//! Two roles, each with one key in use: [`Role::World`] (version 4: signs, and everybody encrypts
//! to it) and [`Role::Sealing`] (version 6: the MX and users of the same provider encrypt to it).
//! Devices store what they make as documents that never change; what an account has is the union
//! of them all.
//!
//! ```text
//! generate -> both       upkeep: renew (a window before the end), make the sealing key that is
//!                        missing, let every key vouch for the others
//! replace  -> the successor, signed by the old key; then the old one's revocation
//! import   -> one more key; with `Use::InUse` in the place of the one in use, as by `replace`
//! ```
//!
//! Invariants: the same documents give the same keys in use on every device, in whatever order
//! they came, so that two devices that renew or make a key at once agree after the next exchange;
//! no secret is ever given up, for old mail is encrypted to it. Rejected: a document that says
//! which key is in use: the newest that can be used needs no word of its own.

mod overview;

use core::cmp::Reverse;
use core::ops::Deref;

use rand::{CryptoRng, RngCore};

use super::published::{MAX_PUBLISHED, is_version6};
use crate::id::{Address, Timestamp};
use crate::openpgp::policy::Unusable;
use crate::openpgp::secret_certificate::{
    Profile, RevocationReason, SecretCertificateError, Template,
};
use crate::openpgp::{Certificate, Fingerprint, SecretCertificate};

pub use overview::{Overview, State};

/// How long a key lives from when it is made or renewed, in seconds: two years.
pub const LIFETIME_SECS: u32 = 2 * 365 * 24 * 60 * 60;
/// How long before its end a key is renewed, in seconds: a year. An account that is opened once a
/// year is never without a key, and who fetched one uses it for a year at least.
pub const RENEW_BEFORE_SECS: i64 = 365 * 24 * 60 * 60;

/// What a key of the account is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// Signs, and everybody can encrypt to it.
    World,
    /// The MX and users of the same provider encrypt to it.
    Sealing,
}

impl Role {
    /// Both.
    pub const ALL: [Self; 2] = [Self::World, Self::Sealing];

    fn of(certificate: &Certificate) -> Self {
        if is_version6(certificate) {
            Self::Sealing
        } else {
            Self::World
        }
    }

    const fn profile(self) -> Profile {
        match self {
            Self::World => Profile::World,
            Self::Sealing => Profile::PostQuantum,
        }
    }
}

/// Whether an imported key takes the place of the one in use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Use {
    /// It opens old mail; it comes into use only if it is the newest of its version.
    IfNewest,
    /// It is used from now on; the one that was in use names it its successor and is revoked.
    InUse,
}

/// Why a key does not become what somebody wants.
#[derive(Debug, thiserror::Error)]
pub enum OwnKeyError {
    /// None has this fingerprint.
    #[error("the account has no key {0}")]
    NoSuchKey(Fingerprint),
    /// It was revoked before.
    #[error("the key {0} is revoked already")]
    Revoked(Fingerprint),
    /// It cannot be used for the account's mail.
    #[error("the key {fingerprint} cannot be used for mail to {address}: {reason}")]
    Unusable {
        /// Which.
        fingerprint: Fingerprint,
        /// The account's address.
        address: Address,
        /// Why.
        reason: &'static str,
    },
    /// See there.
    #[error(transparent)]
    Secret(#[from] SecretCertificateError),
}

/// The keys of an account, version 4 first, the newest first.
#[derive(Debug, Clone, Default)]
pub struct OwnKeys(Vec<SecretCertificate>);

impl Deref for OwnKeys {
    type Target = [SecretCertificate];

    fn deref(&self) -> &[SecretCertificate] {
        &self.0
    }
}

impl OwnKeys {
    /// What these documents say together: those of one key are one.
    pub fn gather(parts: impl IntoIterator<Item = SecretCertificate>) -> Self {
        let parts = parts.into_iter();
        let mut parts: Vec<_> = parts.map(|part| (part.to_bytes(), part)).collect();
        // Whoever has the same comes to the same, octet for octet.
        parts.sort_by(|(one, _), (other, _)| one.cmp(other));
        parts.dedup_by(|(one, _), (other, _)| one == other);
        let mut keys: Vec<SecretCertificate> = Vec::new();
        for (_, part) in parts {
            let known = keys
                .iter_mut()
                .find(|key| key.fingerprint() == part.fingerprint());
            match known {
                Some(known) => *known = known.merge(&part),
                None => keys.push(part),
            }
        }
        keys.sort_by_key(|key| {
            let certificate = key.certificate();
            let created = Reverse(certificate.created_at());
            (is_version6(certificate), created, key.fingerprint())
        });
        Self(keys)
    }

    /// The two keys of a new account.
    pub fn generate(
        address: &Address,
        now: Timestamp,
        rng: &mut (impl CryptoRng + RngCore),
    ) -> Result<Self, OwnKeyError> {
        let mut work = Work::on(&[], address, now);
        let world = new_key(Role::World, address, now, rng)?;
        let sealing = new_key(Role::Sealing, address, now, rng)?;
        work.put(world);
        work.put(sealing);
        work.vouch(rng)?;
        Ok(Self::gather(work.keys))
    }

    /// The key in use for a role at `now`: of those that name the address and are not revoked the
    /// newest that can be used; if none can, the newest that has expired.
    pub fn in_use(
        &self,
        role: Role,
        address: &Address,
        now: Timestamp,
    ) -> Option<&SecretCertificate> {
        in_use(&self.0, role, address, now)
    }

    /// The keys in use, that of the world first.
    pub fn all_in_use<'a>(
        &'a self,
        address: &'a Address,
        now: Timestamp,
    ) -> impl Iterator<Item = &'a SecretCertificate> {
        let roles = Role::ALL.into_iter();
        roles.filter_map(move |role| self.in_use(role, address, now))
    }

    /// The key that signs: that of the world, else whichever there is.
    pub fn signer(&self, address: &Address, now: Timestamp) -> Option<&SecretCertificate> {
        self.in_use(Role::World, address, now)
            .or_else(|| self.in_use(Role::Sealing, address, now))
            .or_else(|| self.0.first())
    }

    /// What the directory shall have: the keys in use, and those that were revoked.
    pub fn published(&self, address: &Address, now: Timestamp) -> Vec<Certificate> {
        let in_use = self.all_in_use(address, now);
        let revoked = self.0.iter().filter(|key| {
            let certificate = key.certificate();
            certificate.usable_for_encryption(now) == Err(Unusable::Revoked)
                && certificate.names(address, now)
        });
        let all = in_use.chain(revoked).take(MAX_PUBLISHED);
        all.map(|key| key.certificate().clone()).collect()
    }

    /// What has to be stored so that both keys go on: renewals that are due, a sealing key where
    /// there is none, and the keys' words for each other. Nothing if all is in order.
    pub fn upkeep(
        &self,
        address: &Address,
        now: Timestamp,
        rng: &mut (impl CryptoRng + RngCore),
    ) -> Result<Vec<SecretCertificate>, OwnKeyError> {
        let mut work = Work::on(&self.0, address, now);
        for role in Role::ALL {
            let Some(key) = self.in_use(role, address, now) else {
                continue;
            };
            if is_due(key, now) {
                let renewed = key.renewed(Some(LIFETIME_SECS), now, rng)?;
                // Else it would be renewed again and again, and be no better for it.
                if !is_due(&renewed, now) {
                    work.put(renewed);
                }
            }
        }
        let world = self.in_use(Role::World, address, now).is_some();
        if world && self.in_use(Role::Sealing, address, now).is_none() {
            work.put(new_key(Role::Sealing, address, now, rng)?);
        }
        work.vouch(rng)?;
        Ok(work.changed())
    }

    /// What has to be stored so that a key is revoked. One that is in use has a successor first,
    /// which it signs.
    pub fn replace(
        &self,
        old: Fingerprint,
        (reason, explanation): (RevocationReason, &str),
        address: &Address,
        now: Timestamp,
        rng: &mut (impl CryptoRng + RngCore),
    ) -> Result<Vec<SecretCertificate>, OwnKeyError> {
        let key = self.0.iter().find(|key| key.fingerprint() == old);
        let key = key.ok_or(OwnKeyError::NoSuchKey(old))?;
        if key.certificate().usable_for_encryption(now) == Err(Unusable::Revoked) {
            return Err(OwnKeyError::Revoked(old));
        }
        let role = Role::of(key.certificate());
        let current = self.in_use(role, address, now);
        let mut work = Work::on(&self.0, address, now);
        if current.is_some_and(|current| current.fingerprint() == old) {
            let before = just_before(now, key);
            let successor = new_key(role, address, before, rng)?;
            work.succeed(key, successor, before, rng)?;
        }
        work.put(key.revoked(reason, explanation, now, rng)?);
        work.vouch(rng)?;
        Ok(work.changed())
    }

    /// What has to be stored so that several keys are revoked, as [`Self::replace`] does it.
    pub fn replace_all(
        &self,
        old: &[Fingerprint],
        why: (RevocationReason, &str),
        address: &Address,
        now: Timestamp,
        rng: &mut (impl CryptoRng + RngCore),
    ) -> Result<Vec<SecretCertificate>, OwnKeyError> {
        self.one_by_one(old, |keys, old| keys.replace(*old, why, address, now, rng))
    }

    /// What has to be stored so that the account has these keys too, as [`Self::import`] does it.
    pub fn import_all(
        &self,
        brought: &[SecretCertificate],
        wanted: Use,
        address: &Address,
        now: Timestamp,
        rng: &mut (impl CryptoRng + RngCore),
    ) -> Result<Vec<SecretCertificate>, OwnKeyError> {
        self.one_by_one(brought, |keys, key| {
            keys.import(key, wanted, address, now, rng)
        })
    }

    fn one_by_one<T>(
        &self,
        items: &[T],
        mut step: impl FnMut(&Self, &T) -> Result<Vec<SecretCertificate>, OwnKeyError>,
    ) -> Result<Vec<SecretCertificate>, OwnKeyError> {
        let mut keys = self.clone();
        for item in items {
            let new = step(&keys, item)?;
            keys = Self::gather(keys.iter().cloned().chain(new));
        }
        Ok(changed(&self.0, keys.0))
    }

    /// What has to be stored so that the account has one more key.
    pub fn import(
        &self,
        key: &SecretCertificate,
        wanted: Use,
        address: &Address,
        now: Timestamp,
        rng: &mut (impl CryptoRng + RngCore),
    ) -> Result<Vec<SecretCertificate>, OwnKeyError> {
        let fingerprint = key.fingerprint();
        let known = self
            .0
            .iter()
            .find(|known| known.fingerprint() == fingerprint);
        let mut key = known.map_or_else(|| key.clone(), |known| known.merge(key));
        let mut work = Work::on(&self.0, address, now);
        if wanted == Use::InUse {
            if key.certificate().usable_for_encryption(now) == Err(Unusable::Expired) {
                key = key.renewed(Some(LIFETIME_SECS), now, rng)?;
            }
            check_use(&key, address, now)?;
            let role = Role::of(key.certificate());
            // Not only the one in use: whichever is newer would be taken for it.
            let others = self.0.iter().filter(|other| {
                let certificate = other.certificate();
                other.fingerprint() != fingerprint
                    && Role::of(certificate) == role
                    && certificate.names(address, now)
                    && certificate.usable_for_encryption(now) != Err(Unusable::Revoked)
            });
            for other in others {
                let before = just_before(now, other);
                key = key.adopt(&other.certify(key.certificate(), address, before, rng)?);
                let reason = RevocationReason::Superseded;
                work.put(other.revoked(reason, "", now, rng)?);
            }
        }
        work.put(key);
        work.vouch(rng)?;
        Ok(work.changed())
    }
}

/// Keys that are being changed, and what they were.
struct Work<'a> {
    before: &'a [SecretCertificate],
    keys: Vec<SecretCertificate>,
    address: &'a Address,
    now: Timestamp,
}

impl<'a> Work<'a> {
    fn on(before: &'a [SecretCertificate], address: &'a Address, now: Timestamp) -> Self {
        Self {
            before,
            keys: before.to_vec(),
            address,
            now,
        }
    }

    fn put(&mut self, key: SecretCertificate) {
        let fingerprint = key.fingerprint();
        let known = self
            .keys
            .iter_mut()
            .find(|known| known.fingerprint() == fingerprint);
        match known {
            Some(known) => *known = known.merge(&key),
            None => self.keys.push(key),
        }
    }

    /// A key's successor, with its word.
    fn succeed(
        &mut self,
        old: &SecretCertificate,
        successor: SecretCertificate,
        at: Timestamp,
        rng: &mut (impl CryptoRng + RngCore),
    ) -> Result<(), OwnKeyError> {
        let vouched = old.certify(successor.certificate(), self.address, at, rng);
        let successor = match vouched {
            Ok(vouched) => successor.adopt(&vouched),
            // An old key of another name: its word would be for nobody.
            Err(SecretCertificateError::Name) => successor,
            Err(error) => return Err(error.into()),
        };
        self.put(successor);
        Ok(())
    }

    /// Lets every version 4 key that can be used vouch for the other keys that can.
    fn vouch(&mut self, rng: &mut (impl CryptoRng + RngCore)) -> Result<(), OwnKeyError> {
        let (address, now) = (self.address, self.now);
        let stands = |key: &&SecretCertificate| {
            let certificate = key.certificate();
            certificate.names(address, now) && certificate.usable_for_encryption(now).is_ok()
        };
        let standing: Vec<SecretCertificate> = self.keys.iter().filter(stands).cloned().collect();
        let world = |key: &&SecretCertificate| Role::of(key.certificate()) == Role::World;
        for key in &standing {
            let mut certificate = key.certificate().clone();
            for voucher in standing.iter().filter(world) {
                if voucher.fingerprint() != key.fingerprint()
                    && !certificate.is_certified_by(voucher.certificate(), address, now)
                {
                    certificate = voucher.certify(&certificate, address, now, rng)?;
                }
            }
            if certificate != *key.certificate() {
                self.put(key.adopt(&certificate));
            }
        }
        Ok(())
    }

    fn changed(self) -> Vec<SecretCertificate> {
        changed(self.before, self.keys)
    }
}

/// The keys that are not as they were.
fn changed(before: &[SecretCertificate], keys: Vec<SecretCertificate>) -> Vec<SecretCertificate> {
    let before: Vec<_> = before.iter().map(SecretCertificate::to_bytes).collect();
    let keys = keys.into_iter();
    keys.filter(|key| !before.contains(&key.to_bytes()))
        .collect()
}

fn in_use<'a>(
    keys: &'a [SecretCertificate],
    role: Role,
    address: &Address,
    now: Timestamp,
) -> Option<&'a SecretCertificate> {
    let candidates = keys.iter().filter_map(|key| {
        let certificate = key.certificate();
        if Role::of(certificate) != role || !certificate.names(address, now) {
            return None;
        }
        let can_be_used = match certificate.usable_for_encryption(now) {
            Ok(()) => true,
            Err(Unusable::Expired) => false,
            Err(_) => return None,
        };
        let rank = (can_be_used, certificate.created_at(), key.fingerprint());
        Some((rank, key))
    });
    candidates.max_by_key(|(rank, _)| *rank).map(|(_, key)| key)
}

/// Whether a key ends within [`RENEW_BEFORE_SECS`], or never.
fn is_due(key: &SecretCertificate, now: Timestamp) -> bool {
    let soon = Timestamp::from_secs(now.as_secs().saturating_add(RENEW_BEFORE_SECS));
    let certificate = key.certificate();
    certificate.expires_at(now).is_none() || certificate.usable_for_encryption(soon).is_err()
}

fn new_key(
    role: Role,
    address: &Address,
    now: Timestamp,
    rng: &mut (impl CryptoRng + RngCore),
) -> Result<SecretCertificate, SecretCertificateError> {
    let template = Template {
        lifetime_secs: Some(LIFETIME_SECS),
        ..Template::new(role.profile(), address, None, now)?
    };
    template.generate(rng)
}

/// A second earlier, if the key was there then: a word that is as old as its maker's revocation is
/// none.
fn just_before(now: Timestamp, key: &SecretCertificate) -> Timestamp {
    let before = Timestamp::from_secs(now.as_secs().saturating_sub(1));
    before.max(key.certificate().created_at())
}

fn check_use(
    key: &SecretCertificate,
    address: &Address,
    now: Timestamp,
) -> Result<(), OwnKeyError> {
    let unusable = |reason| OwnKeyError::Unusable {
        fingerprint: key.fingerprint(),
        address: address.clone(),
        reason,
    };
    if !key.certificate().names(address, now) {
        return Err(unusable("it does not name the address"));
    }
    match key.certificate().usable_for_encryption(now) {
        Ok(()) if key.signs(now) => Ok(()),
        Ok(()) => Err(unusable("it may not sign, or its signing part is missing")),
        Err(Unusable::Revoked) => Err(unusable("it is revoked")),
        Err(_) => Err(unusable("it cannot be encrypted to")),
    }
}

#[cfg(test)]
mod tests;

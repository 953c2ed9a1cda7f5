//! What a directory has of an address: its certificates as one OpenPGP keyring.
//!
//! An account of ours has two in use: one of version 4 that every mail program reads, and one of
//! version 6 (ML-KEM-768 with X25519) for those who can encrypt to it: users of the same provider,
//! and the MX. Former ones that were revoked stay beside them, so that whoever still uses one hears
//! of it.
//!
//! Invariants: an entry only grows, by what one of its keys has vouched for or by what was proven
//! otherwise, and no renewal or revocation is lost whoever writes last; a version 6 certificate is
//! used beside one of version 4 only by that one's word, so that a directory that is asked for the
//! second cannot put in another's. Rejected: one certificate for each kind, replaced as it comes;
//! two devices that renew at once would undo each other.

use core::cmp::Reverse;

use crate::id::{Address, Timestamp};
use crate::openpgp::policy::limits::MAX_CERTIFICATE_OCTETS;
use crate::openpgp::{Certificate, Fingerprint};

/// Most certificates of an address.
pub const MAX_PUBLISHED: usize = 8;

/// Why an entry does not become what somebody wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PublishError {
    /// A certificate does not name the address.
    #[error("the certificate {0} does not name the address")]
    WrongAddress(Fingerprint),
    /// None of the keys that are there has signed it.
    #[error("the certificate {0} is signed by none of the keys that are published")]
    NotVouched(Fingerprint),
    /// More than [`MAX_PUBLISHED`] that can be used, or more octets than a directory answers.
    #[error("these are too many certificates for one address")]
    TooMany,
}

/// By what right new certificates are added to an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Right {
    /// A log-in alone: a key that is there must vouch for a new one.
    LogIn,
    /// The account's owner has proven to be that: at sign-up, or by the password.
    Owner,
}

/// The certificates of an address, those that can be used first, of these version 4 first, the
/// newest first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Published(Vec<Certificate>);

impl Published {
    /// Reads an entry; what is not in order is left out.
    pub fn parse(octets: &[u8]) -> Self {
        Self(Certificate::parse_some(octets, MAX_PUBLISHED))
    }

    /// The entry's octets: the certificates one after the other (RFC 9580 10.1).
    pub fn to_bytes(&self) -> Vec<u8> {
        concatenated(&self.0)
    }

    /// The certificates.
    pub fn certificates(&self) -> &[Certificate] {
        &self.0
    }

    /// The entry with these certificates: of keys that are there merged, others added. What cannot
    /// be used and was never there is not taken.
    pub fn with(
        &self,
        offered: &[Certificate],
        address: &Address,
        right: Right,
        now: Timestamp,
    ) -> Result<Self, PublishError> {
        let mut all = self.0.clone();
        // Judged by what was there: a revocation that comes with its successor does not unsay it.
        let mut vouchers = self.0.clone();
        for certificate in offered {
            let fingerprint = certificate.fingerprint();
            let known = all.iter_mut().find(|c| c.fingerprint() == fingerprint);
            if let Some(known) = known {
                *known = known.merge(certificate);
                continue;
            }
            if !certificate.names(address, now) {
                return Err(PublishError::WrongAddress(fingerprint));
            }
            if certificate.usable_for_encryption(now).is_err() {
                continue;
            }
            let mut vouchers_for_it = vouchers.iter();
            let vouched = vouchers_for_it.any(|key| certificate.is_certified_by(key, address, now));
            if right == Right::LogIn && !vouched {
                return Err(PublishError::NotVouched(fingerprint));
            }
            vouchers.push(certificate.clone());
            all.push(certificate.clone());
        }
        let usable = |certificate: &Certificate| certificate.usable_for_encryption(now).is_ok();
        all.sort_by_key(|certificate| {
            (
                !usable(certificate),
                is_version6(certificate),
                Reverse(certificate.created_at()),
                certificate.fingerprint(),
            )
        });
        while all.len() > MAX_PUBLISHED || concatenated(&all).len() > MAX_CERTIFICATE_OCTETS {
            // Of those that cannot be used, the oldest.
            if all.pop().is_none_or(|dropped| usable(&dropped)) {
                return Err(PublishError::TooMany);
            }
        }
        Ok(Self(all))
    }

    /// What the MX encrypts to: the newest of version 6 that can be used, else of version 4.
    pub fn for_sealing(&self, now: Timestamp) -> Option<&Certificate> {
        self.0
            .iter()
            .filter(|certificate| certificate.usable_for_encryption(now).is_ok())
            .max_by_key(|certificate| (is_version6(certificate), age(certificate)))
    }

    /// What the Web Key Directory gives: those of version 4, each with the user ids for the
    /// address alone. Programs that know no other version refuse a whole answer for one they do
    /// not know.
    pub fn for_the_world(&self, address: &Address, now: Timestamp) -> Vec<u8> {
        let version4 = self
            .0
            .iter()
            .filter(|certificate| !is_version6(certificate));
        let published = version4.filter_map(|certificate| certificate.to_published(address, now));
        published.collect::<Vec<_>>().concat()
    }
}

/// Among an answer's certificates the newest of version 6 that `known` has vouched for and that
/// can be used now.
pub fn companion<'a>(
    known: &Certificate,
    answer: impl IntoIterator<Item = &'a Certificate>,
    address: &Address,
    now: Timestamp,
) -> Option<&'a Certificate> {
    answer
        .into_iter()
        .filter(|certificate| is_companion(known, certificate, address, now))
        .max_by_key(|certificate| age(certificate))
}

/// Whether a certificate may be used beside `known` now.
pub fn is_companion(
    known: &Certificate,
    certificate: &Certificate,
    address: &Address,
    now: Timestamp,
) -> bool {
    is_version6(certificate)
        && !is_version6(known)
        && certificate.usable_for_encryption(now).is_ok()
        && certificate.is_certified_by(known, address, now)
}

/// Whether a certificate is of version 6.
pub fn is_version6(certificate: &Certificate) -> bool {
    matches!(certificate.fingerprint(), Fingerprint::V6(_))
}

/// What decides among several: the newest, and on every device the same of those equally new.
fn age(certificate: &Certificate) -> (Timestamp, Fingerprint) {
    (certificate.created_at(), certificate.fingerprint())
}

fn concatenated(certificates: &[Certificate]) -> Vec<u8> {
    let octets: Vec<&[u8]> = certificates.iter().map(Certificate::as_bytes).collect();
    octets.concat()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::own::{OwnKeys, Role};
    use crate::openpgp::secret_certificate::RevocationReason;
    use crate::openpgp::test_support::{NOW, address, later, rng, secret, secret_numbered};

    fn own(seed: u64) -> OwnKeys {
        OwnKeys::generate(&address("bob"), NOW, &mut rng(seed)).unwrap()
    }

    fn entry(keys: &OwnKeys) -> Published {
        let certificates = keys.published(&address("bob"), NOW);
        let entry = Published::default();
        entry
            .with(&certificates, &address("bob"), Right::Owner, NOW)
            .unwrap()
    }

    #[test]
    fn an_entry_comes_back_from_its_octets_in_order() {
        let entry = entry(&own(1));
        let [world, sealing] = entry.certificates() else {
            panic!("two certificates");
        };
        assert!(!is_version6(world) && is_version6(sealing));
        assert_eq!(Published::parse(&entry.to_bytes()), entry);
        assert_eq!(entry.for_sealing(NOW), Some(sealing));
        let world_alone = entry.for_the_world(&address("bob"), NOW);
        assert_eq!(world_alone, world.to_bytes());
        let known = companion(world, entry.certificates(), &address("bob"), NOW);
        assert_eq!(known, Some(sealing));
        // Another's is not taken for it, whatever a directory answers.
        let stranger = own(2);
        let stranger = stranger.published(&address("bob"), NOW);
        assert_eq!(companion(world, &stranger, &address("bob"), NOW), None);
    }

    #[test]
    fn sealing_falls_back_to_version_4_and_never_to_what_is_revoked() {
        let bob = address("bob");
        let keys = own(1);
        let entry = entry(&keys);
        let sealing = keys.in_use(Role::Sealing, &bob, NOW).unwrap();
        let revoked = sealing.revoked(RevocationReason::Compromised, "", later(5), &mut rng(3));
        let revoked = revoked.unwrap().certificate().clone();
        let without = entry
            .with(&[revoked], &bob, Right::LogIn, later(6))
            .unwrap();
        let world = keys.in_use(Role::World, &bob, NOW).unwrap();
        assert_eq!(
            without.for_sealing(later(6)).map(Certificate::fingerprint),
            Some(world.fingerprint())
        );
        assert_eq!(without.certificates().len(), 2);
        let end = later(i64::from(crate::keys::own::LIFETIME_SECS) + 10);
        assert_eq!(without.for_sealing(end), None);
    }

    #[test]
    fn a_log_in_alone_adds_no_key_that_nobody_vouches_for() {
        let bob = address("bob");
        let entry = entry(&own(1));
        let stolen = secret_numbered("bob", 9).certificate().clone();
        let fingerprint = stolen.fingerprint();
        let offered = [stolen];
        assert_eq!(
            entry.with(&offered, &bob, Right::LogIn, NOW),
            Err(PublishError::NotVouched(fingerprint))
        );
        assert!(entry.with(&offered, &bob, Right::Owner, NOW).is_ok());
        let eve = [secret("eve").certificate().clone()];
        assert!(matches!(
            entry.with(&eve, &bob, Right::Owner, NOW),
            Err(PublishError::WrongAddress(_))
        ));
        // Whoever vouches must not be revoked as stolen when it does.
        let world = secret("bob");
        let stolen = world.revoked(RevocationReason::Compromised, "", later(1), &mut rng(4));
        let stolen = stolen.unwrap();
        let entry = Published(vec![stolen.certificate().clone()]);
        let next = secret_numbered("bob", 3);
        let vouched = world.certify(next.certificate(), &bob, later(2), &mut rng(5));
        assert!(matches!(
            entry.with(&[vouched.unwrap()], &bob, Right::LogIn, later(3)),
            Err(PublishError::NotVouched(_))
        ));
    }

    #[test]
    fn an_entry_keeps_what_can_be_used_and_drops_the_oldest_else() {
        let bob = address("bob");
        let mut entry = entry(&own(1));
        for number in 0..10 {
            let key = secret_numbered("bob", number);
            let revoked = key.revoked(RevocationReason::Retired, "", later(5), &mut rng(number));
            let offered = [key.certificate().clone()];
            let usable = entry.with(&offered, &bob, Right::Owner, later(10));
            let usable = usable.unwrap();
            let offered = [revoked.unwrap().certificate().clone()];
            entry = usable
                .with(&offered, &bob, Right::LogIn, later(10))
                .unwrap();
        }
        assert_eq!(entry.certificates().len(), MAX_PUBLISHED);
        let usable = entry.certificates().iter().take(2);
        assert!(
            usable
                .into_iter()
                .all(|c| c.usable_for_encryption(later(10)).is_ok())
        );
        let many: Vec<_> = (20..30)
            .map(|number| secret_numbered("bob", number).certificate().clone())
            .collect();
        assert_eq!(
            entry.with(&many, &bob, Right::Owner, later(10)),
            Err(PublishError::TooMany)
        );
    }
}

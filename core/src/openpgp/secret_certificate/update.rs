//! A key brought up to date: what others made, or what lay in a drawer for years.
//!
//! Invariant: what is in order stays as it is; nothing is taken away; what stands in the key is
//! said again, and only what the caller allows is added. Rejected: a fixed set of self-signatures
//! for all, which would rewrite what other programs' keys say of themselves.

use pgp::types::{KeyDetails as _, KeyVersion, Timestamp as PgpTimestamp};
use rand::{CryptoRng, RngCore};

use super::generate::{Profile, encryption_subkey};
use super::self_signature::Maker;
use super::upkeep::Renewal;
use super::{SecretCertificate, SecretCertificateError};
use crate::id::Timestamp;
use crate::openpgp::policy;
use crate::openpgp::policy::Unusable;

/// What a key may get that it has not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Additions {
    /// A subkey to encrypt to.
    pub encryption: bool,
    /// Saying what its owner's programs read: ciphers, hashes, features.
    pub capabilities: bool,
}

impl SecretCertificate {
    /// The same key, brought up to date at `now`: one that has expired or ends within half a
    /// `lifetime_secs` lives so many seconds more; what only an old hash vouches for is signed
    /// again; and the `additions` are made where they are missing. One that is in order is
    /// answered as it is.
    ///
    /// # Errors
    ///
    /// [`SecretCertificateError::Unusable`] if the primary key is revoked, too weak, or of the
    /// future: no signature by it mends that. [`SecretCertificateError::Generation`] as
    /// [`SecretCertificate::renewed`].
    pub fn updated(
        &self,
        additions: Additions,
        lifetime_secs: u32,
        now: Timestamp,
        rng: &mut (impl CryptoRng + RngCore),
    ) -> Result<Self, SecretCertificateError> {
        let at = policy::seconds(now);
        let verified = self.certificate.verified();
        match verified.check(at) {
            Ok(()) | Err(Unusable::Expired) => {}
            Err(reason) => return Err(SecretCertificateError::Unusable(reason)),
        }
        let end = verified.expires_at(at);
        let ends = end.is_some_and(|end| end < at.saturating_add(lifetime_secs / 2));
        let weak = verified.is_said_weakly(at);
        let mute = additions.capabilities && !verified.says_what_it_reads(at);
        let mut key = self.clone();
        if ends || weak || mute {
            let renewal = Renewal {
                lifetime_secs: end.map(|end| if ends { lifetime_secs } else { end - at }),
                advertises: additions.capabilities,
                binds_all: weak,
            };
            key = key.said_anew(renewal, at, rng)?;
        }
        let unread = key.certificate.verified().encryption_key(at).is_err();
        if additions.encryption && unread {
            key = key.with_encryption_subkey(at, rng)?;
        }
        Ok(key)
    }

    fn with_encryption_subkey(
        &self,
        at: u32,
        rng: &mut (impl CryptoRng + RngCore),
    ) -> Result<Self, SecretCertificateError> {
        let mut secret = self.packets().clone();
        let profile = match secret.primary_key.version() {
            KeyVersion::V6 => Profile::Version6,
            _ => Profile::World,
        };
        let subkey = {
            let maker = Maker::new(&secret.primary_key, PgpTimestamp::from_secs(at));
            encryption_subkey(profile, &maker, rng)
        };
        let subkey = subkey.map_err(|_| SecretCertificateError::Generation)?;
        secret.secret_subkeys.push(subkey);
        Self::from_packets(secret)
    }
}

#[cfg(test)]
mod tests {
    use pgp::composed::{KeyType, SignedKeyDetails, SignedSecretKey};
    use pgp::crypto::hash::HashAlgorithm;
    use pgp::packet::{
        KeyFlags, PubKeyInner, PublicKey, SecretKey, SignatureType, Subpacket, SubpacketData,
        UserId,
    };
    use pgp::types::{PacketHeaderVersion, SignedUser};

    use super::*;
    use crate::openpgp::secret_certificate::Template;
    use crate::openpgp::test_support::{NOW, address, later, rng};

    /// Two years.
    const LIFETIME: u32 = 63_072_000;
    const ALL: Additions = Additions {
        encryption: true,
        capabilities: true,
    };
    const NONE: Additions = Additions {
        encryption: false,
        capabilities: false,
    };

    fn key(profile: Profile, change: impl FnOnce(&mut Template)) -> SecretCertificate {
        let mut template = Template::new(profile, &address("alice"), None, NOW).unwrap();
        change(&mut template);
        template.generate(&mut rng(1)).unwrap()
    }

    fn updated(key: &SecretCertificate, additions: Additions, now: Timestamp) -> SecretCertificate {
        key.updated(additions, LIFETIME, now, &mut rng(2)).unwrap()
    }

    #[test]
    fn a_key_in_order_stays_as_it_is() {
        for profile in Profile::ALL {
            for lifetime in [None, Some(LIFETIME)] {
                let made = key(profile, |template| template.lifetime_secs = lifetime);
                let again = updated(&made, ALL, later(1000));
                assert_eq!(
                    again.to_bytes(),
                    made.to_bytes(),
                    "{profile:?} {lifetime:?}"
                );
            }
        }
    }

    #[test]
    fn one_that_has_expired_lives_again() {
        for profile in Profile::ALL {
            let made = key(profile, |template| template.lifetime_secs = Some(1000));
            let now = later(5000);
            assert!(made.certificate().usable_for_encryption(now).is_err());
            let certificate = updated(&made, NONE, now).certificate().clone();
            assert_eq!(certificate.usable_for_encryption(now), Ok(()));
            let end = later(5000 + i64::from(LIFETIME));
            assert_eq!(certificate.expires_at(now), Some(end));
        }
    }

    #[test]
    fn one_that_only_signs_is_encrypted_to_if_that_is_wanted() {
        for profile in Profile::ALL {
            let made = key(profile, |template| template.encrypts = false);
            let now = later(10);
            let as_it_was = updated(&made, NONE, now);
            assert_eq!(as_it_was.to_bytes(), made.to_bytes());
            let certificate = updated(&made, ALL, now).certificate().clone();
            assert_eq!(
                certificate.usable_for_encryption(now),
                Ok(()),
                "{profile:?}"
            );
            assert_eq!(certificate.user_ids(now), made.certificate().user_ids(now));
        }
    }

    /// A key as programs made them long ago: RSA, SHA-1, and not a word of what its owner reads.
    fn old() -> SecretCertificate {
        let at = PgpTimestamp::from_secs(1_300_000_000);
        let kind = KeyType::Rsa(2048);
        let (public, private) = kind.generate(rng(3)).unwrap();
        let public = PubKeyInner::new(KeyVersion::V4, kind.to_alg(), at, None, public).unwrap();
        let public = PublicKey::from_inner(public).unwrap();
        let primary = SecretKey::new(public, private).unwrap();
        let maker = Maker::new(&primary, at);
        let by_sha1 = |kind, flags: KeyFlags| {
            let mut config = maker.config(kind, &mut rng(3)).unwrap();
            config.hash_alg = HashAlgorithm::Sha1;
            let flags = Subpacket::critical(SubpacketData::KeyFlags(flags)).unwrap();
            config.hashed_subpackets.push(flags);
            config
        };
        let (mut signs, mut encrypts) = (KeyFlags::default(), KeyFlags::default());
        signs.set_certify(true);
        signs.set_sign(true);
        encrypts.set_encrypt_comms(true);
        let id = UserId::from_str(PacketHeaderVersion::default(), "<alice@example.org>").unwrap();
        let said = by_sha1(SignatureType::CertPositive, signs);
        let said = maker.sign_user_id(said, &id).unwrap();
        let users = vec![SignedUser::new(id, vec![said])];
        let mut subkey = encryption_subkey(Profile::World, &maker, &mut rng(4)).unwrap();
        let said = by_sha1(SignatureType::SubkeyBinding, encrypts);
        subkey.signatures = vec![maker.sign_subkey(said, subkey.key.public_key()).unwrap()];
        let details = SignedKeyDetails::new(vec![], vec![], users, vec![]);
        let secret = SignedSecretKey::new(primary, details, vec![], vec![subkey]);
        SecretCertificate::from_packets(secret).unwrap()
    }

    #[test]
    fn what_an_old_hash_vouches_for_is_signed_again() {
        let old = old();
        let at = policy::seconds(NOW);
        assert!(old.certificate().verified().is_said_weakly(at));
        for (additions, speaks) in [(NONE, false), (ALL, true)] {
            let now = updated(&old, additions, NOW);
            let verified = now.certificate().verified();
            assert!(!verified.is_said_weakly(at));
            assert_eq!(verified.says_what_it_reads(at), speaks);
            assert_eq!(verified.expires_at(at), None);
            assert_eq!(now.certificate().usable_for_encryption(NOW), Ok(()));
            // Once is enough.
            assert_eq!(updated(&now, additions, NOW).to_bytes(), now.to_bytes());
        }
    }

    #[test]
    fn a_revoked_key_stays_revoked() {
        use crate::openpgp::secret_certificate::RevocationReason::Retired;
        let made = key(Profile::World, |_| {});
        let revoked = made.revoked(Retired, "", NOW, &mut rng(4)).unwrap();
        assert!(matches!(
            revoked.updated(ALL, LIFETIME, later(10), &mut rng(5)),
            Err(SecretCertificateError::Unusable(Unusable::Revoked))
        ));
        assert!(matches!(
            made.updated(ALL, LIFETIME, later(-1_000_000), &mut rng(5)),
            Err(SecretCertificateError::Unusable(Unusable::NotYetValid))
        ));
    }
}

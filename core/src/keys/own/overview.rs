//! An account's keys as their owner sees them.

use super::{OwnKeys, Role};
use crate::id::{Address, Timestamp};
use crate::openpgp::policy::Unusable;
use crate::openpgp::{Fingerprint, SecretCertificate};

/// One of the account's keys, without anything secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Overview {
    /// Which.
    pub fingerprint: Fingerprint,
    /// What it is for.
    pub role: Role,
    /// What it is worth.
    pub state: State,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it ends, unless it is renewed; `None`: never.
    pub expires_at: Option<Timestamp>,
}

/// What one of the account's keys is worth. Whichever it is, it opens old mail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// It is the one in use for its role.
    InUse,
    /// It is the one in use and has expired: the next device renews it.
    Expired,
    /// It could be used, and another is.
    Retired,
    /// Nobody may encrypt to it.
    Unusable(Unusable),
}

impl State {
    /// Whether it is the one in use for its role.
    pub const fn is_in_use(self) -> bool {
        matches!(self, Self::InUse | Self::Expired)
    }

    /// Whether it can be revoked still.
    pub const fn can_be_revoked(self) -> bool {
        !matches!(self, Self::Unusable(Unusable::Revoked))
    }
}

impl OwnKeys {
    /// All of them at `now`, in their order.
    pub fn overview(&self, address: &Address, now: Timestamp) -> Vec<Overview> {
        let in_use = self.all_in_use(address, now);
        let in_use: Vec<_> = in_use.map(SecretCertificate::fingerprint).collect();
        let describe = |key: &SecretCertificate| {
            let certificate = key.certificate();
            let fingerprint = key.fingerprint();
            let is_used = in_use.contains(&fingerprint);
            Overview {
                fingerprint,
                role: Role::of(certificate),
                state: match certificate.usable_for_encryption(now) {
                    Ok(()) if is_used => State::InUse,
                    Ok(()) => State::Retired,
                    Err(Unusable::Expired) if is_used => State::Expired,
                    Err(reason) => State::Unusable(reason),
                },
                created_at: certificate.created_at(),
                expires_at: certificate.expires_at(now),
            }
        };
        self.iter().map(describe).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::own::LIFETIME_SECS;
    use crate::openpgp::secret_certificate::RevocationReason;
    use rand::SeedableRng;
    use rand_chacha::ChaCha20Rng;

    #[test]
    fn an_owner_sees_what_each_key_is_worth() {
        let mut rng = ChaCha20Rng::seed_from_u64(7);
        let address = Address::new("alice@letterlock.example").unwrap();
        let made = Timestamp::from_secs(1_700_000_000);
        let keys = OwnKeys::generate(&address, made, &mut rng).unwrap();
        let states = |keys: &OwnKeys, now| -> Vec<(Role, State)> {
            let all = keys.overview(&address, now).into_iter();
            all.map(|key| (key.role, key.state)).collect()
        };
        let both = [(Role::World, State::InUse), (Role::Sealing, State::InUse)];
        assert_eq!(states(&keys, made), both);
        let end = Timestamp::from_secs(made.as_secs() + i64::from(LIFETIME_SECS) + 10);
        let late = [
            (Role::World, State::Expired),
            (Role::Sealing, State::Expired),
        ];
        assert_eq!(states(&keys, end), late);
        let now = Timestamp::from_secs(made.as_secs() + 60);
        let old = keys.overview(&address, now)[0].fingerprint;
        let why = (RevocationReason::Superseded, "");
        let new = keys.replace(old, why, &address, now, &mut rng).unwrap();
        let keys = OwnKeys::gather(keys.iter().cloned().chain(new));
        let revoked = State::Unusable(Unusable::Revoked);
        assert_eq!(
            states(&keys, now),
            [
                (Role::World, State::InUse),
                (Role::World, revoked),
                (Role::Sealing, State::InUse)
            ]
        );
        assert!(!revoked.can_be_revoked() && State::Expired.is_in_use());
        assert_eq!(keys.overview(&address, now)[1].fingerprint, old);
    }
}

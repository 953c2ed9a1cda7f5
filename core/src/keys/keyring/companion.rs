//! The second certificate of a contact: of version 6, beside one of version 4.
//!
//! Users of the same provider have both. The first is what the rules of replacement are about and
//! what people compare; the second is taken by the first one's word alone
//! ([`published::is_companion`]), and so is worth as much. Rejected: a contact for each; a word
//! compared for one would not hold for the other.

use super::Contact;
use crate::id::{Address, Timestamp};
use crate::keys::published;
use crate::openpgp::Certificate;

impl Contact {
    /// The certificate of version 6 that the active one has vouched for, for mail that all of its
    /// recipients can read.
    pub fn parse_companion(&self) -> Option<Certificate> {
        self.parse_both().1
    }

    pub(super) fn parse_both(&self) -> (Option<Certificate>, Option<Certificate>) {
        let both = Certificate::parse_all(&self.certificate).unwrap_or_default();
        let mut both = both.into_iter();
        (both.next(), both.next())
    }

    /// The same with a companion, if the active certificate has vouched for it; of one key what
    /// is known stays.
    #[must_use]
    pub fn with_companion(mut self, offered: Option<&Certificate>, now: Timestamp) -> Self {
        let (Some(active), known) = self.parse_both() else {
            return self;
        };
        if offered.is_none() {
            return self;
        }
        let address: &Address = &self.address;
        let offered = offered
            .filter(|offered| published::is_companion(&active, offered, address, now))
            .cloned();
        let companion = match (known, offered) {
            (Some(known), Some(offered)) if known.fingerprint() == offered.fingerprint() => {
                Some(known.merge(&offered))
            }
            // One that cannot be used any more is kept until there is another.
            (known, offered) => offered.or(known),
        };
        self.certificate = octets(&active, companion.as_ref());
        self
    }

    /// What both know of one active key and of its companion, the same whoever asks: the longer
    /// form has all that the shorter has, for certificates only grow; of two companions the newer
    /// is the other's successor.
    pub(super) fn merged_octets(&self, other: &Self) -> Vec<u8> {
        let (ours, theirs) = (self.parse_both(), other.parse_both());
        let form = |certificate: &Certificate| {
            let octets = certificate.to_bytes();
            (octets.len(), octets)
        };
        let active = ours.0.into_iter().chain(theirs.0).max_by_key(form);
        let companions = ours.1.into_iter().chain(theirs.1);
        let companion = companions.max_by_key(|certificate| {
            let age = (certificate.created_at(), certificate.fingerprint());
            (age, form(certificate))
        });
        active.map_or_else(
            || self.certificate.clone().max(other.certificate.clone()),
            |active| octets(&active, companion.as_ref()),
        )
    }
}

/// A certificate and its companion, one after the other.
pub(super) fn octets(active: &Certificate, companion: Option<&Certificate>) -> Vec<u8> {
    let mut octets = active.to_bytes();
    octets.extend_from_slice(companion.map_or(&[], Certificate::as_bytes));
    octets
}

#[cfg(test)]
mod tests {
    use crate::keys::own::{OwnKeys, Role};
    use crate::keys::{Contact, Decision, Level, Offer, keyring};
    use crate::openpgp::secret_certificate::RevocationReason;
    use crate::openpgp::test_support::{NOW, address, later, rng};

    fn contact(keys: &OwnKeys) -> Contact {
        let bob = address("bob");
        let world = keys.in_use(Role::World, &bob, NOW).unwrap();
        let offer = Offer {
            address: bob,
            certificate: world.certificate().clone(),
            level: Level::ProviderTrust,
            seen_at: NOW,
            prefers_encryption: false,
        };
        let Decision::Store(contact) = keyring::consider(None, &offer, NOW) else {
            panic!("the first is taken");
        };
        *contact
    }

    #[test]
    fn a_companion_is_taken_by_the_active_keys_word_alone() {
        let bob = address("bob");
        let keys = OwnKeys::generate(&bob, NOW, &mut rng(1)).unwrap();
        let others = OwnKeys::generate(&bob, NOW, &mut rng(2)).unwrap();
        let sealing = |keys: &OwnKeys| {
            let key = keys.in_use(Role::Sealing, &bob, NOW).unwrap();
            key.certificate().clone()
        };
        let known = contact(&keys);
        assert_eq!(known.parse_companion(), None);
        let both = known.clone().with_companion(Some(&sealing(&keys)), NOW);
        assert_eq!(both.parse_certificate(), known.parse_certificate());
        assert_eq!(both.parse_companion(), Some(sealing(&keys)));
        // Another's, and none at all, change nothing.
        let other = sealing(&others);
        assert_eq!(known.clone().with_companion(Some(&other), NOW), known);
        assert_eq!(both.clone().with_companion(Some(&other), NOW), both);
        assert_eq!(both.clone().with_companion(None, NOW), both);
        let active = known.parse_certificate().unwrap();
        assert_eq!(known.clone().with_companion(Some(&active), NOW), known);
    }

    #[test]
    fn two_devices_come_to_the_same_pair() {
        let bob = address("bob");
        let keys = OwnKeys::generate(&bob, NOW, &mut rng(1)).unwrap();
        let sealing = keys.in_use(Role::Sealing, &bob, NOW).unwrap();
        let reason = (RevocationReason::Superseded, "");
        let old = sealing.fingerprint();
        let next = keys.replace(old, reason, &bob, later(9), &mut rng(3));
        let next = OwnKeys::gather(keys.iter().cloned().chain(next.unwrap()));
        let one = contact(&keys).with_companion(Some(sealing.certificate()), NOW);
        let newer = next.in_use(Role::Sealing, &bob, later(10)).unwrap();
        assert_ne!(newer.fingerprint(), old);
        let two = contact(&keys).with_companion(Some(newer.certificate()), later(10));
        let none = contact(&keys);
        let merged = |contacts: &[&Contact]| {
            let mut all = contacts[0].clone();
            for contact in contacts {
                all.merge(contact);
            }
            all
        };
        let all = merged(&[&one, &two, &none]);
        assert_eq!(all, merged(&[&none, &two, &one]));
        assert_eq!(all, merged(&[&two, &one, &none, &two]));
        assert_eq!(all.parse_companion().as_ref(), Some(newer.certificate()));
        let active = none.parse_certificate();
        assert_eq!(all.parse_certificate(), active);
    }
}

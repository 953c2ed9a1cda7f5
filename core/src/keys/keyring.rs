//! Contacts, and the rules by which one certificate takes another's place (LEAP's transitional key
//! validation).
//!
//! A new certificate replaces the known one of an address only if:
//! 1. there was none; or
//! 2. the user has compared its fingerprint; or
//! 3. it is signed by the old key for this address; or
//! 4. the old one is expired or revoked, and the new level is at least the old; or
//! 5. the old one has never been used both ways, and the new level is above the old; or
//! 6. the old one has no expiry, and the new level is above the old.
//!
//! The same fingerprint is not a replacement: both are merged, the higher level stays, and so do
//! the marks of use. Invariant: no sequence of weaker events replaces a usable key. Rejected: the
//! newest wins, as in Autocrypt alone; whoever can send one mail could then change the key.

mod companion;

use core::fmt;

use serde::{Deserialize, Serialize};

use super::level::Level;
use crate::id::{Address, Timestamp};
use crate::openpgp::policy::Unusable;
use crate::openpgp::{Certificate, Fingerprint};

/// What we know of one address.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Contact {
    /// Whose.
    pub address: Address,
    /// The active certificate, binary, as [`Certificate::to_bytes`] gives it; after it its
    /// companion, if one is known.
    #[serde(with = "serde_bytes")]
    pub certificate: Vec<u8>,
    /// How well it is known to be theirs.
    pub level: Level,
    /// When this certificate was seen first.
    pub first_seen: Timestamp,
    /// When it was seen last.
    pub last_seen: Timestamp,
    /// Something was encrypted to it.
    pub encrypted_to: bool,
    /// A signature by it was good.
    pub verified_from: bool,
    /// They wish that mail to them be encrypted (Autocrypt `prefer-encrypt=mutual`).
    pub prefers_encryption: bool,
    /// Certificates that were active before: they verify old mail and nothing else.
    pub former: Vec<Fingerprint>,
}

impl Contact {
    /// The certificate, parsed again; `None` if what was stored is damaged.
    pub fn parse_certificate(&self) -> Option<Certificate> {
        self.parse_both().0
    }

    /// Takes in what another device knows of the same address; whoever merges comes to the same.
    ///
    /// Two devices that chose different certificates agree on the one in use, then on the one
    /// better known, then on the one seen first.
    pub fn merge(&mut self, other: &Self) {
        let fingerprint = |contact: &Self| {
            contact
                .parse_certificate()
                .map(|certificate| certificate.fingerprint())
        };
        let rank = |contact: &Self| {
            let first = core::cmp::Reverse(contact.first_seen);
            (
                contact.is_in_use(),
                contact.level,
                first,
                contact.certificate.clone(),
            )
        };
        let same = fingerprint(self) == fingerprint(other);
        let (mut merged, rest) = if rank(other) > rank(self) {
            (other.clone(), &*self)
        } else {
            (self.clone(), other)
        };
        if same {
            merged.certificate = self.merged_octets(other);
            merged.level = merged.level.max(rest.level);
            merged.first_seen = merged.first_seen.min(rest.first_seen);
            merged.last_seen = merged.last_seen.max(rest.last_seen);
            merged.encrypted_to |= rest.encrypted_to;
            merged.verified_from |= rest.verified_from;
            merged.prefers_encryption |= rest.prefers_encryption;
        }
        merged.former.extend(rest.former.iter().copied());
        merged.former.sort_unstable();
        merged.former.dedup();
        *self = merged;
    }

    /// Used both ways: to give it up takes more than a louder claim.
    pub fn is_in_use(&self) -> bool {
        self.encrypted_to && self.verified_from
    }
}

impl fmt::Debug for Contact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Contact({:?}, {:?})", self.address, self.level)
    }
}

/// A certificate that came from somewhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offer {
    /// For whom.
    pub address: Address,
    /// The certificate.
    pub certificate: Certificate,
    /// How well its source proves that it belongs to the address.
    pub level: Level,
    /// When it was seen.
    pub seen_at: Timestamp,
    /// They wish that mail to them be encrypted.
    pub prefers_encryption: bool,
}

/// What is to be done with an offer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// Store this contact: new, merged, or with the new certificate.
    Store(Box<Contact>),
    /// Keep what there is.
    Keep(Reason),
}

/// Why an offer was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// The certificate does not name the address.
    WrongAddress,
    /// The certificate cannot be used.
    Unusable(Unusable),
    /// It comes from nowhere better than the one that is known.
    Weaker,
}

/// Decides over an offer.
pub fn consider(existing: Option<&Contact>, offer: &Offer, now: Timestamp) -> Decision {
    let same = |contact: &&Contact| {
        contact
            .parse_certificate()
            .is_some_and(|known| known.fingerprint() == offer.certificate.fingerprint())
    };
    // News about the known key, a revocation above all, is taken whatever it says of its use.
    if let Some(contact) = existing.filter(same) {
        return Decision::Store(Box::new(merge(contact, offer)));
    }
    if !offer.certificate.names(&offer.address, now) {
        return Decision::Keep(Reason::WrongAddress);
    }
    if let Err(reason) = offer.certificate.usable_for_encryption(now) {
        return Decision::Keep(Reason::Unusable(reason));
    }
    match existing {
        None => Decision::Store(Box::new(new_contact(offer, vec![]))),
        Some(contact) => {
            let known = contact.parse_certificate();
            // The old key's word for its successor is a proof of its own.
            let vouched = known.as_ref().is_some_and(|known| {
                offer
                    .certificate
                    .is_certified_by(known, &offer.address, now)
            });
            if !may_replace(contact, known.as_ref(), offer, vouched, now) {
                return Decision::Keep(Reason::Weaker);
            }
            let mut former = contact.former.clone();
            former.extend(known.map(|known| known.fingerprint()));
            former.dedup();
            let mut successor = new_contact(offer, former);
            if vouched {
                successor.level = successor.level.max(Level::KnownKey);
            }
            Decision::Store(Box::new(successor))
        }
    }
}

/// What is at hand for a letter, and what has to be looked up first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KeysFor {
    /// Usable certificates, in the order of their recipients.
    pub certificates: Vec<Certificate>,
    /// Addresses without a usable certificate: questions to hand out.
    pub missing: Vec<Address>,
}

/// The certificates of recipients, by the contacts that are known.
pub fn keys_for<'a>(
    recipients: &[Address],
    mut contact_of: impl FnMut(&Address) -> Option<&'a Contact>,
    now: Timestamp,
) -> KeysFor {
    let mut keys = KeysFor::default();
    for address in recipients {
        let usable = contact_of(address)
            .and_then(Contact::parse_certificate)
            .filter(|certificate| certificate.usable_for_encryption(now).is_ok());
        match usable {
            Some(certificate) => keys.certificates.push(certificate),
            None => keys.missing.push(address.clone()),
        }
    }
    keys
}

fn may_replace(
    contact: &Contact,
    known: Option<&Certificate>,
    offer: &Offer,
    vouched: bool,
    now: Timestamp,
) -> bool {
    let Some(known) = known else {
        return true;
    };
    let over = matches!(
        known.usable_for_encryption(now),
        Err(Unusable::Expired | Unusable::Revoked)
    );
    offer.level == Level::Fingerprint
        || vouched
        || (over && offer.level >= contact.level)
        || (!contact.is_in_use() && offer.level > contact.level)
        || (known.expires_at(now).is_none() && offer.level > contact.level)
}

fn new_contact(offer: &Offer, former: Vec<Fingerprint>) -> Contact {
    Contact {
        address: offer.address.clone(),
        certificate: offer.certificate.to_bytes(),
        level: offer.level,
        first_seen: offer.seen_at,
        last_seen: offer.seen_at,
        encrypted_to: false,
        verified_from: false,
        prefers_encryption: offer.prefers_encryption,
        former,
    }
}

fn merge(contact: &Contact, offer: &Offer) -> Contact {
    let certificate = contact.parse_certificate().map_or_else(
        || offer.certificate.clone(),
        |known| known.merge(&offer.certificate),
    );
    Contact {
        certificate: companion::octets(&certificate, contact.parse_companion().as_ref()),
        level: contact.level.max(offer.level),
        last_seen: contact.last_seen.max(offer.seen_at),
        // Never taken back: anybody can send a mail, or pass one on, that does not say it.
        prefers_encryption: contact.prefers_encryption || offer.prefers_encryption,
        ..contact.clone()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::openpgp::secret_certificate::RevocationReason;
    use crate::openpgp::test_support::{
        NOW, address, expiring_secret, later, rng, secret, secret_numbered,
    };

    fn offer(certificate: &Certificate, level: Level) -> Offer {
        Offer {
            address: address("bob"),
            certificate: certificate.clone(),
            level,
            seen_at: NOW,
            prefers_encryption: false,
        }
    }

    fn contact(certificate: &Certificate, level: Level, in_use: bool) -> Contact {
        Contact {
            encrypted_to: in_use,
            verified_from: in_use,
            ..new_contact(&offer(certificate, level), vec![])
        }
    }

    fn replaces(known: &Contact, offered: &Offer, now: Timestamp) -> bool {
        match consider(Some(known), offered, now) {
            Decision::Store(stored) => stored.certificate != known.certificate,
            Decision::Keep(_) => false,
        }
    }

    #[test]
    fn the_truth_table_of_replacement() {
        let new = secret_numbered("bob", 2).certificate().clone();
        for old_level in Level::ALL {
            for new_level in Level::ALL {
                for in_use in [false, true] {
                    // Without expiry: only a higher level, or a compared fingerprint.
                    let endless = contact(secret("bob").certificate(), old_level, in_use);
                    let offered = offer(&new, new_level);
                    let higher = new_level > old_level || new_level == Level::Fingerprint;
                    assert_eq!(replaces(&endless, &offered, NOW), higher);
                    // With expiry, in use: nothing but a compared fingerprint before it expires.
                    let expiring = expiring_secret("bob", 1000);
                    let known = contact(expiring.certificate(), old_level, in_use);
                    let before = if in_use {
                        new_level == Level::Fingerprint
                    } else {
                        higher
                    };
                    assert_eq!(replaces(&known, &offered, NOW), before);
                    let after = new_level >= old_level || new_level == Level::Fingerprint;
                    assert_eq!(replaces(&known, &offered, later(1001)), after);
                }
            }
        }
    }

    #[test]
    fn the_old_keys_word_is_enough_and_raises_the_level() {
        let bob = address("bob");
        let new = secret_numbered("bob", 2);
        for old in [secret("bob"), expiring_secret("bob", 1000)] {
            let known = contact(old.certificate(), Level::ThirdPartyConsensus, true);
            let vouched = old
                .certify(new.certificate(), &bob, later(10), &mut rng(1))
                .unwrap();
            let offered = offer(&vouched, Level::WeakChain);
            let Decision::Store(stored) = consider(Some(&known), &offered, later(20)) else {
                panic!("not taken");
            };
            assert_eq!(stored.level, Level::KnownKey);
            assert_eq!(stored.former, [old.fingerprint()]);
            assert!(!stored.is_in_use());
            // Another one's word, or the same word for another address, is none.
            let eve = secret("eve");
            let forged = eve
                .certify(new.certificate(), &bob, later(10), &mut rng(2))
                .unwrap();
            assert!(!replaces(
                &known,
                &offer(&forged, Level::WeakChain),
                later(20)
            ));
            // A key that others may have cannot name a successor.
            let stolen = old
                .revoked(RevocationReason::Compromised, "", later(15), &mut rng(3))
                .unwrap();
            let stolen = contact(stolen.certificate(), Level::ThirdPartyConsensus, true);
            assert!(!replaces(&stolen, &offered, later(20)));
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]

        /// Whatever comes, from wherever and how often, short of a compared fingerprint and of the
        /// old key's word: a key in use stays while it lives.
        #[test]
        fn no_sequence_of_weaker_events_replaces_a_key_in_use(
            endless in any::<bool>(),
            start in 0..Level::ALL.len(),
            events in proptest::collection::vec((0..Level::ALL.len(), 0..4_usize, 0..900_i64), 1..24),
        ) {
            let others: Vec<Certificate> = (0..4)
                .map(|number| secret_numbered("bob", 10 + number).certificate().clone())
                .collect();
            let own = if endless { secret("bob") } else { expiring_secret("bob", 1000) };
            let mut known = contact(own.certificate(), Level::ALL[start], true);
            for (level, number, secs) in events {
                // Without an expiry a higher level would do (and only then).
                let most = if endless { start } else { Level::ALL.len() - 2 };
                let level = Level::ALL[level.min(most).min(Level::ALL.len() - 2)];
                let offered = Offer { seen_at: later(secs), ..offer(&others[number], level) };
                if let Decision::Store(stored) = consider(Some(&known), &offered, later(secs)) {
                    known = *stored;
                }
                let same = offer(own.certificate(), level);
                if let Decision::Store(stored) = consider(Some(&known), &same, later(secs)) {
                    known = *stored;
                }
            }
            let kept = known.parse_certificate().unwrap();
            prop_assert_eq!(kept.fingerprint(), own.fingerprint());
            prop_assert!(known.is_in_use() && known.level >= Level::ALL[start]);
        }
    }

    #[test]
    fn the_same_key_merges_and_keeps_the_higher_level() {
        let bob = secret("bob");
        let known = contact(bob.certificate(), Level::ProviderTrust, true);
        let weaker = Offer {
            seen_at: later(5),
            ..offer(bob.certificate(), Level::WeakChain)
        };
        let Decision::Store(merged) = consider(Some(&known), &weaker, NOW) else {
            panic!("not merged");
        };
        assert_eq!(merged.level, Level::ProviderTrust);
        assert!(merged.is_in_use());
        assert_eq!((merged.first_seen, merged.last_seen), (NOW, later(5)));
    }

    #[test]
    fn an_offer_must_name_the_address_and_be_usable() {
        let wrong = offer(secret("eve").certificate(), Level::Fingerprint);
        assert_eq!(
            consider(None, &wrong, NOW),
            Decision::Keep(Reason::WrongAddress)
        );
        let expired = offer(expiring_secret("bob", 10).certificate(), Level::Fingerprint);
        assert_eq!(
            consider(None, &expired, later(11)),
            Decision::Keep(Reason::Unusable(Unusable::Expired))
        );
    }

    #[test]
    fn what_is_missing_is_asked_for() {
        let bob = contact(secret("bob").certificate(), Level::WeakChain, false);
        let keys = keys_for(
            &[address("bob"), address("carol")],
            |asked| (*asked == address("bob")).then_some(&bob),
            NOW,
        );
        assert_eq!(keys.certificates, [secret("bob").certificate().clone()]);
        assert_eq!(keys.missing, [address("carol")]);
        let stored = postcard::to_stdvec(&bob).unwrap();
        assert_eq!(postcard::from_bytes::<Contact>(&stored).unwrap(), bob);
    }
}

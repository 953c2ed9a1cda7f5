//! Autocrypt's 35 days (Level 1, section 2.4): a key that came with mail, and of which nothing has
//! been heard since, while mail came without it.
//!
//! Autocrypt then stops recommending to encrypt. Whoever can write mail in somebody's name could so
//! take encryption away, and nothing here proves an author but a signature by the very key, which
//! says that it lives. So such a key is *stale*: before it is used again everybody is asked as if
//! none were known, what they have takes its place by the rules of [`super::keyring`], and if they
//! have nothing it is used as before.
//! Invariant: mail makes a key stale at most, never unusable, whatever it says or leaves out; and
//! only a key that is known by nothing better than mail and has not been used both ways.
//! Rejected: to send in the clear once the mail without the key was signed by it (such a person can
//! read what is encrypted), or passed DKIM (asking for the domain's key would tell when the mail was
//! read; and our provider's word for it is that of the one from whom the letter would be hidden).

use super::keyring::Contact;
use super::level::Level;
use crate::id::Timestamp;
use crate::mime::{header, parse_date};

/// How long a key is recommended of which nothing is heard, in seconds.
pub const SILENCE_SECS: i64 = 35 * DAY_SECS;
/// News of a key's being there that are no older than this are none, in seconds: each would be a
/// new revision of the contact's document.
pub const DAY_SECS: i64 = 24 * 60 * 60;

/// When a mail counts as sent (Autocrypt Level 1, section 2.3): as it says, but not after it was
/// received. `None` for a delivery report, which is not its author's word.
pub fn effective_date(message_header: &[u8], received_at: Timestamp) -> Option<Timestamp> {
    if super::autocrypt::is_report(message_header) {
        return None;
    }
    let date = header::find(message_header, "Date").and_then(|field| parse_date(field.value));
    Some(date.map_or(received_at, |date| date.min(received_at)))
}

/// Whether everybody is asked again before a key is used, of whose owner mail without it came last
/// at this time.
pub fn is_stale(contact: &Contact, silent_at: Timestamp) -> bool {
    let silence = silent_at
        .as_secs()
        .saturating_sub(contact.last_seen.as_secs());
    contact.level == Level::WeakChain && !contact.is_in_use() && silence > SILENCE_SECS
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::keys::{Decision, Offer, keyring};
    use crate::openpgp::test_support::{NOW, address, later, secret};

    fn known(level: Level, encrypted_to: bool, verified_from: bool) -> Contact {
        let offer = Offer {
            address: address("bob"),
            certificate: secret("bob").certificate().clone(),
            level,
            seen_at: NOW,
            prefers_encryption: true,
        };
        let Decision::Store(contact) = keyring::consider(None, &offer, NOW) else {
            panic!("the first is taken");
        };
        Contact {
            encrypted_to,
            verified_from,
            ..*contact
        }
    }

    #[test]
    fn the_table_of_silence() {
        for level in Level::ALL {
            for (encrypted_to, verified_from) in
                [(false, false), (true, false), (false, true), (true, true)]
            {
                let contact = known(level, encrypted_to, verified_from);
                for (secs, long) in [
                    (-SILENCE_SECS, false),
                    (0, false),
                    (DAY_SECS, false),
                    (SILENCE_SECS, false),
                    (SILENCE_SECS + 1, true),
                    (400 * DAY_SECS, true),
                ] {
                    let weak = level == Level::WeakChain && !(encrypted_to && verified_from);
                    let stale = is_stale(&contact, later(secs));
                    assert_eq!(stale, weak && long, "{level:?} {secs}");
                }
            }
        }
    }

    #[test]
    fn a_mail_is_as_old_as_it_says_and_no_younger_than_its_receipt() {
        let of = |text: &str| effective_date(text.as_bytes(), NOW);
        let date = |time| format!("Date: {}\r\n", crate::mime::format_date(time));
        assert_eq!(of(&date(later(-500))), Some(later(-500)));
        assert_eq!(of(&date(later(500))), Some(NOW));
        assert_eq!(of("Date: soon\r\n"), Some(NOW));
        assert_eq!(of("Subject: s\r\n"), Some(NOW));
        let report = "Content-Type: multipart/report; x=y\r\n".to_owned() + &date(later(-500));
        assert_eq!(of(&report), None);
    }

    proptest! {
        /// Whatever mail comes without the key, dated as it likes, and with it, in whatever order:
        /// the key can be encrypted to, and is stale only after 35 days in which it did not come.
        #[test]
        fn mail_makes_a_key_stale_at_most(
            days in proptest::collection::vec((0_i64..120, any::<bool>()), 1..40),
        ) {
            let mut contact = known(Level::WeakChain, false, false);
            let (mut silent_at, mut heard_at) = (NOW, NOW);
            for (day, with_key) in days {
                let at = later(day * DAY_SECS);
                if with_key {
                    heard_at = heard_at.max(at);
                    let offer = Offer {
                        address: address("bob"),
                        certificate: secret("bob").certificate().clone(),
                        level: Level::WeakChain,
                        seen_at: at,
                        prefers_encryption: false,
                    };
                    if let Decision::Store(stored) = keyring::consider(Some(&contact), &offer, at) {
                        contact = *stored;
                    }
                } else {
                    silent_at = silent_at.max(at);
                }
                let silence = silent_at.as_secs() - heard_at.as_secs();
                prop_assert_eq!(is_stale(&contact, silent_at), silence > SILENCE_SECS);
                let bob = address("bob");
                let of = |_: &_| Some(&contact);
                let keys = keyring::keys_for(core::slice::from_ref(&bob), of, at);
                prop_assert_eq!(keys.certificates.len(), 1);
            }
        }
    }
}

//! Who was asked for in vain: strangers are not asked again at each letter.
//!
//! Each question tells a domain, or a key server, that a letter is being written; one that has
//! answered is left alone for a while, and so is one that does not answer, for less long. Our own
//! provider is asked each time: it carries the letter.
//! Rejected: keeping it beyond the process; a list of those who have no key is a list of those whom
//! one writes to.

use std::collections::BTreeMap;

use super::{Sources, Strangers};
use crate::id::{Address, Timestamp};

/// How long nobody is asked again who had no certificate for an address, in seconds. Somebody who
/// has just made a key waits so long for the first letter that uses it.
pub const NOT_FOUND_SECS: i64 = 60 * 60;
/// The same of one who did not answer, in seconds.
pub const UNREACHABLE_SECS: i64 = 5 * 60;
/// Most addresses that are noted; beyond, the one is forgotten that would be first.
pub const MAX_NOTED: usize = 4096;

/// Addresses for which strangers have nothing, each until a time.
#[derive(Debug, Clone, Default)]
pub struct NotFound {
    until: BTreeMap<Address, Timestamp>,
}

impl NotFound {
    /// Whom to ask for an address now: of these, or of these but strangers.
    pub fn sources(&self, address: &Address, sources: &Sources, now: Timestamp) -> Sources {
        let noted = self.until.get(&address.canonical());
        if noted.is_some_and(|until| *until > now) {
            Sources {
                web_key_directory: false,
                dane: false,
                openpgp_field: false,
                key_server: None,
                ..sources.clone()
            }
        } else {
            sources.clone()
        }
    }

    /// Notes what came of a lookup.
    pub fn note(&mut self, address: &Address, strangers: Strangers, now: Timestamp) {
        let secs = match strangers {
            Strangers::NotAsked => return,
            Strangers::Found => {
                self.until.remove(&address.canonical());
                return;
            }
            Strangers::Nothing => NOT_FOUND_SECS,
            Strangers::Unreachable => UNREACHABLE_SECS,
        };
        if self.until.len() >= MAX_NOTED {
            self.until.retain(|_, until| *until > now);
        }
        if self.until.len() >= MAX_NOTED {
            let first = self.until.iter().min_by_key(|(_, until)| **until);
            let first = first.map(|(address, _)| address.clone());
            first.map(|address| self.until.remove(&address));
        }
        let until = Timestamp::from_secs(now.as_secs().saturating_add(secs));
        self.until.insert(address.canonical(), until);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::lookup::{Answer, Lookup, Purpose, Request};
    use crate::openpgp::test_support::{NOW, later};

    fn bob() -> Address {
        Address::new("bob@example.org").unwrap()
    }

    /// How many strangers are asked by a lookup that is answered so.
    fn asked(notes: &mut NotFound, answer: &Answer, now: Timestamp) -> usize {
        let own = Address::new("alice@example.net").unwrap();
        let sources = notes.sources(&bob(), &Sources::default(), now);
        let mut lookup = Lookup::new(&own, &bob(), Purpose::Sending, &sources);
        let (mut strangers, mut provider) = (0, 0);
        while let Some(request) = lookup.next_request().cloned() {
            if let Request::Https { .. } = request {
                strangers += 1;
                lookup.handle(answer, now);
            } else {
                provider += 1;
                lookup.handle(&Answer::Nothing, now);
            }
        }
        assert_eq!(provider, 1, "our provider is asked each time");
        notes.note(&bob(), lookup.strangers(), now);
        strangers
    }

    #[test]
    fn who_had_nothing_is_asked_again_after_an_hour() {
        for (answer, secs, first) in [
            (Answer::Nothing, NOT_FOUND_SECS, 1),
            (Answer::Octets(b"nonsense".to_vec()), NOT_FOUND_SECS, 1),
            (Answer::NoHost, NOT_FOUND_SECS, 2),
            (Answer::Failed, UNREACHABLE_SECS, 1),
        ] {
            let mut notes = NotFound::default();
            assert_eq!(asked(&mut notes, &answer, NOW), first, "{answer:?}");
            for after in [0, 1, secs / 2, secs - 1] {
                assert_eq!(asked(&mut notes, &answer, later(after)), 0, "{answer:?}");
            }
            assert_eq!(asked(&mut notes, &answer, later(secs)), first, "{answer:?}");
            // Another address, and another writing of this one.
            let eve = Address::new("eve@example.org").unwrap();
            let sources = Sources::default();
            assert_eq!(notes.sources(&eve, &sources, later(secs)), sources);
            let written = Address::new("bob@EXAMPLE.ORG").unwrap();
            assert_ne!(notes.sources(&written, &sources, later(secs)), sources);
        }
    }

    #[test]
    fn what_is_noted_is_bounded_and_what_is_found_is_forgotten() {
        let mut notes = NotFound::default();
        let number = |number: usize| Address::new(&format!("a{number}@example.org")).unwrap();
        for n in 0..MAX_NOTED + 10 {
            let now = later(i64::try_from(n / 100).unwrap());
            notes.note(&number(n), Strangers::Nothing, now);
        }
        assert_eq!(notes.until.len(), MAX_NOTED);
        notes.note(&number(MAX_NOTED), Strangers::Found, NOW);
        assert_eq!(notes.until.len(), MAX_NOTED - 1);
    }
}

//! What was made of messages and is asked for again and again: lists of a mailbox show the same
//! envelopes every time a program starts.
//!
//! Messages never change, so what is kept is never wrong. Invariant: it is in memory alone, its
//! `Debug` tells nothing of it, and it is bounded by [`RECALLED_OCTETS`] for all connections
//! together. Two generations: what is not asked for while one fills goes with the other. Rejected:
//! keeping the messages' documents; one takes ten times the memory of what is shown of it.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use letterlock_core::id::MessageHash;

/// Most octets that are kept, with what keeping takes.
pub const RECALLED_OCTETS: usize = 32 * 1024 * 1024;
/// Longest thing that is kept, in octets.
const MAX_ONE: usize = 16 * 1024;
/// Octets that keeping one thing takes beside it, about.
const OVERHEAD: usize = 112;
/// Most kinds of things. Each set of header fields that programs ask for is one.
const MAX_KINDS: usize = 64;

/// A kind of thing that is kept of messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Kind(usize);

/// What is kept.
#[derive(Default)]
pub struct Recall(Mutex<Kept>);

#[derive(Default)]
struct Kept {
    kinds: BTreeMap<Vec<u8>, Kind>,
    young: Generation,
    old: Generation,
}

#[derive(Default)]
struct Generation {
    things: HashMap<(MessageHash, Kind), Arc<[u8]>>,
    octets: usize,
}

impl Recall {
    /// The kind of a name; `None` if there are too many.
    pub fn kind(&self, name: &[u8]) -> Option<Kind> {
        let mut kept = self.kept();
        if let Some(kind) = kept.kinds.get(name) {
            return Some(*kind);
        }
        let kind = Kind(kept.kinds.len());
        if kind.0 >= MAX_KINDS {
            return None;
        }
        kept.kinds.insert(name.to_vec(), kind);
        Some(kind)
    }

    /// What is kept of messages, in their order.
    pub fn find(
        &self,
        kind: Kind,
        messages: impl Iterator<Item = MessageHash>,
    ) -> Vec<Option<Arc<[u8]>>> {
        let mut kept = self.kept();
        messages.map(|message| kept.find((message, kind))).collect()
    }

    /// Keeps something.
    pub fn keep(&self, kind: Kind, message: MessageHash, thing: &Arc<[u8]>) {
        if thing.len() <= MAX_ONE {
            self.kept().put((message, kind), Arc::clone(thing));
        }
    }

    fn kept(&self) -> std::sync::MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kept {
    fn find(&mut self, key: (MessageHash, Kind)) -> Option<Arc<[u8]>> {
        if let Some(thing) = self.young.things.get(&key) {
            return Some(Arc::clone(thing));
        }
        let thing = self.old.things.remove(&key)?;
        self.old.octets = self.old.octets.saturating_sub(weight(&thing));
        self.put(key, Arc::clone(&thing));
        Some(thing)
    }

    fn put(&mut self, key: (MessageHash, Kind), thing: Arc<[u8]>) {
        let octets = weight(&thing);
        if self.young.octets.saturating_add(octets) > RECALLED_OCTETS / 2 {
            self.old = std::mem::take(&mut self.young);
        }
        if self.young.things.insert(key, thing).is_none() {
            self.young.octets = self.young.octets.saturating_add(octets);
        }
    }
}

fn weight(thing: &[u8]) -> usize {
    thing.len().saturating_add(OVERHEAD)
}

impl fmt::Debug for Recall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Recall(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(number: u32) -> MessageHash {
        let mut hash = [0; 32];
        hash[..4].copy_from_slice(&number.to_be_bytes());
        MessageHash::new(hash)
    }

    fn has(recall: &Recall, kind: Kind, number: u32) -> bool {
        let found = recall.find(kind, std::iter::once(message(number)));
        matches!(&found[..], [Some(_)])
    }

    #[test]
    fn what_is_kept_is_bounded_and_what_is_asked_for_stays() {
        let recall = Recall::default();
        let kind = recall.kind(b"a").unwrap();
        assert_eq!(recall.kind(b"a"), Some(kind));
        let other = recall.kind(b"b").unwrap();
        let thing: Arc<[u8]> = vec![7; MAX_ONE].into();
        let many = u32::try_from(3 * RECALLED_OCTETS / MAX_ONE).unwrap();
        for number in 0..many {
            recall.keep(kind, message(number), &thing);
            assert!(has(&recall, kind, 0), "{number}");
        }
        assert!(!has(&recall, other, 0));
        assert!(!has(&recall, kind, 1));
        assert!(has(&recall, kind, many - 1));
        let kept = recall.kept();
        let count = kept.young.things.len() + kept.old.things.len();
        assert!(count * weight(&thing) <= RECALLED_OCTETS);
        drop(kept);
        let large: Arc<[u8]> = vec![7; MAX_ONE + 1].into();
        recall.keep(other, message(1), &large);
        assert!(!has(&recall, other, 1));
    }

    #[test]
    fn kinds_are_few() {
        let recall = Recall::default();
        for number in 0..MAX_KINDS {
            assert!(recall.kind(&number.to_be_bytes()).is_some());
        }
        assert_eq!(recall.kind(b"one more"), None);
    }
}

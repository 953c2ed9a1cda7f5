//! The mod-sequences that a client knows, where the mailbox has others.
//!
//! After a STORE of a whole mailbox that is one run, not a row for each message. Invariant: runs
//! ascend, do not touch each other with the same number, and speak of the messages that there are
//! between their ends.

use letterlock_core::id::{ModSeq, Uid};

/// By UID.
#[derive(Debug, Default)]
pub(super) struct Known {
    runs: Vec<Run>,
}

/// Messages from one UID to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Run {
    first: Uid,
    last: Uid,
    mod_seq: ModSeq,
}

impl Known {
    pub(super) const fn is_empty(&self) -> bool {
        self.runs.is_empty()
    }

    /// What is known of a message beside what the mailbox has.
    pub(super) fn get(&self, uid: Uid) -> Option<ModSeq> {
        let at = self.runs.partition_point(|run| run.last < uid);
        let run = self.runs.get(at).filter(|run| run.first <= uid)?;
        Some(run.mod_seq)
    }

    /// Sets or forgets what is known of messages, by ascending UID.
    pub(super) fn set(&mut self, changes: impl IntoIterator<Item = (Uid, Option<ModSeq>)>) {
        let mut changes = changes.into_iter().peekable();
        if changes.peek().is_none() {
            return;
        }
        let mut before = std::mem::take(&mut self.runs).into_iter();
        let mut rest = before.next();
        for (uid, mod_seq) in changes {
            while let Some(run) = rest.filter(|run| run.first < uid) {
                let (ended, left) = run.cut(uid);
                self.push(ended);
                rest = left.or_else(|| before.next());
            }
            if let Some(run) = rest.filter(|run| run.first == uid) {
                rest = run.behind(uid).or_else(|| before.next());
            }
            if let Some(mod_seq) = mod_seq {
                self.push(Run {
                    first: uid,
                    last: uid,
                    mod_seq,
                });
            }
        }
        rest.into_iter()
            .chain(before)
            .for_each(|run| self.push(run));
    }

    fn push(&mut self, run: Run) {
        match self.runs.last_mut() {
            Some(last) if last.last.next() == Some(run.first) && last.mod_seq == run.mod_seq => {
                last.last = run.last;
            }
            _ => self.runs.push(run),
        }
    }
}

impl Run {
    /// What is below a UID, which lies behind its beginning, and what is not.
    fn cut(self, uid: Uid) -> (Self, Option<Self>) {
        let below = Uid::new(uid.get().saturating_sub(1)).unwrap_or(self.first);
        let ended = Self {
            last: self.last.min(below),
            ..self
        };
        let left = (uid <= self.last).then_some(Self { first: uid, ..self });
        (ended, left)
    }

    /// What is above a UID, with which it begins.
    fn behind(self, uid: Uid) -> Option<Self> {
        let first = uid.next().filter(|next| *next <= self.last)?;
        Some(Self { first, ..self })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    /// Some changes of a few messages, by ascending UID.
    fn changes() -> impl Strategy<Value = BTreeMap<u32, Option<u64>>> {
        proptest::collection::btree_map(1_u32..30, proptest::option::of(1_u64..4), 0..30)
    }

    proptest! {
        #[test]
        fn it_is_a_map(histories in vec(changes(), 0..6)) {
            let (mut known, mut plain) = (Known::default(), BTreeMap::new());
            for changes in histories {
                for (uid, to) in &changes {
                    match to {
                        Some(to) => plain.insert(*uid, *to),
                        None => plain.remove(uid),
                    };
                }
                known.set(changes.into_iter().map(|(uid, to)| {
                    (Uid::new(uid).unwrap(), to.and_then(ModSeq::new))
                }));
                for uid in 1..32 {
                    let found = known.get(Uid::new(uid).unwrap()).map(ModSeq::get);
                    prop_assert_eq!(found, plain.get(&uid).copied(), "{}", uid);
                }
                for pair in known.runs.windows(2) {
                    prop_assert!(pair[0].last < pair[1].first);
                    let touch = pair[0].last.next() == Some(pair[1].first);
                    prop_assert!(!touch || pair[0].mod_seq != pair[1].mod_seq);
                }
            }
        }
    }
}

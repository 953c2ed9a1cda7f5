//! One session's view of its mailbox: sequence numbers to UIDs (RFC 3501 2.3.1.2, 7.4.1).
//!
//! Invariants: UIDs ascend; a number that the client was told stays with its message until an
//! EXPUNGE response is released; **no EXPUNGE is released during FETCH, STORE or SEARCH**
//! (RFC 3501 5.5, 7.4.1) - that rule lives here alone. 16 octets a message.
//! Rejected: a view shared by all sessions; each has been told something else.

use std::collections::BTreeSet;

use letterlock_core::id::{ModSeq, SequenceNumber, Uid};
use letterlock_core::model::FlagSet;

use super::set::{MessageSet, Range};

/// One message as the client knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Entry {
    uid: Uid,
    /// The mod-sequence of the flags that the client was told.
    mod_seq: ModSeq,
    recent: bool,
}

/// A message under both its numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Slot {
    /// Its position.
    pub number: SequenceNumber,
    /// Its UID.
    pub uid: Uid,
    /// The mod-sequence of the flags that the client was told.
    pub mod_seq: ModSeq,
    /// Whether this session shows it as `\Recent` (RFC 3501 2.3.2).
    pub recent: bool,
}

/// A message of the mailbox as the store has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Present {
    /// Its UID.
    pub uid: Uid,
    /// Its mod-sequence.
    pub mod_seq: ModSeq,
}

/// A message whose flags are to be told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Changed {
    /// Its UID.
    pub uid: Uid,
    /// The mod-sequence of these flags.
    pub mod_seq: ModSeq,
    /// The flags.
    pub flags: FlagSet,
}

/// What the mailbox looks like, in a form that is cheap when little has happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// The mailbox's HIGHESTMODSEQ from just before the rest was read.
    pub highest: ModSeq,
    /// Every message, UIDs ascending.
    pub present: Vec<Present>,
    /// Those with a mod-sequence above the one that was asked for.
    pub changed: Vec<Changed>,
    /// UIDs from here on are `\Recent` in this session.
    pub recent_from: Uid,
}

impl Snapshot {
    /// Nothing is `\Recent`.
    pub fn forget_recent(&mut self) {
        self.recent_from = Uid::new(u32::MAX).unwrap_or(Uid::ONE);
    }
}

/// What the client is to be told, in this order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Notice {
    /// These left the mailbox, the highest number first: `* n EXPUNGE` for each, after which the
    /// numbers above are one lower, or `* VANISHED` for all.
    Expunged(Vec<Slot>),
    /// `* n EXISTS` and `* n RECENT`.
    Exists {
        /// Messages in the view.
        messages: u32,
        /// Of them `\Recent`.
        recent: u32,
    },
    /// `* n FETCH (UID .. FLAGS ..)`.
    Flags(Slot, FlagSet),
}

/// What a completing command lets the server say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Release {
    /// Everything.
    All,
    /// No EXPUNGE: FETCH, STORE or SEARCH by sequence numbers is answered.
    HoldExpunges,
}

/// A sequence number in a command is above the number of messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("sequence number is not in use")]
pub struct OutOfRange;

/// The view.
#[derive(Debug, Default)]
pub struct View {
    entries: Vec<Entry>,
    /// Gone from the mailbox, not yet told.
    vanished: BTreeSet<Uid>,
    /// Below the mod-sequence of each of these.
    before_vanished: Option<ModSeq>,
    /// Highest mod-sequence that was merged.
    mod_seq: Option<ModSeq>,
    /// What EXISTS said last.
    told: Option<(u32, u32)>,
}

impl View {
    /// Messages that the client knows of, or is about to.
    pub fn len(&self) -> u32 {
        u32::try_from(self.entries.len()).unwrap_or(u32::MAX)
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Of them `\Recent`.
    pub fn recent(&self) -> u32 {
        let count = self.entries.iter().filter(|entry| entry.recent).count();
        u32::try_from(count).unwrap_or(u32::MAX)
    }

    /// Above this a message's flags have to be read again.
    pub fn mod_seq(&self) -> Option<ModSeq> {
        self.mod_seq
    }

    /// Up to here everything has been told; what is held back has happened after it
    /// (RFC 7162 3.2).
    pub fn told_up_to(&self) -> Option<ModSeq> {
        if self.holds_back() {
            self.before_vanished
        } else {
            self.mod_seq
        }
    }

    /// Whether an EXPUNGE is held back.
    pub fn holds_back(&self) -> bool {
        !self.vanished.is_empty()
    }

    /// Every message with its numbers.
    pub fn slots(&self) -> impl Iterator<Item = Slot> + '_ {
        (1_u32..)
            .zip(&self.entries)
            .filter_map(|(number, entry)| slot(number, *entry))
    }

    /// The message at a position.
    pub fn at(&self, number: u32) -> Option<Slot> {
        let index = usize::try_from(number.checked_sub(1)?).ok()?;
        slot(number, *self.entries.get(index)?)
    }

    /// Whether the session counts this message.
    pub fn has(&self, uid: Uid) -> bool {
        self.index(uid).is_some()
    }

    /// Whether a message that the session counts is gone from the mailbox.
    pub fn is_gone(&self, uid: Uid) -> bool {
        self.vanished.contains(&uid)
    }

    /// The message with a UID.
    pub fn find(&self, uid: Uid) -> Option<Slot> {
        let index = self.index(uid)?;
        self.at(u32::try_from(index).ok()?.checked_add(1)?)
    }

    fn index(&self, uid: Uid) -> Option<usize> {
        self.entries
            .binary_search_by_key(&uid, |entry| entry.uid)
            .ok()
    }

    /// The messages that a command names, ascending, each once. A UID that is not in use is
    /// passed over (RFC 3501 6.4.8); a sequence number that is not is an error. In an empty
    /// mailbox `*` names nothing: programs ask for `1:*` without looking.
    pub fn resolve(&self, set: &MessageSet) -> Result<Vec<Slot>, OutOfRange> {
        let mut spans = match set {
            MessageSet::Sequence(set) => self.spans_of_numbers(&set.0)?,
            MessageSet::Uid(set) => self.spans_of_uids(&set.0),
            // What was saved is the session's to know.
            MessageSet::Saved(_) => Vec::new(),
        };
        spans.sort_unstable();
        let mut slots = Vec::new();
        let mut next = 0;
        for (from, to) in spans {
            for index in from.max(next)..to {
                let number = u32::try_from(index)
                    .ok()
                    .and_then(|index| index.checked_add(1));
                slots.extend(number.and_then(|number| self.at(number)));
            }
            next = next.max(to);
        }
        Ok(slots)
    }

    /// Half-open index ranges of sequence numbers.
    fn spans_of_numbers(&self, ranges: &[Range]) -> Result<Vec<(usize, usize)>, OutOfRange> {
        let mut spans = Vec::new();
        for range in ranges {
            let (from, to) = range.resolve(self.len());
            if self.is_empty() && range.has_last() {
                continue;
            }
            let end = usize::try_from(to).map_err(|_| OutOfRange)?;
            if end > self.entries.len() {
                return Err(OutOfRange);
            }
            let start = usize::try_from(from.saturating_sub(1)).map_err(|_| OutOfRange)?;
            spans.push((start, end));
        }
        Ok(spans)
    }

    /// Half-open index ranges of UIDs.
    fn spans_of_uids(&self, ranges: &[Range]) -> Vec<(usize, usize)> {
        let last = self.entries.last().map_or(0, |entry| entry.uid.get());
        let span = |range: &Range| {
            let (from, to) = range.resolve(last);
            let start = self.entries.partition_point(|entry| entry.uid.get() < from);
            let end = self.entries.partition_point(|entry| entry.uid.get() <= to);
            (start, end)
        };
        ranges
            .iter()
            .map(span)
            .filter(|(start, end)| start < end)
            .collect()
    }

    /// Takes in the state of the mailbox; gives the flags that the client does not know yet.
    /// Nothing is renumbered before [`View::release`].
    pub fn merge(&mut self, snapshot: &Snapshot) -> Vec<Notice> {
        if !self.holds_back() {
            self.before_vanished = self.mod_seq;
        }
        let mut present = snapshot.present.iter().peekable();
        for entry in &self.entries {
            while present.next_if(|message| message.uid < entry.uid).is_some() {}
            if present
                .next_if(|message| message.uid == entry.uid)
                .is_none()
            {
                self.vanished.insert(entry.uid);
            }
        }
        let last = self.entries.last().map(|entry| entry.uid);
        let fresh = snapshot
            .present
            .iter()
            .filter(|message| Some(message.uid) > last);
        let recent_from = snapshot.recent_from;
        self.entries.extend(fresh.map(|message| Entry {
            uid: message.uid,
            mod_seq: message.mod_seq,
            recent: message.uid >= recent_from,
        }));
        self.mod_seq = self.mod_seq.max(Some(snapshot.highest));
        let mut notices = Vec::new();
        for changed in &snapshot.changed {
            if Some(changed.uid) <= last && self.tell(changed.uid, changed.mod_seq) {
                let slot = self.find(changed.uid);
                notices.extend(slot.map(|slot| Notice::Flags(slot, changed.flags.clone())));
            }
        }
        notices
    }

    /// Notes that the client has been told the flags of this mod-sequence; `false` if it knew.
    pub fn tell(&mut self, uid: Uid, mod_seq: ModSeq) -> bool {
        let Some(entry) = self
            .index(uid)
            .and_then(|index| self.entries.get_mut(index))
        else {
            return false;
        };
        let news = entry.mod_seq < mod_seq;
        entry.mod_seq = entry.mod_seq.max(mod_seq);
        news
    }

    /// What may be told at the end of a command.
    pub fn release(&mut self, release: Release) -> Vec<Notice> {
        let mut notices = Vec::new();
        let mut gone = 0;
        if release == Release::All && self.holds_back() {
            let slots = self.expunge();
            gone = u32::try_from(slots.len()).unwrap_or(u32::MAX);
            notices.push(Notice::Expunged(slots));
        }
        let now = (self.len(), self.recent());
        // An EXPUNGE tells the new number of messages by itself (RFC 3501 7.4.1).
        let expected = self.told.map(|(messages, _)| messages.saturating_sub(gone));
        if expected != Some(now.0) || self.told.is_some_and(|told| told.1 < now.1) {
            notices.push(Notice::Exists {
                messages: now.0,
                recent: now.1,
            });
        }
        self.told = Some(now);
        notices
    }

    /// Removes what has vanished; highest number first, so that each is right when it is read.
    fn expunge(&mut self) -> Vec<Slot> {
        let vanished = std::mem::take(&mut self.vanished);
        let gone = self.slots().filter(|slot| vanished.contains(&slot.uid));
        let mut gone: Vec<Slot> = gone.collect();
        gone.reverse();
        self.entries.retain(|entry| !vanished.contains(&entry.uid));
        gone
    }
}

fn slot(number: u32, entry: Entry) -> Option<Slot> {
    let number = SequenceNumber::new(number)?;
    Some(Slot {
        number,
        uid: entry.uid,
        mod_seq: entry.mod_seq,
        recent: entry.recent,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::imap::set::{Bound, SequenceSet, UidSet};
    use letterlock_core::model::Flag;

    #[test]
    fn numbers_and_uids_are_told_apart() {
        let view = view_of(&[3, 5, 9]);
        let range = |from, to| {
            vec![Range {
                from: Bound::Number(from),
                to,
            }]
        };
        let uids = |set: MessageSet| -> Vec<u32> {
            view.resolve(&set)
                .unwrap()
                .iter()
                .map(|slot| slot.uid.get())
                .collect()
        };
        assert_eq!(
            uids(MessageSet::Sequence(SequenceSet(range(2, Bound::Last)))),
            [5, 9]
        );
        assert_eq!(
            uids(MessageSet::Uid(UidSet(range(4, Bound::Number(8))))),
            [5]
        );
        // `559:*` has the last message, whatever its UID (RFC 3501 6.4.8).
        assert_eq!(uids(MessageSet::Uid(UidSet(range(559, Bound::Last)))), [9]);
        assert_eq!(
            uids(MessageSet::Uid(UidSet(range(559, Bound::Number(600))))),
            [0_u32; 0]
        );
        let beyond = MessageSet::Sequence(SequenceSet(range(4, Bound::Number(4))));
        assert_eq!(view.resolve(&beyond), Err(OutOfRange));
        let mut twice = range(1, Bound::Number(2));
        twice.extend(range(2, Bound::Number(3)));
        assert_eq!(uids(MessageSet::Sequence(SequenceSet(twice))), [3, 5, 9]);
    }

    #[test]
    fn expunges_wait_and_then_come_from_the_top() {
        let mut view = view_of(&[1, 2, 3, 4]);
        view.merge(&snapshot(&[2, 4, 7], 5));
        assert_eq!(
            view.release(Release::HoldExpunges),
            [Notice::Exists {
                messages: 5,
                recent: 1
            }]
        );
        // The numbers still mean what the client was told.
        assert_eq!(view.at(3).map(|slot| slot.uid.get()), Some(3));
        assert!(view.holds_back());
        assert_eq!(numbers_gone(&view.release(Release::All)), [3, 1]);
        assert!(!view.holds_back());
        assert_eq!(view.at(1).map(|slot| slot.uid.get()), Some(2));
        assert_eq!(view.release(Release::All), []);
    }

    #[test]
    fn an_expunge_and_an_arrival_together_tell_both() {
        let mut view = view_of(&[1, 2]);
        view.merge(&snapshot(&[2, 3], 3));
        let notices = view.release(Release::All);
        assert_eq!(numbers_gone(&notices[..1]), [1]);
        let exists = Notice::Exists {
            messages: 2,
            recent: 1,
        };
        assert_eq!(notices[1..], [exists]);
    }

    #[test]
    fn what_is_held_back_holds_back_what_is_known() {
        let mut view = view_of(&[1, 2]);
        let at = |mod_seq| ModSeq::new(mod_seq);
        let mut state = snapshot(&[1], 10);
        state.highest = at(20).unwrap();
        view.merge(&state);
        assert_eq!((view.mod_seq(), view.told_up_to()), (at(20), at(1)));
        view.release(Release::HoldExpunges);
        state.highest = at(30).unwrap();
        view.merge(&state);
        assert_eq!((view.mod_seq(), view.told_up_to()), (at(30), at(1)));
        view.release(Release::All);
        assert_eq!(view.told_up_to(), at(30));
    }

    fn numbers_gone(notices: &[Notice]) -> Vec<u32> {
        let [Notice::Expunged(slots)] = notices else {
            panic!("{notices:?}");
        };
        slots.iter().map(|slot| slot.number.get()).collect()
    }

    #[test]
    fn flags_are_told_once() {
        let mut view = view_of(&[1, 2]);
        let flags = FlagSet::from([Flag::Seen]);
        let mod_seq = ModSeq::new(20).unwrap();
        let changed = Changed {
            uid: Uid::ONE,
            mod_seq,
            flags: flags.clone(),
        };
        let snapshot = Snapshot {
            highest: mod_seq,
            changed: vec![changed],
            ..snapshot(&[1, 2], 10)
        };
        let slot = Slot {
            mod_seq,
            ..view.at(1).unwrap()
        };
        assert_eq!(view.merge(&snapshot), [Notice::Flags(slot, flags)]);
        assert_eq!(view.merge(&snapshot), []);
        assert_eq!(view.mod_seq(), Some(mod_seq));
    }

    fn view_of(uids: &[u32]) -> View {
        let mut view = View::default();
        view.merge(&snapshot(uids, 100));
        view.release(Release::All);
        view
    }

    fn snapshot(uids: &[u32], recent_from: u32) -> Snapshot {
        let present = |uid: &u32| Present {
            uid: Uid::new(*uid).unwrap(),
            mod_seq: ModSeq::ONE,
        };
        Snapshot {
            highest: ModSeq::ONE,
            present: uids.iter().map(present).collect(),
            changed: Vec::new(),
            recent_from: Uid::new(recent_from).unwrap(),
        }
    }
}

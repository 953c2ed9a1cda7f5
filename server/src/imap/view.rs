//! One session's view of its mailbox: sequence numbers to UIDs (RFC 3501 2.3.1.2, 7.4.1).
//!
//! ```text
//! what the client counts = the roster, shared with all who look at the mailbox
//!                        + what is gone from it and not yet told
//! ```
//!
//! Invariants: UIDs ascend; a number that the client was told stays with its message until an
//! EXPUNGE response is released; **no EXPUNGE is released during FETCH, STORE or SEARCH**
//! (RFC 3501 5.5, 7.4.1) - that rule lives here alone. A session has memory of its own only for
//! what it knows otherwise than the roster has it, in runs (`known`).
//! Rejected: a list of UIDs for each session; opening a mailbox of a million messages would copy
//! them.

mod known;

use std::sync::Arc;

use letterlock_core::account::{Roster, RosterEntry};
use letterlock_core::id::{ModSeq, SequenceNumber, Uid};
use letterlock_core::model::FlagSet;

use self::known::Known;
use super::set::{MessageSet, Range};

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

/// A message whose flags are to be told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Changed {
    /// Its UID.
    pub uid: Uid,
    /// The mod-sequence of these flags.
    pub mod_seq: ModSeq,
    /// The flags; messages share them.
    pub flags: Arc<FlagSet>,
}

/// What the mailbox looks like.
#[derive(Debug, Clone)]
pub struct Snapshot {
    /// Its messages.
    pub roster: Arc<Roster>,
    /// UIDs from here on are `\Recent` in this session.
    pub recent_from: Uid,
    /// Whether the client wants to know what happened to flags.
    pub tells_flags: bool,
}

impl Snapshot {
    /// Nothing is `\Recent`.
    pub fn forget_recent(&mut self) {
        self.recent_from = Uid::LAST;
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
    /// The mailbox as it was merged last.
    roster: Arc<Roster>,
    /// Gone from it, not yet told; ascending.
    vanished: Vec<Vanished>,
    /// The mod-sequences that the client knows, where the roster has others.
    known: Known,
    /// What this session shows as `\Recent`: ranges of UIDs, ascending.
    recent: Vec<(Uid, Uid)>,
    /// Below the mod-sequence of each that vanished.
    before_vanished: Option<ModSeq>,
    /// Highest mod-sequence that was merged.
    mod_seq: Option<ModSeq>,
    /// What EXISTS said last.
    told: Option<(u32, u32)>,
}

/// A message that the client counts and the mailbox has no more.
#[derive(Debug, Clone, Copy)]
struct Vanished {
    uid: Uid,
    mod_seq: ModSeq,
    /// Where it stands, from 0.
    index: usize,
}

impl View {
    /// Messages that the client knows of, or is about to.
    pub fn len(&self) -> u32 {
        u32::try_from(self.count()).unwrap_or(u32::MAX)
    }

    fn count(&self) -> usize {
        self.roster.len().saturating_add(self.vanished.len())
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.count() == 0
    }

    /// Of them `\Recent`.
    pub fn recent(&self) -> u32 {
        let count = self.recent.iter().fold(0_usize, |sum, (from, to)| {
            let behind = to.next().map_or(self.count(), |next| self.index_from(next));
            sum.saturating_add(behind.saturating_sub(self.index_from(*from)))
        });
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
        self.slots_in(0, self.count())
    }

    /// The messages from one position up to another, counted from 0.
    fn slots_in(&self, from: usize, to: usize) -> impl Iterator<Item = Slot> + '_ {
        let first = self.vanished.partition_point(|gone| gone.index < from);
        let mut gone = self.vanished.get(first..).unwrap_or_default().iter();
        let mut next_gone = gone.next();
        let mut entries = self.roster.iter_from(from.saturating_sub(first));
        (from..to).filter_map(move |index| {
            if let Some(vanished) = next_gone.filter(|vanished| vanished.index == index) {
                next_gone = gone.next();
                return self.slot(index, vanished.uid, vanished.mod_seq);
            }
            let entry = entries.next()?;
            self.slot(index, entry.uid(), self.known(&entry))
        })
    }

    /// The message at a position.
    pub fn at(&self, number: u32) -> Option<Slot> {
        let index = usize::try_from(number.checked_sub(1)?).ok()?;
        let before = self.vanished.partition_point(|gone| gone.index < index);
        if let Some(gone) = self.vanished.get(before).filter(|gone| gone.index == index) {
            return self.slot(index, gone.uid, gone.mod_seq);
        }
        let entry = self.roster.get(index.checked_sub(before)?)?;
        self.slot(index, entry.uid(), self.known(&entry))
    }

    /// Whether the session counts this message.
    pub fn has(&self, uid: Uid) -> bool {
        self.is_gone(uid) || self.roster.find(uid).is_some()
    }

    /// Whether a message that the session counts is gone from the mailbox.
    pub fn is_gone(&self, uid: Uid) -> bool {
        let found = self.vanished.binary_search_by_key(&uid, |gone| gone.uid);
        found.is_ok()
    }

    /// The message with a UID.
    pub fn find(&self, uid: Uid) -> Option<Slot> {
        if !self.has(uid) {
            return None;
        }
        let index = self.index_from(uid);
        self.at(u32::try_from(index).ok()?.checked_add(1)?)
    }

    /// The messages with these UIDs, quickest where they stand one behind the other; those that
    /// the session does not count are passed over.
    pub fn find_all(&self, uids: impl IntoIterator<Item = Uid>) -> impl Iterator<Item = Slot> {
        let mut seeker = self.roster.seek();
        uids.into_iter().filter_map(move |uid| {
            if self.holds_back() {
                return self.find(uid);
            }
            let (index, entry) = seeker.find(uid)?;
            self.slot(index, uid, self.known(&entry))
        })
    }

    /// Where the first message stands whose UID is not below this one.
    fn index_from(&self, uid: Uid) -> usize {
        let gone = self.vanished.partition_point(|gone| gone.uid < uid);
        self.roster.position_from(uid).saturating_add(gone)
    }

    fn slot(&self, index: usize, uid: Uid, mod_seq: ModSeq) -> Option<Slot> {
        let number = u32::try_from(index).ok()?.checked_add(1)?;
        let behind = self.recent.partition_point(|(from, _)| *from <= uid);
        let range = behind.checked_sub(1).and_then(|at| self.recent.get(at));
        Some(Slot {
            number: SequenceNumber::new(number)?,
            uid,
            mod_seq,
            recent: range.is_some_and(|(_, to)| uid <= *to),
        })
    }

    /// The mod-sequence of the flags that the client was told.
    fn known(&self, entry: &RosterEntry<'_>) -> ModSeq {
        if self.known.is_empty() {
            return entry.mod_seq();
        }
        let known = self.known.get(entry.uid());
        known.unwrap_or_else(|| entry.mod_seq())
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
            slots.extend(self.slots_in(from.max(next), to));
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
            if end > self.count() {
                return Err(OutOfRange);
            }
            let start = usize::try_from(from.saturating_sub(1)).map_err(|_| OutOfRange)?;
            spans.push((start, end));
        }
        Ok(spans)
    }

    /// Half-open index ranges of UIDs.
    fn spans_of_uids(&self, ranges: &[Range]) -> Vec<(usize, usize)> {
        let last = self.last().map_or(0, Uid::get);
        let index_from = |uid| Uid::new(uid).map_or(0, |uid| self.index_from(uid));
        let span = |range: &Range| {
            let (from, to) = range.resolve(last);
            let end = to.checked_add(1).map_or(self.count(), index_from);
            (index_from(from), end)
        };
        ranges
            .iter()
            .map(span)
            .filter(|(start, end)| start < end)
            .collect()
    }

    /// The highest UID that the session counts.
    fn last(&self) -> Option<Uid> {
        let gone = self.vanished.last().map(|gone| gone.uid);
        gone.max(self.roster.last().map(|entry| entry.uid()))
    }

    /// Takes in the state of the mailbox; gives the flags that the client does not know yet.
    /// Nothing is renumbered before [`View::release`].
    pub fn merge(&mut self, snapshot: &Snapshot) -> Vec<Notice> {
        if !self.holds_back() {
            self.before_vanished = self.mod_seq;
        }
        let last = self.last();
        let changed = self.take_flags(snapshot, last);
        self.take_vanished(&snapshot.roster);
        self.roster = Arc::clone(&snapshot.roster);
        self.take_recent(snapshot.recent_from, last);
        self.mod_seq = self.mod_seq.max(Some(snapshot.roster.highest_mod_seq()));
        changed
            .into_iter()
            .filter_map(|(uid, flags)| Some(Notice::Flags(self.find(uid)?, flags)))
            .collect()
    }

    /// Notes which flags the client is told now, and which it is not.
    fn take_flags(&mut self, snapshot: &Snapshot, last: Option<Uid>) -> Vec<(Uid, FlagSet)> {
        let mut news = Vec::new();
        let (Some(last), Some(since)) = (last, self.mod_seq) else {
            return news;
        };
        let mut changes = Vec::new();
        let mut seeker = self.roster.seek();
        for (_, after) in snapshot.roster.changed_since(since) {
            let uid = after.uid();
            let Some((_, before)) = seeker.find(uid).filter(|_| uid <= last) else {
                continue;
            };
            let known = self.known(&before);
            let is_told = known >= after.mod_seq() || snapshot.tells_flags;
            changes.push((uid, (!is_told).then_some(known)));
            if known < after.mod_seq() && snapshot.tells_flags {
                news.push((uid, after.flags()));
            }
        }
        self.known.set(changes);
        news
    }

    /// Notes what has left the mailbox.
    fn take_vanished(&mut self, later: &Roster) {
        let before = self.vanished.len();
        let gone = self.roster.gone_in(later).map(|entry| Vanished {
            uid: entry.uid(),
            mod_seq: self.known(&entry),
            index: 0,
        });
        let gone: Vec<Vanished> = gone.collect();
        let forgotten = gone.iter().map(|vanished| (vanished.uid, None));
        self.known.set(forgotten);
        self.vanished.extend(gone);
        if self.vanished.len() > before {
            self.vanished.sort_unstable_by_key(|gone| gone.uid);
            for (place, vanished) in self.vanished.iter_mut().enumerate() {
                vanished.index = later.position_from(vanished.uid).saturating_add(place);
            }
        }
    }

    /// Notes what is new and `\Recent`.
    fn take_recent(&mut self, from: Uid, last: Option<Uid>) {
        let Some(to) = self.roster.last().map(|entry| entry.uid()) else {
            return;
        };
        let fresh = last.map_or(Some(Uid::ONE), Uid::next);
        let Some(from) = fresh
            .map(|fresh| fresh.max(from))
            .filter(|from| *from <= to)
        else {
            return;
        };
        match self.recent.last_mut() {
            Some((_, end)) if end.next() >= Some(from) => *end = to,
            _ => self.recent.push((from, to)),
        }
    }

    /// Notes that the client has been told the flags of this mod-sequence; `false` if it knew.
    pub fn tell(&mut self, uid: Uid, mod_seq: ModSeq) -> bool {
        self.tell_all([(uid, mod_seq)]) > 0
    }

    /// The same of many, by ascending UID; how many it did not know.
    pub fn tell_all(&mut self, told: impl IntoIterator<Item = (Uid, ModSeq)>) -> usize {
        let mut changes = Vec::new();
        let mut seeker = self.roster.seek();
        for (uid, mod_seq) in told {
            let found = seeker.find(uid).map(|(_, entry)| entry);
            let Some(entry) = found.filter(|entry| self.known(entry) < mod_seq) else {
                continue;
            };
            changes.push((uid, (entry.mod_seq() != mod_seq).then_some(mod_seq)));
        }
        let news = changes.len();
        self.known.set(changes);
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
        let gone = std::mem::take(&mut self.vanished);
        let slots = gone.iter().rev();
        slots
            .filter_map(|gone| self.slot(gone.index, gone.uid, gone.mod_seq))
            .collect()
    }
}

#[cfg(test)]
mod tests;

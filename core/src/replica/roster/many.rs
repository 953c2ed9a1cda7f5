//! Many messages of a roster at once: found one behind the other, their flags changed in place.

use std::sync::Arc;

use super::{Flags, Roster, RosterEntry};
use crate::id::{ModSeq, Uid};
use crate::model::Flag;

/// Finds messages of a roster, best by ascending UID.
#[derive(Debug)]
pub struct Seeker<'a> {
    roster: &'a Roster,
    /// Chunk and row behind the message that was found last.
    next: Option<(usize, usize)>,
}

impl<'a> Seeker<'a> {
    /// The message with a UID, and its position.
    pub fn find(&mut self, uid: Uid) -> Option<(usize, RosterEntry<'a>)> {
        let (at, row) = match self.next {
            Some((at, row)) if self.is_at(at, row, uid) => (at, row),
            Some((at, _)) if self.is_at(at.saturating_add(1), 0, uid) => (at.saturating_add(1), 0),
            _ => {
                let at = self.roster.span_of(uid)?;
                let span = self.roster.spans.get(at)?;
                (at, span.chunk.search(uid).ok()?)
            }
        };
        self.next = Some((at, row.saturating_add(1)));
        let span = self.roster.spans.get(at)?;
        let position = (span.before as usize).saturating_add(row);
        Some((position, span.chunk.entry(row)?))
    }

    fn is_at(&self, at: usize, row: usize, uid: Uid) -> bool {
        let span = self.roster.spans.get(at);
        let entry = span.and_then(|span| span.chunk.entry(row));
        entry.is_some_and(|entry| entry.uid() == uid)
    }
}

impl Roster {
    /// The messages from one UID to another.
    pub(in crate::replica) fn between(
        &self,
        first: Uid,
        last: Uid,
    ) -> impl Iterator<Item = RosterEntry<'_>> {
        let entries = self.iter_from(self.position_from(first));
        entries.take_while(move |entry| entry.uid() <= last)
    }

    /// Finds many messages, quickest where they stand one behind the other.
    pub fn seek(&self) -> Seeker<'_> {
        Seeker {
            roster: self,
            next: None,
        }
    }

    /// Changes the flags of all messages from one UID to another; those that stay as they are
    /// keep their mod-sequence. [`Roster::finish`] must follow.
    pub(in crate::replica) fn change_flags(
        &mut self,
        first: Uid,
        last: Uid,
        mod_seq: ModSeq,
        mut change: impl FnMut(&Flags) -> Flags,
    ) {
        self.is_finished = false;
        let mut at = self.span_of(first).unwrap_or(0);
        while let Some(span) = self.spans.get_mut(at).filter(|span| span.first <= last) {
            let chunk = Arc::make_mut(&mut span.chunk);
            let from = chunk.search(first).unwrap_or_else(|row| row);
            let mut changed = Vec::new();
            for row in from..chunk.len() {
                let Some(entry) = chunk.entry(row).filter(|entry| entry.uid() <= last) else {
                    break;
                };
                let before = entry.compact_flags();
                let after = change(&before);
                if after != before {
                    chunk.set_flags(row, &after, mod_seq);
                    changed.push((before, after));
                }
            }
            for (before, after) in changed {
                self.recount(&before, &after);
            }
            at = at.saturating_add(1);
        }
    }

    /// Counts a message with other flags.
    fn recount(&mut self, before: &Flags, after: &Flags) {
        let counts = &mut self.counts;
        let moved = |count: &mut u32, was: bool, is: bool| {
            *count = count.saturating_add_signed(i32::from(is) - i32::from(was));
        };
        let lacks_seen = |flags: &Flags| !flags.has(&Flag::Seen);
        let is_deleted = |flags: &Flags| flags.has(&Flag::Deleted);
        moved(&mut counts.unseen, lacks_seen(before), lacks_seen(after));
        moved(&mut counts.deleted, is_deleted(before), is_deleted(after));
        if before.keywords != after.keywords {
            self.count_keywords(before, -1);
            self.count_keywords(after, 1);
        }
    }
}

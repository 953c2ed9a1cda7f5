//! What is in one state of a mailbox and not in a later one.
//!
//! Two rosters of a mailbox share the chunks in which nothing happened, so comparing them costs
//! what has changed and not what is there.

use std::sync::Arc;

use super::flags::Flags;
use super::{Numbers, Placed, Placement, Roster, RosterEntry, Span};
use crate::id::{ModSeq, Uid};
use crate::replica::view::Shown;

impl Roster {
    /// A mailbox with these messages; of two with one UID the later stays.
    pub fn of(placements: &[Placement]) -> Self {
        let mut roster = Self::default();
        for placement in placements {
            roster.put(&placed(placement));
        }
        let last = placements.iter().map(|placement| placement.uid).max();
        let next = last.map_or(Uid::ONE, |last| last.next().unwrap_or(last));
        let mod_seqs = placements.iter().map(|placement| placement.mod_seq);
        roster.finish(next, mod_seqs.max().unwrap_or(ModSeq::ONE));
        roster
    }

    /// The last message.
    pub fn last(&self) -> Option<RosterEntry<'_>> {
        let chunk = &self.spans.last()?.chunk;
        chunk.entry(chunk.len().checked_sub(1)?)
    }

    /// The messages that are gone in a later state, ascending.
    pub fn gone_in<'a>(&'a self, later: &'a Self) -> impl Iterator<Item = RosterEntry<'a>> {
        let touched = self.spans.iter();
        let touched = touched.filter(|span| !later.shares(span));
        touched.flat_map(|span| {
            let entries = span.chunk.entries_from(0);
            entries.filter(|entry| later.find(entry.uid()).is_none())
        })
    }

    /// Whether the very same chunk is here too.
    fn shares(&self, span: &Span) -> bool {
        let at = self.span_of(span.first).and_then(|at| self.spans.get(at));
        at.is_some_and(|here| Arc::ptr_eq(&here.chunk, &span.chunk))
    }
}

impl Default for Roster {
    fn default() -> Self {
        Self::new(Uid::ONE, ModSeq::ONE)
    }
}

fn placed(placement: &Placement) -> Placed {
    Placed {
        shown: Shown {
            id: placement.id,
            message: placement.message,
            flags: Flags::of(placement.flags.iter()),
            internal_date: placement.internal_date,
            save_date: placement.save_date,
            size: placement.size,
        },
        numbers: Numbers {
            uid: placement.uid,
            mod_seq: placement.mod_seq,
            placed: placement.mod_seq,
        },
    }
}

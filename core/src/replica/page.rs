//! A page: the placements that one device made one after another, in one document.
//!
//! One document a placement would make "mark all as read" as many envelopes as there are messages,
//! one for a whole mailbox would make every flag as dear as the mailbox. A placement stays in its
//! page for life; a move writes its mailbox there, and an expunge leaves its id alone. Invariant:
//! entries merge one by one as a semilattice (see [`super::document`]), and equal pages have equal
//! octets, whatever the order in which they came about. A device puts new placements into pages of
//! its own, so two devices write one page only if both change what is in it. Rejected: a page for
//! a range of UIDs; these are a device's own.

use std::collections::BTreeMap;

use super::document::{Lww, Stamp};
use crate::id::{EntryId, MailboxId, MessageHash, PageId, Timestamp};
use crate::model::{Flag, FlagSet};

mod coding;
#[cfg(test)]
mod tests;

pub(super) use coding::{decode, encode};

/// Placements, mergeable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PageDocument {
    /// Its id.
    pub id: PageId,
    /// What is in it.
    pub entries: BTreeMap<EntryId, Entry>,
}

/// A placement of a page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Entry {
    /// A message in a mailbox.
    Live(PlacementEntry),
    /// Expunged for good.
    Deleted,
}

/// A message in a mailbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlacementEntry {
    /// The message.
    pub message: MessageHash,
    /// Where it is; a move writes this field and the next.
    pub mailbox: Lww<MailboxId>,
    /// SAVEDATE (RFC 8514): when it came into this mailbox.
    pub save_date: Lww<Timestamp>,
    /// INTERNALDATE (RFC 9051 2.3.3).
    pub internal_date: Timestamp,
    /// RFC822.SIZE, octets.
    pub size: u64,
    /// Its flags.
    pub flags: FlagStates,
}

/// Flags ever set or cleared, each with its last change, ascending.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FlagStates(Vec<(Flag, Lww<bool>)>);

impl PageDocument {
    /// A page with nothing in it.
    pub const fn new(id: PageId) -> Self {
        Self {
            id,
            entries: BTreeMap::new(),
        }
    }

    /// The placements that are not expunged, ascending.
    pub fn live(&self) -> impl Iterator<Item = (EntryId, &PlacementEntry)> {
        self.entries.iter().filter_map(|(id, entry)| match entry {
            Entry::Live(entry) => Some((*id, entry)),
            Entry::Deleted => None,
        })
    }

    /// Takes in another version of the same page.
    pub fn merge(&mut self, other: Self) {
        for (id, theirs) in other.entries {
            match self.entries.get_mut(&id) {
                Some(ours) => ours.merge(theirs),
                None => {
                    self.entries.insert(id, theirs);
                }
            }
        }
    }

    /// The latest stamp in it.
    pub fn latest_stamp(&self) -> Stamp {
        let stamps = self.live().flat_map(|(_, entry)| entry.stamps());
        stamps.max().unwrap_or(Stamp::OLDEST)
    }
}

impl Entry {
    fn merge(&mut self, other: Self) {
        match (&mut *self, other) {
            (Self::Live(ours), Self::Live(theirs)) => ours.merge(theirs),
            (Self::Deleted, _) => {}
            (_, Self::Deleted) => *self = Self::Deleted,
        }
    }
}

impl PlacementEntry {
    fn merge(&mut self, other: Self) {
        // Two devices that took in one message apart may have rendered it differently (one knew
        // the signer's key); they agree on one of the two.
        let what = |entry: &Self| (entry.message, entry.internal_date, entry.size);
        if what(&other) > what(self) {
            (self.message, self.internal_date, self.size) = what(&other);
        }
        self.mailbox.merge(other.mailbox);
        self.save_date.merge(other.save_date);
        self.flags.merge(other.flags);
    }

    fn stamps(&self) -> impl Iterator<Item = Stamp> {
        let flags = self.flags.0.iter().map(|(_, state)| state.stamp);
        flags.chain([self.mailbox.stamp, self.save_date.stamp])
    }
}

impl FlagStates {
    /// These flags, set now.
    pub fn new(set: FlagSet, stamp: Stamp) -> Self {
        let states = set.into_iter().map(|flag| (flag, Lww::new(true, stamp)));
        Self(states.collect())
    }

    /// The flags that are set.
    pub fn set(&self) -> impl Iterator<Item = &Flag> {
        let set = self.0.iter().filter(|(_, state)| state.value);
        set.map(|(flag, _)| flag)
    }

    /// Makes the set flags be `wanted`; only what changes gets the stamp.
    pub fn change(&mut self, wanted: &FlagSet, stamp: Stamp) {
        for (flag, state) in &mut self.0 {
            if state.value != wanted.contains(flag) {
                *state = Lww::new(!state.value, stamp);
            }
        }
        for flag in wanted {
            if let Err(at) = self.find(flag) {
                self.0.insert(at, (flag.clone(), Lww::new(true, stamp)));
            }
        }
    }

    fn find(&self, flag: &Flag) -> Result<usize, usize> {
        self.0.binary_search_by(|(known, _)| known.cmp(flag))
    }

    fn merge(&mut self, other: Self) {
        for (flag, theirs) in other.0 {
            match self.find(&flag) {
                Ok(at) => {
                    if let Some((known, ours)) = self.0.get_mut(at) {
                        // Keywords that differ in case alone are one; its spelling is agreed on.
                        if flag.as_str() < known.as_str() {
                            *known = flag;
                        }
                        ours.merge(theirs);
                    }
                }
                Err(at) => self.0.insert(at, (flag, theirs)),
            }
        }
    }
}

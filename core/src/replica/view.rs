//! What a replica holds in memory: counters, mailboxes and what is in them, as the store has them.
//!
//! Shared by all sessions of an account; message structure and content stay in the store, as do
//! the stamps of flags, which only a change asks for. The view changes only after a commit, by
//! [`View::apply`].

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::annotations::{AnnotationsRow, GivenRole};
use super::document::MailboxDocument;
use super::flag_edits::{FlagEdits, FlagEditsDelta};
use super::page::PlacementEntry;
use super::places::Places;
use super::roster::{Counts, Flags, Roster, RosterEntry};
use super::virtual_mailboxes::{VirtualDelta, VirtualState};
use crate::id::{
    Generation, MailboxId, MailboxName, MessageHash, ModSeq, PageId, PlacementId, Timestamp, Uid,
    UidValidity,
};
use crate::model::{AnnotationOwner, FlagSet, Role, VirtualMailbox};

/// The counters of a replica, one row of the store; every write expects it unchanged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Counters {
    /// The last mod-sequence given out.
    pub(crate) mod_seq: ModSeq,
    /// The highest stamp seen, milliseconds.
    pub(crate) clock: i64,
    /// The last UIDVALIDITY given out.
    pub(crate) uid_validity: u32,
    /// Everything up to here has been pulled.
    pub(crate) pulled: Generation,
    /// How often the store was written to.
    pub(crate) writes: u64,
    /// The page that new placements go to, and how many it has.
    pub(crate) page: Option<(PageId, u32)>,
}

/// A mailbox, as its row in the store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct MailboxRow {
    pub(crate) document: MailboxDocument,
    /// The name shown: the document's, with a number behind it if an older mailbox has it too.
    pub(crate) name: MailboxName,
    pub(crate) uid_validity: UidValidity,
    pub(crate) uid_next: Uid,
    pub(crate) highest_mod_seq: ModSeq,
    /// Mod-sequence of the last change of the mailbox itself: its name, its subscription.
    pub(crate) changed: ModSeq,
    /// How many rows of [`Table::Vanished`](crate::store::Table::Vanished) it has.
    pub(crate) vanished: u32,
    /// What vanished up to here is not known any more.
    pub(crate) vanished_floor: Option<ModSeq>,
}

/// The numbers of a placement on this device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Numbers {
    pub(crate) uid: Uid,
    pub(crate) mod_seq: ModSeq,
    /// Mod-sequence with which it came into the mailbox.
    pub(crate) placed: ModSeq,
}

/// What is shown of a placement, without what merging needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Shown {
    pub(crate) id: PlacementId,
    pub(crate) message: MessageHash,
    pub(crate) flags: Flags,
    pub(crate) internal_date: Timestamp,
    pub(crate) save_date: Timestamp,
    pub(crate) size: u64,
}

/// A message in a mailbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Placed {
    pub(crate) shown: Shown,
    pub(crate) numbers: Numbers,
}

#[derive(Debug)]
pub(crate) struct MailboxState {
    pub(crate) row: MailboxRow,
    /// What it is for: as its annotation says, or else its document.
    pub(crate) role: Option<Role>,
    pub(crate) roster: Arc<Roster>,
    /// What [`Places`] calls it.
    pub(crate) slot: u32,
}

#[derive(Debug)]
pub(crate) struct View {
    pub(crate) counters: Counters,
    pub(crate) mailboxes: BTreeMap<MailboxId, MailboxState>,
    pub(crate) annotations: BTreeMap<AnnotationOwner, AnnotationsRow>,
    pub(crate) places: Places,
    /// Those that are on.
    pub(crate) virtuals: BTreeMap<VirtualMailbox, VirtualState>,
    /// What is shown and waits for its pages.
    pub(crate) flag_edits: FlagEdits,
    /// Goes up whenever a message gets its first place or loses its last.
    pub(crate) messages_changed: u64,
}

/// What one commit changes in the view.
#[derive(Debug)]
pub(crate) struct Delta {
    pub(crate) counters: Counters,
    pub(crate) mailboxes: BTreeMap<MailboxId, MailboxRow>,
    pub(crate) placements: BTreeMap<(MailboxId, Uid), Option<Placed>>,
    pub(crate) annotations: BTreeMap<AnnotationOwner, Option<AnnotationsRow>>,
    /// `None` turns one off.
    pub(crate) virtuals: BTreeMap<VirtualMailbox, Option<VirtualDelta>>,
    pub(crate) flag_edits: FlagEditsDelta,
}

impl Shown {
    /// What is shown of a page's entry.
    pub(crate) fn of(id: PlacementId, entry: &PlacementEntry) -> Self {
        Self {
            id,
            message: entry.message,
            flags: Flags::of(entry.flags.set()),
            internal_date: entry.internal_date,
            save_date: entry.save_date.value,
            size: entry.size,
        }
    }
}

impl From<&Placed> for Placement {
    fn from(placed: &Placed) -> Self {
        Self {
            uid: placed.numbers.uid,
            id: placed.shown.id,
            message: placed.shown.message,
            flags: placed.shown.flags.to_set(),
            internal_date: placed.shown.internal_date,
            save_date: placed.shown.save_date,
            mod_seq: placed.numbers.mod_seq,
            size: placed.shown.size,
        }
    }
}

impl From<RosterEntry<'_>> for Placed {
    fn from(entry: RosterEntry<'_>) -> Self {
        Self {
            shown: Shown {
                id: entry.id(),
                message: entry.message(),
                flags: entry.compact_flags(),
                internal_date: entry.internal_date(),
                save_date: entry.save_date(),
                size: entry.size(),
            },
            numbers: entry.numbers(),
        }
    }
}

impl View {
    /// A view with these mailboxes and nothing in them.
    pub(super) fn new(counters: Counters, rows: impl Iterator<Item = MailboxRow>) -> Self {
        let mut view = Self {
            counters,
            mailboxes: BTreeMap::new(),
            annotations: BTreeMap::new(),
            places: Places::default(),
            virtuals: BTreeMap::new(),
            flag_edits: FlagEdits::new(),
            messages_changed: 0,
        };
        rows.for_each(|row| view.put_mailbox(row));
        view
    }

    pub(crate) fn apply(&mut self, delta: Delta) {
        self.counters = delta.counters;
        let touched: Vec<MailboxId> = delta.mailboxes.keys().copied().collect();
        for row in delta.mailboxes.into_values() {
            self.put_mailbox(row);
        }
        for (owner, row) in delta.annotations {
            self.put_annotations(owner, row);
        }
        // What comes first: a message that is moved does not lose its last place.
        let (come, gone): (Vec<_>, Vec<_>) = delta
            .placements
            .into_iter()
            .partition(|(_, placed)| placed.is_some());
        for ((mailbox, _), placed) in come {
            if let Some(placed) = placed {
                self.put_placed(mailbox, &placed);
            }
        }
        for ((mailbox, uid), _) in gone {
            self.remove_placed(mailbox, uid);
        }
        for mailbox in touched {
            self.finish(mailbox);
        }
        for (which, delta) in delta.virtuals {
            self.apply_virtual(which, delta);
        }
        self.apply_flag_edits(delta.flag_edits);
    }

    /// Fills the mailboxes of a new view.
    pub(super) fn fill(&mut self, all: BTreeMap<MailboxId, Vec<Placed>>) {
        let mut places = Vec::new();
        for (mailbox, mut placed) in all {
            let Some(state) = self.mailboxes.get_mut(&mailbox) else {
                continue;
            };
            placed.sort_unstable_by_key(|placed| placed.numbers.uid);
            let roster = Arc::make_mut(&mut state.roster);
            for Placed { shown, numbers } in &placed {
                places.push((shown.message, shown.size, state.slot, numbers.uid));
            }
            for placed in &placed {
                roster.put(placed);
            }
            roster.finish(state.row.uid_next, state.row.highest_mod_seq);
        }
        self.places.fill(places);
    }

    fn put_mailbox(&mut self, row: MailboxRow) {
        let id = row.document.id;
        if let Some(state) = self.mailboxes.get_mut(&id) {
            state.row = row;
        } else {
            let roster = Arc::new(Roster::new(row.uid_next, row.highest_mod_seq));
            let slot = self.places.slot(id);
            let role = None;
            let state = MailboxState {
                row,
                role,
                roster,
                slot,
            };
            self.mailboxes.insert(id, state);
        }
        self.settle_role(id);
    }

    /// Puts what is known of annotations, or takes it away.
    pub(super) fn put_annotations(&mut self, owner: AnnotationOwner, row: Option<AnnotationsRow>) {
        match row {
            Some(row) => self.annotations.insert(owner, row),
            None => self.annotations.remove(&owner),
        };
        if let AnnotationOwner::Mailbox(id) = owner {
            self.settle_role(id);
        }
    }

    fn settle_role(&mut self, id: MailboxId) {
        let annotations = self.annotations.get(&AnnotationOwner::Mailbox(id));
        let given = annotations.and_then(|row| row.role);
        if let Some(state) = self.mailboxes.get_mut(&id) {
            state.role = given.map_or(state.row.document.role, |GivenRole(role)| role);
        }
    }

    /// Makes a mailbox's roster end a change.
    fn finish(&mut self, mailbox: MailboxId) {
        let Some(state) = self.mailboxes.get_mut(&mailbox) else {
            return;
        };
        let (next, highest) = (state.row.uid_next, state.row.highest_mod_seq);
        if !state.roster.is_finished(next, highest) {
            Arc::make_mut(&mut state.roster).finish(next, highest);
        }
    }

    fn put_placed(&mut self, mailbox: MailboxId, placed: &Placed) {
        let (uid, message) = (placed.numbers.uid, placed.shown.message);
        let Some(state) = self.mailboxes.get(&mailbox) else {
            return;
        };
        let slot = state.slot;
        let before = state.roster.find(uid).map(|entry| entry.message());
        if before != Some(message) {
            if before.is_some() {
                self.remove_placed(mailbox, uid);
            }
            if self.places_of(message).next().is_none() {
                self.messages_changed = self.messages_changed.wrapping_add(1);
                self.places.count_in(placed.shown.size);
            }
            self.places.insert(message, slot, uid);
        }
        if let Some(state) = self.mailboxes.get_mut(&mailbox) {
            Arc::make_mut(&mut state.roster).put(placed);
        }
    }

    fn remove_placed(&mut self, mailbox: MailboxId, uid: Uid) {
        let Some(state) = self.mailboxes.get_mut(&mailbox) else {
            return;
        };
        let Some((message, size)) = state
            .roster
            .find(uid)
            .map(|entry| (entry.message(), entry.size()))
        else {
            return;
        };
        Arc::make_mut(&mut state.roster).remove(uid);
        let slot = state.slot;
        self.places.remove(message, slot, uid);
        if self.places_of(message).next().is_none() {
            self.messages_changed = self.messages_changed.wrapping_add(1);
            self.places.count_out(size);
        }
    }

    /// Where a message is placed.
    pub(crate) fn places_of(
        &self,
        message: MessageHash,
    ) -> impl Iterator<Item = (MailboxId, RosterEntry<'_>)> {
        let places = self.places.of(message).filter_map(|(mailbox, uid)| {
            let entry = self.mailboxes.get(&mailbox)?.roster.find(uid)?;
            Some((mailbox, entry))
        });
        places.filter(move |(_, entry)| entry.message() == message)
    }

    /// One message of a mailbox.
    pub(crate) fn find(&self, mailbox: MailboxId, uid: Uid) -> Option<RosterEntry<'_>> {
        self.mailboxes.get(&mailbox)?.roster.find(uid)
    }

    /// The messages that are placed, from a hash on, ascending; each once.
    pub(crate) fn messages_from(&self, from: MessageHash) -> impl Iterator<Item = MessageHash> {
        self.places.groups_from(from).flat_map(move |group| {
            let mut messages: Vec<MessageHash> = group
                .filter_map(|(mailbox, uid)| self.find(mailbox, uid))
                .map(|entry| entry.message())
                .filter(|message| *message >= from)
                .collect();
            messages.sort_unstable();
            messages.dedup();
            messages
        })
    }

    pub(crate) fn live(&self) -> impl Iterator<Item = &MailboxState> {
        self.mailboxes
            .values()
            .filter(|state| !state.row.document.deleted)
    }

    pub(crate) fn by_name(&self, name: &MailboxName) -> Option<&MailboxState> {
        self.live().find(|state| state.row.name == *name)
    }
}

/// A mailbox and its counts, as of one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MailboxStatus {
    /// Its id, stable across renames.
    pub id: MailboxId,
    /// Its name on this device.
    pub name: MailboxName,
    /// What it is for.
    pub role: Option<Role>,
    /// Which virtual mailbox it is, if it is one.
    pub virtual_mailbox: Option<VirtualMailbox>,
    /// Whether the user subscribed to it.
    pub subscribed: bool,
    /// UIDVALIDITY (RFC 9051 2.3.1.1).
    pub uid_validity: UidValidity,
    /// The UID that the next message gets.
    pub uid_next: Uid,
    /// HIGHESTMODSEQ (RFC 7162 3.1.2.1).
    pub highest_mod_seq: ModSeq,
    /// How many messages there are.
    pub messages: u32,
    /// How many of them lack `\Seen`.
    pub unseen: u32,
    /// How many of them have `\Deleted`.
    pub deleted: u32,
    /// Sum of the messages' sizes in octets.
    pub size: u64,
}

/// What an account holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// Different messages in mailboxes.
    pub messages: u64,
    /// Their sizes as mail programs see them, in octets.
    pub octets: u64,
}

/// A message in a mailbox, as of one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Placement {
    /// Its UID.
    pub uid: Uid,
    /// Its id, stable across moves.
    pub id: PlacementId,
    /// The message.
    pub message: MessageHash,
    /// Flags and keywords.
    pub flags: FlagSet,
    /// INTERNALDATE.
    pub internal_date: Timestamp,
    /// SAVEDATE.
    pub save_date: Timestamp,
    /// Mod-sequence of the last change.
    pub mod_seq: ModSeq,
    /// RFC822.SIZE in octets.
    pub size: u64,
}

impl From<&MailboxState> for MailboxStatus {
    fn from(state: &MailboxState) -> Self {
        Self::of(&state.row, state.role, state.roster.counts())
    }
}

impl MailboxStatus {
    pub(super) fn of(row: &MailboxRow, role: Option<Role>, counts: Counts) -> Self {
        Self {
            id: row.document.id,
            name: row.name.clone(),
            role,
            virtual_mailbox: None,
            subscribed: row.document.subscribed.value,
            uid_validity: row.uid_validity,
            uid_next: row.uid_next,
            highest_mod_seq: row.highest_mod_seq,
            messages: counts.messages,
            unseen: counts.unseen,
            deleted: counts.deleted,
            size: counts.size,
        }
    }
}

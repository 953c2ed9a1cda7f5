//! What a replica holds in memory: counters, mailboxes and placements, as the store has them.
//!
//! Shared by all sessions of an account; message structure and content stay in the store.
//! The view changes only after a commit, by [`View::apply`].

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::document::{MailboxDocument, PlacementDocument};
use crate::id::{
    Generation, MailboxId, MailboxName, MessageHash, ModSeq, PlacementId, Timestamp, Uid,
    UidValidity,
};
use crate::model::{Flag, FlagSet, Role};

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
}

/// A message in a mailbox, as its row in the store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PlacementRow {
    pub(crate) document: PlacementDocument,
    pub(crate) uid: Uid,
    pub(crate) mod_seq: ModSeq,
}

/// Where a placement is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Whereabouts {
    Live(MailboxId, Uid),
    Deleted,
}

#[derive(Debug, Clone)]
pub(crate) struct MailboxState {
    pub(crate) row: MailboxRow,
    pub(crate) placements: BTreeMap<Uid, Arc<PlacementRow>>,
}

#[derive(Debug)]
pub(crate) struct View {
    pub(crate) counters: Counters,
    pub(crate) mailboxes: BTreeMap<MailboxId, MailboxState>,
    pub(crate) index: BTreeMap<PlacementId, Whereabouts>,
    /// Where each message is placed; a message that is placed nowhere has no entry.
    pub(crate) by_message: BTreeMap<MessageHash, BTreeSet<(MailboxId, Uid)>>,
}

/// What one commit changes in the view.
#[derive(Debug)]
pub(crate) struct Delta {
    pub(crate) counters: Counters,
    pub(crate) mailboxes: BTreeMap<MailboxId, MailboxRow>,
    pub(crate) placements: BTreeMap<(MailboxId, Uid), Option<Arc<PlacementRow>>>,
    pub(crate) index: BTreeMap<PlacementId, Whereabouts>,
}

impl View {
    pub(crate) fn apply(&mut self, delta: Delta) {
        self.counters = delta.counters;
        for (id, row) in delta.mailboxes {
            if let Some(state) = self.mailboxes.get_mut(&id) {
                state.row = row;
            } else {
                let state = MailboxState {
                    row,
                    placements: BTreeMap::new(),
                };
                self.mailboxes.insert(id, state);
            }
        }
        for ((mailbox, uid), row) in delta.placements {
            let Some(state) = self.mailboxes.get_mut(&mailbox) else {
                continue;
            };
            let now_here = row.as_ref().map(|row| row.document.message);
            let before = match row {
                Some(row) => state.placements.insert(uid, row),
                None => state.placements.remove(&uid),
            };
            self.note(
                mailbox,
                uid,
                before.map(|row| row.document.message),
                now_here,
            );
        }
        self.index.extend(delta.index);
    }

    /// Keeps [`View::by_message`] true: at this place stood one message and stands another.
    fn note(
        &mut self,
        mailbox: MailboxId,
        uid: Uid,
        before: Option<MessageHash>,
        after: Option<MessageHash>,
    ) {
        if before == after {
            return;
        }
        if let Some(message) = before
            && let Some(places) = self.by_message.get_mut(&message)
        {
            places.remove(&(mailbox, uid));
            if places.is_empty() {
                self.by_message.remove(&message);
            }
        }
        if let Some(message) = after {
            self.by_message
                .entry(message)
                .or_default()
                .insert((mailbox, uid));
        }
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

impl From<&PlacementRow> for Placement {
    fn from(row: &PlacementRow) -> Self {
        Self {
            uid: row.uid,
            id: row.document.id,
            message: row.document.message,
            flags: row.document.flag_set(),
            internal_date: row.document.internal_date,
            save_date: row.document.save_date.value,
            mod_seq: row.mod_seq,
            size: row.document.size,
        }
    }
}

impl From<&MailboxState> for MailboxStatus {
    fn from(state: &MailboxState) -> Self {
        let rows = || state.placements.values().map(|row| &row.document);
        let is = |row: &&PlacementDocument, flag: &Flag| {
            row.flags.get(flag).is_some_and(|state| state.value)
        };
        let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        Self {
            id: state.row.document.id,
            name: state.row.name.clone(),
            role: state.row.document.role,
            subscribed: state.row.document.subscribed.value,
            uid_validity: state.row.uid_validity,
            uid_next: state.row.uid_next,
            highest_mod_seq: state.row.highest_mod_seq,
            messages: count(state.placements.len()),
            unseen: count(rows().filter(|row| !is(row, &Flag::Seen)).count()),
            deleted: count(rows().filter(|row| is(row, &Flag::Deleted)).count()),
            size: rows().map(|row| row.size).sum(),
        }
    }
}

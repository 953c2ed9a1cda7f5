//! What has changed since a moment: for sessions, other programs and resynchronisation (RFC 7162).
//!
//! A moment is a mod-sequence; the counter belongs to the account, so one number is the state of
//! all mailboxes. What is there says by itself when it changed; what has vanished leaves a row.
//! Invariant: either the answer is whole or there is none: the rows are bounded by
//! [`MAX_VANISHED`] a mailbox, and a state from before the oldest of them gets no answer.
//! Rejected: a log of all changes; it repeats what the placements say.

use serde::{Deserialize, Serialize};

use super::change::Change;
use super::roster::Roster;
use super::view::{MailboxRow, Placed};
use super::{Placement, Replica, ReplicaError, decode_row, encode_row};
use crate::id::{MailboxId, MessageHash, ModSeq, PlacementId, Uid};
use crate::model::{AnnotationName, AnnotationOwner};
use crate::store::{KeyRange, Store, Table};

/// Most vanished messages that are remembered of a mailbox; over that, the older half is
/// forgotten.
pub const MAX_VANISHED: u32 = if cfg!(test) { 8 } else { 50_000 };

/// A message that is not in a mailbox any more: expunged or moved away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Vanished {
    /// The mailbox.
    pub mailbox: MailboxId,
    /// Its UID there.
    pub uid: Uid,
    /// The placement; after a move it is in another mailbox.
    pub placement: PlacementId,
    /// The message.
    pub message: MessageHash,
    /// When, as a mod-sequence.
    pub mod_seq: ModSeq,
}

/// An annotation that was set or removed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChangedAnnotation {
    /// Whose.
    pub owner: AnnotationOwner,
    /// Which.
    pub name: AnnotationName,
    /// When, as a mod-sequence.
    pub mod_seq: ModSeq,
}

/// What has changed since a state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Changes {
    /// The state that this leads to; the next question begins here.
    pub state: ModSeq,
    /// Mailboxes that were made, renamed, subscribed or deleted.
    pub mailboxes: Vec<MailboxId>,
    /// Annotations that were set or removed.
    pub annotations: Vec<ChangedAnnotation>,
    /// Messages that came into a mailbox, by mailbox and UID.
    pub created: Vec<(MailboxId, Placement)>,
    /// Messages whose flags changed, by mailbox and UID.
    pub updated: Vec<(MailboxId, Placement)>,
    /// Messages that left a mailbox, by mailbox and time. One that came and went since the state
    /// is here, too.
    pub vanished: Vec<Vanished>,
}

impl Changes {
    /// Whether nothing has changed.
    pub fn is_empty(&self) -> bool {
        self.mailboxes.is_empty()
            && self.annotations.is_empty()
            && self.created.is_empty()
            && self.updated.is_empty()
            && self.vanished.is_empty()
    }
}

/// The value of a row of [`Table::Vanished`].
#[derive(Serialize, Deserialize)]
struct VanishedRow {
    placement: PlacementId,
    message: MessageHash,
}

impl<S: Store> Replica<S> {
    /// What has changed since `state`, a [`Replica::mod_seq`] of before or
    /// [`Changes::state`]; [`ModSeq::ONE`] asks for everything. `None` if too much has vanished
    /// since then to be remembered: what is there has to be read anew.
    pub async fn changes_since(&self, state: ModSeq) -> Result<Option<Changes>, ReplicaError> {
        let (mut changes, touched) = {
            let view = self.view();
            let mut changes = Changes {
                state: view.counters.mod_seq,
                mailboxes: Vec::new(),
                annotations: view.annotations_since(state),
                created: Vec::new(),
                updated: Vec::new(),
                vanished: Vec::new(),
            };
            let real = view.mailboxes.values();
            let real = real.map(|mailbox| (&mailbox.row, &mailbox.roster));
            let virtuals = view.virtuals.values();
            let virtuals = virtuals.map(|mailbox| (&mailbox.row, &mailbox.roster));
            let touched = real
                .chain(virtuals)
                .filter(|(row, _)| row.highest_mod_seq > state || row.changed > state);
            let mut ids = Vec::new();
            for (row, roster) in touched {
                if row.vanished_floor.is_some_and(|floor| floor > state) {
                    return Ok(None);
                }
                changes.take(row, roster, state);
                ids.push(row.document.id);
            }
            (changes, ids)
        };
        for mailbox in touched {
            let vanished = self.vanished(mailbox, state).await?;
            // Changes that were committed while this was read belong to the next answer.
            let known = vanished.into_iter().filter(|v| v.mod_seq <= changes.state);
            changes.vanished.extend(known);
        }
        Ok(Some(changes))
    }

    /// The messages that left a mailbox after `state`, oldest first (RFC 7162 3.2.5.2). Whether
    /// all of them are remembered is for [`Replica::changes_since`] to say.
    pub async fn vanished(
        &self,
        mailbox: MailboxId,
        state: ModSeq,
    ) -> Result<Vec<Vanished>, ReplicaError> {
        let mut range = KeyRange::prefix(mailbox.as_bytes());
        if let Some(next) = state.next() {
            range.start = [&mailbox.as_bytes()[..], &next.get().to_be_bytes()].concat();
        }
        let rows = self.store.scan(Table::Vanished, range).await?;
        rows.into_iter()
            .map(|(key, row)| read_vanished(mailbox, &key, &row))
            .collect()
    }

    /// The same, or `None` if some of it is not remembered any more, or there is no such mailbox.
    pub async fn vanished_since(
        &self,
        mailbox: MailboxId,
        state: ModSeq,
    ) -> Result<Option<Vec<Vanished>>, ReplicaError> {
        // Asked before and after: a change in between may forget rows that are being read.
        if !self.remembers(mailbox, state) {
            return Ok(None);
        }
        let vanished = self.vanished(mailbox, state).await?;
        Ok(self.remembers(mailbox, state).then_some(vanished))
    }

    /// Whether everything that left a mailbox after `state` is remembered.
    fn remembers(&self, mailbox: MailboxId, state: ModSeq) -> bool {
        let view = self.view();
        let row = view.mailboxes.get(&mailbox).map(|mailbox| &mailbox.row);
        let row = row.or_else(|| Some(view.shown(mailbox)?.0));
        row.is_some_and(|row| row.vanished_floor.is_none_or(|floor| floor <= state))
    }
}

impl Changes {
    fn take(&mut self, row: &MailboxRow, roster: &Roster, state: ModSeq) {
        let id = row.document.id;
        if row.changed > state {
            self.mailboxes.push(id);
        }
        if row.highest_mod_seq <= state {
            return;
        }
        for (_, entry) in roster.changed_since(state) {
            if entry.placed() > state {
                self.created.push((id, entry.into()));
            } else {
                self.updated.push((id, entry.into()));
            }
        }
    }
}

impl<S: Store> Change<'_, S> {
    /// Remembers that a message leaves a mailbox.
    pub(super) fn note_vanished(&mut self, mailbox: MailboxId, at: ModSeq, placed: &Placed) {
        self.put_vanished(mailbox, at, placed);
        if let Some(row) = self.edit_mailbox(mailbox) {
            row.vanished = row.vanished.saturating_add(1);
        }
    }

    /// Writes the row of a message that leaves a mailbox; whoever calls counts it.
    pub(super) fn put_vanished(&mut self, mailbox: MailboxId, at: ModSeq, placed: &Placed) {
        let value = encode_row(&VanishedRow {
            placement: placed.shown.id,
            message: placed.shown.message,
        });
        let key = vanished_key(mailbox, at, placed.numbers.uid);
        self.batch.put(Table::Vanished, key, value);
    }

    /// Forgets the older half of what is remembered of a mailbox.
    pub(super) async fn forget_vanished(
        &mut self,
        row: &mut MailboxRow,
    ) -> Result<(), ReplicaError> {
        let half = (MAX_VANISHED / 2) as usize;
        let range = KeyRange::prefix(row.document.id.as_bytes()).limit(half);
        let oldest = self.replica.store.scan(Table::Vanished, range).await?;
        let Some((last, _)) = oldest.last() else {
            return Ok(());
        };
        row.vanished_floor = Some(split_key(last)?.0);
        let gone = u32::try_from(oldest.len()).unwrap_or(u32::MAX);
        row.vanished = row.vanished.saturating_sub(gone);
        for (key, _) in oldest {
            self.batch.delete(Table::Vanished, key);
        }
        Ok(())
    }
}

fn vanished_key(mailbox: MailboxId, at: ModSeq, uid: Uid) -> Vec<u8> {
    let (at, uid) = (at.get().to_be_bytes(), uid.get().to_be_bytes());
    [&mailbox.as_bytes()[..], &at, &uid].concat()
}

/// Mod-sequence and UID of a key.
fn split_key(key: &[u8]) -> Result<(ModSeq, Uid), ReplicaError> {
    let parts = key.get(16..).and_then(|rest| rest.split_first_chunk::<8>());
    let read = parts.and_then(|(mod_seq, uid)| {
        let mod_seq = ModSeq::new(u64::from_be_bytes(*mod_seq))?;
        let uid = Uid::new(u32::from_be_bytes(uid.try_into().ok()?))?;
        Some((mod_seq, uid))
    });
    read.ok_or(ReplicaError::Row("vanished"))
}

fn read_vanished(mailbox: MailboxId, key: &[u8], row: &[u8]) -> Result<Vanished, ReplicaError> {
    let (mod_seq, uid) = split_key(key)?;
    let VanishedRow { placement, message } = decode_row(Table::Vanished, row)?;
    Ok(Vanished {
        mailbox,
        uid,
        placement,
        message,
        mod_seq,
    })
}

//! One write: reads, merges and seals first, then commits everything in one batch.
//!
//! A [`Change`] holds the writer's lock, so the view stands still while it is being made. It
//! keeps new versions of rows beside the view; the view takes them over after the commit.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError};

use futures::lock::MutexGuard;
use rand::RngCore;
use rand_chacha::ChaCha20Rng;

use super::changes::MAX_VANISHED;
use super::document::{MailboxDocument, PlacementDocument, Stamp};
use super::documents::Written;
use super::view::{Counters, Delta, MailboxRow, PlacementRow, View, Whereabouts};
use super::{COUNTERS, Replica, ReplicaError, encode_row};
use crate::id::{DocId, MailboxId, MessageHash, ModSeq, PlacementId, Timestamp, Uid, UidValidity};
use crate::store::{Batch, Store, Table};
use crate::threads::Link;

/// One write being made.
pub(super) struct Change<'a, S> {
    pub(super) replica: &'a Replica<S>,
    pub(super) rng: MutexGuard<'a, ChaCha20Rng>,
    pub(super) batch: Batch,
    pub(super) now: Timestamp,
    pub(super) delta: Delta,
    old_counters: Counters,
    mod_seq: Option<ModSeq>,
    /// Messages that came to be known, and what ties them to others; `None` for one that is gone.
    pub(super) links: Vec<(MessageHash, Option<Link>)>,
    /// Documents written by this change; their envelopes are in the batch.
    pub(super) written: BTreeMap<DocId, Written>,
    /// How many messages refer to a document, where this change has counted.
    pub(super) counts: BTreeMap<DocId, u32>,
    /// In how many more places a message is than before, or in how many fewer.
    pub(super) moved: BTreeMap<MessageHash, i64>,
}

impl<'a, S: Store> Change<'a, S> {
    pub(super) fn new(
        replica: &'a Replica<S>,
        rng: MutexGuard<'a, ChaCha20Rng>,
        now: Timestamp,
    ) -> Self {
        let old_counters = replica.view().counters.clone();
        let delta = Delta {
            counters: old_counters.clone(),
            mailboxes: BTreeMap::new(),
            placements: BTreeMap::new(),
            index: BTreeMap::new(),
        };
        Self {
            replica,
            rng,
            batch: Batch::new(),
            now,
            delta,
            old_counters,
            mod_seq: None,
            links: Vec::new(),
            written: BTreeMap::new(),
            counts: BTreeMap::new(),
            moved: BTreeMap::new(),
        }
    }

    /// Writes everything, durably, and tells subscribers. On [`ReplicaError::Busy`] the view is
    /// what the other writer left.
    pub(super) async fn commit(mut self) -> Result<(), ReplicaError> {
        self.finish_mailboxes().await?;
        if self.batch.is_empty() && self.delta.counters == self.old_counters {
            return Ok(());
        }
        self.note_garbage().await?;
        // So that the row differs after every write: who has read before it does not win.
        let writes = &mut self.delta.counters.writes;
        *writes = writes.wrapping_add(1);
        let old = encode_row(&self.old_counters);
        // The row is there: opening the replica writes it.
        self.batch.expect(Table::Meta, COUNTERS, Some(old));
        self.batch
            .put(Table::Meta, COUNTERS, encode_row(&self.delta.counters));
        let outcome = self.replica.store.commit(self.batch).await;
        if let Err(error) = outcome {
            let error = ReplicaError::from(error);
            if matches!(error, ReplicaError::Busy) {
                let mut fresh = View::load(&self.replica.store, self.now).await?;
                let mut view = self
                    .replica
                    .view
                    .write()
                    .unwrap_or_else(PoisonError::into_inner);
                fresh.messages_changed = view.messages_changed.wrapping_add(1);
                *view = fresh;
                drop(view);
                self.replica.notify();
            }
            return Err(error);
        }
        self.replica
            .view
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .apply(self.delta);
        self.replica.apply_links(self.links);
        self.replica.notify();
        Ok(())
    }

    /// A new id's octets.
    pub(super) fn random<const N: usize>(&mut self) -> [u8; N] {
        let mut octets = [0; N];
        self.rng.fill_bytes(&mut octets);
        octets
    }

    /// The mod-sequence of this change: one for all of it.
    pub(super) fn mod_seq(&mut self) -> Result<ModSeq, ReplicaError> {
        if let Some(mod_seq) = self.mod_seq {
            return Ok(mod_seq);
        }
        let next = self
            .delta
            .counters
            .mod_seq
            .next()
            .ok_or(ReplicaError::Exhausted)?;
        self.delta.counters.mod_seq = next;
        self.mod_seq = Some(next);
        Ok(next)
    }

    /// A stamp later than all seen: hybrid logical time.
    pub(super) fn stamp(&mut self) -> Stamp {
        let clock = &mut self.delta.counters.clock;
        *clock = self.now.as_millis().max(clock.saturating_add(1));
        Stamp {
            millis: *clock,
            replica: self.replica.id,
        }
    }

    /// Remembers a stamp of another device, so that ours come later.
    pub(super) fn saw(&mut self, stamp: Stamp) {
        let clock = &mut self.delta.counters.clock;
        *clock = stamp.millis.max(*clock);
    }

    /// The row of a mailbox, with this change's edits.
    pub(super) fn mailbox(&self, id: MailboxId) -> Option<MailboxRow> {
        let edited = self.delta.mailboxes.get(&id).cloned();
        edited.or_else(|| {
            self.replica
                .view()
                .mailboxes
                .get(&id)
                .map(|s| s.row.clone())
        })
    }

    /// The row of a mailbox that is not deleted.
    pub(super) fn live_mailbox(&self, id: MailboxId) -> Result<MailboxRow, ReplicaError> {
        let row = self.mailbox(id).filter(|row| !row.document.deleted);
        row.ok_or(ReplicaError::NoSuchMailbox)
    }

    /// Writes a mailbox's row, with the commit.
    pub(super) fn put_mailbox(&mut self, row: MailboxRow) {
        self.delta.mailboxes.insert(row.document.id, row);
    }

    /// Puts the rows of mailboxes into the batch: marks those that are not what they were, and
    /// forgets the oldest of what vanished from them.
    async fn finish_mailboxes(&mut self) -> Result<(), ReplicaError> {
        for (id, mut row) in core::mem::take(&mut self.delta.mailboxes) {
            let same = self.replica.view().mailboxes.get(&id).is_some_and(|state| {
                state.row.document == row.document && state.row.name == row.name
            });
            if !same {
                row.changed = self.mod_seq()?;
            }
            if row.vanished > MAX_VANISHED {
                self.forget_vanished(&mut row).await?;
            }
            self.batch
                .put(Table::Mailboxes, *id.as_bytes(), encode_row(&row));
            self.delta.mailboxes.insert(id, row);
        }
        Ok(())
    }

    /// Every mailbox row, with this change's edits.
    pub(super) fn all_mailboxes(&self) -> BTreeMap<MailboxId, MailboxRow> {
        let view = self.replica.view();
        let mut rows: BTreeMap<_, _> = view
            .mailboxes
            .iter()
            .map(|(id, state)| (*id, state.row.clone()))
            .collect();
        rows.extend(
            self.delta
                .mailboxes
                .iter()
                .map(|(id, row)| (*id, row.clone())),
        );
        rows
    }

    /// A mailbox as a new row, with a UIDVALIDITY of its own.
    pub(super) fn new_mailbox(
        &mut self,
        document: MailboxDocument,
    ) -> Result<MailboxRow, ReplicaError> {
        let counters = &mut self.delta.counters;
        counters.uid_validity = counters
            .uid_validity
            .checked_add(1)
            .ok_or(ReplicaError::Exhausted)?;
        let uid_validity =
            UidValidity::new(counters.uid_validity).ok_or(ReplicaError::Exhausted)?;
        let highest_mod_seq = self.mod_seq()?;
        let name = document.name.value.clone();
        Ok(MailboxRow {
            document,
            name,
            uid_validity,
            uid_next: Uid::ONE,
            highest_mod_seq,
            changed: highest_mod_seq,
            vanished: 0,
            vanished_floor: None,
        })
    }

    /// The row of a placement, with this change's edits.
    pub(super) fn placement(&self, mailbox: MailboxId, uid: Uid) -> Option<Arc<PlacementRow>> {
        if let Some(edited) = self.delta.placements.get(&(mailbox, uid)) {
            return edited.clone();
        }
        self.replica
            .view()
            .mailboxes
            .get(&mailbox)?
            .placements
            .get(&uid)
            .cloned()
    }

    /// Where a placement is, with this change's edits.
    pub(super) fn whereabouts(&self, id: PlacementId) -> Option<Whereabouts> {
        let edited = self.delta.index.get(&id).copied();
        edited.or_else(|| self.replica.view().index.get(&id).copied())
    }

    /// Gives a placement the next UID of its mailbox and writes its row.
    pub(super) fn place(&mut self, document: PlacementDocument) -> Result<Uid, ReplicaError> {
        let mod_seq = self.mod_seq()?;
        let mut mailbox = self.live_mailbox(document.mailbox.value)?;
        let uid = mailbox.uid_next;
        mailbox.uid_next = uid.next().ok_or(ReplicaError::Exhausted)?;
        mailbox.highest_mod_seq = mod_seq;
        self.put_mailbox(mailbox);
        self.put_placement(PlacementRow {
            document,
            uid,
            mod_seq,
            placed: mod_seq,
        });
        Ok(uid)
    }

    /// Writes the row of a placement that stays where it is, with this change's mod-sequence.
    pub(super) fn update(
        &mut self,
        uid: Uid,
        document: PlacementDocument,
    ) -> Result<(), ReplicaError> {
        let mailbox = document.mailbox.value;
        let mod_seq = self.touch(mailbox)?;
        let before = self.placement(mailbox, uid);
        self.put_placement(PlacementRow {
            document,
            uid,
            mod_seq,
            placed: before.map_or(mod_seq, |row| row.placed),
        });
        Ok(())
    }

    /// Removes the row of a placement that is moved or deleted.
    pub(super) fn unplace(&mut self, mailbox: MailboxId, uid: Uid) -> Result<(), ReplicaError> {
        let mod_seq = self.touch(mailbox)?;
        if let Some(row) = self.placement(mailbox, uid) {
            self.note_vanished(mailbox, mod_seq, &row);
        }
        self.batch
            .delete(Table::Placements, placement_key(mailbox, uid));
        self.note_place(mailbox, uid, None);
        self.delta.placements.insert((mailbox, uid), None);
        Ok(())
    }

    /// Notes where a placement is. A row is written of what is gone; where the others are, their
    /// own rows tell.
    pub(super) fn put_whereabouts(&mut self, id: PlacementId, at: Whereabouts) {
        if at == Whereabouts::Deleted {
            self.batch
                .put(Table::PlacementIndex, *id.as_bytes(), encode_row(&at));
        }
        self.delta.index.insert(id, at);
    }

    fn put_placement(&mut self, row: PlacementRow) {
        let (mailbox, uid) = (row.document.mailbox.value, row.uid);
        let message = row.document.message;
        if !self.replica.view().by_message.contains_key(&message) {
            // Its first place: the search index shall take it in.
            self.batch
                .put(Table::Unindexed, *message.as_bytes(), Vec::new());
        }
        self.put_whereabouts(row.document.id, Whereabouts::Live(mailbox, uid));
        self.batch.put(
            Table::Placements,
            placement_key(mailbox, uid),
            encode_row(&row),
        );
        self.note_place(mailbox, uid, Some(row.document.message));
        self.delta
            .placements
            .insert((mailbox, uid), Some(Arc::new(row)));
    }

    fn touch(&mut self, mailbox: MailboxId) -> Result<ModSeq, ReplicaError> {
        let mod_seq = self.mod_seq()?;
        if let Some(mut row) = self.mailbox(mailbox)
            && row.highest_mod_seq != mod_seq
        {
            row.highest_mod_seq = mod_seq;
            self.put_mailbox(row);
        }
        Ok(mod_seq)
    }
}

pub(super) fn placement_key(mailbox: MailboxId, uid: Uid) -> Vec<u8> {
    [&mailbox.as_bytes()[..], &uid.get().to_be_bytes()].concat()
}

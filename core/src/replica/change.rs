//! One write: reads, merges and seals first, then commits everything in one batch.
//!
//! A [`Change`] holds the writer's lock, so the view stands still while it is being made. It
//! keeps new versions of rows beside the view; the view takes them over after the commit.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError};

use futures::lock::MutexGuard;
use rand::RngCore;
use rand_chacha::ChaCha20Rng;

use super::document::{MailboxDocument, PlacementDocument, Stamp};
use super::documents::Written;
use super::view::{Counters, Delta, MailboxRow, PlacementRow, View, Whereabouts};
use super::{COUNTERS, Replica, ReplicaError, encode_row};
use crate::id::{DocId, MailboxId, MessageHash, ModSeq, PlacementId, Timestamp, Uid, UidValidity};
use crate::store::{Batch, Store, Table};

/// One write being made.
pub(super) struct Change<'a, S> {
    pub(super) replica: &'a Replica<S>,
    pub(super) rng: MutexGuard<'a, ChaCha20Rng>,
    pub(super) batch: Batch,
    pub(super) now: Timestamp,
    pub(super) delta: Delta,
    old_counters: Counters,
    mod_seq: Option<ModSeq>,
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
            written: BTreeMap::new(),
            counts: BTreeMap::new(),
            moved: BTreeMap::new(),
        }
    }

    /// Writes everything, durably, and tells subscribers. On [`ReplicaError::Busy`] the view is
    /// what the other writer left.
    pub(super) async fn commit(mut self) -> Result<(), ReplicaError> {
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
                let fresh = View::load(&self.replica.store, self.now).await?;
                *self
                    .replica
                    .view
                    .write()
                    .unwrap_or_else(PoisonError::into_inner) = fresh;
                self.replica.notify();
            }
            return Err(error);
        }
        self.replica
            .view
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .apply(self.delta);
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

    /// Writes a mailbox's row.
    pub(super) fn put_mailbox(&mut self, row: MailboxRow) {
        self.batch.put(
            Table::Mailboxes,
            *row.document.id.as_bytes(),
            encode_row(&row),
        );
        self.delta.mailboxes.insert(row.document.id, row);
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
        });
        Ok(uid)
    }

    /// Writes the row of a placement that stays where it is, with this change's mod-sequence.
    pub(super) fn update(
        &mut self,
        uid: Uid,
        document: PlacementDocument,
    ) -> Result<(), ReplicaError> {
        let mod_seq = self.touch(document.mailbox.value)?;
        self.put_placement(PlacementRow {
            document,
            uid,
            mod_seq,
        });
        Ok(())
    }

    /// Removes the row of a placement that is moved or deleted.
    pub(super) fn unplace(&mut self, mailbox: MailboxId, uid: Uid) -> Result<(), ReplicaError> {
        self.touch(mailbox)?;
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

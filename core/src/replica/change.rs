//! One write: reads, merges and seals first, then commits everything in one batch.
//!
//! A [`Change`] holds the writer's lock, so the view stands still while it is being made. It
//! keeps new versions of rows beside the view; the view takes them over after the commit.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::PoisonError;

use futures::lock::MutexGuard;
use rand::RngCore;
use rand_chacha::ChaCha20Rng;

use super::awaited::Awaited;
use super::changes::MAX_VANISHED;
use super::document::{MailboxDocument, Stamp};
use super::documents::Written;
use super::flag_edits::FlagEditsDelta;
use super::foreseen::Foreseen;
use super::pages::OpenPage;
use super::view::{Counters, Delta, MailboxRow, Placed, View};
use super::{COUNTERS, Replica, ReplicaError, encode_row};
use crate::id::{
    DocId, MailboxId, MessageHash, ModSeq, PageId, PlacementId, Timestamp, Uid, UidValidity,
};
use crate::model::VirtualMailbox;
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
    /// What is referred to and not here.
    pub(super) awaited: Awaited,
    /// In how many more places a message is than before, or in how many fewer.
    pub(super) moved: BTreeMap<MessageHash, i64>,
    /// Rows that were read before they were asked for.
    pub(super) foreseen: Foreseen,
    /// Pages that this change has read, with its edits.
    pub(super) pages: BTreeMap<PageId, OpenPage>,
    /// Whether the pages are kept for the next change: those of one that writes pages otherwise,
    /// too, are not what the store has.
    keeps_pages: bool,
    /// Placements that came from others and are to be placed: see [`Change::place_arrivals`].
    pub(super) arrivals: BTreeSet<PlacementId>,
    /// Messages that were moved or replaced in a virtual mailbox: if it still finds them, they are new there.
    pub(super) returning: BTreeSet<(VirtualMailbox, MessageHash)>,
    stamp: Option<Stamp>,
}

impl<'a, S: Store> Change<'a, S> {
    pub(super) fn new(
        replica: &'a Replica<S>,
        rng: MutexGuard<'a, ChaCha20Rng>,
        now: Timestamp,
    ) -> Self {
        let old_counters = replica.view().counters.clone();
        let writes = old_counters.writes;
        let pages = replica.kept_pages().take(writes);
        let delta = Delta {
            counters: old_counters.clone(),
            mailboxes: BTreeMap::new(),
            placements: BTreeMap::new(),
            annotations: BTreeMap::new(),
            virtuals: BTreeMap::new(),
            flag_edits: FlagEditsDelta::default(),
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
            awaited: Awaited::after(&replica.nothing_awaited, writes),
            moved: BTreeMap::new(),
            foreseen: Foreseen::new(),
            pages,
            keeps_pages: false,
            arrivals: BTreeSet::new(),
            returning: BTreeSet::new(),
            stamp: None,
        }
    }

    /// Writes everything, as durably as its batch says, and tells subscribers. On
    /// [`ReplicaError::Busy`] the view is what the other writer left.
    pub(super) async fn commit(mut self) -> Result<(), ReplicaError> {
        self.finish_pages()?;
        self.finish_virtuals().await?;
        self.finish_mailboxes().await?;
        if self.batch.is_empty() && self.delta.counters == self.old_counters {
            let mut kept = self.replica.kept_pages();
            kept.keep(self.old_counters.writes, self.pages);
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
        let forgets = |written| matches!(written, &Written::Removed(_) | &Written::Forgotten);
        let forgets = self.written.values().any(forgets);
        let outcome = self.replica.store.commit(self.batch).await;
        if let Err(error) = outcome {
            let error = ReplicaError::from(error);
            if matches!(error, ReplicaError::Busy) {
                let mut fresh =
                    View::load(&self.replica.store, &self.replica.keys, self.now).await?;
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
        if self.awaited.leaves_nothing() {
            let writes = self.delta.counters.writes;
            self.replica.nothing_awaited.note(writes);
        }
        if self.keeps_pages {
            let mut kept = self.replica.kept_pages();
            kept.keep(self.delta.counters.writes, self.pages);
        }
        self.replica
            .view
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .apply(self.delta);
        self.replica.apply_links(self.links);
        if forgets {
            self.replica.recent.forget();
        }
        self.replica.notify();
        Ok(())
    }

    /// Keeps the pages that this change reads and writes: it writes none but by
    /// [`super::pages`].
    pub(super) fn keep_pages(&mut self) {
        self.keeps_pages = true;
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
            .ok_or(ReplicaError::Exhausted)?
            .max(self.replica.first_mod_seq);
        self.delta.counters.mod_seq = next;
        self.mod_seq = Some(next);
        Ok(next)
    }

    /// A stamp later than all seen: hybrid logical time. What this change writes has one stamp,
    /// unless it has seen a later one meanwhile; it writes no field twice.
    pub(super) fn stamp(&mut self) -> Stamp {
        let clock = &mut self.delta.counters.clock;
        if let Some(stamp) = self.stamp
            && stamp.millis == *clock
        {
            return stamp;
        }
        *clock = self.now.as_millis().max(clock.saturating_add(1));
        let stamp = Stamp {
            millis: *clock,
            replica: self.replica.id,
        };
        self.stamp = Some(stamp);
        stamp
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

    /// The row of a mailbox that is not deleted, and is no virtual one.
    pub(super) fn live_mailbox(&self, id: MailboxId) -> Result<MailboxRow, ReplicaError> {
        if self.is_virtual(id) {
            return Err(ReplicaError::Virtual);
        }
        let row = self.mailbox(id).filter(|row| !row.document.deleted);
        row.ok_or(ReplicaError::NoSuchMailbox)
    }

    /// The row of a mailbox, to be changed.
    pub(super) fn edit_mailbox(&mut self, id: MailboxId) -> Option<&mut MailboxRow> {
        if !self.delta.mailboxes.contains_key(&id) {
            let row = self.mailbox(id)?;
            self.delta.mailboxes.insert(id, row);
        }
        self.delta.mailboxes.get_mut(&id)
    }

    /// The row of a mailbox that is not deleted, to be changed.
    pub(super) fn edit_live_mailbox(
        &mut self,
        id: MailboxId,
    ) -> Result<&mut MailboxRow, ReplicaError> {
        let row = self.edit_mailbox(id).filter(|row| !row.document.deleted);
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

    /// A message of a mailbox, with this change's edits.
    pub(super) fn placement(&self, mailbox: MailboxId, uid: Uid) -> Option<Placed> {
        if let Some(edited) = self.delta.placements.get(&(mailbox, uid)) {
            return edited.clone();
        }
        self.replica.view().find(mailbox, uid).map(Placed::from)
    }

    /// The UIDs of a mailbox, with this change's edits.
    pub(super) fn uids(&self, mailbox: MailboxId) -> Vec<Uid> {
        let mut uids: BTreeSet<Uid> = self.replica.uids(mailbox).into_iter().collect();
        let edited = (mailbox, Uid::ONE)..=(mailbox, Uid::LAST);
        for ((_, uid), placed) in self.delta.placements.range(edited) {
            if placed.is_some() {
                uids.insert(*uid);
            } else {
                uids.remove(uid);
            }
        }
        uids.into_iter().collect()
    }

    /// Raises a mailbox's HIGHESTMODSEQ to this change's mod-sequence.
    pub(super) fn touch(&mut self, mailbox: MailboxId) -> Result<ModSeq, ReplicaError> {
        let mod_seq = self.mod_seq()?;
        if let Some(row) = self.edit_mailbox(mailbox) {
            row.highest_mod_seq = mod_seq;
        }
        Ok(mod_seq)
    }
}

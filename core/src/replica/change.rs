//! One write: reads, merges and seals first, then commits everything in one batch.
//!
//! A [`Change`] holds the writer's lock, so the view stands still while it is being made. It
//! keeps new versions of rows beside the view; the view takes them over after the commit.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, PoisonError};

use futures::lock::MutexGuard;
use rand::RngCore;
use rand_chacha::ChaCha20Rng;
use serde::{Deserialize, Serialize};

use super::document::{Document, MailboxDocument, PlacementDocument, Stamp};
use super::view::{Counters, Delta, MailboxRow, MailboxState, PlacementRow, View, Whereabouts};
use super::{COUNTERS, REPLICA, Replica, ReplicaError, decode_row, encode_row};
use crate::id::{
    DocId, MailboxId, ModSeq, PlacementId, ReplicaId, Revision, Timestamp, Uid, UidValidity,
};
use crate::seal::{self, EnvelopeHash, Header, Place};
use crate::store::{Batch, KeyRange, Store, Table};
use crate::sync::wire::MAX_DOCUMENT_OCTETS;

/// What the provider has of a document that waits to be pushed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Base(pub(super) Option<(Revision, EnvelopeHash)>);

impl Base {
    /// The revision to write next, and the hash of the one before.
    fn next(self) -> Result<(Revision, EnvelopeHash), ReplicaError> {
        match self.0 {
            None => Ok((Revision::ONE, [0; 32])),
            Some((revision, hash)) => Ok((revision.next().ok_or(ReplicaError::Exhausted)?, hash)),
        }
    }
}

/// One write being made.
pub(super) struct Change<'a, S> {
    pub(super) replica: &'a Replica<S>,
    pub(super) rng: MutexGuard<'a, ChaCha20Rng>,
    pub(super) batch: Batch,
    pub(super) now: Timestamp,
    pub(super) delta: Delta,
    old_counters: Counters,
    mod_seq: Option<ModSeq>,
    /// Envelopes written by this change, which the store does not have yet.
    sealed: BTreeMap<DocId, (Vec<u8>, Option<Base>)>,
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
        let sealed = BTreeMap::new();
        Self {
            replica,
            rng,
            batch: Batch::new(),
            now,
            delta,
            old_counters,
            mod_seq: None,
            sealed,
        }
    }

    /// Writes everything, durably, and tells subscribers. On [`ReplicaError::Busy`] the view is
    /// what the other writer left.
    pub(super) async fn commit(mut self) -> Result<(), ReplicaError> {
        if self.batch.is_empty() && self.delta.counters == self.old_counters {
            return Ok(());
        }
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
        self.delta.placements.insert((mailbox, uid), None);
        Ok(())
    }

    /// Writes where a placement is.
    pub(super) fn put_whereabouts(&mut self, id: PlacementId, at: Whereabouts) {
        self.batch
            .put(Table::PlacementIndex, *id.as_bytes(), encode_row(&at));
        self.delta.index.insert(id, at);
    }

    /// Seals a document changed on this device and lets it wait to be pushed.
    pub(super) async fn write(&mut self, document: &Document) -> Result<DocId, ReplicaError> {
        let id = document.doc_id(&self.replica.keys);
        let base = match (self.pending(document, id).await?, self.envelope(id).await?) {
            (Some(base), _) => base,
            (None, Some(envelope)) => {
                let header = Header::parse(&envelope).map_err(seal::OpenError::from)?;
                Base(Some((header.revision, seal::hash(&envelope))))
            }
            (None, None) => Base(None),
        };
        self.write_over(id, document, base)?;
        Ok(id)
    }

    /// Seals a document to follow what the provider has.
    pub(super) fn write_over(
        &mut self,
        id: DocId,
        document: &Document,
        base: Base,
    ) -> Result<(), ReplicaError> {
        let (revision, previous) = base.next()?;
        let collection = document.collection();
        let replica = self.replica.id;
        let place = Place {
            collection,
            document: id,
            revision,
            previous,
            replica,
        };
        let payload = document.encode();
        // What the provider would refuse must not wait: it would hold up all that comes after.
        if payload.len() > MAX_DOCUMENT_OCTETS {
            return Err(ReplicaError::MessageTooLarge);
        }
        let envelope = seal::seal(&self.replica.keys, place, &payload, &mut *self.rng)?;
        self.batch
            .put(Table::Pending, pending_key(document, id), encode_row(&base));
        self.batch
            .put(Table::Documents, *id.as_bytes(), envelope.clone());
        self.sealed.insert(id, (envelope, Some(base)));
        Ok(())
    }

    /// Stores an envelope as the provider has it; nothing of it waits any more.
    pub(super) fn settle(&mut self, document: &Document, id: DocId, envelope: Vec<u8>) {
        self.batch.delete(Table::Pending, pending_key(document, id));
        self.batch
            .put(Table::Documents, *id.as_bytes(), envelope.clone());
        self.sealed.insert(id, (envelope, None));
    }

    /// The newest envelope of a document, with this change's edits.
    pub(super) async fn envelope(&self, id: DocId) -> Result<Option<Vec<u8>>, ReplicaError> {
        if let Some((envelope, _)) = self.sealed.get(&id) {
            return Ok(Some(envelope.clone()));
        }
        Ok(self
            .replica
            .store
            .get(Table::Documents, id.as_bytes())
            .await?)
    }

    /// What the provider has of a document, if one waits to be pushed.
    pub(super) async fn pending(
        &self,
        document: &Document,
        id: DocId,
    ) -> Result<Option<Base>, ReplicaError> {
        if let Some((_, base)) = self.sealed.get(&id) {
            return Ok(*base);
        }
        let key = pending_key(document, id);
        let row = self.replica.store.get(Table::Pending, &key).await?;
        row.map(|row| decode_row(Table::Pending, &row)).transpose()
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

impl View {
    /// Reads the whole view from the store.
    pub(super) async fn load<S: Store>(store: &S, now: Timestamp) -> Result<Self, ReplicaError> {
        let counters = match store.get(Table::Meta, COUNTERS).await? {
            Some(row) => decode_row(Table::Meta, &row)?,
            None => first_counters(store, now).await?,
        };
        let mut mailboxes = BTreeMap::new();
        for (_, row) in store.scan(Table::Mailboxes, KeyRange::all()).await? {
            let row: MailboxRow = decode_row(Table::Mailboxes, &row)?;
            let state = MailboxState {
                row,
                placements: BTreeMap::new(),
            };
            mailboxes.insert(state.row.document.id, state);
        }
        let mut by_message: BTreeMap<_, BTreeSet<_>> = BTreeMap::new();
        for (_, row) in store.scan(Table::Placements, KeyRange::all()).await? {
            let row: PlacementRow = decode_row(Table::Placements, &row)?;
            let mailbox = row.document.mailbox.value;
            if let Some(state) = mailboxes.get_mut(&mailbox) {
                by_message
                    .entry(row.document.message)
                    .or_default()
                    .insert((mailbox, row.uid));
                state.placements.insert(row.uid, Arc::new(row));
            }
        }
        let mut index = BTreeMap::new();
        for (key, row) in store.scan(Table::PlacementIndex, KeyRange::all()).await? {
            let id = key[..]
                .try_into()
                .map_err(|_| ReplicaError::Row("placement_index"))?;
            index.insert(id, decode_row(Table::PlacementIndex, &row)?);
        }
        Ok(Self {
            counters,
            mailboxes,
            index,
            by_message,
            messages_changed: 0,
        })
    }
}

async fn first_counters<S: Store>(store: &S, now: Timestamp) -> Result<Counters, ReplicaError> {
    let counters = Counters::new(now);
    let mut batch = Batch::new();
    batch.expect(Table::Meta, COUNTERS, None);
    batch.put(Table::Meta, COUNTERS, encode_row(&counters));
    store.commit(batch).await?;
    Ok(counters)
}

/// The id that this store's replica has had since it was first opened.
pub(super) async fn replica_id<S: Store>(
    store: &S,
    rng: &mut ChaCha20Rng,
) -> Result<ReplicaId, ReplicaError> {
    if let Some(row) = store.get(Table::Meta, REPLICA).await? {
        return row[..].try_into().map_err(|_| ReplicaError::Row("meta"));
    }
    let mut octets = [0; 16];
    rng.fill_bytes(&mut octets);
    let mut batch = Batch::new();
    batch.expect(Table::Meta, REPLICA, None);
    batch.put(Table::Meta, REPLICA, octets);
    store.commit(batch).await?;
    Ok(ReplicaId::new(octets))
}

pub(super) fn placement_key(mailbox: MailboxId, uid: Uid) -> Vec<u8> {
    [&mailbox.as_bytes()[..], &uid.get().to_be_bytes()].concat()
}

/// Pending rows sort in the order in which they must be pushed: what others refer to first.
pub(super) fn pending_key(document: &Document, id: DocId) -> Vec<u8> {
    let class = match document {
        Document::Key(_) => 0,
        Document::Content(_) => 1,
        Document::Message(_) => 2,
        Document::Contact(_) => 3,
        Document::Mailbox(_) => 4,
        Document::Placement(_) => 5,
    };
    [&[class], &id.as_bytes()[..]].concat()
}

/// Removals of incoming messages come after every document.
pub(super) const PENDING_REMOVAL: u8 = 9;

//! Removing what nothing refers to any more.
//!
//! [`Table::Garbage`] names what has lost its last reference, and since when. The collector looks
//! at each row again under the writer's lock, in batches, and removes what is still unreferenced:
//! at once what the provider has never had, and by a removal that is pushed what it has.
//!
//! Invariant: what anything refers to at the moment of a batch is not removed by it; a message
//! goes before its contents. Nothing younger than [`GARBAGE_KEPT_MS`] goes, so that a mail
//! program that expunges and appends again, or another device that copies, finds it; what came
//! from another device and was never referred to here stays for [`ARRIVED_KEPT_MS`]; and what a
//! message that is being appended has written is not garbage. Rejected: collecting when a
//! message is expunged; it makes EXPUNGE slow and every mistake final.
//!
//! A device that fetches contents when they are wanted may not have those of a message that is to go.
//! What it does not have it cannot remove at the provider (a removal follows what was there), and
//! perhaps no other device will. So the message waits until they have been fetched.

use std::collections::BTreeSet;

use super::change::Change;
use super::document::{Document, MessageDocument, Removed};
use super::documents::{Base, Standing, removable_classes};
use super::references::{Garbage, Referred};
use super::{Replica, ReplicaError, decode_row};
use crate::id::{DocId, Timestamp};
use crate::portable::{MaybeSend, MaybeSync};
use crate::seal::{self, Collection, Header};
use crate::store::{KeyRange, Store, Table};

/// How long a message or content is kept that nothing refers to, in milliseconds.
pub const GARBAGE_KEPT_MS: i64 = 10 * 60 * 1000;
/// How long a message or content from another device is kept that nothing has referred to yet,
/// in milliseconds. A device that has much to push pushes every content before the messages, and
/// those before their placements; that may take days, and the device may sleep meanwhile.
pub const ARRIVED_KEPT_MS: i64 = 30 * 24 * 60 * 60 * 1000;
/// Most rows of garbage looked at in one batch.
const BATCH_ROWS: usize = 64;
/// Most contents that one run wants fetched; each may have a mebioctet.
pub const MISSING_AT_ONCE: usize = 64;

/// What the collector has removed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Collected {
    /// How many messages.
    pub messages: usize,
    /// How many contents.
    pub contents: usize,
    /// How many octets they took here, sealed.
    pub octets: u64,
}

/// A run of the collector.
#[derive(Default)]
struct Run<'a> {
    collected: Collected,
    /// Contents that the provider does not have either; `None`: a message goes without its contents.
    gone: Option<&'a BTreeSet<DocId>>,
    /// What must be fetched before its message can go.
    missing: Vec<DocId>,
}

impl Collected {
    fn documents(self) -> usize {
        self.messages.saturating_add(self.contents)
    }

    fn note(&mut self, collection: Collection, envelope: &[u8]) {
        let count = match collection {
            Collection::Contents => &mut self.contents,
            _ => &mut self.messages,
        };
        *count = count.saturating_add(1);
        let octets = u64::try_from(envelope.len()).unwrap_or(u64::MAX);
        self.octets = self.octets.saturating_add(octets);
    }
}

/// Whether nothing has referred to something for long enough.
fn is_due_at(now: Timestamp) -> impl Fn(&Garbage) -> bool + MaybeSend + MaybeSync {
    move |garbage| {
        let kept_ms = if garbage.arrived {
            ARRIVED_KEPT_MS
        } else {
            GARBAGE_KEPT_MS
        };
        let age = now.as_millis().saturating_sub(garbage.since.as_millis());
        // What seems to come from the future was written before the clock was set right.
        !(0..kept_ms).contains(&age)
    }
}

impl<S: Store> Replica<S> {
    /// Removes at most `limit` messages and contents that nothing has referred to for
    /// [`GARBAGE_KEPT_MS`], or [`ARRIVED_KEPT_MS`] if they are another device's.
    pub async fn collect(&self, now: Timestamp, limit: usize) -> Result<Collected, ReplicaError> {
        let mut run = Run::default();
        self.collect_if(is_due_at(now), &mut run, now, limit)
            .await?;
        Ok(run.collected)
    }

    /// The same for a device that fetches contents when they are wanted. Contents of the messages
    /// that are to go and are not here are named too, at most [`MISSING_AT_ONCE`]: they are to be
    /// fetched before the next run. Those in `gone` the provider has not either.
    pub async fn collect_lazily(
        &self,
        now: Timestamp,
        limit: usize,
        gone: &BTreeSet<DocId>,
    ) -> Result<(Collected, Vec<DocId>), ReplicaError> {
        let mut run = Run {
            gone: Some(gone),
            ..Run::default()
        };
        self.collect_if(is_due_at(now), &mut run, now, limit)
            .await?;
        Ok((run.collected, run.missing))
    }

    /// Removes at most `limit` messages and contents that nothing refers to, however young: for
    /// a user who asks for it, while no mail program is at work.
    pub async fn collect_all(
        &self,
        now: Timestamp,
        limit: usize,
    ) -> Result<Collected, ReplicaError> {
        let mut run = Run::default();
        self.collect_if(|_| true, &mut run, now, limit).await?;
        Ok(run.collected)
    }

    async fn collect_if(
        &self,
        is_due: impl Fn(&Garbage) -> bool + MaybeSend + MaybeSync,
        run: &mut Run<'_>,
        now: Timestamp,
        limit: usize,
    ) -> Result<(), ReplicaError> {
        let mut start = Vec::new();
        let mut before = 0;
        loop {
            let room = limit.saturating_sub(run.collected.documents());
            let mut range = KeyRange::all().limit(room.min(BATCH_ROWS));
            range.start = start;
            let mut change = self.begin(now).await;
            let rows = self.store.scan(Table::Garbage, range).await?;
            let Some((last, _)) = rows.last() else {
                // What was removed may have been the last to refer to something already passed.
                let documents = run.collected.documents();
                if room == 0 || documents == before {
                    return Ok(());
                }
                before = documents;
                start = Vec::new();
                continue;
            };
            // The smallest key after the last.
            start = [&last[..], &[0]].concat();
            for (key, row) in &rows {
                let garbage: Garbage = decode_row(Table::Garbage, row)?;
                if is_due(&garbage) {
                    change.collect(key, garbage.since, run).await?;
                }
            }
            change.commit().await?;
        }
    }
}

impl<S: Store> Change<'_, S> {
    async fn collect(
        &mut self,
        key: &[u8],
        since: Timestamp,
        run: &mut Run<'_>,
    ) -> Result<(), ReplicaError> {
        let referred = Referred::from_garbage_key(key)?;
        if self.is_referred(referred).await? {
            self.drop_garbage(referred);
            return Ok(());
        }
        if self.is_needed(referred).await? {
            return Ok(());
        }
        let id = self.replica.doc_id_of(referred);
        let collection = match referred {
            Referred::Message(_) => Collection::Messages,
            Referred::Content(_) => Collection::Contents,
        };
        let Standing::Here(envelope) = self.standing(collection, id).await? else {
            self.drop_garbage(referred);
            return Ok(());
        };
        let message = match referred {
            Referred::Content(_) => None,
            Referred::Message(_) => match self.message_in(id, &envelope) {
                Some(message) => Some(message),
                // It does not open; what it refers to is not known. The check tells of it.
                None => return Ok(()),
            },
        };
        if let (Some(message), Some(gone)) = (&message, run.gone) {
            let missing = self.missing_with(message, gone).await?;
            if !missing.is_empty() {
                let room = MISSING_AT_ONCE.saturating_sub(run.missing.len());
                run.missing.extend(missing.into_iter().take(room));
                return Ok(());
            }
        }
        if !self.remove(collection, id, &envelope).await? {
            return Ok(());
        }
        self.drop_garbage(referred);
        if let Some(message) = message {
            self.recount(Some(&message), None, since).await?;
        }
        run.collected.note(collection, &envelope);
        Ok(())
    }

    /// Contents that go with a message and are not here, but those that are gone for good.
    async fn missing_with(
        &mut self,
        message: &MessageDocument,
        gone: &BTreeSet<DocId>,
    ) -> Result<Vec<DocId>, ReplicaError> {
        let mut missing = Vec::new();
        for referred in self.replica.referred(message) {
            let Referred::Content(id) = referred else {
                continue;
            };
            let goes = self.count(id).await? == 1 && !gone.contains(&id);
            if goes && self.is_awaited(id).await? {
                missing.push(id);
            }
        }
        Ok(missing)
    }

    fn message_in(&self, id: DocId, envelope: &[u8]) -> Option<Box<MessageDocument>> {
        match self.replica.open_document(id, envelope) {
            Ok(Document::Message(message)) => Some(message),
            Ok(_) | Err(_) => None,
        }
    }

    /// Removes a document here, and lets its removal wait to be pushed if the provider has it.
    /// False if that must wait until what is on its way has arrived.
    async fn remove(
        &mut self,
        collection: Collection,
        id: DocId,
        envelope: &[u8],
    ) -> Result<bool, ReplicaError> {
        let Some([live, _]) = removable_classes(collection) else {
            return Ok(false);
        };
        match self.pending(live, id).await? {
            Some(Base(None)) => self.forget(collection, id),
            Some(Base(Some(_))) => return Ok(false),
            None => {
                let header = Header::parse(envelope).map_err(seal::OpenError::from)?;
                let base = Base(Some((header.revision, seal::hash(envelope))));
                let removed = Document::Removed(Removed { collection, id });
                self.write_over(id, &removed, base)?;
            }
        }
        Ok(true)
    }
}

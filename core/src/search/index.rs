//! The index in its store: taking messages in, and the steps that keep it in order.
//!
//! ```text
//! add(builder)  ─► a small segment, with what its caller does in the same batch
//! tend(mail)    ─► one bounded step: rows of dropped segments go, a merge goes on, a merge begins
//! ```
//!
//! Invariant: whoever writes expects the manifest as it read it; of two writers the slower one
//! gets [`SearchError::Busy`] and has changed nothing. A process that ends between two steps
//! leaves an index that the next one takes up where it was.

use std::sync::{Arc, Mutex, PoisonError};

use super::builder::Builder;
use super::evaluate::Population;
use super::manifest::Manifest;
use super::merge;
use super::rows::{self, Damaged, Extent, Kind, Writer};
use super::snapshot::Snapshot;
use crate::id::MessageHash;
use crate::store::{Batch, Durability, KeyRange, Store, StoreError, Table};

/// Rows that one step removes at most.
const DROPPED_ROWS: usize = 512;
/// How often a manifest is read again because its segments went away meanwhile.
const ATTEMPTS: usize = 8;

/// Why the index could not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum SearchError {
    /// The store failed.
    #[error(transparent)]
    Store(StoreError),
    /// Another program wrote to the index at the same moment; trying again helps.
    #[error("another window or program wrote to the search index at the same moment")]
    Busy,
    /// A segment was merged away while it was read; trying again helps.
    #[error("the search index was changed while it was read")]
    Stale,
    /// A row of the index does not decode; [`Index::reset`] helps.
    #[error("the search index is damaged")]
    Damaged,
}

impl From<StoreError> for SearchError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Conflict => Self::Busy,
            error => Self::Store(error),
        }
    }
}

impl From<Damaged> for SearchError {
    fn from(Damaged: Damaged) -> Self {
        Self::Damaged
    }
}

/// How large the index is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IndexSize {
    /// Messages in it, those that were expunged since included.
    pub messages: usize,
    /// Segments.
    pub segments: usize,
    /// Octets of its rows.
    pub octets: u64,
}

/// What is in memory of the index of one store.
#[derive(Debug, Default)]
pub struct Index {
    snapshot: Mutex<Option<Arc<Snapshot>>>,
    /// Whoever holds it writes.
    writing: futures::lock::Mutex<()>,
}

impl Index {
    /// Knows nothing yet; reads the store when it is first asked.
    pub fn new() -> Self {
        Self::default()
    }

    /// The index as the store has it. Makes an empty one, which wants all messages queued, if
    /// there is none or one of another version.
    pub(super) async fn snapshot<S: Store>(&self, store: &S) -> Result<Arc<Snapshot>, SearchError> {
        for _ in 0..ATTEMPTS {
            let row = store.get(Table::SearchIndex, &rows::MANIFEST).await?;
            let known = self.known();
            if let (Some(row), Some(known)) = (&row, &known)
                && *row == known.row
            {
                return Ok(Arc::clone(known));
            }
            let Some(row) = row else {
                self.start(store).await?;
                continue;
            };
            match Snapshot::load(store, row, known.as_deref()).await {
                Ok(loaded) => {
                    let loaded = Arc::new(loaded);
                    self.know(&loaded);
                    return Ok(loaded);
                }
                Err(SearchError::Stale) => {}
                Err(error) => return Err(error),
            }
        }
        // The manifest names rows that are not there, again and again.
        Err(SearchError::Damaged)
    }

    /// How large the index is.
    pub async fn size<S: Store>(&self, store: &S) -> Result<IndexSize, SearchError> {
        let snapshot = self.snapshot(store).await?;
        Ok(IndexSize {
            messages: snapshot.total,
            segments: snapshot.segments.len(),
            octets: snapshot
                .segments
                .iter()
                .map(|segment| segment.extent.octets)
                .sum(),
        })
    }

    /// Whether the index has the message, all of it.
    pub async fn has<S: Store>(&self, store: &S, hash: &MessageHash) -> Result<bool, SearchError> {
        let snapshot = self.snapshot(store).await?;
        let document = snapshot
            .number(hash)
            .and_then(|number| snapshot.document(number));
        Ok(document
            .is_some_and(|document| !document.traits.any(super::document::Traits::INCOMPLETE)))
    }

    /// From which hash on messages are to be queued; `None`: all are.
    pub async fn queue_from<S: Store>(
        &self,
        store: &S,
    ) -> Result<Option<MessageHash>, SearchError> {
        Ok(self.snapshot(store).await?.manifest.queue_from)
    }

    /// Messages up to here are queued by the same batch.
    pub async fn queued<S: Store>(
        &self,
        store: &S,
        batch: Batch,
        up_to: Option<MessageHash>,
    ) -> Result<(), SearchError> {
        let _writing = self.writing.lock().await;
        let snapshot = self.snapshot(store).await?;
        let mut manifest = snapshot.manifest.clone();
        manifest.queue_from = up_to;
        self.write(store, &snapshot, &manifest, batch).await
    }

    /// Takes messages in, together with what else is in the batch: all or nothing. Of a message
    /// that the index has already, this is the new version.
    pub async fn add<S: Store>(
        &self,
        store: &S,
        builder: Builder,
        mut batch: Batch,
    ) -> Result<(), SearchError> {
        let _writing = self.writing.lock().await;
        let snapshot = self.snapshot(store).await?;
        let mut manifest = snapshot.manifest.clone();
        let (documents, lists) = builder.finish();
        if !documents.is_empty() {
            let mut writer = Writer::new(Extent {
                segment: manifest.next_segment(),
                ..Extent::default()
            });
            writer.documents(&documents);
            for (key, list) in &lists {
                writer.push(key, list);
            }
            let (extent, rows) = writer.finish();
            put_rows(&mut batch, rows);
            manifest.segments.push(extent);
        }
        self.write(store, &snapshot, &manifest, batch).await
    }

    /// Does one bounded step of what keeps the index small and quick. False: there is nothing to
    /// do.
    pub async fn tend<S: Store>(
        &self,
        store: &S,
        mail: &impl Population,
    ) -> Result<bool, SearchError> {
        let _writing = self.writing.lock().await;
        let snapshot = self.snapshot(store).await?;
        let mut manifest = snapshot.manifest.clone();
        let mut batch = Batch::new();
        if !manifest.dropped.is_empty() {
            drop_rows(&mut manifest, &mut batch);
        } else if manifest.merge.is_some() {
            let done = merge::step(store, &snapshot, &mut manifest).await?;
            put_rows(&mut batch, done);
        } else if let Some(due) = manifest
            .due()
            .or_else(|| merge::mostly_gone(&snapshot, mail))
        {
            let rows = merge::begin(&snapshot, &mut manifest, due, mail);
            put_rows(&mut batch, rows);
        } else {
            return Ok(false);
        }
        self.write(store, &snapshot, &manifest, batch).await?;
        Ok(true)
    }

    /// Lets the whole index go; all messages are to be queued again. Its rows go step by step, by
    /// [`Index::tend`]. Also mends an index that is damaged.
    pub async fn reset<S: Store>(&self, store: &S) -> Result<(), SearchError> {
        let _writing = self.writing.lock().await;
        match self.snapshot(store).await {
            Ok(snapshot) => {
                let mut manifest = snapshot.manifest.clone();
                manifest.reset();
                self.write(store, &snapshot, &manifest, Batch::new()).await
            }
            Err(SearchError::Damaged) => self.clear(store).await,
            Err(error) => Err(error),
        }
    }

    /// Removes every row without asking what it says. The manifest goes first: what is left if
    /// this ends early is rows that nothing refers to, which the next clearing takes.
    async fn clear<S: Store>(&self, store: &S) -> Result<(), SearchError> {
        loop {
            let range = KeyRange::all().limit(64);
            let rows = store.scan(Table::SearchIndex, range).await?;
            if rows.is_empty() {
                return Ok(());
            }
            let mut batch = Batch::new();
            for (key, _) in rows {
                batch.delete(Table::SearchIndex, key);
            }
            store.commit(batch).await?;
        }
    }

    async fn start<S: Store>(&self, store: &S) -> Result<(), SearchError> {
        let mut batch = Batch::new();
        batch.expect(Table::SearchIndex, rows::MANIFEST, None);
        batch.put(Table::SearchIndex, rows::MANIFEST, Manifest::new().encode());
        match store.commit(batch).await {
            // Somebody else has made one.
            Err(StoreError::Conflict) | Ok(()) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    async fn write<S: Store>(
        &self,
        store: &S,
        before: &Snapshot,
        manifest: &Manifest,
        mut batch: Batch,
    ) -> Result<(), SearchError> {
        let row = manifest.encode();
        batch.expect(Table::SearchIndex, rows::MANIFEST, Some(before.row.clone()));
        batch.put(Table::SearchIndex, rows::MANIFEST, row.clone());
        // What is lost of it is made again: the queue's rows are in the same batch.
        batch.durability = Durability::Process;
        store.commit(batch).await?;
        // Read back: what a query uses is what the store has.
        if let Ok(loaded) = Snapshot::load(store, row, Some(before)).await {
            self.know(&Arc::new(loaded));
        }
        Ok(())
    }

    fn known(&self) -> Option<Arc<Snapshot>> {
        self.snapshot
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn know(&self, snapshot: &Arc<Snapshot>) {
        *self.snapshot.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(snapshot));
    }

    /// Runs a read again if a merge has taken away what it was reading.
    pub(super) async fn reading<S: Store, T, F>(
        &self,
        store: &S,
        read: impl Fn(Arc<Snapshot>) -> F,
    ) -> Result<T, SearchError>
    where
        F: Future<Output = Result<T, SearchError>>,
    {
        for _ in 1..ATTEMPTS {
            match read(self.snapshot(store).await?).await {
                Err(SearchError::Stale) => {}
                other => return other,
            }
        }
        Err(SearchError::Stale)
    }
}

/// A message that is not all here is remembered, so that it is indexed again when it is.
pub(crate) fn remember_waiting(batch: &mut Batch, hash: &MessageHash) {
    batch.put(Table::SearchIndex, waiting_key(hash), Vec::new());
}

/// It waits no more.
pub(crate) fn forget_waiting(batch: &mut Batch, hash: &MessageHash) {
    batch.delete(Table::SearchIndex, waiting_key(hash));
}

/// Messages that were not all here, from a hash on, at most `limit`.
pub(crate) async fn waiting<S: Store>(
    store: &S,
    from: Option<&MessageHash>,
    limit: usize,
) -> Result<Vec<MessageHash>, SearchError> {
    let mut range = KeyRange::prefix(&rows::WAITING).limit(limit);
    if let Some(from) = from {
        range.start = waiting_key(from);
    }
    let rows = store.scan(Table::SearchIndex, range).await?;
    rows.iter()
        .map(|(key, _)| {
            let hash = key.get(rows::WAITING.len()..).unwrap_or_default();
            MessageHash::try_from(hash).map_err(|_| SearchError::Damaged)
        })
        .collect()
}

fn waiting_key(hash: &MessageHash) -> Vec<u8> {
    [&rows::WAITING[..], hash.as_bytes()].concat()
}

fn put_rows(batch: &mut Batch, rows: Vec<(Vec<u8>, Vec<u8>)>) {
    for (key, value) in rows {
        batch.put(Table::SearchIndex, key, value);
    }
}

/// Removes rows of dropped segments, the last ones first.
fn drop_rows(manifest: &mut Manifest, batch: &mut Batch) {
    let mut left = DROPPED_ROWS;
    while let Some(extent) = manifest.dropped.last_mut() {
        for (kind, count) in Kind::ALL.into_iter().zip(&mut extent.rows) {
            while left > 0 && *count > 0 {
                *count = count.saturating_sub(1);
                left = left.saturating_sub(1);
                batch.delete(Table::SearchIndex, rows::key(extent.segment, kind, *count));
            }
        }
        if left == 0 {
            return;
        }
        manifest.dropped.pop();
    }
}

//! A store that counts what is written to it, and a provider that counts what it is sent.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use letterlock_core::id::{CollectionId, DocId, Generation};
use letterlock_core::seal::Header;
use letterlock_core::store::{Batch, Key, KeyRange, Op, Store, StoreError, Table};
use letterlock_core::sync::wire::{BATCH_OCTETS, Entry, PullResponse, PushRequest};

/// Octets of keys and values that were written to a store.
#[derive(Debug, Clone, Default)]
pub struct Written(Arc<AtomicUsize>);

impl Written {
    /// How many since this was last asked.
    pub fn take(&self) -> usize {
        self.0.swap(0, Ordering::Relaxed)
    }
}

/// A store, and what was written to it.
#[derive(Debug)]
pub struct Counting<S> {
    inner: S,
    written: Written,
}

impl<S> Counting<S> {
    /// Counts what goes into a store.
    pub fn new(inner: S) -> (Self, Written) {
        let written = Written::default();
        let counting = Self {
            inner,
            written: written.clone(),
        };
        (counting, written)
    }
}

impl<S: Store> Store for Counting<S> {
    async fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        self.inner.get(table, key).await
    }

    async fn scan(&self, table: Table, range: KeyRange) -> Result<Vec<(Key, Vec<u8>)>, StoreError> {
        self.inner.scan(table, range).await
    }

    async fn commit(&self, batch: Batch) -> Result<(), StoreError> {
        let octets = batch.ops.iter().map(|op| match op {
            Op::Put(_, key, value) => key.len() + value.len(),
            Op::Delete(_, key) => key.len(),
        });
        let octets = octets.sum();
        self.written.0.fetch_add(octets, Ordering::Relaxed);
        self.inner.commit(batch).await
    }
}

/// The rules of the provider: revisions follow each other, a push is all or nothing.
#[derive(Debug, Default)]
pub struct Provider {
    generation: u64,
    documents: BTreeMap<DocId, (u64, Vec<u8>)>,
}

/// Documents, and how many octets they have.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Traffic {
    /// How many.
    pub documents: usize,
    /// Their octets.
    pub octets: usize,
}

impl Traffic {
    /// Counts one more.
    pub fn add(&mut self, envelope: &[u8]) {
        self.documents += 1;
        self.octets += envelope.len();
    }
}

impl Provider {
    /// Takes a push, or says what it has instead.
    pub fn push(&mut self, request: &PushRequest) -> Result<(), Vec<Vec<u8>>> {
        let mut current = Vec::new();
        for envelope in &request.documents {
            let Ok(header) = Header::parse(envelope) else {
                continue;
            };
            if let Some((_, stored)) = self.documents.get(&header.document)
                && Header::parse(stored)
                    .is_ok_and(|stored| stored.revision.get() + 1 != header.revision.get())
                && stored[..] != envelope[..]
            {
                current.push(stored.clone());
            }
        }
        if !current.is_empty() {
            return Err(current);
        }
        for envelope in &request.documents {
            if let Ok(header) = Header::parse(envelope) {
                self.generation += 1;
                let entry = (self.generation, envelope.to_vec());
                self.documents.insert(header.document, entry);
            }
        }
        Ok(())
    }

    /// What changed since a generation in a collection (in all, with `None`).
    pub fn pull(&self, since: Generation, collection: Option<CollectionId>) -> PullResponse {
        let mut changed: Vec<&(u64, Vec<u8>)> = self.documents.values().collect();
        changed.retain(|(generation, envelope)| {
            *generation > since.0
                && collection.is_none_or(|wanted| {
                    Header::parse(envelope).is_ok_and(|header| header.collection == wanted)
                })
        });
        changed.sort_unstable_by_key(|(generation, _)| *generation);
        let mut response = PullResponse {
            entries: Vec::new(),
            until: since,
            more: false,
        };
        let mut octets = 0;
        for (generation, envelope) in changed {
            octets += envelope.len();
            if octets > BATCH_OCTETS && !response.entries.is_empty() {
                response.more = true;
                break;
            }
            response.until = Generation(*generation);
            response.entries.push(Entry::Document {
                envelope: envelope.clone().into(),
            });
        }
        response
    }
}

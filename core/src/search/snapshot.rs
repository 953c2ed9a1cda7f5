//! The index at one moment: what every query, candidate set and merge step works on.
//!
//! Documents of all segments are numbered through, oldest segment first. Invariant: a snapshot
//! never changes; which of its documents are still placed is asked of the mail and remembered
//! until mail has come or gone.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use super::bitmap::Bitmap;
use super::document::Document;
use super::evaluate::Population;
use super::index::SearchError;
use super::manifest::Manifest;
use super::segment::Segment;
use crate::id::MessageHash;
use crate::store::Store;

/// The index at one moment.
#[derive(Debug)]
pub(super) struct Snapshot {
    pub(super) manifest: Manifest,
    /// The manifest's row, which writes expect.
    pub(super) row: Vec<u8>,
    pub(super) segments: Vec<Arc<Segment>>,
    /// The number of the first document of each segment.
    pub(super) starts: Vec<u32>,
    pub(super) total: usize,
    numbers: OnceLock<Numbers>,
    placed: Mutex<Option<(u64, Arc<Bitmap>)>>,
}

#[derive(Debug)]
struct Numbers {
    /// By the first octets of the hash; where two messages share them, the next free key.
    by_hash: HashMap<u64, u32>,
    /// Documents that no later segment has again.
    current: Bitmap,
}

impl Snapshot {
    /// Reads what `before` does not have.
    pub(super) async fn load<S: Store>(
        store: &S,
        row: Vec<u8>,
        before: Option<&Self>,
    ) -> Result<Self, SearchError> {
        let manifest = Manifest::decode(&row)?;
        let mut segments = Vec::with_capacity(manifest.segments.len());
        for extent in &manifest.segments {
            let known = before.and_then(|before| {
                let mut known = before.segments.iter();
                known.find(|segment| segment.extent == *extent)
            });
            segments.push(match known {
                Some(segment) => Arc::clone(segment),
                None => Arc::new(Segment::load(store, *extent).await?),
            });
        }
        let mut starts = Vec::with_capacity(segments.len());
        let mut total = 0_u32;
        for segment in &segments {
            starts.push(total);
            total = total.saturating_add(segment.extent.documents);
        }
        Ok(Self {
            manifest,
            row,
            segments,
            starts,
            total: total as usize,
            numbers: OnceLock::new(),
            placed: Mutex::new(None),
        })
    }

    /// The segments with the number of their first document.
    pub(super) fn numbered(&self) -> impl Iterator<Item = (u32, &Arc<Segment>)> {
        self.starts.iter().copied().zip(&self.segments)
    }

    /// All documents, in the order of their numbers.
    pub(super) fn documents(&self) -> impl Iterator<Item = &Document> {
        self.segments.iter().flat_map(|segment| &segment.documents)
    }

    pub(super) fn document(&self, number: u32) -> Option<&Document> {
        let at = self
            .starts
            .partition_point(|start| *start <= number)
            .checked_sub(1)?;
        let within = number.checked_sub(*self.starts.get(at)?)?;
        self.segments.get(at)?.documents.get(within as usize)
    }

    /// The number of a message's newest document.
    pub(super) fn number(&self, hash: &MessageHash) -> Option<u32> {
        let by_hash = &self.numbers().by_hash;
        let mut key = short(hash);
        loop {
            let number = *by_hash.get(&key)?;
            if self.document(number)?.hash == *hash {
                return Some(number);
            }
            key = key.wrapping_add(1);
        }
    }

    /// Documents that no later segment has again.
    pub(super) fn current(&self) -> &Bitmap {
        &self.numbers().current
    }

    /// The documents whose messages are placed somewhere.
    pub(super) fn placed(&self, mail: &impl Population) -> Arc<Bitmap> {
        let changes = mail.changes();
        let mut remembered = self.placed.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((at, placed)) = &*remembered
            && *at == changes
        {
            return Arc::clone(placed);
        }
        let mut placed = Bitmap::empty(self.total);
        mail.each_message(&mut |hash| {
            if let Some(number) = self.number(hash) {
                placed.insert(number);
            }
        });
        let placed = Arc::new(placed);
        *remembered = Some((changes, Arc::clone(&placed)));
        placed
    }

    fn numbers(&self) -> &Numbers {
        self.numbers.get_or_init(|| {
            let mut by_hash = HashMap::with_capacity(self.total);
            let mut current = Bitmap::full(self.total);
            for (number, document) in (0_u32..).zip(self.documents()) {
                let mut key = short(&document.hash);
                while let Some(earlier) = by_hash.get(&key).copied() {
                    if self
                        .document(earlier)
                        .is_some_and(|other| other.hash == document.hash)
                    {
                        current.remove(earlier);
                        break;
                    }
                    key = key.wrapping_add(1);
                }
                by_hash.insert(key, number);
            }
            Numbers { by_hash, current }
        })
    }
}

/// Message hashes are keyed hashes: any octets of them are spread evenly.
fn short(hash: &MessageHash) -> u64 {
    let (first, _) = hash
        .as_bytes()
        .split_first_chunk::<8>()
        .unwrap_or((&[0; 8], &[]));
    u64::from_be_bytes(*first)
}

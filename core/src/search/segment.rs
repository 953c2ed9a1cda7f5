//! One segment: what of it is in memory, and how its rows are read.
//!
//! Invariant: a row that the segment's extent promises and that is not there means that another
//! step has removed the segment ([`SearchError::Stale`]); the reader takes the manifest anew.

use std::collections::BTreeMap;

use super::document::{Document, Field, word_and_field};
use super::index::SearchError;
use super::postings::List;
use super::rows::{self, Block, Extent, Kind, POSTINGS_BLOCK, Place};
use crate::store::{KeyRange, Store, Table};

/// Dictionary blocks that are read at a time, at most.
const MAX_BLOCKS: u32 = 16;
/// Blocks of long lists that are read ahead where many lists are read in order.
const READ_AHEAD: u32 = 16;

/// What of a segment is in memory.
#[derive(Debug)]
pub(super) struct Segment {
    pub(super) extent: Extent,
    pub(super) documents: Vec<Document>,
    /// The first key of each block of the dictionary.
    first_keys: Vec<Vec<u8>>,
}

/// What of a list is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Want {
    Documents,
    Positions,
}

impl Segment {
    pub(super) async fn load<S: Store>(store: &S, extent: Extent) -> Result<Self, SearchError> {
        let documents = read_documents(store, &extent).await?;
        let mut first_keys = Vec::new();
        for row in all_rows(store, &extent, Kind::FirstKeys).await? {
            first_keys.append(&mut rows::decode::<Vec<Vec<u8>>>(&row)?);
        }
        if first_keys.len() != extent.rows_of(Kind::Dictionary) as usize {
            return Err(SearchError::Damaged);
        }
        Ok(Self {
            extent,
            documents,
            first_keys,
        })
    }

    /// The blocks that may have keys from `from` to before `to`.
    fn blocks(&self, from: &[u8], to: Option<&[u8]>) -> (u32, u32) {
        let start = self
            .first_keys
            .partition_point(|key| key.as_slice() <= from)
            .saturating_sub(1);
        let end = to.map_or(self.first_keys.len(), |to| {
            self.first_keys.partition_point(|key| key.as_slice() < to)
        });
        let number = |at: usize| u32::try_from(at).unwrap_or(u32::MAX);
        (number(start), number(end))
    }
}

/// The documents of a segment.
pub(super) async fn read_documents<S: Store>(
    store: &S,
    extent: &Extent,
) -> Result<Vec<Document>, SearchError> {
    let mut documents = Vec::new();
    for row in all_rows(store, extent, Kind::Documents).await? {
        documents.append(&mut rows::decode::<Vec<Document>>(&row)?);
    }
    if documents.len() != extent.documents as usize {
        return Err(SearchError::Damaged);
    }
    Ok(documents)
}

async fn all_rows<S: Store>(
    store: &S,
    extent: &Extent,
    kind: Kind,
) -> Result<Vec<Vec<u8>>, SearchError> {
    let count = extent.rows_of(kind);
    let rows = some_rows(store, extent.segment, kind, 0, count).await?;
    if rows.len() != count as usize {
        return Err(SearchError::Stale);
    }
    Ok(rows)
}

async fn some_rows<S: Store>(
    store: &S,
    segment: u32,
    kind: Kind,
    from: u32,
    count: u32,
) -> Result<Vec<Vec<u8>>, SearchError> {
    if count == 1 {
        let key = rows::key(segment, kind, from);
        let row = store.get(Table::SearchIndex, &key).await?;
        return Ok(row.into_iter().collect());
    }
    let range: KeyRange = rows::range(segment, kind, from, count);
    let rows = store.scan(Table::SearchIndex, range).await?;
    Ok(rows.into_iter().map(|(_, row)| row).collect())
}

/// Reads words of a segment, in order; keeps the blocks that it read last.
#[derive(Debug)]
pub(super) struct Reader<'a, S> {
    store: &'a S,
    segment: &'a Segment,
    postings: BTreeMap<u32, Vec<u8>>,
    ahead: u32,
}

/// A dictionary entry that has left its block.
#[derive(Debug)]
struct Kept {
    key: Vec<u8>,
    count: u32,
    documents: usize,
    positions: usize,
    near: Vec<u8>,
    far: Option<(u32, usize)>,
}

impl<'a, S: Store> Reader<'a, S> {
    pub(super) fn new(store: &'a S, segment: &'a Segment) -> Self {
        Self {
            store,
            segment,
            postings: BTreeMap::new(),
            ahead: 1,
        }
    }

    /// Many lists will be read in order.
    pub(super) fn reading_ahead(mut self) -> Self {
        self.ahead = READ_AHEAD;
        self
    }

    /// Gives the lists of all keys from `from` to before `to` that `wanted` accepts.
    pub(super) async fn each(
        &mut self,
        (from, to): (&[u8], Option<&[u8]>),
        want: Want,
        mut wanted: impl FnMut(&[u8], Field) -> bool,
        mut each: impl FnMut(Field, List) -> Result<(), SearchError>,
    ) -> Result<(), SearchError> {
        let (mut block, end) = self.segment.blocks(from, to);
        while block < end {
            let count = end.saturating_sub(block).min(MAX_BLOCKS);
            let inside = |key: &[u8]| key >= from && to.is_none_or(|to| key < to);
            let kept = self
                .kept(block, count, |key| {
                    inside(key) && word_and_field(key).is_some_and(|(word, f)| wanted(word, f))
                })
                .await?;
            for entry in kept {
                let (_, field) = word_and_field(&entry.key).ok_or(SearchError::Damaged)?;
                let list = self.list(&entry, want).await?;
                each(field, list)?;
            }
            block = block.saturating_add(count);
        }
        Ok(())
    }

    /// The next keys after `after` with their lists, of `count` blocks; empty at the end.
    pub(super) async fn next_lists(
        &mut self,
        after: &[u8],
        block: &mut u32,
        count: u32,
    ) -> Result<Vec<(Vec<u8>, List)>, SearchError> {
        let end = self.segment.extent.rows_of(Kind::Dictionary);
        let mut out = Vec::new();
        while out.is_empty() && *block < end {
            let count = count.min(end.saturating_sub(*block));
            let kept = self.kept(*block, count, |key| key > after).await?;
            *block = block.saturating_add(count);
            for mut entry in kept {
                let list = self.list(&entry, Want::Positions).await?;
                out.push((core::mem::take(&mut entry.key), list));
            }
        }
        Ok(out)
    }

    /// The block from which to read on after a key.
    pub(super) fn block_after(&self, after: &[u8]) -> u32 {
        self.segment.blocks(after, None).0
    }

    async fn kept(
        &self,
        block: u32,
        count: u32,
        mut wanted: impl FnMut(&[u8]) -> bool,
    ) -> Result<Vec<Kept>, SearchError> {
        let segment = self.segment.extent.segment;
        let rows = some_rows(self.store, segment, Kind::Dictionary, block, count).await?;
        if rows.len() != count as usize {
            return Err(SearchError::Stale);
        }
        let mut kept = Vec::new();
        for row in rows {
            let mut entries = Block::new(&row);
            while let Some((key, entry)) = entries.next()? {
                if !wanted(key) {
                    continue;
                }
                let (near, far) = match entry.place {
                    Place::Near(octets) => (octets.to_vec(), None),
                    Place::Far { block, offset } => (Vec::new(), Some((block, offset))),
                };
                kept.push(Kept {
                    key: key.to_vec(),
                    count: entry.count,
                    documents: entry.documents,
                    positions: entry.positions,
                    near,
                    far,
                });
            }
        }
        Ok(kept)
    }

    async fn list(&mut self, entry: &Kept, want: Want) -> Result<List, SearchError> {
        let length = match want {
            Want::Documents => entry.documents,
            Want::Positions => entry.documents.saturating_add(entry.positions),
        };
        let octets = match entry.far {
            None => entry.near.get(..length).map(<[u8]>::to_vec),
            Some((block, offset)) => Some(self.far(block, offset, length).await?),
        };
        let mut documents = octets.ok_or(SearchError::Damaged)?;
        let positions = documents.split_off(entry.documents.min(documents.len()));
        Ok(List {
            count: entry.count,
            documents,
            positions,
        })
    }

    async fn far(
        &mut self,
        block: u32,
        offset: usize,
        length: usize,
    ) -> Result<Vec<u8>, SearchError> {
        let mut octets = Vec::with_capacity(length);
        let (mut block, mut offset) = (block, offset);
        while octets.len() < length {
            let missing = length.saturating_sub(octets.len());
            if !self.postings.contains_key(&block) {
                self.fetch(block, offset.saturating_add(missing)).await?;
            }
            let row = self.postings.get(&block).ok_or(SearchError::Stale)?;
            let part = row.get(offset..).ok_or(SearchError::Damaged)?;
            octets.extend_from_slice(part.get(..missing).unwrap_or(part));
            block = block.saturating_add(1);
            offset = 0;
        }
        Ok(octets)
    }

    /// Reads blocks of long lists, and forgets those read before.
    async fn fetch(&mut self, block: u32, length: usize) -> Result<(), SearchError> {
        let needed = u32::try_from(length.div_ceil(POSTINGS_BLOCK)).unwrap_or(u32::MAX);
        let extent = &self.segment.extent;
        let left = extent.rows_of(Kind::Postings).saturating_sub(block);
        let count = needed.max(self.ahead).min(left);
        let rows = some_rows(self.store, extent.segment, Kind::Postings, block, count).await?;
        self.postings = (block..).zip(rows).collect();
        Ok(())
    }
}

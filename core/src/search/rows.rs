//! How a segment lies in rows of the store.
//!
//! ```text
//! 0 0 0 0                         manifest
//! 0 0 0 0 | 1 | message hash      a message that is not all here yet
//! segment | 0 | n                 documents, DOCUMENTS_PER_ROW a row
//! segment | 1 | n                 first keys of dictionary blocks, one row a step of writing
//! segment | 2 | n                 dictionary: words in order, front-coded, with short lists
//! segment | 3 | n                 long lists, one after the other
//!
//! dictionary entry: lengths, added octets, count * 2 + far, and the list; or, if it is far, how
//!                   long its two parts are, and the block and offset where it begins
//! lengths:          an octet: how much of the key before is shared, how much is added, four bits
//!                   each; 15 means 15 and the number that follows
//! ```
//!
//! Numbers in keys are big-endian, in values [`crate::varint`]. Invariant: keys are numbers that
//! this program counted up; no word, address or hash of a word is in one.

use serde::{Deserialize, Serialize};

use super::document::{Document, word_and_field};
use super::postings::{self, List};
use crate::store::{Key, KeyRange};
use crate::varint;

/// Messages in a row of documents.
pub(super) const DOCUMENTS_PER_ROW: usize = 1024;
/// A dictionary block ends when it has so many octets.
const DICTIONARY_BLOCK: usize = 8 * 1024;
/// A block of long lists has so many octets; the last of a step may have fewer.
pub(super) const POSTINGS_BLOCK: usize = 16 * 1024;
/// Lists up to this length stand in the dictionary, in octets.
const MAX_NEAR_LIST: usize = 64;

/// The manifest's key.
pub(super) const MANIFEST: [u8; 4] = [0; 4];
/// Keys of messages that are not all here begin with this.
pub(super) const WAITING: [u8; 5] = [0, 0, 0, 0, 1];

/// A kind of row of a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Documents,
    FirstKeys,
    Dictionary,
    Postings,
}

impl Kind {
    pub(super) const ALL: [Self; 4] = [
        Self::Documents,
        Self::FirstKeys,
        Self::Dictionary,
        Self::Postings,
    ];

    const fn octet(self) -> u8 {
        match self {
            Self::Documents => 0,
            Self::FirstKeys => 1,
            Self::Dictionary => 2,
            Self::Postings => 3,
        }
    }
}

/// The key of a segment's row.
pub(super) fn key(segment: u32, kind: Kind, number: u32) -> Key {
    let mut key = segment.to_be_bytes().to_vec();
    key.push(kind.octet());
    key.extend_from_slice(&number.to_be_bytes());
    key
}

/// The keys of some rows of one kind.
pub(super) fn range(segment: u32, kind: Kind, from: u32, count: u32) -> KeyRange {
    KeyRange {
        start: key(segment, kind, from),
        end: Some(key(segment, kind, from.saturating_add(count))),
        limit: usize::MAX,
    }
}

/// How much there is of a segment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Extent {
    /// Its number; never used again.
    pub(super) segment: u32,
    /// Messages in it.
    pub(super) documents: u32,
    /// Rows of each kind, in the order of [`Kind::ALL`].
    pub(super) rows: [u32; 4],
    /// Octets of all rows.
    pub(super) octets: u64,
}

impl Extent {
    pub(super) const fn rows_of(&self, kind: Kind) -> u32 {
        let [documents, first_keys, dictionary, postings] = self.rows;
        match kind {
            Kind::Documents => documents,
            Kind::FirstKeys => first_keys,
            Kind::Dictionary => dictionary,
            Kind::Postings => postings,
        }
    }

    fn count_row(&mut self, kind: Kind) -> u32 {
        let row = self.rows.get_mut(usize::from(kind.octet()));
        row.map_or(0, |row| {
            let number = *row;
            *row = row.saturating_add(1);
            number
        })
    }
}

/// Writes a segment, in one step or several.
#[derive(Debug)]
pub(super) struct Writer {
    extent: Extent,
    rows: Vec<(Key, Vec<u8>)>,
    block: Vec<u8>,
    last_key: Vec<u8>,
    first_keys: Vec<Vec<u8>>,
    postings: Vec<u8>,
    octets: usize,
}

impl Writer {
    /// Begins a segment, or goes on with one.
    pub(super) fn new(extent: Extent) -> Self {
        Self {
            extent,
            rows: Vec::new(),
            block: Vec::new(),
            last_key: Vec::new(),
            first_keys: Vec::new(),
            postings: Vec::new(),
            octets: 0,
        }
    }

    /// Octets written in this step.
    pub(super) fn octets(&self) -> usize {
        self.octets
    }

    /// Writes the documents of the segment.
    pub(super) fn documents(&mut self, documents: &[Document]) {
        self.extent.documents = u32::try_from(documents.len()).unwrap_or(u32::MAX);
        for chunk in documents.chunks(DOCUMENTS_PER_ROW) {
            self.row(Kind::Documents, encode(&chunk));
        }
    }

    /// Writes a word's list; keys ascend.
    pub(super) fn push(&mut self, key: &[u8], list: &List) {
        if self.block.is_empty() {
            self.first_keys.push(key.to_vec());
            self.last_key.clear();
        }
        let shared = shared_prefix(&self.last_key, key);
        let added = key.get(shared..).unwrap_or_default();
        let far = list.len() > MAX_NEAR_LIST;
        let (block, offset) = (self.extent.rows_of(Kind::Postings), self.postings.len());
        let out = &mut self.block;
        put_lengths(shared, added.len(), out);
        out.extend_from_slice(added);
        varint::put((list.count << 1) | u32::from(far), out);
        if far {
            varint::put_length(list.documents.len(), out);
            varint::put_length(list.positions.len(), out);
            varint::put(block, out);
            varint::put_length(offset, out);
            self.push_far(&list.documents);
            self.push_far(&list.positions);
        } else {
            out.extend_from_slice(&list.documents);
            out.extend_from_slice(&list.positions);
        }
        self.octets = self.octets.saturating_add(added.len() + list.len() + 8);
        self.last_key.clear();
        self.last_key.extend_from_slice(key);
        if self.block.len() >= DICTIONARY_BLOCK {
            self.end_block();
        }
    }

    /// Ends this step: what the segment is now, and the rows to write.
    pub(super) fn finish(mut self) -> (Extent, Vec<(Key, Vec<u8>)>) {
        self.end_block();
        if !self.postings.is_empty() {
            let rest = core::mem::take(&mut self.postings);
            self.row(Kind::Postings, rest);
        }
        if !self.first_keys.is_empty() {
            let first_keys = core::mem::take(&mut self.first_keys);
            self.row(Kind::FirstKeys, encode(&first_keys));
        }
        (self.extent, self.rows)
    }

    fn push_far(&mut self, mut octets: &[u8]) {
        while !octets.is_empty() {
            let room = POSTINGS_BLOCK.saturating_sub(self.postings.len());
            let (now, later) = octets.split_at_checked(room).unwrap_or((octets, &[]));
            self.postings.extend_from_slice(now);
            octets = later;
            if self.postings.len() >= POSTINGS_BLOCK {
                let full = core::mem::take(&mut self.postings);
                self.row(Kind::Postings, full);
            }
        }
    }

    fn end_block(&mut self) {
        if !self.block.is_empty() {
            let block = core::mem::take(&mut self.block);
            self.row(Kind::Dictionary, block);
        }
    }

    fn row(&mut self, kind: Kind, value: Vec<u8>) {
        let number = self.extent.count_row(kind);
        let length = u64::try_from(value.len()).unwrap_or(u64::MAX);
        self.extent.octets = self.extent.octets.saturating_add(length);
        self.rows
            .push((key(self.extent.segment, kind, number), value));
    }
}

/// A length from which on it takes another number.
const LONG: usize = 15;

fn put_lengths(shared: usize, added: usize, out: &mut Vec<u8>) {
    let half = |length: usize| u8::try_from(length.min(LONG)).unwrap_or(0);
    out.push((half(shared) << 4) | half(added));
    for length in [shared, added] {
        if let Some(more) = length.checked_sub(LONG) {
            varint::put_length(more, out);
        }
    }
}

fn take_lengths(octets: &mut &[u8]) -> Option<(usize, usize)> {
    let (&both, rest) = octets.split_first()?;
    *octets = rest;
    let mut whole = |half: u8| {
        let length = usize::from(half);
        if length < LONG {
            return Some(length);
        }
        length.checked_add(varint::take_length(octets)?)
    };
    let shared = whole(both >> 4)?;
    Some((shared, whole(both & 0x0f)?))
}

fn shared_prefix(a: &[u8], b: &[u8]) -> usize {
    a.iter().zip(b).take_while(|(a, b)| a == b).count()
}

/// Encodes what stands in one row.
pub(super) fn encode<T: Serialize>(value: &T) -> Vec<u8> {
    postcard::to_extend(value, Vec::new())
        .expect("writing to memory does not fail, and every length is known")
}

/// A row does not say what a row of its kind says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Damaged;

/// Reads one row.
pub(super) fn decode<T: serde::de::DeserializeOwned>(row: &[u8]) -> Result<T, Damaged> {
    postcard::from_bytes(row).map_err(|_| Damaged)
}

/// A word's list, as the dictionary has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry<'a> {
    pub(super) count: u32,
    pub(super) documents: usize,
    pub(super) positions: usize,
    pub(super) place: Place<'a>,
}

/// Where a list is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place<'a> {
    /// Here.
    Near(&'a [u8]),
    /// From this offset in this block of long lists.
    Far { block: u32, offset: usize },
}

/// Reads the entries of a dictionary block, in order.
#[derive(Debug)]
pub(super) struct Block<'a> {
    rest: &'a [u8],
    key: Vec<u8>,
}

impl<'a> Block<'a> {
    pub(super) fn new(row: &'a [u8]) -> Self {
        Self {
            rest: row,
            key: Vec::new(),
        }
    }

    /// The next key and its list; `None` at the end.
    pub(super) fn next(&mut self) -> Result<Option<(&[u8], Entry<'a>)>, Damaged> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        let entry = self.read().ok_or(Damaged)?;
        Ok(Some((&self.key, entry)))
    }

    fn read(&mut self) -> Option<Entry<'a>> {
        let rest = &mut self.rest;
        let (shared, added) = take_lengths(rest)?;
        let added = varint::take_octets(rest, added)?;
        if shared > self.key.len() {
            return None;
        }
        self.key.truncate(shared);
        self.key.extend_from_slice(added);
        let number = varint::take(rest)?;
        let count = number >> 1;
        if number & 1 == 1 {
            let documents = varint::take_length(rest)?;
            let positions = varint::take_length(rest)?;
            let block = varint::take(rest)?;
            let offset = varint::take_length(rest)?;
            return Some(Entry {
                count,
                documents,
                positions,
                place: Place::Far { block, offset },
            });
        }
        let (_, field) = word_and_field(&self.key)?;
        let list = *rest;
        let times = postings::skip_documents(rest, count)?;
        let documents = list.len().checked_sub(rest.len())?;
        if field.has_positions() {
            varint::take_numbers(rest, times)?;
        }
        let length = list.len().checked_sub(rest.len())?;
        Some(Entry {
            count,
            documents,
            positions: length.checked_sub(documents)?,
            place: Place::Near(list.get(..length)?),
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;
    use crate::search::document::{Field, term_key};

    fn list(length: usize) -> List {
        let mut builder = postings::Builder::default();
        for number in 0..length {
            let times = if number % 3 == 0 { 1 } else { 2 };
            builder.push(
                u32::try_from(number * 200).unwrap(),
                times,
                &vec![9; times as usize],
            );
        }
        builder.finish()
    }

    proptest! {
        #[test]
        fn words_go_both_ways(words in proptest::collection::btree_map("[a-c]{1,40}", 0..200_usize, 0..300)) {
            let mut writer = Writer::new(Extent { segment: 3, ..Extent::default() });
            let mut key_of = Vec::new();
            for (word, length) in &words {
                term_key(word, Field::Body, &mut key_of);
                writer.push(&key_of, &list(*length));
            }
            let (extent, rows) = writer.finish();
            let rows: BTreeMap<_, _> = rows.into_iter().collect();
            let mut read = BTreeMap::new();
            for number in 0..extent.rows_of(Kind::Dictionary) {
                let mut block = Block::new(&rows[&key(3, Kind::Dictionary, number)]);
                while let Some((word, entry)) = block.next().unwrap() {
                    let (word, _) = word_and_field(word).unwrap();
                    read.insert(String::from_utf8(word.to_vec()).unwrap(), entry.count as usize);
                    if let Place::Far { block, offset } = entry.place {
                        let row = &rows[&key(3, Kind::Postings, block)];
                        prop_assert!(offset <= row.len());
                    }
                }
            }
            prop_assert_eq!(read, words);
        }

        #[test]
        fn damaged_blocks_are_refused(row in proptest::collection::vec(any::<u8>(), 0..60)) {
            let mut block = Block::new(&row);
            while let Ok(Some(_)) = block.next() {}
        }
    }
}

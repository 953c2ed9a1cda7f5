//! Several segments become one, step by step.
//!
//! The first step decides which documents stay (those whose messages are placed, in their newest
//! version) and writes them; every further step writes the words that follow the last one written.
//! So nothing is held between two steps but the manifest's row, and a process that ends in between
//! is no case of its own. Invariant: a step reads and writes about [`STEP_OCTETS`], and the output
//! counts only once the last word is written.

use core::ops::Range;
use std::collections::{HashMap, VecDeque};

use super::document::{Document, word_and_field};
use super::evaluate::Population;
use super::index::SearchError;
use super::manifest::{Manifest, Merge};
use super::postings::{self, List};
use super::rows::{Extent, Writer};
use super::segment::{Reader, Segment, read_documents};
use super::snapshot::Snapshot;
use crate::store::{Key, Store};
use crate::varint;

/// About how much one step writes; it reads at most twice as much.
const STEP_OCTETS: usize = 2 * 1024 * 1024;
/// Dictionary blocks that a step reads at a time of each segment.
const BLOCKS_AT_A_TIME: u32 = 4;

/// Begins to merge the segments at these positions; gives the rows to write.
pub(super) fn begin(
    snapshot: &Snapshot,
    manifest: &mut Manifest,
    due: Range<usize>,
    mail: &impl Population,
) -> Vec<(Key, Vec<u8>)> {
    let placed = snapshot.placed(mail);
    let current = snapshot.current();
    let mut inputs = Vec::new();
    let mut kept: Vec<Document> = Vec::new();
    for (start, segment) in snapshot.numbered().skip(due.start).take(due.len()) {
        inputs.push(segment.extent.segment);
        let numbered = (start..).zip(&segment.documents);
        let stays = |number: u32| placed.contains(number) && current.contains(number);
        kept.extend(
            numbered
                .filter(|(number, _)| stays(*number))
                .map(|(_, document)| *document),
        );
    }
    let mut writer = Writer::new(Extent {
        segment: manifest.next_segment(),
        ..Extent::default()
    });
    writer.documents(&kept);
    let (output, rows) = writer.finish();
    manifest.merge = Some(Merge {
        inputs,
        output,
        after: Vec::new(),
    });
    if kept.is_empty() {
        manifest.finish_merge();
    }
    rows
}

/// A segment half of whose messages are gone: it is written anew, alone.
pub(super) fn mostly_gone(snapshot: &Snapshot, mail: &impl Population) -> Option<Range<usize>> {
    let placed = snapshot.placed(mail);
    let current = snapshot.current();
    let mut numbered = snapshot.numbered();
    let at = numbered.position(|(start, segment)| {
        let count = segment.extent.documents;
        let stays = (start..start.saturating_add(count))
            .filter(|number| placed.contains(*number) && current.contains(*number))
            .count();
        stays.saturating_mul(2) <= count as usize
    })?;
    Some(at..at.saturating_add(1))
}

/// One segment being read in order.
struct Input<'a, S> {
    reader: Reader<'a, S>,
    block: u32,
    ahead: VecDeque<(Key, List)>,
    /// The number of each of its documents in the output; `None`: it does not stay.
    numbers: Vec<Option<u32>>,
}

/// Goes on with a merge; gives the rows to write.
pub(super) async fn step<S: Store>(
    store: &S,
    snapshot: &Snapshot,
    manifest: &mut Manifest,
) -> Result<Vec<(Key, Vec<u8>)>, SearchError> {
    let Some(merge) = manifest.merge.clone() else {
        return Ok(Vec::new());
    };
    let documents = read_documents(store, &merge.output).await?;
    let mut inputs = open(store, snapshot, &merge, &documents)?;
    let mut writer = Writer::new(merge.output);
    let mut after = merge.after.clone();
    let mut read = 0_usize;
    let mut finished = false;
    while writer.octets() < STEP_OCTETS && read < 2 * STEP_OCTETS {
        for input in &mut inputs {
            if input.ahead.is_empty() {
                let lists =
                    input
                        .reader
                        .next_lists(&merge.after, &mut input.block, BLOCKS_AT_A_TIME);
                input.ahead = lists.await?.into();
            }
        }
        let next = inputs
            .iter()
            .filter_map(|input| input.ahead.front())
            .min_by(|a, b| a.0.cmp(&b.0));
        let Some((key, _)) = next else {
            finished = true;
            break;
        };
        let key = key.clone();
        let list = combined(&key, &mut inputs, &mut read)?;
        if list.count > 0 {
            writer.push(&key, &list);
        }
        after = key;
    }
    let (output, rows) = writer.finish();
    manifest.merge = Some(Merge {
        output,
        after,
        ..merge
    });
    if finished {
        manifest.finish_merge();
    }
    Ok(rows)
}

fn open<'a, S: Store>(
    store: &'a S,
    snapshot: &'a Snapshot,
    merge: &Merge,
    documents: &[Document],
) -> Result<Vec<Input<'a, S>>, SearchError> {
    let mut places: HashMap<_, u32> = documents
        .iter()
        .map(|document| document.hash)
        .zip(0..)
        .collect();
    let mut inputs = Vec::new();
    // The latest segment that has a message is the one whose words stay.
    for number in merge.inputs.iter().rev() {
        let segment: &'a Segment = snapshot
            .segments
            .iter()
            .find(|segment| segment.extent.segment == *number)
            .ok_or(SearchError::Damaged)?;
        let mut numbers: Vec<Option<u32>> = segment
            .documents
            .iter()
            .rev()
            .map(|document| places.remove(&document.hash))
            .collect();
        numbers.reverse();
        let reader = Reader::new(store, segment).reading_ahead();
        inputs.push(Input {
            block: reader.block_after(&merge.after),
            reader,
            ahead: VecDeque::new(),
            numbers,
        });
    }
    inputs.reverse();
    Ok(inputs)
}

/// The lists of one key in all inputs, as one.
fn combined<S>(
    key: &[u8],
    inputs: &mut [Input<'_, S>],
    read: &mut usize,
) -> Result<List, SearchError> {
    let (_, field) = word_and_field(key).ok_or(SearchError::Damaged)?;
    let mut all = postings::Builder::default();
    for input in inputs {
        let Some((_, list)) = input.ahead.pop_front_if(|(other, _)| *other == key) else {
            continue;
        };
        *read = read.saturating_add(key.len()).saturating_add(list.len());
        let mut positions = &list.positions[..];
        let mut entries = list.entries();
        for (number, times) in entries.by_ref() {
            let kept = if field.has_positions() {
                varint::take_numbers(&mut positions, times).ok_or(SearchError::Damaged)?
            } else {
                &[]
            };
            if let Some(Some(number)) = input.numbers.get(number as usize) {
                all.push(*number, times, kept);
            }
        }
        if !entries.is_whole() || !positions.is_empty() {
            return Err(SearchError::Damaged);
        }
    }
    Ok(all.finish())
}

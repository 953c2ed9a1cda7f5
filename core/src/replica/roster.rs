//! The messages of a mailbox in memory: by ascending UID, shared by all who look at them.
//!
//! ```text
//! Roster ─► spans ─► Arc<Chunk> (512 rows of 88 octets) ◄─┐ what did not change
//! Roster of later ─► spans ─► Arc<Chunk> ◄────────────────┘ is shared
//! ```
//!
//! A snapshot is a clone of an `Arc`. A change copies the chunk that it touches if a snapshot has
//! it, and the list of chunks (24 octets each) once a commit. A UID's position and a position's
//! UID are found by bisection; counts are kept as rows come and go. Invariant: rows ascend, no
//! chunk is empty, and the counts are those of the rows. Rejected: a tree of messages, each of
//! them allocated, which took a kilooctet a message and no two sessions could share at a moment.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::view::{Numbers, Placed, Placement};
use crate::id::{MessageHash, ModSeq, PlacementId, Timestamp, Uid};
use crate::model::{Flag, FlagSet, Keyword};

mod chunk;
mod compare;
mod flags;
mod many;
#[cfg(test)]
mod tests;

use chunk::{CHUNK_ROWS, Chunk, Row};
pub(super) use flags::Flags;
pub use many::Seeker;

/// The messages of a mailbox, as of one moment.
#[derive(Debug, Clone)]
pub struct Roster {
    spans: Vec<Span>,
    counts: Counts,
    keywords: Arc<BTreeMap<Keyword, u32>>,
    uid_next: Uid,
    highest_mod_seq: ModSeq,
    /// Whether the positions are right.
    is_finished: bool,
}

/// A chunk and what stands before it.
#[derive(Debug, Clone)]
struct Span {
    /// The lowest UID in it.
    first: Uid,
    /// How many messages are before it; right after [`Roster::finish`].
    before: u32,
    chunk: Arc<Chunk>,
}

/// How many there are of what.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Messages.
    pub messages: u32,
    /// Those that lack `\Seen`.
    pub unseen: u32,
    /// Those that have `\Deleted`.
    pub deleted: u32,
    /// Sum of their sizes in octets.
    pub size: u64,
}

/// A message of a roster.
#[derive(Clone, Copy)]
pub struct RosterEntry<'a> {
    chunk: &'a Chunk,
    row: &'a Row,
}

impl Roster {
    /// A mailbox without messages.
    pub(super) fn new(uid_next: Uid, highest_mod_seq: ModSeq) -> Self {
        Self {
            spans: Vec::new(),
            counts: Counts::default(),
            keywords: Arc::default(),
            uid_next,
            highest_mod_seq,
            is_finished: true,
        }
    }

    /// How many messages there are.
    pub fn len(&self) -> usize {
        self.counts.messages as usize
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.spans.is_empty()
    }

    /// The counts.
    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// The UID that the next message gets.
    pub fn uid_next(&self) -> Uid {
        self.uid_next
    }

    /// HIGHESTMODSEQ (RFC 7162 3.1.2.1).
    pub fn highest_mod_seq(&self) -> ModSeq {
        self.highest_mod_seq
    }

    /// The keywords that messages have.
    pub fn keywords(&self) -> impl Iterator<Item = &Keyword> {
        self.keywords.keys()
    }

    /// The message at a position, counted from 0: its sequence number less one.
    pub fn get(&self, position: usize) -> Option<RosterEntry<'_>> {
        let position = u32::try_from(position).ok()?;
        let behind = self.spans.partition_point(|span| span.before <= position);
        let span = self.spans.get(behind.checked_sub(1)?)?;
        let at = position.checked_sub(span.before)?;
        span.chunk.entry(at as usize)
    }

    /// The message with a UID.
    pub fn find(&self, uid: Uid) -> Option<RosterEntry<'_>> {
        let span = self.spans.get(self.span_of(uid)?)?;
        span.chunk.entry(span.chunk.search(uid).ok()?)
    }

    /// The position of the message with a UID.
    pub fn position(&self, uid: Uid) -> Option<usize> {
        self.search(uid).ok()
    }

    /// The position of the first message whose UID is not below this one; the length if there is
    /// none.
    pub fn position_from(&self, uid: Uid) -> usize {
        self.search(uid).unwrap_or_else(|position| position)
    }

    /// The messages from a position on.
    pub fn iter_from(&self, position: usize) -> impl Iterator<Item = RosterEntry<'_>> {
        let start = u32::try_from(position).unwrap_or(u32::MAX);
        let behind = self.spans.partition_point(|span| span.before <= start);
        let first = behind.saturating_sub(1);
        let before = self.spans.get(first).map_or(0, |span| span.before);
        let skipped = start.saturating_sub(before) as usize;
        let spans = self.spans.get(first..).unwrap_or_default();
        spans.iter().zip(0_usize..).flat_map(move |(span, nth)| {
            let from = if nth == 0 { skipped } else { 0 };
            span.chunk.entries_from(from)
        })
    }

    /// All messages, ascending.
    pub fn iter(&self) -> impl Iterator<Item = RosterEntry<'_>> {
        self.spans
            .iter()
            .flat_map(|span| span.chunk.entries_from(0))
    }

    /// The messages that changed after a moment, each with its position; chunks in which none did
    /// are passed over.
    pub fn changed_since(&self, mod_seq: ModSeq) -> impl Iterator<Item = (usize, RosterEntry<'_>)> {
        let touched = self.spans.iter();
        let touched = touched.filter(move |span| span.chunk.highest() > mod_seq);
        touched.flat_map(move |span| {
            let positions = (span.before as usize)..;
            let entries = positions.zip(span.chunk.entries_from(0));
            entries.filter(move |(_, entry)| entry.mod_seq() > mod_seq)
        })
    }

    /// The first message that lacks `\Seen`, with its position.
    pub fn first_unseen(&self) -> Option<(usize, RosterEntry<'_>)> {
        let span = self.spans.iter().find(|span| span.chunk.unseen() > 0)?;
        let positions = (span.before as usize)..;
        let mut entries = positions.zip(span.chunk.entries_from(0));
        entries.find(|(_, entry)| !entry.is_seen())
    }

    /// The chunk in which a UID is or would be.
    fn span_of(&self, uid: Uid) -> Option<usize> {
        let behind = self.spans.partition_point(|span| span.first <= uid);
        behind.checked_sub(1)
    }

    fn search(&self, uid: Uid) -> Result<usize, usize> {
        let Some(span) = self.span_of(uid).and_then(|at| self.spans.get(at)) else {
            return Err(0);
        };
        let before = span.before as usize;
        let found = span.chunk.search(uid);
        found
            .map(|at| before.saturating_add(at))
            .map_err(|at| before.saturating_add(at))
    }
}

impl Roster {
    /// Writes a row, in place of the one with its UID. [`Roster::finish`] must follow.
    pub(super) fn put(&mut self, placed: &Placed) {
        let uid = placed.numbers.uid;
        self.is_finished = false;
        let at = self.span_of(uid).unwrap_or(0);
        let last = at.saturating_add(1) >= self.spans.len();
        self.count(&placed.shown.flags, placed.shown.size, 1);
        let Some(span) = self.spans.get_mut(at) else {
            self.spans.push(Span::of(Chunk::with(placed), uid));
            return;
        };
        let chunk = match span.chunk.search(uid) {
            Ok(row) => {
                let before = Arc::make_mut(&mut span.chunk).replace(row, placed);
                if let Some((flags, size)) = before {
                    self.count(&flags, size, -1);
                }
                return;
            }
            // Chunks of a mailbox that only grows are full.
            Err(row) if row >= CHUNK_ROWS && last => {
                self.spans.push(Span::of(Chunk::with(placed), uid));
                return;
            }
            Err(row) => {
                let chunk = Arc::make_mut(&mut span.chunk);
                chunk.insert(row, placed);
                span.first = span.first.min(uid);
                chunk
            }
        };
        if chunk.len() > CHUNK_ROWS {
            let half = chunk.split_off(CHUNK_ROWS / 2);
            if let Some(first) = half.first() {
                self.spans
                    .insert(at.saturating_add(1), Span::of(half, first));
            }
        }
    }

    /// Removes the row with a UID. [`Roster::finish`] must follow.
    pub(super) fn remove(&mut self, uid: Uid) {
        self.is_finished = false;
        let Some(at) = self.span_of(uid) else {
            return;
        };
        let Some(span) = self.spans.get_mut(at) else {
            return;
        };
        let Ok(row) = span.chunk.search(uid) else {
            return;
        };
        let chunk = Arc::make_mut(&mut span.chunk);
        let gone = chunk.remove(row);
        let first = chunk.first();
        if let Some(first) = first {
            span.first = first;
        } else {
            self.spans.remove(at);
        }
        if let Some((flags, size)) = gone {
            self.count(&flags, size, -1);
        }
        if first.is_some() {
            self.join(at);
        }
    }

    /// Whether [`Roster::finish`] with these numbers would change nothing.
    pub(super) fn is_finished(&self, uid_next: Uid, highest_mod_seq: ModSeq) -> bool {
        self.is_finished && (self.uid_next, self.highest_mod_seq) == (uid_next, highest_mod_seq)
    }

    /// Ends a change: positions are right from here on.
    pub(super) fn finish(&mut self, uid_next: Uid, highest_mod_seq: ModSeq) {
        let mut before = 0_u32;
        for span in &mut self.spans {
            span.before = before;
            before = before.saturating_add(span.chunk.len_u32());
        }
        self.uid_next = uid_next;
        self.highest_mod_seq = highest_mod_seq;
        self.is_finished = true;
    }

    /// Makes one chunk of two that have become small.
    fn join(&mut self, at: usize) {
        let next = at.saturating_add(1);
        let (Some(here), Some(there)) = (self.spans.get(at), self.spans.get(next)) else {
            return;
        };
        if here.chunk.len().saturating_add(there.chunk.len()) > CHUNK_ROWS / 2 {
            return;
        }
        let there = self.spans.remove(next);
        if let Some(here) = self.spans.get_mut(at) {
            Arc::make_mut(&mut here.chunk).append(&there.chunk);
        }
    }

    fn count(&mut self, flags: &Flags, size: u64, change: i32) {
        let counts = &mut self.counts;
        let add = |count: &mut u32, is: bool| {
            *count = count.saturating_add_signed(if is { change } else { 0 });
        };
        add(&mut counts.messages, true);
        add(&mut counts.unseen, !flags.has(&Flag::Seen));
        add(&mut counts.deleted, flags.has(&Flag::Deleted));
        counts.size = if change > 0 {
            counts.size.saturating_add(size)
        } else {
            counts.size.saturating_sub(size)
        };
        self.count_keywords(flags, change);
    }

    fn count_keywords(&mut self, flags: &Flags, change: i32) {
        if flags.keywords().is_empty() {
            return;
        }
        let keywords = Arc::make_mut(&mut self.keywords);
        for keyword in flags.keywords() {
            let messages = keywords.entry(keyword.clone()).or_default();
            *messages = messages.saturating_add_signed(change);
            if *messages == 0 {
                keywords.remove(keyword);
            }
        }
    }
}

impl Span {
    fn of(chunk: Chunk, first: Uid) -> Self {
        Self {
            first,
            before: 0,
            chunk: Arc::new(chunk),
        }
    }
}

impl RosterEntry<'_> {
    /// Its UID.
    pub fn uid(&self) -> Uid {
        self.row.uid
    }

    /// Its placement's id, stable across moves.
    pub fn id(&self) -> PlacementId {
        self.chunk.id_of(self.row)
    }

    /// The message.
    pub fn message(&self) -> MessageHash {
        self.row.message
    }

    /// Mod-sequence of its last change.
    pub fn mod_seq(&self) -> ModSeq {
        self.row.mod_seq
    }

    /// Mod-sequence with which it came into the mailbox.
    pub fn placed(&self) -> ModSeq {
        self.row.placed
    }

    /// INTERNALDATE.
    pub fn internal_date(&self) -> Timestamp {
        self.row.internal_date
    }

    /// SAVEDATE.
    pub fn save_date(&self) -> Timestamp {
        self.row.save_date
    }

    /// RFC822.SIZE in octets.
    pub fn size(&self) -> u64 {
        self.row.size
    }

    /// Whether it has a flag.
    pub fn has(&self, flag: &Flag) -> bool {
        match Flags::bit(flag) {
            Some(bit) => self.row.system() & bit != 0,
            None => self
                .keywords()
                .iter()
                .any(|known| matches!(flag, Flag::Keyword(keyword) if keyword == known)),
        }
    }

    /// Whether it has `\Seen`.
    pub fn is_seen(&self) -> bool {
        self.has(&Flag::Seen)
    }

    /// Its keywords, ascending.
    pub fn keywords(&self) -> &[Keyword] {
        self.chunk.keywords_of(self.row)
    }

    /// Its flags and keywords.
    pub fn flags(&self) -> FlagSet {
        self.compact_flags().to_set()
    }

    /// Whether another has the same flags.
    pub fn has_flags_of(&self, other: &RosterEntry<'_>) -> bool {
        self.compact_flags() == other.compact_flags()
    }

    pub(super) fn compact_flags(&self) -> Flags {
        self.chunk.flags_of(self.row)
    }

    pub(super) fn numbers(&self) -> Numbers {
        Numbers {
            uid: self.row.uid,
            mod_seq: self.row.mod_seq,
            placed: self.row.placed,
        }
    }
}

impl core::fmt::Debug for RosterEntry<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "RosterEntry({:?}, {:?})", self.uid(), self.id())
    }
}

impl From<RosterEntry<'_>> for Placement {
    fn from(entry: RosterEntry<'_>) -> Self {
        Self {
            uid: entry.uid(),
            id: entry.id(),
            message: entry.message(),
            flags: entry.flags(),
            internal_date: entry.internal_date(),
            save_date: entry.save_date(),
            mod_seq: entry.mod_seq(),
            size: entry.size(),
        }
    }
}

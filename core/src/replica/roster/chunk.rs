//! Some hundred rows of a roster in one piece of memory.
//!
//! What rows share stands once in the chunk: ids of pages, sets of keywords. Invariant: rows
//! ascend by UID; a row's numbers lead to items of the chunk's lists. Items that no row has any
//! more go when the lists have grown over [`MAX_SHARED`].

use std::sync::Arc;

use super::flags::Flags;
use super::{Placed, RosterEntry};
use crate::id::{EntryId, MessageHash, ModSeq, PageId, PlacementId, Timestamp, Uid};
use crate::model::{Flag, Keyword};

/// Most rows of a chunk.
pub(super) const CHUNK_ROWS: usize = if cfg!(test) { 8 } else { 512 };
/// Over so many items a list is made anew; more than a full chunk needs, and no more than the
/// eleven bits of a row's set of keywords can say.
const MAX_SHARED: usize = 2 * CHUNK_ROWS;
/// Bits of [`Row::flags`] that are system flags; the others are the number of a set of keywords.
const SYSTEM_BITS: u32 = 5;
const SYSTEM_MASK: u16 = (1 << SYSTEM_BITS) - 1;

/// A message: 88 octets.
#[derive(Debug, Clone)]
pub(super) struct Row {
    pub(super) message: MessageHash,
    pub(super) mod_seq: ModSeq,
    pub(super) placed: ModSeq,
    pub(super) internal_date: Timestamp,
    pub(super) save_date: Timestamp,
    pub(super) size: u64,
    entry: EntryId,
    pub(super) uid: Uid,
    /// Its page's place in [`Chunk::pages`].
    page: u16,
    /// System flags, and the place of its keywords in [`Chunk::keywords`] plus one; 0 for none.
    flags: u16,
}

/// Rows by ascending UID.
#[derive(Debug, Clone)]
pub(super) struct Chunk {
    rows: Vec<Row>,
    pages: Vec<PageId>,
    keywords: Vec<Arc<[Keyword]>>,
    /// No row's mod-sequence is higher.
    highest: ModSeq,
    unseen: u32,
}

impl Row {
    pub(super) fn system(&self) -> u8 {
        let [low, _] = (self.flags & SYSTEM_MASK).to_le_bytes();
        low
    }

    fn keywords(&self) -> Option<usize> {
        usize::from(self.flags >> SYSTEM_BITS).checked_sub(1)
    }
}

impl Chunk {
    /// A chunk of one row.
    pub(super) fn with(placed: &Placed) -> Self {
        let mut chunk = Self::empty();
        chunk.insert(0, placed);
        chunk
    }

    const fn empty() -> Self {
        Self {
            rows: Vec::new(),
            pages: Vec::new(),
            keywords: Vec::new(),
            highest: ModSeq::ONE,
            unseen: 0,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.rows.len()
    }

    pub(super) fn len_u32(&self) -> u32 {
        u32::try_from(self.rows.len()).unwrap_or(u32::MAX)
    }

    pub(super) fn first(&self) -> Option<Uid> {
        self.rows.first().map(|row| row.uid)
    }

    pub(super) const fn highest(&self) -> ModSeq {
        self.highest
    }

    pub(super) const fn unseen(&self) -> u32 {
        self.unseen
    }

    /// The place of a UID's row, or where it would be.
    pub(super) fn search(&self, uid: Uid) -> Result<usize, usize> {
        self.rows.binary_search_by(|row| row.uid.cmp(&uid))
    }

    pub(super) fn entry(&self, at: usize) -> Option<RosterEntry<'_>> {
        let row = self.rows.get(at)?;
        Some(RosterEntry { chunk: self, row })
    }

    pub(super) fn entries_from(&self, at: usize) -> impl Iterator<Item = RosterEntry<'_>> {
        let rows = self.rows.get(at..).unwrap_or_default();
        rows.iter().map(|row| RosterEntry { chunk: self, row })
    }

    pub(super) fn id_of(&self, row: &Row) -> PlacementId {
        let page = self.pages.get(usize::from(row.page)).copied();
        PlacementId::of(page.unwrap_or(PageId::new([0; 8])), row.entry)
    }

    pub(super) fn keywords_of(&self, row: &Row) -> &[Keyword] {
        let set = row.keywords().and_then(|at| self.keywords.get(at));
        set.map_or(&[], |set| set)
    }

    pub(super) fn flags_of(&self, row: &Row) -> Flags {
        Flags {
            system: row.system(),
            keywords: row.keywords().and_then(|at| self.keywords.get(at)).cloned(),
        }
    }

    pub(super) fn insert(&mut self, at: usize, placed: &Placed) {
        let row = self.row(placed);
        self.note(&row, 1);
        self.rows.insert(at.min(self.rows.len()), row);
    }

    /// Writes a row in place of another; returns the other's flags and size.
    pub(super) fn replace(&mut self, at: usize, placed: &Placed) -> Option<(Flags, u64)> {
        let row = self.row(placed);
        self.note(&row, 1);
        let before = core::mem::replace(self.rows.get_mut(at)?, row);
        self.note(&before, -1);
        Some((self.flags_of(&before), before.size))
    }

    /// Gives a row other flags.
    pub(super) fn set_flags(&mut self, at: usize, flags: &Flags, mod_seq: ModSeq) {
        if self.keywords.len() >= MAX_SHARED {
            self.tidy();
        }
        let bits = u16::from(flags.system) | self.keywords_bits(flags.keywords.clone());
        let Some(row) = self.rows.get_mut(at) else {
            return;
        };
        let was_seen = is_seen(row);
        (row.flags, row.mod_seq) = (bits, mod_seq);
        let change = i32::from(was_seen) - i32::from(is_seen(row));
        self.unseen = self.unseen.saturating_add_signed(change);
        self.highest = self.highest.max(mod_seq);
    }

    /// Removes a row; returns its flags and size.
    pub(super) fn remove(&mut self, at: usize) -> Option<(Flags, u64)> {
        if at >= self.rows.len() {
            return None;
        }
        let row = self.rows.remove(at);
        self.note(&row, -1);
        Some((self.flags_of(&row), row.size))
    }

    /// Takes the rows from a place on out into a chunk of their own.
    pub(super) fn split_off(&mut self, at: usize) -> Self {
        let rows = self.rows.split_off(at.min(self.rows.len()));
        let mut other = Self {
            rows,
            ..self.clone_shared()
        };
        other.unseen = other.count_unseen();
        self.unseen = self.count_unseen();
        self.tidy();
        other.tidy();
        other
    }

    /// Takes in the rows of the chunk behind it.
    pub(super) fn append(&mut self, other: &Self) {
        for row in &other.rows {
            let row = Row {
                page: place_in(&mut self.pages, &other.id_of(row).page()),
                flags: u16::from(row.system()) | self.keywords_bits(other.flags_of(row).keywords),
                ..row.clone()
            };
            self.note(&row, 1);
            self.rows.push(row);
        }
        self.tidy();
    }

    fn row(&mut self, placed: &Placed) -> Row {
        if self.pages.len().max(self.keywords.len()) >= MAX_SHARED {
            self.tidy();
        }
        let (shown, numbers) = (&placed.shown, placed.numbers);
        Row {
            message: shown.message,
            mod_seq: numbers.mod_seq,
            placed: numbers.placed,
            internal_date: shown.internal_date,
            save_date: shown.save_date,
            size: shown.size,
            entry: shown.id.entry(),
            uid: numbers.uid,
            page: place_in(&mut self.pages, &shown.id.page()),
            flags: u16::from(shown.flags.system) | self.keywords_bits(shown.flags.keywords.clone()),
        }
    }

    fn keywords_bits(&mut self, keywords: Option<Arc<[Keyword]>>) -> u16 {
        let Some(keywords) = keywords else {
            return 0;
        };
        let at = place_in(&mut self.keywords, &keywords);
        at.saturating_add(1) << SYSTEM_BITS
    }

    /// Keeps the chunk's own counts as a row comes or goes.
    fn note(&mut self, row: &Row, change: i32) {
        if change > 0 {
            self.highest = self.highest.max(row.mod_seq);
        }
        if !is_seen(row) {
            self.unseen = self.unseen.saturating_add_signed(change);
        }
    }

    fn count_unseen(&self) -> u32 {
        let unseen = self.rows.iter().filter(|row| !is_seen(row)).count();
        u32::try_from(unseen).unwrap_or(u32::MAX)
    }

    fn clone_shared(&self) -> Self {
        Self {
            rows: Vec::new(),
            pages: self.pages.clone(),
            keywords: self.keywords.clone(),
            ..*self
        }
    }

    /// Lets go of shared items that no row has.
    fn tidy(&mut self) {
        let before = self.clone_shared();
        self.pages.clear();
        self.keywords.clear();
        let mut rows = core::mem::take(&mut self.rows);
        for row in &mut rows {
            row.page = place_in(&mut self.pages, &before.id_of(row).page());
            let keywords = before.flags_of(row).keywords;
            row.flags = u16::from(row.system()) | self.keywords_bits(keywords);
        }
        self.rows = rows;
    }
}

fn is_seen(row: &Row) -> bool {
    Flags::bit(&Flag::Seen).is_some_and(|seen| row.system() & seen != 0)
}

/// The place of an item in a list that gets it if it lacks it. Lately added items are found first.
fn place_in<T: Clone + PartialEq>(list: &mut Vec<T>, item: &T) -> u16 {
    let at = list.iter().rposition(|known| known == item);
    let at = at.unwrap_or_else(|| {
        list.push(item.clone());
        list.len().saturating_sub(1)
    });
    u16::try_from(at).unwrap_or(u16::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_is_small() {
        assert_eq!(size_of::<Row>(), 88);
    }
}

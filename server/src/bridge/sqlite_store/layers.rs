//! Rows that are in the journal and not in the files yet: what is read of the files is read
//! through them.
//!
//! ```text
//! commit ──► fresh ──► folding ──► the files
//! ```
//!
//! Invariant: the files have, of what is in neither layer, the newest; what is in both layers or
//! in a layer and the files, the first of these has newest.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use letterlock_core::store::{Key, KeyRange, Op, Table};

use super::writer::RowChange;

/// Octets that a row takes beside its key and value, about.
const ROW_OCTETS: usize = 64;

/// The newest of a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Row {
    Written(Vec<u8>),
    Deleted,
}

/// The newest of some rows.
#[derive(Default)]
pub(super) struct Layer {
    tables: BTreeMap<Table, BTreeMap<Key, Row>>,
    octets: usize,
}

/// A layer that is written to the files.
#[derive(Clone)]
pub(super) struct Folding {
    pub(super) layer: Arc<Layer>,
    /// The journal that has it.
    pub(super) generation: u64,
}

/// What is not in the files.
#[derive(Default)]
pub(super) struct Layers(RwLock<Two>);

#[derive(Default)]
struct Two {
    fresh: Layer,
    folding: Option<Folding>,
    /// Goes up whenever rows go from one place to the next.
    moves: u64,
}

/// Rows of a range in both layers, as of one moment.
pub(super) struct Above {
    rows: BTreeMap<Key, Row>,
    /// How often rows had gone from one place to the next.
    pub(super) moves: u64,
}

impl Row {
    /// Its value; `None` if it is deleted.
    pub(super) fn value(self) -> Option<Vec<u8>> {
        match self {
            Self::Written(value) => Some(value),
            Self::Deleted => None,
        }
    }

    fn octets(&self) -> usize {
        self.written().map_or(0, <[u8]>::len)
    }

    fn written(&self) -> Option<&[u8]> {
        match self {
            Self::Written(value) => Some(value),
            Self::Deleted => None,
        }
    }
}

impl Layer {
    /// Takes changes in, in their order.
    pub(super) fn apply(&mut self, ops: Vec<Op>) {
        for op in ops {
            let (table, key, row) = match op {
                Op::Put(table, key, value) => (table, key, Row::Written(value)),
                Op::Delete(table, key) => (table, key, Row::Deleted),
            };
            let octets = key.len() + ROW_OCTETS;
            self.octets += row.octets();
            match self.tables.entry(table).or_default().insert(key, row) {
                Some(before) => self.octets -= before.octets(),
                None => self.octets += octets,
            }
        }
    }

    /// Every row, by table and key.
    pub(super) fn rows(&self) -> impl Iterator<Item = RowChange<'_>> {
        self.tables.iter().flat_map(|(table, rows)| {
            let rows = rows.iter();
            rows.map(|(key, row)| (*table, key.as_slice(), row.written()))
        })
    }

    fn find(&self, table: Table, key: &[u8]) -> Option<&Row> {
        self.tables.get(&table)?.get(key)
    }

    fn range(&self, table: Table, range: &KeyRange) -> impl Iterator<Item = (&Key, &Row)> {
        let is_empty = range.end.as_ref().is_some_and(|end| *end <= range.start);
        let rows = self.tables.get(&table).filter(|_| !is_empty);
        let end = range.end.as_deref();
        let bounds = (
            Bound::Included(range.start.as_slice()),
            end.map_or(Bound::Unbounded, Bound::Excluded),
        );
        rows.into_iter()
            .flat_map(move |rows| rows.range::<[u8], _>(bounds))
    }
}

impl Layers {
    /// What is above the files; `None` if they have the newest.
    pub(super) fn find(&self, table: Table, key: &[u8]) -> Option<Row> {
        let two = self.read();
        let fresh = two.fresh.find(table, key);
        let folding = two.folding.as_ref();
        let found = fresh.or_else(|| folding?.layer.find(table, key));
        found.cloned()
    }

    /// The rows of a range that are above the files, deleted ones too.
    pub(super) fn range(&self, table: Table, range: &KeyRange) -> Above {
        let two = self.read();
        let folding = two.folding.as_ref();
        let older = folding
            .into_iter()
            .flat_map(|folding| folding.layer.range(table, range));
        let newer = two.fresh.range(table, range);
        Above {
            rows: older
                .chain(newer)
                .map(|(key, value)| (key.clone(), value.clone()))
                .collect(),
            moves: two.moves,
        }
    }

    /// How often rows have gone from one place to the next.
    pub(super) fn moves(&self) -> u64 {
        self.read().moves
    }

    /// Octets of what is fresh, about.
    pub(super) fn octets(&self) -> usize {
        self.read().fresh.octets
    }

    /// Takes changes in that the journal has.
    pub(super) fn apply(&self, ops: Vec<Op>) {
        self.write().fresh.apply(ops);
    }

    /// What is to be written to the files next.
    pub(super) fn folding(&self) -> Option<Folding> {
        self.read().folding.clone()
    }

    /// What is fresh is to be written to the files; nothing else is.
    pub(super) fn begin_folding(&self, generation: u64) {
        let mut two = self.write();
        let layer = Arc::new(std::mem::take(&mut two.fresh));
        two.folding = Some(Folding { layer, generation });
        two.moves += 1;
    }

    /// What was left of an earlier run is to be written before anything else.
    pub(super) fn fold_first(&self, layer: Layer, generation: u64) {
        let layer = Arc::new(layer);
        self.write().folding = Some(Folding { layer, generation });
    }

    /// What was to be written is in the files.
    pub(super) fn end_folding(&self) {
        let mut two = self.write();
        two.folding = None;
        two.moves += 1;
    }

    fn read(&self) -> RwLockReadGuard<'_, Two> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Two> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Above {
    /// Most rows of the files that are not to be shown.
    pub(super) fn hides(&self) -> usize {
        self.rows.len()
    }

    /// These rows over those of the files, of which there must be [`Above::hides`] more than the
    /// limit if there are so many.
    pub(super) fn over(self, below: Vec<(Key, Vec<u8>)>, limit: usize) -> Vec<(Key, Vec<u8>)> {
        if self.rows.is_empty() {
            return below;
        }
        let below = below.into_iter();
        let mut all: BTreeMap<Key, Row> = below
            .map(|(key, value)| (key, Row::Written(value)))
            .collect();
        all.extend(self.rows);
        let shown = all
            .into_iter()
            .filter_map(|(key, row)| Some((key, row.value()?)));
        shown.take(limit).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(key: u8, value: u8) -> Op {
        Op::Put(Table::Meta, vec![key], vec![value])
    }

    fn delete(key: u8) -> Op {
        Op::Delete(Table::Meta, vec![key])
    }

    fn find(layers: &Layers, key: u8) -> Option<Row> {
        layers.find(Table::Meta, &[key])
    }

    #[test]
    fn the_newest_is_found() {
        let layers = Layers::default();
        layers.apply(vec![put(1, 1), put(2, 1), delete(3), put(4, 1), put(4, 2)]);
        layers.begin_folding(7);
        layers.apply(vec![delete(1), put(3, 2)]);
        assert_eq!(find(&layers, 1), Some(Row::Deleted));
        assert_eq!(find(&layers, 2), Some(Row::Written(vec![1])));
        assert_eq!(find(&layers, 3), Some(Row::Written(vec![2])));
        assert_eq!(find(&layers, 4), Some(Row::Written(vec![2])));
        assert_eq!(find(&layers, 5), None);
        assert_eq!(layers.find(Table::Pending, &[1]), None);
        let folding = layers.folding().unwrap();
        assert_eq!(folding.generation, 7);
        assert_eq!(folding.layer.rows().count(), 4);
        layers.end_folding();
        assert!(layers.folding().is_none());
        assert_eq!(find(&layers, 1), Some(Row::Deleted));
        assert_eq!(find(&layers, 2), None);
    }

    #[test]
    fn ranges_lie_over_those_of_the_files() {
        let layers = Layers::default();
        layers.apply(vec![put(1, 1), delete(2), put(3, 1), put(9, 1)]);
        layers.begin_folding(1);
        layers.apply(vec![delete(3), put(4, 2)]);
        let below: Vec<_> = (0..9).map(|key| (vec![key], vec![0])).collect();
        let range = KeyRange {
            start: vec![1],
            end: Some(vec![9]),
            limit: 3,
        };
        let above = layers.range(Table::Meta, &range);
        assert_eq!(above.hides(), 4);
        let below = below[1..8].to_vec();
        let rows = above.over(below, range.limit);
        let expected = [(1, 1), (4, 2), (5, 0)];
        assert_eq!(rows, expected.map(|(key, value)| (vec![key], vec![value])));
        let nothing = KeyRange {
            start: vec![5],
            end: Some(vec![1]),
            limit: 3,
        };
        assert_eq!(layers.range(Table::Meta, &nothing).hides(), 0);
    }

    #[test]
    fn octets_are_counted() {
        let layers = Layers::default();
        layers.apply(vec![Op::Put(Table::Meta, vec![1], vec![0; 1000])]);
        assert_eq!(layers.octets(), 1001 + ROW_OCTETS);
        layers.apply(vec![put(1, 1)]);
        assert_eq!(layers.octets(), 2 + ROW_OCTETS);
        layers.apply(vec![delete(1)]);
        assert_eq!(layers.octets(), 1 + ROW_OCTETS);
        layers.begin_folding(1);
        assert_eq!(layers.octets(), 0);
    }
}

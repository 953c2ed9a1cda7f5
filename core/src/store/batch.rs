//! The one atomic write.

use super::{Key, Table};

/// What a row must be for the batch to apply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expectation {
    /// The table.
    pub table: Table,
    /// The key.
    pub key: Key,
    /// The value that must be there; `None`: no row.
    pub value: Option<Vec<u8>>,
}

/// One change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Op {
    /// Writes a row, in place of one that is there.
    Put(Table, Key, Vec<u8>),
    /// Removes a row; no error if there is none.
    Delete(Table, Key),
}

/// What a batch outlives once [`Store::commit`](super::Store::commit) has returned.
///
/// Batches are lost in the reverse of the order in which they were committed: one that is on the
/// disk has all before it there.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Durability {
    /// The machine: it is on the disk.
    #[default]
    Machine,
    /// The process, killed at any moment. A machine that loses its power may lose it until the
    /// backend has written it out, which is soon. A backend may do more.
    Process,
}

/// Changes that are applied together, in order, if every expectation holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Batch {
    /// Checked first.
    pub expect: Vec<Expectation>,
    /// Applied in order.
    pub ops: Vec<Op>,
    /// How soon it must be on the disk.
    pub durability: Durability,
}

impl Batch {
    /// An empty batch.
    pub fn new() -> Self {
        Self::default()
    }

    /// Asks that the row be `value`, or absent for `None`.
    pub fn expect(&mut self, table: Table, key: impl Into<Key>, value: Option<Vec<u8>>) {
        self.expect.push(Expectation {
            table,
            key: key.into(),
            value,
        });
    }

    /// Writes a row.
    pub fn put(&mut self, table: Table, key: impl Into<Key>, value: impl Into<Vec<u8>>) {
        self.ops.push(Op::Put(table, key.into(), value.into()));
    }

    /// Removes a row.
    pub fn delete(&mut self, table: Table, key: impl Into<Key>) {
        self.ops.push(Op::Delete(table, key.into()));
    }

    /// Whether there is nothing to write.
    pub fn is_empty(&self) -> bool {
        self.ops.is_empty()
    }
}

//! Short contents that the second file may not have on the disk yet, once more in the first one.
//!
//! A letter that is appended waits for the disk once instead of twice: its rows and this are one
//! transaction of the first file. Invariant: after any end, what the second file lacks of all that
//! was done stands here, as it was last; what is deleted or written over goes from here in the same
//! transaction. All of it goes when contents are written that wait for the disk in the second file,
//! which takes all before them along: long ones, or the first beyond [`REDO_OCTETS`].

use std::path::Path;

use letterlock_core::store::{StoreError, Table};
use rusqlite::Transaction;

use super::connection::{SCHEMA, put, store_error};
use super::writer::{ContentChanges, Side};

/// In the first file: short contents that the second one may not have on the disk yet.
pub(super) const TABLE: &str = "CREATE TABLE IF NOT EXISTS redo
    (key BLOB NOT NULL PRIMARY KEY, value BLOB NOT NULL) STRICT;";
/// Contents of a batch are short up to so many octets together. To write more of them twice, once
/// through SQLCipher, takes longer than to wait for a quick disk: measured, 10 kB cost 0.3 ms more.
const SHORT_OCTETS: usize = 4 * 1024;
/// Most octets of contents in `redo`.
const REDO_OCTETS: usize = 128 * 1024;

/// How many octets `redo` has at most after a batch that writes contents; 0 if they are not
/// written to it, because they are long or it is full, but to the disk at once, with all before.
pub(super) fn octets_with(before: usize, changes: &ContentChanges<'_>) -> usize {
    let octets = changes.values().flatten();
    let octets = octets.fold(0_usize, |sum, value| sum.saturating_add(value.len()));
    let all = before.saturating_add(octets);
    if octets <= SHORT_OCTETS && all <= REDO_OCTETS {
        // Also if they are empty.
        all.max(1)
    } else {
        0
    }
}

/// Takes out of `redo` what a batch changes.
pub(super) fn forget(
    transaction: &Transaction<'_>,
    path: &Path,
    changes: &ContentChanges<'_>,
) -> Result<(), StoreError> {
    let forget = |key: &[u8]| {
        let sql = "DELETE FROM redo WHERE key = ?1";
        transaction.prepare_cached(sql)?.execute([key])
    };
    for key in changes.keys() {
        forget(key).map_err(|error| store_error(path, SCHEMA, &error))?;
    }
    Ok(())
}

/// Step 3: writes contents that do not wait for the disk in the second file.
pub(super) fn note(
    transaction: &Transaction<'_>,
    path: &Path,
    changes: &ContentChanges<'_>,
) -> Result<(), StoreError> {
    let note = |key: &[u8], value: &[u8]| {
        let sql = "INSERT INTO redo VALUES (?1, ?2)";
        transaction.prepare_cached(sql)?.execute([key, value])
    };
    for (key, value) in changes {
        if let Some(value) = value {
            note(key, value).map_err(|error| store_error(path, SCHEMA, &error))?;
        }
    }
    Ok(())
}

/// Writes again what the second file has lost.
pub(super) fn write_again(
    transaction: &Transaction<'_>,
    path: &Path,
    rows: &Side,
) -> Result<(), StoreError> {
    let failed = |error: &rusqlite::Error| store_error(&rows.path, SCHEMA, error);
    let sql = "SELECT key, value FROM redo";
    let mut statement = rows.connection.prepare(sql).map_err(|e| failed(&e))?;
    let mut lost = statement.query([]).map_err(|e| failed(&e))?;
    while let Some(row) = lost.next().map_err(|e| failed(&e))? {
        let read = |at| row.get::<_, Vec<u8>>(at).map_err(|e| failed(&e));
        put(transaction, Table::Contents, &read(0)?, &read(1)?)
            .map_err(|error| store_error(path, Table::Contents.name(), &error))?;
    }
    Ok(())
}

/// How many octets `redo` has.
pub(super) fn octets(rows: &Side) -> Result<usize, StoreError> {
    let sql = "SELECT coalesce(sum(max(length(value), 1)), 0) FROM redo";
    let sum = rows
        .connection
        .query_row(sql, [], |row| row.get::<_, i64>(0));
    let sum = sum.map_err(|error| store_error(&rows.path, SCHEMA, &error))?;
    Ok(usize::try_from(sum).unwrap_or(usize::MAX))
}

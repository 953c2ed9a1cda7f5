//! One file of the store: how it is opened, and the statements on a table.

use std::fs::OpenOptions;
use std::path::{Path, PathBuf};
use std::time::Duration;

use letterlock_core::store::{Key, KeyRange, StoreError, Table};
use rusqlite::{CachedStatement, Connection, ErrorCode, OptionalExtension, params};
use zeroize::Zeroizing;

use super::OpenStoreError;

/// How long a connection waits for another to finish, in milliseconds. Another process cannot be
/// the reason: the data directory is locked.
const BUSY_TIMEOUT_MS: u64 = 10_000;
/// Statements that a connection keeps prepared: three for each table.
const CACHED_STATEMENTS: usize = Table::ALL.len() * 3;
/// Pages of 4 kB after which what is in the log goes into the file itself. Each time the disk is
/// waited for twice, and a page that was written ten times goes there once.
const CHECKPOINT_PAGES: u32 = 4000;
/// The name that errors give to the database's own tables.
pub(super) const SCHEMA: &str = "schema";

/// A file of the store.
pub(super) struct File {
    pub(super) path: PathBuf,
    /// `None`: the values in it are sealed already.
    key: Option<Zeroizing<[u8; 32]>>,
}

impl File {
    pub(super) fn encrypted(path: PathBuf, key: &[u8; 32]) -> Self {
        let key = Some(Zeroizing::new(*key));
        Self { path, key }
    }

    pub(super) const fn plain(path: PathBuf) -> Self {
        Self { path, key: None }
    }

    pub(super) fn place(&self) -> String {
        self.path.display().to_string()
    }

    /// Makes the file if it is missing, readable by its owner alone.
    pub(super) fn create_private(&self) -> Result<(), StoreError> {
        let mut options = OpenOptions::new();
        options.append(true).create(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let made = options.open(&self.path).map(drop);
        made.map_err(|error| StoreError::Backend {
            place: self.place(),
            detail: error.kind().to_string(),
        })
    }

    pub(super) fn connect(&self) -> Result<Connection, OpenStoreError> {
        let fail = |error: rusqlite::Error| store_error(&self.path, SCHEMA, &error);
        let connection = Connection::open(&self.path).map_err(fail)?;
        let timeout = Duration::from_millis(BUSY_TIMEOUT_MS);
        connection.busy_timeout(timeout).map_err(fail)?;
        connection.set_prepared_statement_cache_capacity(CACHED_STATEMENTS);
        // SQLCipher would write of its own accord to stderr what the errors here say.
        let quiet = "PRAGMA cipher_log_level = NONE;";
        connection.execute_batch(quiet).map_err(fail)?;
        if let Some(key) = &self.key {
            let hex = Zeroizing::new(hex::encode(key));
            let pragma = Zeroizing::new(format!("PRAGMA key = \"x'{}'\";", *hex));
            connection.execute_batch(&pragma).map_err(fail)?;
        }
        // The key is tried by the first read.
        connection
            .query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(()))
            .map_err(|error| match error.sqlite_error_code() {
                Some(ErrorCode::NotADatabase) if self.key.is_some() => OpenStoreError::WrongKey {
                    place: self.place(),
                },
                _ => fail(error).into(),
            })?;
        // What is deleted can be given back to the disk; counts only before the first page is
        // written.
        let layout = "PRAGMA auto_vacuum = INCREMENTAL;";
        connection.execute_batch(layout).map_err(fail)?;
        let settings = format!(
            "PRAGMA journal_mode = WAL;
             PRAGMA synchronous = FULL;
             PRAGMA wal_autocheckpoint = {CHECKPOINT_PAGES};
             PRAGMA journal_size_limit = 8388608;
             PRAGMA temp_store = MEMORY;
             PRAGMA trusted_schema = OFF;"
        );
        connection.execute_batch(&settings).map_err(fail)?;
        Ok(connection)
    }
}

/// Rows with small values lie in the tree of their keys; large values would make that tree deep,
/// so their tables keep it apart.
pub(super) fn create_table(table: Table) -> String {
    let layout = match table {
        Table::Documents
        | Table::Placements
        | Table::Incoming
        | Table::Outbox
        | Table::Contents
        | Table::SearchIndex => "STRICT",
        Table::Meta
        | Table::Mailboxes
        | Table::Pending
        | Table::Contacts
        | Table::References
        | Table::Garbage
        | Table::Vanished
        | Table::Unindexed
        | Table::Threads
        | Table::Awaited
        | Table::Told => "STRICT, WITHOUT ROWID",
    };
    format!(
        "CREATE TABLE IF NOT EXISTS {} (key BLOB NOT NULL PRIMARY KEY, value BLOB NOT NULL) {layout}",
        table.name()
    )
}

pub(super) fn select(
    reader: &Connection,
    table: Table,
    key: &[u8],
) -> rusqlite::Result<Option<Vec<u8>>> {
    let sql = format!("SELECT value FROM {} WHERE key = ?1", table.name());
    match prepare(reader, table, &sql)? {
        Some(mut statement) => statement.query_row([key], |row| row.get(0)).optional(),
        None => Ok(None),
    }
}

pub(super) fn select_range(
    reader: &Connection,
    table: Table,
    range: &KeyRange,
) -> rusqlite::Result<Vec<(Key, Vec<u8>)>> {
    let end = match range.end {
        Some(_) => "AND key < ?2",
        None => "AND ?2 IS NULL",
    };
    let name = table.name();
    let sql = format!("SELECT key, value FROM {name} WHERE key >= ?1 {end} ORDER BY key LIMIT ?3");
    // A negative limit is none (SQLite's SELECT).
    let limit = i64::try_from(range.limit).unwrap_or(-1);
    let Some(mut statement) = prepare(reader, table, &sql)? else {
        return Ok(Vec::new());
    };
    let rows = statement.query_map(params![range.start, range.end, limit], |row| {
        Ok((row.get(0)?, row.get(1)?))
    })?;
    rows.collect()
}

pub(super) fn put(
    writer: &Connection,
    table: Table,
    key: &[u8],
    value: &[u8],
) -> rusqlite::Result<()> {
    let sql = format!(
        "INSERT INTO {} (key, value) VALUES (?1, ?2)
         ON CONFLICT (key) DO UPDATE SET value = excluded.value",
        table.name()
    );
    if let Some(mut statement) = prepare(writer, table, &sql)? {
        return statement.execute([key, value]).map(drop);
    }
    writer.execute_batch(&create_table(table))?;
    writer.prepare_cached(&sql)?.execute([key, value]).map(drop)
}

pub(super) fn delete(writer: &Connection, table: Table, key: &[u8]) -> rusqlite::Result<()> {
    let sql = format!("DELETE FROM {} WHERE key = ?1", table.name());
    match prepare(writer, table, &sql)? {
        Some(mut statement) => statement.execute([key]).map(drop),
        None => Ok(()),
    }
}

/// A statement on a table; `None` if the table is not there: a table is made by its first row,
/// because an empty one takes a page or two, and a small account would be mostly empty tables.
fn prepare<'a>(
    connection: &'a Connection,
    table: Table,
    sql: &str,
) -> rusqlite::Result<Option<CachedStatement<'a>>> {
    match connection.prepare_cached(sql) {
        Ok(statement) => Ok(Some(statement)),
        Err(_) => {
            if is_there(connection, table)? {
                // Another connection may have made it just now.
                connection.prepare_cached(sql).map(Some)
            } else {
                Ok(None)
            }
        }
    }
}

pub(super) fn is_there(connection: &Connection, table: Table) -> rusqlite::Result<bool> {
    let known = "SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name = ?1";
    let count: i64 = connection.query_row(known, [table.name()], |row| row.get(0))?;
    Ok(count > 0)
}

/// Says what failed and where, in SQLite's words for the code alone.
pub(super) fn store_error(path: &Path, table: &'static str, error: &rusqlite::Error) -> StoreError {
    let place = path.display().to_string();
    let detail = match error.sqlite_error() {
        Some(sqlite) => format!(
            "{} (SQLite code {})",
            rusqlite::ffi::code_to_str(sqlite.extended_code),
            sqlite.extended_code
        ),
        None => "SQLite gave an unexpected answer".to_owned(),
    };
    match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => StoreError::Full { place },
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => StoreError::Damaged {
            place,
            table,
            detail,
        },
        _ => StoreError::Backend { place, detail },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_that_is_made_while_it_is_read_is_no_error() {
        let folder = tempfile::tempdir().unwrap();
        let file = File::plain(folder.path().join("rows"));
        file.create_private().unwrap();
        let (reader, writer) = (file.connect().unwrap(), file.connect().unwrap());
        let reading = std::thread::spawn(move || {
            for table in Table::ALL {
                while select(&reader, table, b"key").unwrap().is_none() {}
            }
        });
        for table in Table::ALL {
            put(&writer, table, b"key", b"value").unwrap();
        }
        reading.join().unwrap();
    }
}

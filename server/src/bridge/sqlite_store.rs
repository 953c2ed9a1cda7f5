//! The replica's store on SQLite, encrypted as a whole by SQLCipher under a raw 32-byte key.
//!
//! One writer connection and a few readers, all in `spawn_blocking`. WAL with
//! `synchronous = FULL`: [`Store::commit`] returns after the log is on the disk. One `STRICT`
//! table for each [`Table`].
//!
//! Invariant: the key and the rows never reach an error, a log or a temporary file; errors carry
//! SQLite's own words for the code, not rusqlite's, which quote the SQL. Rejected: one table with
//! a column for the kind; a damaged page would then take every kind of row with it.

#[cfg(test)]
mod tests;

use std::fs::OpenOptions;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use letterlock_core::store::{Batch, Expectation, Key, KeyRange, Op, Store, StoreError, Table};
use rusqlite::{Connection, ErrorCode, OptionalExtension, TransactionBehavior, params};
use tokio::sync::Semaphore;
use zeroize::Zeroizing;

/// Most reads at a time.
const MAX_READERS: usize = 4;
/// How long a connection waits for another to finish, in milliseconds. Another process cannot be
/// the reason: the data directory is locked.
const BUSY_TIMEOUT_MS: u64 = 10_000;
/// Statements that a connection keeps prepared: three for each table.
const CACHED_STATEMENTS: usize = Table::ALL.len() * 3;
/// The name that errors give to the database's own tables.
const SCHEMA: &str = "schema";

/// A store in one file.
#[derive(Clone)]
pub struct SqliteStore {
    inner: Arc<Inner>,
}

struct Inner {
    path: PathBuf,
    key: Zeroizing<[u8; 32]>,
    writer: Mutex<Connection>,
    readers: Mutex<Vec<Connection>>,
    reading: Semaphore,
}

/// Why a store does not open.
#[derive(Debug, thiserror::Error)]
pub enum OpenStoreError {
    /// The file is there, but this key does not open it.
    #[error("{place} does not open with this account's key, or its first page is damaged")]
    WrongKey {
        /// The file.
        place: String,
    },
    /// Anything else.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl SqliteStore {
    /// Opens the file, or makes it, readable by its owner alone. Blocks.
    pub fn open(path: &Path, key: &[u8; 32]) -> Result<Self, OpenStoreError> {
        create_private(path).map_err(|error| StoreError::Backend {
            place: path.display().to_string(),
            detail: error.kind().to_string(),
        })?;
        let writer = connect(path, key)?;
        for table in Table::ALL {
            writer
                .execute_batch(&create_table(table))
                .map_err(|error| store_error(path, table.name(), &error))?;
        }
        let inner = Inner {
            path: path.to_owned(),
            key: Zeroizing::new(*key),
            writer: Mutex::new(writer),
            readers: Mutex::new(Vec::new()),
            reading: Semaphore::new(MAX_READERS),
        };
        Ok(Self {
            inner: Arc::new(inner),
        })
    }

    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Inner) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let inner = Arc::clone(&self.inner);
        let place = inner.place();
        tokio::task::spawn_blocking(move || work(&inner))
            .await
            .unwrap_or_else(|_| {
                Err(StoreError::Backend {
                    place,
                    detail: "the task that worked on it ended early".to_owned(),
                })
            })
    }

    async fn reading<T: Send + 'static>(
        &self,
        table: Table,
        work: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        // The semaphore is never closed, so there is always a permit to come.
        let _permit = self.inner.reading.acquire().await.ok();
        self.blocking(move |inner| {
            let reader = inner.reader()?;
            let result =
                work(&reader).map_err(|error| store_error(&inner.path, table.name(), &error));
            // SQLCipher fails every later read of a connection that met a damaged page.
            if !matches!(result, Err(StoreError::Damaged { .. })) {
                lock(&inner.readers).push(reader);
            }
            result
        })
        .await
    }
}

impl Store for SqliteStore {
    async fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        let key = key.to_vec();
        self.reading(table, move |reader| select(reader, table, &key))
            .await
    }

    async fn scan(&self, table: Table, range: KeyRange) -> Result<Vec<(Key, Vec<u8>)>, StoreError> {
        self.reading(table, move |reader| select_range(reader, table, &range))
            .await
    }

    async fn commit(&self, batch: Batch) -> Result<(), StoreError> {
        self.blocking(move |inner| {
            let mut writer = lock(&inner.writer);
            let result = commit(&mut writer, &inner.path, &batch);
            // As with a reader: this connection is of no more use.
            if matches!(result, Err(StoreError::Damaged { .. })) {
                *writer = inner.connect()?;
            }
            result
        })
        .await
    }
}

impl Inner {
    fn place(&self) -> String {
        self.path.display().to_string()
    }

    fn reader(&self) -> Result<Connection, StoreError> {
        let idle = lock(&self.readers).pop();
        idle.map_or_else(|| self.connect(), Ok)
    }

    fn connect(&self) -> Result<Connection, StoreError> {
        connect(&self.path, &self.key).map_err(|error| match error {
            OpenStoreError::Store(error) => error,
            OpenStoreError::WrongKey { place } => StoreError::Damaged {
                place,
                table: SCHEMA,
                detail: "the first page does not open".to_owned(),
            },
        })
    }
}

/// A poisoned lock guards a connection whose transaction was rolled back: still good.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn create_private(path: &Path) -> std::io::Result<()> {
    let mut options = OpenOptions::new();
    options.append(true).create(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path).map(drop)
}

fn connect(path: &Path, key: &[u8; 32]) -> Result<Connection, OpenStoreError> {
    let fail = |error: rusqlite::Error| store_error(path, SCHEMA, &error);
    let connection = Connection::open(path).map_err(fail)?;
    let timeout = Duration::from_millis(BUSY_TIMEOUT_MS);
    connection.busy_timeout(timeout).map_err(fail)?;
    connection.set_prepared_statement_cache_capacity(CACHED_STATEMENTS);
    // SQLCipher would write of its own accord to stderr what the errors here say.
    let quiet = "PRAGMA cipher_log_level = NONE;";
    connection.execute_batch(quiet).map_err(fail)?;
    let hex = Zeroizing::new(hex::encode(key));
    let pragma = Zeroizing::new(format!("PRAGMA key = \"x'{}'\";", *hex));
    connection.execute_batch(&pragma).map_err(fail)?;
    // The key is tried by the first read.
    connection
        .query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(()))
        .map_err(|error| match error.sqlite_error_code() {
            Some(ErrorCode::NotADatabase) => OpenStoreError::WrongKey {
                place: path.display().to_string(),
            },
            _ => fail(error).into(),
        })?;
    connection
        .execute_batch(
            "PRAGMA journal_mode = WAL;
             PRAGMA synchronous = FULL;
             PRAGMA temp_store = MEMORY;
             PRAGMA trusted_schema = OFF;",
        )
        .map_err(fail)?;
    Ok(connection)
}

/// Rows with small values lie in the tree of their keys; large values would make that tree deep,
/// so their tables keep it apart.
fn create_table(table: Table) -> String {
    let layout = match table {
        Table::Documents
        | Table::Incoming
        | Table::Outbox
        | Table::Contents
        | Table::SearchIndex => "STRICT",
        Table::Meta
        | Table::Mailboxes
        | Table::Placements
        | Table::PlacementIndex
        | Table::Pending
        | Table::Contacts
        | Table::References
        | Table::Garbage
        | Table::Vanished
        | Table::Unindexed
        | Table::Threads => "STRICT, WITHOUT ROWID",
    };
    format!(
        "CREATE TABLE IF NOT EXISTS {} (key BLOB NOT NULL PRIMARY KEY, value BLOB NOT NULL) {layout}",
        table.name()
    )
}

fn select(reader: &Connection, table: Table, key: &[u8]) -> rusqlite::Result<Option<Vec<u8>>> {
    let sql = format!("SELECT value FROM {} WHERE key = ?1", table.name());
    let mut statement = reader.prepare_cached(&sql)?;
    statement.query_row([key], |row| row.get(0)).optional()
}

fn select_range(
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
    let mut statement = reader.prepare_cached(&sql)?;
    let rows = statement.query_map(params![range.start, range.end, limit], |row| {
        Ok((row.get(0)?, row.get(1)?))
    })?;
    rows.collect()
}

fn commit(writer: &mut Connection, path: &Path, batch: &Batch) -> Result<(), StoreError> {
    let at = |table: &'static str| move |error| store_error(path, table, &error);
    let transaction = writer
        .transaction_with_behavior(TransactionBehavior::Immediate)
        .map_err(at(SCHEMA))?;
    for Expectation { table, key, value } in &batch.expect {
        let current = select(&transaction, *table, key).map_err(at(table.name()))?;
        if current != *value {
            return Err(StoreError::Conflict);
        }
    }
    for op in &batch.ops {
        match op {
            Op::Put(table, key, value) => {
                put(&transaction, *table, key, value).map_err(at(table.name()))?;
            }
            Op::Delete(table, key) => {
                delete(&transaction, *table, key).map_err(at(table.name()))?;
            }
        }
    }
    transaction.commit().map_err(at(SCHEMA))
}

fn put(writer: &Connection, table: Table, key: &[u8], value: &[u8]) -> rusqlite::Result<()> {
    let sql = format!(
        "INSERT INTO {} (key, value) VALUES (?1, ?2)
         ON CONFLICT (key) DO UPDATE SET value = excluded.value",
        table.name()
    );
    writer.prepare_cached(&sql)?.execute([key, value]).map(drop)
}

fn delete(writer: &Connection, table: Table, key: &[u8]) -> rusqlite::Result<()> {
    let sql = format!("DELETE FROM {} WHERE key = ?1", table.name());
    writer.prepare_cached(&sql)?.execute([key]).map(drop)
}

/// Says what failed and where, in SQLite's words for the code alone.
fn store_error(path: &Path, table: &'static str, error: &rusqlite::Error) -> StoreError {
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

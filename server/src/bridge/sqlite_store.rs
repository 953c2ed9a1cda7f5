//! The replica's store on SQLite, in two files side by side.
//!
//! The first is encrypted as a whole by SQLCipher under a raw 32-byte key and has every table but
//! one. The second has [`Table::Contents`], the bulk of an account, in plain SQLite: its values
//! are sealed by the core already, and SQLCipher would cost several times their reading and
//! writing again. Its keys are blinded ids.
//!
//! One writer connection for each file and a few readers. What writes, and what reads more than a
//! few rows, does so in `spawn_blocking`; a row or a few are read where they are asked for, a value
//! being a megaoctet at most. WAL with `synchronous = FULL`: [`Store::commit`] returns after the
//! log is on the disk, but for a batch that need only outlive the process: `NORMAL`, and the log is
//! flushed a moment later (`flush`). One `STRICT` table for each [`Table`] that has ever had a row. How a batch that touches both
//! files is still one step is told in `writer`.
//!
//! Invariant: the key and the rows never reach an error, a log or a temporary file; errors carry
//! SQLite's own words for the code, not rusqlite's, which quote the SQL. Rejected: one table with
//! a column for the kind; a damaged page would then take every kind of row with it. Rejected: a
//! file for each content; a mailbox of small letters would be a folder of millions of files.

mod connection;
mod flush;
mod redo;
mod writer;
#[cfg(test)]
mod tests;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use letterlock_core::store::{Batch, Durability, Key, KeyRange, Store, StoreError, Table};
use rusqlite::Connection;
use tokio::sync::Semaphore;

use connection::{File, select, select_range, store_error};
use flush::Flush;
use writer::Writer;

/// Most reads at a time.
const MAX_READERS: usize = 4;
/// So few rows are read where they are asked for. They take some ten microseconds, if they have
/// been read before; handing them to another thread and back takes longer, and on a busy machine
/// milliseconds.
const READ_HERE: usize = 4;

/// A store in two files.
#[derive(Clone)]
pub struct SqliteStore {
    inner: Arc<Inner>,
}

struct Inner {
    /// Everything but contents, encrypted.
    rows: Pool,
    /// Contents, sealed one by one.
    contents: Pool,
    writer: Mutex<Writer>,
    /// Of the first file's log.
    flush: Flush,
    reading: Semaphore,
}

/// A file and the connections that are idle.
struct Pool {
    file: File,
    readers: Mutex<Vec<Connection>>,
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
    /// Opens the file and the one beside it, or makes them, readable by their owner alone, and
    /// mends what a crash between the two left. Blocks.
    pub fn open(path: &Path, key: &[u8; 32]) -> Result<Self, OpenStoreError> {
        let rows = File::encrypted(path.to_owned(), key);
        let contents = File::plain(contents_path(path));
        let writer = Writer::open(&rows, &contents)?;
        let inner = Inner {
            rows: Pool::new(rows),
            contents: Pool::new(contents),
            writer: Mutex::new(writer),
            flush: Flush::new(with_suffix(path, "-wal")),
            reading: Semaphore::new(MAX_READERS),
        };
        Ok(Self {
            inner: Arc::new(inner),
        })
    }

    /// Every file that a store at `path` may have.
    pub fn files(path: &Path) -> Vec<PathBuf> {
        [path.to_owned(), contents_path(path)]
            .iter()
            .flat_map(|file| ["", "-wal", "-shm"].map(|suffix| with_suffix(file, suffix)))
            .collect()
    }

    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Inner) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let inner = Arc::clone(&self.inner);
        let place = inner.rows.file.place();
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
        self.blocking(move |inner| inner.read(table, work)).await
    }
}

impl Store for SqliteStore {
    async fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        let _permit = self.inner.reading.acquire().await.ok();
        self.inner.read(table, |reader| select(reader, table, key))
    }

    async fn get_many(
        &self,
        table: Table,
        keys: Vec<Key>,
    ) -> Result<Vec<Option<Vec<u8>>>, StoreError> {
        let here = keys.len() <= READ_HERE;
        let work = move |reader: &Connection| {
            let rows = keys.iter().map(|key| select(reader, table, key));
            rows.collect::<rusqlite::Result<_>>()
        };
        if here {
            let _permit = self.inner.reading.acquire().await.ok();
            return self.inner.read(table, work);
        }
        self.reading(table, work).await
    }

    async fn scan(&self, table: Table, range: KeyRange) -> Result<Vec<(Key, Vec<u8>)>, StoreError> {
        self.reading(table, move |reader| select_range(reader, table, &range))
            .await
    }

    async fn commit(&self, batch: Batch) -> Result<(), StoreError> {
        self.blocking(move |inner| {
            let mut writer = lock(&inner.writer);
            let result = writer.commit(&batch);
            // As with a reader: these connections are of no more use.
            if matches!(result, Err(StoreError::Damaged { .. })) {
                *writer = reopened(Writer::open(&inner.rows.file, &inner.contents.file))?;
            }
            if result.is_ok() && batch.durability == Durability::Process {
                inner.flush.ask();
            }
            result
        })
        .await
    }
}

impl Inner {
    fn read<T>(
        &self,
        table: Table,
        work: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    ) -> Result<T, StoreError> {
        let pool = self.pool(table);
        let reader = pool.reader()?;
        let path = &pool.file.path;
        let result = work(&reader).map_err(|error| store_error(path, table.name(), &error));
        // SQLCipher fails every later read of a connection that met a damaged page.
        if !matches!(result, Err(StoreError::Damaged { .. })) {
            lock(&pool.readers).push(reader);
        }
        result
    }

    fn pool(&self, table: Table) -> &Pool {
        match table {
            Table::Contents => &self.contents,
            _ => &self.rows,
        }
    }
}

impl Pool {
    fn new(file: File) -> Self {
        Self {
            file,
            readers: Mutex::new(Vec::new()),
        }
    }

    fn reader(&self) -> Result<Connection, StoreError> {
        let idle = lock(&self.readers).pop();
        idle.map_or_else(|| reopened(self.file.connect()), Ok)
    }
}

/// The key was right when the store was opened.
fn reopened<T>(result: Result<T, OpenStoreError>) -> Result<T, StoreError> {
    result.map_err(|error| match error {
        OpenStoreError::Store(error) => error,
        OpenStoreError::WrongKey { place } => StoreError::Damaged {
            place,
            table: connection::SCHEMA,
            detail: "the first page does not open".to_owned(),
        },
    })
}

/// A poisoned lock guards a connection whose transaction was rolled back: still good.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// `replica.db` has `replica-contents.db` beside it.
fn contents_path(path: &Path) -> PathBuf {
    let mut name = path.file_stem().map_or_else(OsString::new, OsString::from);
    name.push("-contents");
    if let Some(extension) = path.extension() {
        name.push(".");
        name.push(extension);
    }
    path.with_file_name(name)
}

fn with_suffix(file: &Path, suffix: &str) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

//! The replica's store on SQLite, in two files side by side.
//!
//! The first is encrypted as a whole by SQLCipher under a raw 32-byte key and has every table but
//! one. The second has [`Table::Contents`], the bulk of an account, in plain SQLite: its values
//! are sealed by the core already, and SQLCipher would cost several times their reading and
//! writing again. Its keys are blinded ids.
//!
//! A commit goes into a sealed journal beside them (`journal`): one record, and one wait for the
//! disk if it must outlive the machine. What it changed is in memory until a thread writes it into
//! the files, many commits together (`folding`), and reading looks there first (`layers`). A
//! batch that is too long for the journal goes into the files at once, all before it first.
//!
//! One writer connection for each file and a few readers. What waits for the disk, and what reads
//! more than a few rows, does so in `spawn_blocking`; a row or a few are read where they are asked
//! for, a value being a megaoctet at most, and a short commit that does not wait is written there.
//! WAL with `synchronous = FULL`. One `STRICT` table for each [`Table`] that has ever had a row. How
//! a step over both files is still one is told in `writer`.
//!
//! Invariant: the key and the rows never reach an error, a log or a temporary file; errors carry
//! SQLite's own words for the code, not rusqlite's, which quote the SQL. Rejected: one table with
//! a column for the kind; a damaged page would then take every kind of row with it. Rejected: a
//! file for each content; a mailbox of small letters would be a folder of millions of files.
//! Rejected: a transaction of SQLite for each commit; through SQLCipher a flag is a dozen pages, and
//! each page takes some 20 µs.

mod connection;
mod folding;
mod journal;
mod layers;
mod redo;
mod writer;
#[cfg(test)]
mod tests;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use letterlock_core::store::{Batch, Durability, Key, KeyRange, Op, Store, StoreError, Table};
use rusqlite::Connection;
use tokio::sync::Semaphore;

use connection::{File, is_there, select, select_range, store_error};
use folding::Due;
use journal::Journal;
use layers::{Layers, Row};
use writer::Writer;

/// Most reads at a time.
const MAX_READERS: usize = 4;
/// So few rows are read where they are asked for. They take some ten microseconds, if they have
/// been read before; handing them to another thread and back takes longer, and on a busy machine
/// milliseconds.
const READ_HERE: usize = 4;
/// A batch of at most so many octets that does not wait for the disk is written where it is made.
const WRITE_HERE_OCTETS: usize = 64 * 1024;

/// A store in two files.
#[derive(Clone)]
pub struct SqliteStore {
    open: Arc<Open>,
}

/// What closes the store when nobody has it any more.
struct Open(Arc<Inner>);

struct Inner {
    /// Everything but contents, encrypted.
    rows: Pool,
    /// Contents, sealed one by one.
    contents: Pool,
    /// Who has both locks took this one first; `None` when the store is closed.
    writer: Mutex<Option<Writer>>,
    journal: Mutex<Journal>,
    layers: Layers,
    due: Due,
    /// Which tables may be there, a bit for each: what is in none has no row.
    tables: AtomicU32,
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
        let mut writer = Writer::open(&rows, &contents)?;
        let (journal, left) = Journal::open(path, key, writer.folded()?)?;
        let layers = Layers::default();
        let due = folding::recover(&mut writer, (&rows, &contents), left, &layers)?;
        let inner = Inner {
            rows: Pool::new(rows),
            contents: Pool::new(contents),
            writer: Mutex::new(Some(writer)),
            journal: Mutex::new(journal),
            layers,
            due,
            tables: AtomicU32::new(0),
            reading: Semaphore::new(MAX_READERS),
        };
        for table in Table::ALL {
            if inner.read(table, |reader| is_there(reader, table))? {
                inner.note_table(table);
            }
        }
        Ok(Self {
            open: Arc::new(Open(Arc::new(inner))),
        })
    }

    /// Every file that a store at `path` may have.
    pub fn files(path: &Path) -> Vec<PathBuf> {
        let databases = [path.to_owned(), contents_path(path)];
        let files = databases
            .iter()
            .flat_map(|file| ["", "-wal", "-shm"].map(|suffix| with_suffix(file, suffix)));
        files.chain(Journal::paths(path)).collect()
    }

    fn inner(&self) -> &Arc<Inner> {
        &self.open.0
    }

    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Arc<Inner>) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let inner = Arc::clone(self.inner());
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
        work: impl FnOnce(&Arc<Inner>) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        // The semaphore is never closed, so there is always a permit to come.
        let _permit = self.inner().reading.acquire().await.ok();
        self.blocking(work).await
    }
}

impl Store for SqliteStore {
    async fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        let inner = self.inner();
        if let Some(row) = inner.layers.find(table, key) {
            return Ok(row.value());
        }
        if !inner.has_table(table) {
            return Ok(None);
        }
        let _permit = inner.reading.acquire().await.ok();
        inner.read(table, |reader| select(reader, table, key))
    }

    async fn get_many(
        &self,
        table: Table,
        keys: Vec<Key>,
    ) -> Result<Vec<Option<Vec<u8>>>, StoreError> {
        if keys.len() <= READ_HERE {
            let _permit = self.inner().reading.acquire().await.ok();
            return self.inner().get_many(table, &keys);
        }
        self.reading(move |inner| inner.get_many(table, &keys))
            .await
    }

    async fn scan(&self, table: Table, range: KeyRange) -> Result<Vec<(Key, Vec<u8>)>, StoreError> {
        let above = self.inner().layers.range(table, &range);
        if !self.inner().has_table(table) && self.inner().layers.moves() == above.moves {
            return Ok(above.over(Vec::new(), range.limit));
        }
        self.reading(move |inner| inner.scan(table, &range)).await
    }

    async fn commit(&self, batch: Batch) -> Result<(), StoreError> {
        let inner = self.inner();
        let size = Size::of(&batch);
        let waits = batch.durability == Durability::Machine || size.octets > WRITE_HERE_OCTETS;
        if !waits
            && inner.has_room(size)
            && let Ok(mut journal) = inner.journal.try_lock()
        {
            inner.commit(&mut journal, batch)?;
            folding::ask(inner);
            return Ok(());
        }
        self.blocking(move |inner| {
            if inner.has_room(size) {
                inner.commit(&mut lock(&inner.journal), batch)?;
                folding::ask(inner);
                Ok(())
            } else {
                inner.commit_to_files(&batch)
            }
        })
        .await
    }
}

impl Inner {
    fn get_many(&self, table: Table, keys: &[Key]) -> Result<Vec<Option<Vec<u8>>>, StoreError> {
        let above = keys.iter().map(|key| self.layers.find(table, key));
        let above: Vec<Option<Row>> = above.collect();
        if above.iter().all(Option::is_some) || !self.has_table(table) {
            let rows = above.into_iter();
            return Ok(rows.map(|row| row.and_then(Row::value)).collect());
        }
        self.read(table, |reader| {
            let rows = keys.iter().zip(above).map(|(key, above)| match above {
                Some(row) => Ok(row.value()),
                None => select(reader, table, key),
            });
            rows.collect()
        })
    }

    /// As of one moment: if rows went into the files meanwhile, these may have newer ones.
    fn scan(&self, table: Table, range: &KeyRange) -> Result<Vec<(Key, Vec<u8>)>, StoreError> {
        loop {
            let above = self.layers.range(table, range);
            let limit = range.limit.saturating_add(above.hides());
            let wider = range.clone().limit(limit);
            let below = self.read(table, |reader| select_range(reader, table, &wider))?;
            if self.layers.moves() == above.moves {
                return Ok(above.over(below, range.limit));
            }
        }
    }

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

    fn has_table(&self, table: Table) -> bool {
        self.tables.load(Ordering::SeqCst) & bit(table) != 0
    }

    /// Before it is made.
    fn note_table(&self, table: Table) {
        self.tables.fetch_or(bit(table), Ordering::SeqCst);
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

const fn bit(table: Table) -> u32 {
    1 << table as u32
}

/// How long a batch is in the journal, about.
#[derive(Debug, Clone, Copy, Default)]
struct Size {
    octets: usize,
    /// Of these, octets of contents.
    contents: usize,
}

impl Size {
    fn of(batch: &Batch) -> Self {
        let mut size = Self::default();
        for op in &batch.ops {
            match op {
                Op::Put(table, key, value) => {
                    let octets = key.len() + value.len();
                    size.octets += octets;
                    if *table == Table::Contents {
                        size.contents += octets;
                    }
                }
                Op::Delete(_, key) => size.octets += key.len(),
            }
        }
        size
    }
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

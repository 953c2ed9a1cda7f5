//! The provider's storage: one SQLite database and the folder `blobs/`.
//!
//! WAL with `synchronous=FULL`: what a commit returned for survives a power cut. One connection
//! writes, some read; both run in blocking tasks, so that nothing here is async. The tables'
//! functions take a transaction and know neither HTTP nor what the sealed octets say.
//!
//! Invariant: effects outside the database (files that became stale, devices that wait for news)
//! happen after the commit, in the same blocking task, so that a caller who goes away cannot
//! separate them from it.

mod error;
mod blobs;
mod schema;
mod log;
pub(crate) mod accounts;
pub(crate) mod sessions;
pub(crate) mod directory;
pub(crate) mod keys;
pub(crate) mod documents;
pub(crate) mod incoming;
pub(crate) mod queue;
pub(crate) mod deletion;
pub(crate) mod devices;
pub(crate) mod invites;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use letterlock_core::id::{AccountId, Generation};
use rusqlite::{Connection, Transaction, TransactionBehavior};
use tokio::sync::{Semaphore, watch};

pub(crate) use blobs::{
    BlobId, Blobs, Staged, Stored, Value, create_private, sync_folder, write_durably,
};
pub use error::DbError;
pub(crate) use error::TxError;
pub use invites::Invited;
pub(crate) use log::{Changes, Cut, changed_since};

/// Connections that read at the same time.
const READERS: usize = 4;
/// How often a read begins again when a file went away under it.
const READ_ATTEMPTS: usize = 5;

/// What a transaction does beside its rows.
#[derive(Debug, Default)]
pub(crate) struct Effects {
    added: Vec<Staged>,
    stale: Vec<BlobId>,
    news: BTreeMap<AccountId, Generation>,
    woken: BTreeSet<AccountId>,
}

impl Effects {
    /// Devices of the account that wait look again: a log-in may have ended.
    fn wake(&mut self, account: AccountId) {
        self.woken.insert(account);
    }

    /// A row names this file now.
    fn add(&mut self, value: Staged) {
        self.added.push(value);
    }

    /// No row names this file any more.
    fn forget(&mut self, file: Option<BlobId>) {
        self.stale.extend(file);
    }
}

/// How a transaction ends.
pub(crate) enum Decision<T> {
    Commit(T),
    Rollback(T),
}

/// The open storage.
#[derive(Debug)]
pub(crate) struct Db {
    shared: Arc<Shared>,
    writer: Arc<tokio::sync::Mutex<Connection>>,
    reading: Arc<Semaphore>,
}

#[derive(Debug)]
struct Shared {
    path: PathBuf,
    blobs: Blobs,
    readers: Mutex<Vec<Connection>>,
    waiting: Mutex<BTreeMap<AccountId, watch::Sender<Generation>>>,
}

impl Db {
    /// Opens or makes the storage in a folder that exists, and brings it up to date.
    pub(crate) fn open(data_dir: &Path) -> Result<Self, DbError> {
        let path = data_dir.join("provider.sqlite");
        let blobs = Blobs::open(data_dir)?;
        let mut writer = schema::connect(&path)?;
        schema::migrate(&mut writer, &path)?;
        let named = named_files(&mut writer).map_err(|error| error.at(&path))?;
        let orphans = blobs.collect(&named)?;
        if orphans > 0 {
            tracing::info!(orphans, "removed files that no row names");
        }
        let readers = (0..READERS)
            .map(|_| schema::connect(&path))
            .collect::<Result<Vec<_>, _>>()?;
        Ok(Self {
            shared: Arc::new(Shared {
                path,
                blobs,
                readers: Mutex::new(readers),
                waiting: Mutex::default(),
            }),
            writer: Arc::new(tokio::sync::Mutex::new(writer)),
            reading: Arc::new(Semaphore::new(READERS)),
        })
    }

    /// The folder of large values.
    pub(crate) fn blobs(&self) -> &Blobs {
        &self.shared.blobs
    }

    /// Makes values ready for [`Db::write`].
    pub(crate) async fn stage(&self, values: Vec<Vec<u8>>) -> Result<Vec<Value>, DbError> {
        let shared = Arc::clone(&self.shared);
        blocking(move || values.into_iter().map(|v| shared.blobs.stage(v)).collect()).await?
    }

    /// Runs a transaction that may write; it is durable when this returns.
    pub(crate) async fn write<T, F>(&self, change: F) -> Result<T, DbError>
    where
        T: Send + 'static,
        F: FnOnce(&Transaction<'_>, &mut Effects) -> Result<Decision<T>, TxError> + Send + 'static,
    {
        let mut connection = Arc::clone(&self.writer).lock_owned().await;
        let shared = Arc::clone(&self.shared);
        blocking(move || shared.write(&mut connection, change)).await?
    }

    /// Runs a transaction that reads one consistent state.
    pub(crate) async fn read<T, F>(&self, query: F) -> Result<T, DbError>
    where
        T: Send + 'static,
        F: Fn(&Transaction<'_>, &Blobs) -> Result<T, TxError> + Send + 'static,
    {
        let permit = Arc::clone(&self.reading)
            .acquire_owned()
            .await
            .map_err(|_| DbError::Stopped)?;
        let shared = Arc::clone(&self.shared);
        blocking(move || {
            let result = shared.read(&query);
            drop(permit);
            result
        })
        .await?
    }

    /// Makes the write-ahead log short: it may hold what was deleted. A reader in the way leaves it
    /// to the next checkpoint.
    pub(crate) async fn truncate_log(&self) -> Result<(), DbError> {
        let connection = Arc::clone(&self.writer).lock_owned().await;
        let shared = Arc::clone(&self.shared);
        blocking(move || {
            connection
                .query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))
                .map_err(|source| DbError::database(&shared.path, source))
        })
        .await?
    }

    /// Hears of the account's new generations from now on.
    pub(crate) fn subscribe(&self, account: AccountId) -> watch::Receiver<Generation> {
        let mut waiting = lock(&self.shared.waiting);
        waiting
            .entry(account)
            .or_insert_with(|| watch::Sender::new(Generation(0)))
            .subscribe()
    }
}

impl Shared {
    fn write<T>(
        &self,
        connection: &mut Connection,
        change: impl FnOnce(&Transaction<'_>, &mut Effects) -> Result<Decision<T>, TxError>,
    ) -> Result<T, DbError> {
        let failed = |source| DbError::database(&self.path, source);
        let transaction = connection
            .transaction_with_behavior(TransactionBehavior::Immediate)
            .map_err(failed)?;
        let mut effects = Effects::default();
        let value = match change(&transaction, &mut effects).map_err(|e| e.at(&self.path))? {
            Decision::Commit(value) => value,
            Decision::Rollback(value) => {
                transaction.rollback().map_err(failed)?;
                return Ok(value);
            }
        };
        // A commit that fails may yet be found in the log after a crash: the files stay, and are
        // collected at the next start if no row names them.
        effects.added.into_iter().for_each(Staged::keep);
        transaction.commit().map_err(failed)?;
        effects.stale.iter().for_each(|id| self.blobs.forget(id));
        for (account, generation) in effects.news {
            self.publish(account, generation);
        }
        for account in effects.woken {
            if let Some(sender) = lock(&self.waiting).get(&account) {
                sender.send_modify(|_| {});
            }
        }
        Ok(value)
    }

    fn read<T>(
        &self,
        query: &impl Fn(&Transaction<'_>, &Blobs) -> Result<T, TxError>,
    ) -> Result<T, DbError> {
        let idle = lock(&self.readers).pop();
        let mut connection = match idle {
            Some(connection) => connection,
            None => schema::connect(&self.path)?,
        };
        let mut result = self.read_once(&mut connection, query);
        for _ in 1..READ_ATTEMPTS {
            if !matches!(result, Err(TxError::FileGone(_))) {
                break;
            }
            result = self.read_once(&mut connection, query);
        }
        lock(&self.readers).push(connection);
        result.map_err(|error| error.at(&self.path))
    }

    fn read_once<T>(
        &self,
        connection: &mut Connection,
        query: &impl Fn(&Transaction<'_>, &Blobs) -> Result<T, TxError>,
    ) -> Result<T, TxError> {
        let transaction = connection.transaction()?;
        query(&transaction, &self.blobs)
    }

    fn publish(&self, account: AccountId, generation: Generation) {
        let mut waiting = lock(&self.waiting);
        if let Some(sender) = waiting.get(&account) {
            if sender.receiver_count() == 0 {
                waiting.remove(&account);
            } else {
                sender.send_replace(generation);
            }
        }
    }
}

/// Runs a transaction over the invites of a provider's folder, which may be at work.
pub(crate) fn invites_at<T>(
    data_dir: &Path,
    change: impl FnOnce(&Transaction<'_>) -> Result<T, TxError>,
) -> Result<T, DbError> {
    let path = data_dir.join("provider.sqlite");
    // SQLite would make what is missing.
    std::fs::metadata(&path).map_err(|source| DbError::io(&path, source))?;
    let mut connection = schema::connect(&path)?;
    schema::migrate(&mut connection, &path)?;
    let failed = |source| DbError::database(&path, source);
    let transaction = connection
        .transaction_with_behavior(TransactionBehavior::Immediate)
        .map_err(failed)?;
    let value = change(&transaction).map_err(|error| error.at(&path))?;
    transaction.commit().map_err(failed)?;
    Ok(value)
}

/// A lock whose holder panicked still guards a consistent value here.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Runs something that waits for the disk.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, DbError> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|_| DbError::Stopped)
}

fn named_files(connection: &mut Connection) -> Result<BTreeSet<BlobId>, TxError> {
    let mut statement = connection.prepare(
        "SELECT file FROM documents WHERE file IS NOT NULL
         UNION ALL SELECT file FROM incoming WHERE file IS NOT NULL
         UNION ALL SELECT file FROM queue WHERE file IS NOT NULL",
    )?;
    let rows = statement.query_map([], |row| row.get::<_, BlobId>(0))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// An unsigned number as SQLite keeps it.
fn signed(number: u64) -> Result<i64, TxError> {
    i64::try_from(number).map_err(|_| TxError::Damaged("a number is too large"))
}

/// A number that SQLite kept.
fn unsigned<T: TryFrom<i64>>(number: i64) -> Result<T, TxError> {
    T::try_from(number).map_err(|_| TxError::Damaged("a number is out of range"))
}

/// `size, value, file` of a row.
type Columns = (i64, Option<Vec<u8>>, Option<BlobId>);

/// Splits a value into its columns `size, value, file`, and gives the file to the transaction.
fn columns(value: Value, effects: &mut Effects) -> Result<Columns, TxError> {
    Ok(match value {
        Value::Inline(octets) => (length(octets.len())?, Some(octets), None),
        Value::File(staged) => {
            let columns = (length(staged.size)?, None, Some(staged.id));
            effects.add(staged);
            columns
        }
    })
}

fn length(size: usize) -> Result<i64, TxError> {
    i64::try_from(size).map_err(|_| TxError::Damaged("a value is too large"))
}

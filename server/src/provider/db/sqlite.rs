//! SQLite: one file, nothing to install. One connection writes, some read.
//!
//! WAL with `synchronous=FULL`: what a commit returned for survives a power cut.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use rusqlite::{Connection, TransactionBehavior};
use tokio::sync::{OwnedMutexGuard, OwnedSemaphorePermit, Semaphore};

use super::sql::Transaction;
use super::{DbError, Decision, Effects, TxError, lock, schema};

/// Connections that read at the same time.
const READERS: usize = 4;

/// The database.
#[derive(Debug)]
pub(super) struct Sqlite {
    pub(super) path: PathBuf,
    writer: Arc<tokio::sync::Mutex<Connection>>,
    readers: Mutex<Vec<Connection>>,
    reading: Arc<Semaphore>,
}

impl Sqlite {
    /// Opens or makes the file, and brings it up to date.
    pub(super) fn open(path: PathBuf) -> Result<Self, DbError> {
        let mut writer = schema::connect(&path)?;
        schema::migrate(&mut writer, &path)?;
        let readers = (0..READERS)
            .map(|_| schema::connect(&path))
            .collect::<Result<Vec<_>, _>>()?;
        Ok(Self {
            path,
            writer: Arc::new(tokio::sync::Mutex::new(writer)),
            readers: Mutex::new(readers),
            reading: Arc::new(Semaphore::new(READERS)),
        })
    }

    /// Waits until nobody else writes.
    pub(super) async fn writer(&self) -> OwnedMutexGuard<Connection> {
        Arc::clone(&self.writer).lock_owned().await
    }

    /// Waits until one may read.
    pub(super) async fn permit(&self) -> Result<OwnedSemaphorePermit, DbError> {
        let permit = Arc::clone(&self.reading).acquire_owned().await;
        permit.map_err(|_| DbError::Stopped)
    }

    pub(super) fn write<T>(
        &self,
        writer: &mut Connection,
        effects: &mut Effects,
        change: impl FnOnce(&Transaction<'_>, &mut Effects) -> Result<Decision<T>, TxError>,
    ) -> Result<Decision<T>, DbError> {
        write(&self.path, writer, effects, change)
    }

    pub(super) fn read<T>(
        &self,
        query: impl FnOnce(&Transaction<'_>) -> Result<T, TxError>,
    ) -> Result<T, TxError> {
        let idle = lock(&self.readers).pop();
        let mut connection = match idle {
            Some(connection) => connection,
            None => schema::connect(&self.path)?,
        };
        let result = connection
            .transaction()
            .map_err(TxError::from)
            .and_then(|transaction| query(&Transaction::Sqlite(transaction)));
        lock(&self.readers).push(connection);
        result
    }

    /// Makes the write-ahead log short: it may hold what was deleted. A reader in the way leaves it
    /// to the next checkpoint.
    pub(super) fn truncate_log(&self, writer: &Connection) -> Result<(), DbError> {
        writer
            .query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))
            .map_err(|source| DbError::database(&self.path, source))
    }
}

/// Runs a transaction over a file that another process may have open.
pub(super) fn once<T>(
    path: &Path,
    change: impl FnOnce(&Transaction<'_>) -> Result<T, TxError>,
) -> Result<T, DbError> {
    // SQLite would make what is missing.
    std::fs::metadata(path).map_err(|source| DbError::io(path, source))?;
    let mut writer = schema::connect(path)?;
    schema::migrate(&mut writer, path)?;
    let decided = write(
        path,
        &mut writer,
        &mut Effects::default(),
        |transaction, _| change(transaction).map(Decision::Commit),
    )?;
    Ok(decided.into_value())
}

fn write<T>(
    path: &Path,
    writer: &mut Connection,
    effects: &mut Effects,
    change: impl FnOnce(&Transaction<'_>, &mut Effects) -> Result<Decision<T>, TxError>,
) -> Result<Decision<T>, DbError> {
    let failed = |source| DbError::database(path, source);
    let transaction = writer
        .transaction_with_behavior(TransactionBehavior::Immediate)
        .map_err(failed)?;
    let transaction = Transaction::Sqlite(transaction);
    let decision = change(&transaction, effects).map_err(|error| error.at(path))?;
    if let (Transaction::Sqlite(transaction), Decision::Commit(_)) = (transaction, &decision) {
        // A commit that fails may yet be found in the log after a crash: the files stay, and are
        // collected at the next start if no row names them.
        effects.keep_files();
        transaction.commit().map_err(failed)?;
    }
    Ok(decision)
}

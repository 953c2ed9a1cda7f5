//! The provider's storage: records in SQLite or PostgreSQL, large values in a folder or in an
//! S3-compatible store.
//!
//! What a commit returned for survives a power cut. Transactions run in blocking tasks, so that
//! nothing here is async. The tables' functions are written once, over [`Transaction`]; they know
//! neither HTTP nor what the sealed octets say.
//!
//! Invariant: effects outside the database (files that became stale, devices that wait for news)
//! happen after the commit, in the same blocking task, so that a caller who goes away cannot
//! separate them from it. Invariant: a transaction that writes names whom it is about ([`Scope`]);
//! nobody else writes about them meanwhile, whatever the database and however many processes.

mod error;
mod blobs;
mod bucket;
mod garbage;
mod sql;
mod sqlite;
mod postgres;
mod news;
mod schema;
pub(crate) mod log;
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
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use letterlock_core::id::{AccountId, Generation};
use rusqlite::{Connection, params};
use tokio::sync::{OwnedMutexGuard, OwnedSemaphorePermit, watch};

use postgres::Postgres;
use sqlite::Sqlite;

pub use blobs::BlobPlace;
pub(crate) use blobs::{
    BlobId, Blobs, Staged, Stored, Value, create_private, sync_folder, write_durably,
};
pub use bucket::BucketConfig;
pub use error::DbError;
pub(crate) use error::TxError;
pub use invites::Invited;
pub(crate) use log::{Changes, Cut, changed_since};
pub(crate) use sql::{Row, Transaction};

/// Name of the embedded database.
const FILE: &str = "provider.sqlite";
/// How often a read begins again when a file went away under it.
const READ_ATTEMPTS: usize = 5;

/// Where records are kept.
#[derive(Debug, Clone, Default)]
pub enum Records {
    /// In a file of the data directory.
    #[default]
    Embedded,
    /// In a PostgreSQL database, which other processes may share.
    Postgres(Box<tokio_postgres::Config>),
}

/// Whom a transaction that writes is about.
#[derive(Debug, Clone, Default)]
pub(crate) struct Scope {
    provider: bool,
    accounts: BTreeSet<AccountId>,
}

impl Scope {
    /// What is the provider's own: who is there, the key directory, invites.
    pub(crate) fn provider() -> Self {
        Self {
            provider: true,
            ..Self::default()
        }
    }

    /// Single rows, each found and changed by one statement: nobody need wait.
    pub(crate) fn rows() -> Self {
        Self::default()
    }

    /// One account.
    pub(crate) fn account(account: AccountId) -> Self {
        Self::rows().with([account])
    }

    /// These accounts, too.
    pub(crate) fn with(mut self, accounts: impl IntoIterator<Item = AccountId>) -> Self {
        self.accounts.extend(accounts);
        self
    }
}

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

    /// From now on files belong to the commit, whatever becomes of it.
    fn keep_files(&mut self) {
        self.added.drain(..).for_each(Staged::keep);
    }
}

/// How a transaction ends.
pub(crate) enum Decision<T> {
    Commit(T),
    Rollback(T),
}

impl<T> Decision<T> {
    fn into_value(self) -> T {
        let (Self::Commit(value) | Self::Rollback(value)) = self;
        value
    }
}

/// The open storage.
#[derive(Debug)]
pub(crate) struct Db {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    backend: Backend,
    blobs: Blobs,
    waiting: Mutex<BTreeMap<AccountId, watch::Sender<Generation>>>,
}

#[derive(Debug)]
enum Backend {
    Sqlite(Sqlite),
    Postgres(Box<Postgres>),
}

/// The right to begin a transaction.
enum Turn {
    Sqlite(OwnedMutexGuard<Connection>),
    Postgres(OwnedSemaphorePermit),
}

impl Db {
    /// Opens or makes the storage and brings it up to date. Call it in a blocking task.
    pub(crate) fn open(
        data_dir: &Path,
        records: &Records,
        place: &BlobPlace,
    ) -> Result<Self, DbError> {
        let blobs = Blobs::open(data_dir, place)?;
        let backend = match records {
            Records::Embedded => Backend::Sqlite(Sqlite::open(data_dir.join(FILE))?),
            Records::Postgres(config) => {
                let postgres = Postgres::open((**config).clone())?;
                Backend::Postgres(Box::new(postgres))
            }
        };
        let shared = Shared {
            backend,
            blobs,
            waiting: Mutex::default(),
        };
        // Others may be writing files that no row names yet.
        if let Backend::Sqlite(_) = shared.backend {
            let named = shared.read(&|transaction, _| named_files(transaction))?;
            let orphans = shared.blobs.collect(&named)?;
            if orphans > 0 {
                tracing::info!(orphans, "removed files that no row names");
            }
        }
        Ok(Self {
            shared: Arc::new(shared),
        })
    }

    /// The folder or bucket of large values.
    pub(crate) fn blobs(&self) -> &Blobs {
        &self.shared.blobs
    }

    /// Makes values ready for [`Db::write`].
    pub(crate) async fn stage(&self, values: Vec<Vec<u8>>) -> Result<Vec<Value>, DbError> {
        let shared = Arc::clone(&self.shared);
        blocking(move || values.into_iter().map(|v| shared.blobs.stage(v)).collect()).await?
    }

    /// Runs a transaction that may write about `scope`; it is durable when this returns.
    pub(crate) async fn write<T, F>(&self, scope: Scope, change: F) -> Result<T, DbError>
    where
        T: Send + 'static,
        F: FnOnce(&Transaction<'_>, &mut Effects) -> Result<Decision<T>, TxError> + Send + 'static,
    {
        let turn = match &self.shared.backend {
            Backend::Sqlite(sqlite) => Turn::Sqlite(sqlite.writer().await),
            Backend::Postgres(postgres) => Turn::Postgres(postgres.permit().await?),
        };
        let shared = Arc::clone(&self.shared);
        blocking(move || shared.write(turn, &scope, change)).await?
    }

    /// Runs a transaction that reads one consistent state.
    pub(crate) async fn read<T, F>(&self, query: F) -> Result<T, DbError>
    where
        T: Send + 'static,
        F: Fn(&Transaction<'_>, &Blobs) -> Result<T, TxError> + Send + 'static,
    {
        let permit = match &self.shared.backend {
            Backend::Sqlite(sqlite) => sqlite.permit().await?,
            Backend::Postgres(postgres) => postgres.permit().await?,
        };
        let shared = Arc::clone(&self.shared);
        blocking(move || {
            let result = shared.read(&query);
            drop(permit);
            result
        })
        .await?
    }

    /// Removes what was deleted from where the database may still have it, if that is ours to do.
    pub(crate) async fn truncate_log(&self) -> Result<(), DbError> {
        let Backend::Sqlite(sqlite) = &self.shared.backend else {
            return Ok(());
        };
        let writer = sqlite.writer().await;
        let shared = Arc::clone(&self.shared);
        blocking(move || match &shared.backend {
            Backend::Sqlite(sqlite) => sqlite.truncate_log(&writer),
            Backend::Postgres(_) => Ok(()),
        })
        .await?
    }

    /// Hears what other processes have stored, and tells them, until it is dropped.
    pub(crate) async fn exchange_news(&self) {
        match &self.shared.backend {
            Backend::Sqlite(_) => std::future::pending().await,
            Backend::Postgres(postgres) => {
                let shared = Arc::clone(&self.shared);
                postgres
                    .exchange_news(move |account| shared.wake(account))
                    .await;
            }
        }
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
        turn: Turn,
        scope: &Scope,
        change: impl FnOnce(&Transaction<'_>, &mut Effects) -> Result<Decision<T>, TxError>,
    ) -> Result<T, DbError> {
        let mut effects = Effects::default();
        let decision = match (&self.backend, turn) {
            (Backend::Sqlite(sqlite), Turn::Sqlite(mut writer)) => {
                sqlite.write(&mut writer, &mut effects, change)
            }
            (Backend::Postgres(postgres), Turn::Postgres(_permit)) => {
                postgres.write(scope, &mut effects, change)
            }
            _ => Err(DbError::Stopped),
        }?;
        if let Decision::Commit(_) = decision {
            self.carry_out(effects);
        }
        Ok(decision.into_value())
    }

    fn carry_out(&self, effects: Effects) {
        if let Backend::Postgres(postgres) = &self.backend {
            let accounts = effects.news.keys().chain(&effects.woken);
            postgres.news.tell(accounts.copied());
        }
        effects.stale.iter().for_each(|id| self.blobs.forget(id));
        for (account, generation) in effects.news {
            self.publish(account, generation);
        }
        for account in effects.woken {
            self.wake(Some(account));
        }
    }

    /// Makes those who wait for an account's news look again, or all.
    fn wake(&self, account: Option<AccountId>) {
        let waiting = lock(&self.waiting);
        match account {
            Some(account) => waiting
                .get(&account)
                .into_iter()
                .for_each(|sender| sender.send_modify(|_| {})),
            None => waiting
                .values()
                .for_each(|sender| sender.send_modify(|_| {})),
        }
    }

    fn read<T>(
        &self,
        query: &impl Fn(&Transaction<'_>, &Blobs) -> Result<T, TxError>,
    ) -> Result<T, DbError> {
        let mut result = self.read_once(query);
        for _ in 1..READ_ATTEMPTS {
            if !matches!(result, Err(TxError::FileGone(_))) {
                break;
            }
            result = self.read_once(query);
        }
        let place = match &self.backend {
            Backend::Sqlite(sqlite) => &sqlite.path,
            Backend::Postgres(postgres) => &postgres.place,
        };
        result.map_err(|error| error.at(place))
    }

    fn read_once<T>(
        &self,
        query: &impl Fn(&Transaction<'_>, &Blobs) -> Result<T, TxError>,
    ) -> Result<T, TxError> {
        let query = |transaction: &Transaction<'_>| query(transaction, &self.blobs);
        match &self.backend {
            Backend::Sqlite(sqlite) => sqlite.read(query),
            Backend::Postgres(postgres) => postgres.read(query),
        }
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

/// Runs a transaction over what is the provider's own, while it is at work or not.
pub(crate) async fn once<T: Send + 'static>(
    data_dir: &Path,
    records: &Records,
    change: impl FnOnce(&Transaction<'_>) -> Result<T, TxError> + Send + 'static,
) -> Result<T, DbError> {
    let (path, records) = (data_dir.join(FILE), records.clone());
    blocking(move || match records {
        Records::Embedded => sqlite::once(&path, change),
        Records::Postgres(config) => {
            let change = |transaction: &Transaction<'_>, _: &mut Effects| {
                change(transaction).map(Decision::Commit)
            };
            let (scope, mut effects) = (Scope::provider(), Effects::default());
            let decided = Postgres::open(*config)?.write(&scope, &mut effects, change)?;
            Ok(decided.into_value())
        }
    })
    .await?
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

fn named_files(transaction: &Transaction<'_>) -> Result<BTreeSet<BlobId>, TxError> {
    let named = transaction.query(
        "SELECT file FROM documents WHERE file IS NOT NULL
         UNION ALL SELECT file FROM incoming WHERE file IS NOT NULL
         UNION ALL SELECT file FROM queue WHERE file IS NOT NULL",
        params![],
        |row| row.get::<BlobId>(0),
    )?;
    Ok(named.into_iter().collect())
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

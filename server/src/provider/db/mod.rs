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
//! Where there are several databases, an account is in one of them (`places`, `routing`), and may be
//! moved (`moving`).

mod error;
mod blobs;
mod bucket;
mod garbage;
mod sql;
mod sqlite;
mod postgres;
mod news;
mod schema;
mod shards;
mod routing;
mod moving;
mod copying;
mod strays;
pub(crate) mod places;
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
pub(crate) mod rendezvous;
pub(crate) mod invites;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use letterlock_core::id::{AccountId, Generation};
use rusqlite::{Connection, params};
use tokio::sync::{OwnedMutexGuard, OwnedSemaphorePermit, watch};

use postgres::Postgres;
use routing::Spot;
use sqlite::Sqlite;

pub use blobs::BlobPlace;
pub(crate) use blobs::{
    BlobId, Blobs, Staged, Stored, Value, create_private, sync_folder, write_durably,
};
pub use bucket::BucketConfig;
pub use error::DbError;
pub(crate) use error::TxError;
pub use invites::Invited;
pub(crate) use log::{Changes, Cut, Wanted, changed_since};
pub(crate) use moving::run as move_account;
pub use moving::{MoveError, Moved};
pub(crate) use routing::Home;
pub use shards::{Databases, ShardState};
pub(crate) use shards::{ShardId, Shards};
pub(crate) use sql::{Row, Transaction};

/// Name of the embedded database.
const FILE: &str = "provider.sqlite";

/// Where records are kept.
#[derive(Debug, Clone, Default)]
pub enum Records {
    /// In a file of the data directory.
    #[default]
    Embedded,
    /// In PostgreSQL databases, which other processes may share.
    Postgres(Box<Databases>),
}

/// Whom a transaction that writes is about, and with that in which database it runs.
#[derive(Debug, Clone)]
pub(crate) struct Scope {
    home: Home,
    provider: bool,
    accounts: BTreeSet<AccountId>,
}

impl Scope {
    /// What is the provider's own: who is there, the key directory, invites.
    pub(crate) fn provider() -> Self {
        Self {
            provider: true,
            ..Self::rows(ShardId::MAIN)
        }
    }

    /// Single rows of a database, each found and changed by one statement: nobody need wait.
    pub(crate) fn rows(shard: ShardId) -> Self {
        Self {
            home: Home::Shard(shard),
            provider: false,
            accounts: BTreeSet::new(),
        }
    }

    /// The same, of an account.
    pub(crate) fn rows_of(account: AccountId) -> Self {
        Self {
            home: Home::Account(account),
            ..Self::rows(ShardId::MAIN)
        }
    }

    /// Accounts; more than one only where all are in one database ([`Db::is_one`]).
    pub(crate) fn accounts(accounts: impl IntoIterator<Item = AccountId>) -> Self {
        let scope = Self::rows(ShardId::MAIN).with(accounts);
        match scope.accounts.first() {
            Some(first) => Self {
                home: Home::Account(*first),
                ..scope
            },
            None => scope,
        }
    }

    /// One account.
    pub(crate) fn account(account: AccountId) -> Self {
        Self::accounts([account])
    }

    /// What belongs to a database as a whole.
    pub(crate) fn shard(shard: ShardId) -> Self {
        Self {
            provider: true,
            ..Self::rows(shard)
        }
    }

    /// These accounts, too, as above.
    pub(crate) fn with(mut self, accounts: impl IntoIterator<Item = AccountId>) -> Self {
        self.accounts.extend(accounts);
        self
    }
}

/// A transaction over what is the provider's own, and one over an account's: the same where both are in
/// one database. Else that over the account's ends first.
pub(crate) struct Both<'a> {
    pub(crate) provider: &'a Transaction<'a>,
    pub(crate) account: &'a Transaction<'a>,
    /// Where the account is.
    shard: &'a str,
}

impl Both<'_> {
    fn is_one(&self) -> bool {
        std::ptr::eq(self.provider, self.account)
    }
}

#[cfg(test)]
impl<'a> Both<'a> {
    fn one(transaction: &'a Transaction<'a>) -> Self {
        Self {
            provider: transaction,
            account: transaction,
            shard: shards::MAIN,
        }
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
    Postgres(Box<Shards>),
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
            Records::Postgres(databases) => Backend::Postgres(Box::new(Shards::open(databases)?)),
        };
        let shared = Shared {
            backend,
            blobs,
            waiting: Mutex::default(),
        };
        // Others may be writing files that no row names yet.
        if let Backend::Sqlite(_) = shared.backend {
            let named = shared.read(&Spot::MAIN, &|transaction, _| named_files(transaction))?;
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
            Backend::Postgres(shards) => {
                let exchanging = shards.all().map(|(_, shard)| {
                    let heard = |account| self.shared.wake(account);
                    shard.postgres.exchange_news(heard)
                });
                futures::future::join_all(exchanging).await;
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
    fn carry_out(&self, shard: ShardId, effects: Effects) {
        if let Backend::Postgres(shards) = &self.backend {
            let accounts = effects.news.keys().chain(&effects.woken);
            shards.get(shard).postgres.news.tell(accounts.copied());
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
        Records::Postgres(databases) => {
            let change = |transaction: &Transaction<'_>, _: &mut Effects| {
                change(transaction).map(Decision::Commit)
            };
            let (scope, mut effects) = (Scope::provider(), Effects::default());
            let decided = Postgres::open(databases.main)?.write(&scope, &mut effects, change)?;
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

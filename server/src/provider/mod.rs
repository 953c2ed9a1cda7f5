//! The provider: accounts, the sync API, mail intake, the key directory and the relay.
//!
//! Invariant: **nothing here can read mail.** The provider holds certificates, sealed documents
//! and OpenPGP messages, and no key that opens any of them; plaintext of incoming mail exists in
//! memory only, between the end of `DATA` and the reply (`mx`). Devices prove themselves by
//! OPAQUE and hold bearer tokens, of which only a hash is stored.
//!
//! Reading order: `db` (rows and files), `mx` (mail in and out), `api` (what devices call),
//! `invites` (who may sign up), `shards` (databases of accounts).

mod db;
mod mx;
mod api;
pub mod invites;
pub mod shards;

use std::fs::{File, OpenOptions, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use letterlock_core::auth::ServerSecret;
use letterlock_core::id::{AccountId, Address, Timestamp};
use rand::rngs::OsRng;
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;

pub use api::router;
pub use db::{BlobPlace, BucketConfig, Databases, DbError, MoveError, Moved, Records, ShardState};
pub use mx::{DeliverError, Peer, Protocol, Relay, SubmitError};

use db::{Db, Decision, Home, Scope, ShardId, Transaction, deletion};

/// How long the relay waits before it tries again what it could not hand over.
pub const RELAY_RETRY: Duration = Duration::from_mins(1);

/// Documents or messages of an ended account that are removed at a time: other accounts' writes
/// wait for so many.
const REMOVED_AT_A_TIME: u32 = 500;

/// How often large values that no row names are looked for, in milliseconds: once a day.
const COLLECT_EVERY_MS: i64 = 24 * 60 * 60 * 1000;

/// Name of the server's OPAQUE secret in the database.
const SERVER_SECRET: &str = "opaque server secret";

/// Who may sign up.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SignUp {
    /// Everybody.
    #[default]
    Open,
    /// Who has an invite code.
    Invite,
    /// Nobody.
    Closed,
}

/// What a provider is told at its start.
#[derive(Debug, Clone)]
pub struct ProviderConfig {
    /// Domains whose mail is taken in; the first one names the provider in trace fields.
    pub domains: Vec<String>,
    /// Where everything is kept; made if it is missing.
    pub data_dir: PathBuf,
    /// Where records are kept.
    pub records: Records,
    /// Where large values are kept.
    pub blobs: BlobPlace,
    /// Where mail for other domains goes.
    pub relay: Relay,
    /// Who may sign up.
    pub sign_up: SignUp,
    /// Octets that an account's documents and incoming mail may take; `None` for any.
    pub quota_octets: Option<u64>,
    /// Accounts that one peer may make in an hour.
    pub sign_ups_per_hour: u32,
}

/// Why a provider does not start.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// No domain is configured.
    #[error("no domain is configured")]
    NoDomain,
    /// Another provider works on the same folder.
    #[error("{} is in use by another provider: it holds the lock {}", data_dir.display(), lock.display())]
    InUse {
        /// The folder.
        data_dir: PathBuf,
        /// The file whose lock is held.
        lock: PathBuf,
    },
    /// The storage does not open.
    #[error(transparent)]
    Storage(#[from] DbError),
}

/// A provider at work.
pub struct Provider {
    config: ProviderConfig,
    clock: Clock,
    db: Db,
    secret: ServerSecret,
    log_ins: Mutex<api::LogIns>,
    attempts: Mutex<api::Attempts>,
    challenges: Mutex<api::Challenges>,
    device_challenges: Mutex<api::DeviceChallenges>,
    changes: Mutex<api::PasswordChanges>,
    listeners: Arc<Mutex<api::Listeners>>,
    relaying: tokio::sync::Mutex<()>,
    closing: CancellationToken,
    /// Held as long as the provider lives, if it keeps its records there alone.
    _lock: Option<File>,
}

impl Provider {
    /// Opens or makes a provider's folder.
    pub async fn open(mut config: ProviderConfig, clock: Clock) -> Result<Arc<Self>, OpenError> {
        for domain in &mut config.domains {
            *domain = domain.to_lowercase();
        }
        if config.domains.is_empty() {
            return Err(OpenError::NoDomain);
        }
        let data_dir = config.data_dir.clone();
        let relay = config.relay.clone();
        let (records, blobs) = (config.records.clone(), config.blobs.clone());
        let (lock, db) = db::blocking(move || {
            let lock = match records {
                Records::Embedded => Some(lock_folder(&data_dir)?),
                Records::Postgres(_) => None,
            };
            relay.prepare()?;
            Ok::<_, OpenError>((lock, Db::open(&data_dir, &records, &blobs)?))
        })
        .await??;
        let secret = server_secret(&db, &config.data_dir).await?;
        establish_directory(&db, &config, clock.now()).await?;
        Ok(Arc::new(Self {
            config,
            clock,
            db,
            secret,
            log_ins: Mutex::default(),
            attempts: Mutex::default(),
            challenges: Mutex::default(),
            device_challenges: Mutex::default(),
            changes: Mutex::default(),
            listeners: Arc::default(),
            relaying: tokio::sync::Mutex::default(),
            closing: CancellationToken::new(),
            _lock: lock,
        }))
    }

    /// Works in the background until the token is cancelled: tries again what the relay could
    /// not take, goes on with the removal of accounts that were ended, and passes news between
    /// processes that share a database. Then ends as
    /// [`Provider::close`] does.
    pub async fn run(self: Arc<Self>, token: CancellationToken) {
        tokio::select! {
            () = self.db.exchange_news() => {}
            () = self.look_after(token) => {}
        }
    }

    async fn look_after(&self, token: CancellationToken) {
        let mut collected = None;
        loop {
            let now = self.clock.now().as_millis();
            if collected.is_none_or(|before| now.saturating_sub(before) >= COLLECT_EVERY_MS) {
                collected = Some(now);
                self.collect_garbage().await;
            }
            if let Err(error) = self.finish_deletions().await {
                tracing::error!(%error, "a deleted account is not yet removed; it is tried again");
            }
            self.relay_pending().await;
            tokio::select! {
                () = token.cancelled() => return self.close(),
                () = tokio::time::sleep(RELAY_RETRY) => {}
            }
        }
    }

    /// Answers every pull that waits and ends every stream, now and from now on, so that
    /// connections can end.
    pub fn close(&self) {
        self.closing.cancel();
    }

    async fn collect_garbage(&self) {
        match self.db.collect_garbage(self.clock.now()).await {
            Ok(0) => {}
            Ok(removed) => tracing::info!(removed, "removed large values that no row names"),
            Err(error) => tracing::error!(%error, "large values that no row names stay for now"),
        }
        match self.db.remove_strays().await {
            Ok(0) => {}
            Ok(removed) => tracing::info!(removed, "removed accounts' rows that were nobody's"),
            Err(error) => tracing::error!(%error, "accounts' rows that are nobody's stay for now"),
        }
    }

    /// Removes what accounts that were ended still have, some at a time.
    async fn finish_deletions(&self) -> Result<(), DbError> {
        let mut removed = false;
        for shard in self.db.shards() {
            loop {
                let ended = |transaction: &Transaction<'_>, _: &_| deletion::ended(transaction);
                let Some(account) = self.db.read_at(Home::Shard(shard), ended).await? else {
                    break;
                };
                self.finish_deletion(shard, account).await?;
                removed = true;
            }
        }
        if removed {
            self.db.truncate_log().await?;
        }
        Ok(())
    }

    async fn finish_deletion(&self, shard: ShardId, account: AccountId) -> Result<(), DbError> {
        let now = self.clock.now();
        let left = move |transaction: &Transaction<'_>, _: &mut _| {
            let has_left = deletion::leave(transaction, account, now)?;
            Ok(if has_left {
                Decision::Commit(())
            } else {
                Decision::Rollback(())
            })
        };
        self.db.write(Scope::provider(), left).await?;
        loop {
            let step = move |transaction: &Transaction<'_>, effects: &mut _| {
                deletion::step(transaction, effects, account, REMOVED_AT_A_TIME)
                    .map(Decision::Commit)
            };
            if !self.db.write(Scope::shard(shard), step).await? {
                return Ok(());
            }
        }
    }

    /// How many messages were ever accepted for an account; `None` if there is no such account.
    pub async fn incoming_count(&self, address: &Address) -> Result<Option<u64>, DbError> {
        let address = address.clone();
        self.db
            .read_at(Home::Address(address.clone()), move |transaction, _| {
                db::accounts::incoming_count(transaction, &address)
            })
            .await
    }

    /// Whether mail for this domain is taken in here.
    pub fn is_local(&self, domain: &str) -> bool {
        self.config
            .domains
            .iter()
            .any(|local| local.eq_ignore_ascii_case(domain))
    }

    /// The name in trace fields and greetings.
    pub fn name(&self) -> &str {
        self.config.domains.first().map_or("", String::as_str)
    }
}

/// Takes the folder for this process alone; the operating system frees it however we end.
fn lock_folder(data_dir: &Path) -> Result<File, OpenError> {
    let failed = |path: &Path, source| OpenError::Storage(DbError::io(path, source));
    db::create_private(data_dir).map_err(|source| failed(data_dir, source))?;
    let path = data_dir.join("provider.lock");
    let lock = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&path)
        .map_err(|source| failed(&path, source))?;
    match lock.try_lock() {
        Ok(()) => Ok(lock),
        Err(TryLockError::WouldBlock) => Err(OpenError::InUse {
            data_dir: data_dir.to_owned(),
            lock: path,
        }),
        Err(TryLockError::Error(source)) => Err(failed(&path, source)),
    }
}

/// The first start makes the key directory's key, and enters the accounts that are there.
async fn establish_directory(
    db: &Db,
    config: &ProviderConfig,
    now: Timestamp,
) -> Result<(), DbError> {
    let domain = config.domains.first().cloned().unwrap_or_default();
    db.write(Scope::provider(), move |transaction, _| {
        let is_new = db::directory::establish(transaction, &domain, now)?;
        Ok(if is_new {
            Decision::Commit(())
        } else {
            Decision::Rollback(())
        })
    })
    .await
}

async fn server_secret(db: &Db, data_dir: &Path) -> Result<ServerSecret, DbError> {
    let octets = db
        .write(Scope::provider(), |transaction, _| {
            if let Some(octets) = db::accounts::provider_value(transaction, SERVER_SECRET)? {
                return Ok(Decision::Rollback(octets));
            }
            let octets = ServerSecret::generate(&mut OsRng).to_octets();
            db::accounts::set_provider_value(transaction, SERVER_SECRET, &octets)?;
            Ok(Decision::Commit(octets.to_vec()))
        })
        .await?;
    ServerSecret::from_octets(&octets).map_err(|_| DbError::Damaged {
        path: data_dir.join("provider.sqlite"),
        detail: "the log-in secret does not read".to_owned(),
    })
}

//! PostgreSQL: connections, one transaction at a time on each, and how they exclude one another.
//!
//! A transaction that writes names whom it is about ([`super::Scope`]) and takes their advisory
//! locks first, the provider's own before accounts', accounts in the order of their ids: of two
//! about one account the second begins when the first has ended, and sees what it did. So a change
//! runs once, as it does over SQLite, and nothing waits in a circle. Rejected: SERIALIZABLE with
//! retries (changes take staged files along, and would have to be run again; a push that loses ten
//! times is a push that fails).
//! A transaction that reads sees one state (REPEATABLE READ, READ ONLY).

use std::collections::HashMap;
use std::fmt;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use futures::{TryFutureExt as _, TryStreamExt};
use letterlock_core::id::AccountId;
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_postgres::config::Host;
use tokio_postgres::{Client, Config, NoTls, Statement};
use tokio_util::task::TaskTracker;

use super::news::News;
use super::sql::{Sent, Transaction, numbered};
use super::{DbError, Decision, Effects, Scope, TxError, lock, schema};

/// Connections of one process, beside the one that listens.
const CONNECTIONS: usize = 16;
/// The first half of advisory locks' keys for the provider's own rows, apart from other programs'.
const PROVIDER_LOCK: i32 = 0x4c65_7474;
const WRITING: &str = "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE";
const READING: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";

/// One database.
pub(super) struct Postgres {
    config: Config,
    /// Host, port and name, for errors.
    pub(super) place: PathBuf,
    idle: Mutex<Vec<Session>>,
    free: Arc<Semaphore>,
    pub(super) news: News,
    runtime: Handle,
    connections: TaskTracker,
}

/// A connection. Whoever has it runs one transaction.
pub(crate) struct Session {
    client: Client,
    statements: Mutex<HashMap<String, Statement>>,
    runtime: Handle,
}

impl fmt::Debug for Postgres {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Postgres").field(&self.place).finish()
    }
}

impl Postgres {
    /// Connects and brings the schema up to date. Call it in a blocking task.
    pub(super) fn open(config: Config) -> Result<Self, DbError> {
        let postgres = Self {
            place: place(&config),
            config,
            idle: Mutex::default(),
            free: Arc::new(Semaphore::new(CONNECTIONS)),
            news: News::default(),
            runtime: Handle::current(),
            connections: TaskTracker::new(),
        };
        let session = postgres.session()?;
        schema::migrate_postgres(&session, &postgres.place)?;
        lock(&postgres.idle).push(session);
        Ok(postgres)
    }

    /// Passes news between processes, until it is dropped.
    pub(super) async fn exchange_news(&self, heard: impl Fn(Option<AccountId>)) {
        self.news.run(&self.config, heard).await;
    }

    /// Waits until this process may use another connection.
    pub(super) async fn permit(&self) -> Result<OwnedSemaphorePermit, DbError> {
        let permit = Arc::clone(&self.free).acquire_owned().await;
        permit.map_err(|_| DbError::Stopped)
    }

    pub(super) fn write<T>(
        &self,
        scope: &Scope,
        effects: &mut Effects,
        change: impl FnOnce(&Transaction<'_>, &mut Effects) -> Result<Decision<T>, TxError>,
    ) -> Result<Decision<T>, DbError> {
        let failed = |error: TxError| error.at(&self.place);
        let session = self.begin(&format!("{WRITING}{}", locks(scope)))?;
        let changed = change(&Transaction::Postgres(&session), effects);
        match changed {
            Ok(Decision::Commit(value)) => {
                // Its fate is unknown if this fails: the files stay.
                effects.keep_files();
                session.run("COMMIT").map_err(failed)?;
                self.put_back(session);
                Ok(Decision::Commit(value))
            }
            Ok(Decision::Rollback(value)) => {
                self.roll_back(session);
                Ok(Decision::Rollback(value))
            }
            Err(error) => {
                self.roll_back(session);
                Err(failed(error))
            }
        }
    }

    pub(super) fn read<T>(
        &self,
        query: impl FnOnce(&Transaction<'_>) -> Result<T, TxError>,
    ) -> Result<T, TxError> {
        let session = self.begin(READING)?;
        let result = query(&Transaction::Postgres(&session));
        self.roll_back(session);
        result
    }

    /// A connection in a transaction. One that lay idle may have ended: then another is tried.
    fn begin(&self, how: &str) -> Result<Session, DbError> {
        loop {
            let idle = lock(&self.idle).pop();
            let Some(session) = idle else {
                let session = self.session()?;
                session.run(how).map_err(|error| error.at(&self.place))?;
                return Ok(session);
            };
            if session.run(how).is_ok() {
                return Ok(session);
            }
        }
    }

    /// A connection of its own, beside those that are shared.
    pub(super) fn session(&self) -> Result<Session, DbError> {
        let failed = |source| DbError::postgres(&self.place, source);
        let connecting = self.config.connect(NoTls);
        let (client, connection) = self.runtime.block_on(connecting).map_err(failed)?;
        // Ends when the client is dropped.
        let driven = async {
            if let Err(error) = connection.await {
                tracing::warn!(%error, "a connection to PostgreSQL ended");
            }
        };
        self.connections.spawn_on(driven, &self.runtime);
        Ok(Session {
            client,
            statements: Mutex::default(),
            runtime: self.runtime.clone(),
        })
    }

    fn roll_back(&self, session: Session) {
        if session.run("ROLLBACK").is_ok() {
            self.put_back(session);
        }
    }

    fn put_back(&self, session: Session) {
        lock(&self.idle).push(session);
    }
}

impl Session {
    /// Runs statements without parameters.
    pub(super) fn run(&self, sql: &str) -> Result<(), TxError> {
        Ok(self.runtime.block_on(self.client.batch_execute(sql))?)
    }

    pub(super) fn execute(&self, sql: &str, params: &[Sent<'_>]) -> Result<usize, TxError> {
        let statement = self.prepare(sql)?;
        let running = self.client.execute_raw(&statement, params);
        let changed = self.runtime.block_on(running)?;
        usize::try_from(changed).map_err(|_| TxError::Damaged("too many rows"))
    }

    pub(super) fn query(
        &self,
        sql: &str,
        params: &[Sent<'_>],
    ) -> Result<Vec<tokio_postgres::Row>, TxError> {
        let statement = self.prepare(sql)?;
        let rows = self.client.query_raw(&statement, params);
        Ok(self
            .runtime
            .block_on(rows.and_then(TryStreamExt::try_collect))?)
    }

    /// Rows in pieces, through a cursor.
    pub(super) fn each(
        &self,
        sql: &str,
        params: &[Sent<'_>],
        at_a_time: i32,
        mut read: impl FnMut(&tokio_postgres::Row) -> Result<ControlFlow<()>, TxError>,
    ) -> Result<(), TxError> {
        self.execute(&format!("DECLARE found NO SCROLL CURSOR FOR {sql}"), params)?;
        let fetch = format!("FETCH {at_a_time} FROM found");
        loop {
            // Not prepared for good: its columns are those of the cursor at hand.
            let rows = self.runtime.block_on(self.client.query(&fetch, &[]))?;
            for row in &rows {
                if read(row)?.is_break() {
                    return self.run("CLOSE found");
                }
            }
            if i32::try_from(rows.len()).is_ok_and(|count| count < at_a_time) {
                return self.run("CLOSE found");
            }
        }
    }

    /// Statements are parsed once for each connection.
    fn prepare(&self, sql: &str) -> Result<Statement, TxError> {
        let known = lock(&self.statements).get(sql).cloned();
        if let Some(statement) = known {
            return Ok(statement);
        }
        let numbered = numbered(sql);
        let preparing = self.client.prepare(&numbered);
        let statement = self.runtime.block_on(preparing)?;
        lock(&self.statements).insert(sql.to_owned(), statement.clone());
        Ok(statement)
    }
}

/// What takes a scope's locks, until the transaction ends.
fn locks(scope: &Scope) -> String {
    let provider = scope.provider.then(|| format!("{PROVIDER_LOCK}, 0"));
    let accounts = scope.accounts.iter().map(|account| {
        // Two accounts of one key wait for each other without need, once in 2^64.
        let key = account.as_bytes().first_chunk::<8>();
        key.map_or(0, |octets| i64::from_be_bytes(*octets))
            .to_string()
    });
    let taken = provider.into_iter().chain(accounts);
    let taken = taken.map(|key| format!("; SELECT pg_advisory_xact_lock({key})"));
    taken.collect::<Vec<_>>().concat()
}

/// Where the database is, without what opens it.
fn place(config: &Config) -> PathBuf {
    let host = config.get_hosts().first().map_or_else(
        || "localhost".to_owned(),
        |host| match host {
            Host::Tcp(name) => name.clone(),
            Host::Unix(folder) => folder.display().to_string(),
        },
    );
    let port = config.get_ports().first().copied().unwrap_or(5432);
    let name = config.get_dbname().unwrap_or("postgres");
    PathBuf::from(format!("PostgreSQL database {name} at {host}:{port}"))
}

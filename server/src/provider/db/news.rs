//! News across processes: what one has committed, devices that wait at another hear of
//! (`LISTEN`, `NOTIFY`).
//!
//! One connection of each process tells and hears. It tells after the commit, of many accounts at
//! once: a NOTIFY within each transaction would make all commits of the database queue behind one
//! lock. What is lost with a connection or a process delays a device until its wait ends, and loses
//! nothing; whoever has connected again wakes all that wait.

use std::collections::BTreeSet;
use std::future::poll_fn;
use std::sync::Mutex;
use std::time::Duration;

use letterlock_core::id::AccountId;
use tokio::sync::Notify;
use tokio_postgres::{AsyncMessage, Client, Config, Connection, NoTls, Socket, tls::NoTlsStream};

use super::lock;

/// The channel's name.
const CHANNEL: &str = "letterlock";
/// Accounts in one notification, which PostgreSQL limits to 8000 octets.
const AT_ONCE: usize = 200;
/// Pause before it connects again.
const PAUSE: Duration = Duration::from_secs(1);

/// What is to be told.
#[derive(Debug, Default)]
pub(super) struct News {
    accounts: Mutex<BTreeSet<AccountId>>,
    some: Notify,
}

impl News {
    /// Others hear of it soon.
    pub(super) fn tell(&self, accounts: impl IntoIterator<Item = AccountId>) {
        lock(&self.accounts).extend(accounts);
        self.some.notify_one();
    }

    /// Tells and hears until it is dropped. `heard` gets an account, or `None` for all.
    pub(super) async fn run(&self, config: &Config, heard: impl Fn(Option<AccountId>)) {
        loop {
            if let Err(error) = self.exchange(config, &heard).await {
                tracing::warn!(%error, "no news from other processes; connecting again");
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    async fn exchange(
        &self,
        config: &Config,
        heard: &impl Fn(Option<AccountId>),
    ) -> Result<(), tokio_postgres::Error> {
        let (client, connection) = config.connect(NoTls).await?;
        let own = Mutex::new(None);
        tokio::select! {
            ended = hear(connection, &own, heard) => ended,
            ended = self.send(&client, &own, heard) => ended,
        }
    }

    async fn send(
        &self,
        client: &Client,
        own: &Mutex<Option<i32>>,
        heard: &impl Fn(Option<AccountId>),
    ) -> Result<(), tokio_postgres::Error> {
        let process = client.query_one("SELECT pg_backend_pid()", &[]).await?;
        *lock(own) = process.try_get(0)?;
        // Losing a notification in a crash of the server is no harm.
        let listen = format!("SET synchronous_commit = off; LISTEN {CHANNEL}");
        client.batch_execute(&listen).await?;
        heard(None);
        let notify = client.prepare("SELECT pg_notify($1, $2)").await?;
        loop {
            let some = {
                let mut accounts = lock(&self.accounts);
                let rest = accounts.iter().nth(AT_ONCE).copied();
                let rest = rest.map(|rest| accounts.split_off(&rest));
                std::mem::replace(&mut *accounts, rest.unwrap_or_default())
            };
            if some.is_empty() {
                self.some.notified().await;
                continue;
            }
            let told: Vec<String> = some.iter().map(AccountId::to_string).collect();
            let told = told.join(" ");
            if let Err(error) = client.query_one(&notify, &[&CHANNEL, &told]).await {
                self.tell(some);
                return Err(error);
            }
        }
    }
}

/// Drives the connection, and passes on what others tell.
async fn hear(
    mut connection: Connection<Socket, NoTlsStream>,
    own: &Mutex<Option<i32>>,
    heard: &impl Fn(Option<AccountId>),
) -> Result<(), tokio_postgres::Error> {
    while let Some(message) = poll_fn(|context| connection.poll_message(context)).await {
        let AsyncMessage::Notification(told) = message? else {
            continue;
        };
        if *lock(own) == Some(told.process_id()) {
            continue;
        }
        for account in told.payload().split(' ') {
            if let Ok(account) = account.parse() {
                heard(Some(account));
            }
        }
    }
    Ok(())
}

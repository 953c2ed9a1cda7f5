//! A device of an account: a bridge's replica and its loops.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use letterlock_core::account::NewMessage;
use letterlock_core::id::{Address, Timestamp};
use letterlock_core::model::FlagSet;
use letterlock_core::sync::engine::{self, Extent, Next};
use letterlock_server::bridge::accounts::{BridgeAccount, SyncStatus};
use letterlock_server::bridge::enrolment::Enrolment;
use letterlock_server::bridge::provider_client::ProviderClient;
use letterlock_server::bridge::sync_loop;
use letterlock_server::clock;
use letterlock_server::shutdown::{GRACE, Shutdown};
use zeroize::Zeroizing;

use super::provider::DOMAIN;

const PASSWORD: &str = "not a secret: the accounts of a benchmark";
/// Messages that are stored in one step.
const AT_A_TIME: usize = 100;
/// Messages that are indexed in one step.
const INDEXED_AT_A_TIME: usize = 256;
/// How often it is looked whether everything is pushed.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// A device at work.
pub struct Device {
    /// Its account.
    pub bridge: Arc<BridgeAccount>,
    shutdown: Shutdown,
}

impl Device {
    /// Makes an account and its first device, or gives an account another device.
    ///
    /// # Errors
    /// The provider refuses it.
    pub async fn enrol(url: &str, name: &str, folder: &Path) -> Result<Self> {
        let enrolment = Enrolment {
            address: Address::new(&format!("{name}@{DOMAIN}"))?,
            password: Zeroizing::new(PASSWORD.to_owned()),
            folder: folder.to_owned(),
            provider: ProviderClient::new(url)?,
            device_name: "benchmark".to_owned(),
            phrase: None,
            invite: None,
        };
        let account = Box::pin(enrolment.ensure(clock::now())).await?;
        Ok(Self {
            bridge: Arc::new(account),
            shutdown: Shutdown::new(),
        })
    }

    /// Starts the exchange.
    pub fn start(&self) {
        sync_loop::start(&self.bridge, &self.shutdown);
    }

    /// Waits until all that the provider had is here.
    ///
    /// # Errors
    /// The provider does not know this device.
    pub async fn current(&self) -> Result<()> {
        let mut status = self.bridge.status();
        let ended =
            |status: &SyncStatus| matches!(status, SyncStatus::Current | SyncStatus::LoggedOut);
        if *status.wait_for(ended).await? != SyncStatus::Current {
            bail!("the provider does not know this device");
        }
        Ok(())
    }

    /// Waits until the inbox knows of so many messages, with or without their contents.
    ///
    /// # Errors
    /// Those of the replica.
    pub async fn knows(&self, messages: usize) -> Result<()> {
        let mut changes = self.bridge.account.subscribe();
        loop {
            let inbox = self.bridge.account.inbox();
            let status = inbox.status().context("there is no inbox")?;
            if usize::try_from(status.messages)? >= messages {
                return Ok(());
            }
            changes.changed().await;
        }
    }

    /// Waits until everything of here is at the provider.
    ///
    /// # Errors
    /// Those of the replica.
    pub async fn pushed(&self) -> Result<()> {
        while self.bridge.account.has_pending().await? {
            tokio::time::sleep(LOOK_EVERY).await;
        }
        Ok(())
    }

    /// One exchange by hand, for a device whose loops do not run: everything of here is given away,
    /// everything is taken, and the key directory is checked.
    ///
    /// # Errors
    /// Those of the replica and of the provider.
    pub async fn exchange(&self) -> Result<()> {
        let (account, provider) = (&self.bridge.account, &self.bridge.provider);
        let token = self.bridge.token();
        while let Some(push) = engine::next_push(account).await? {
            let response = provider.push(&token, &push.request).await?;
            engine::handle_push(account, &push, response, clock::now()).await?;
        }
        loop {
            let request = engine::pull_request(account, Extent::Everything, 0).await?;
            let response = provider.pull(&token, &request).await?;
            let next = engine::handle_pull(account, request.since, response, clock::now());
            if next.await? == Next::Idle {
                break;
            }
        }
        let mut directory = account.directory().await?;
        let mut next = directory.begin_check().await?;
        while let Some(call) = next {
            let octets = provider.directory(&call).await?;
            next = directory.handle_check(&call, &octets, clock::now()).await?;
        }
        Ok(())
    }

    /// Puts messages into the inbox; the octets of them all.
    ///
    /// # Errors
    /// Those of the replica.
    pub async fn fill(&self, messages: impl Iterator<Item = Vec<u8>>) -> Result<usize> {
        let account = &self.bridge.account;
        let inbox = account.inbox().id();
        let mut octets = 0;
        let mut raw = Vec::new();
        let mut messages = messages.peekable();
        while let Some(message) = messages.next() {
            octets += message.len();
            raw.push(message);
            if raw.len() == AT_A_TIME || messages.peek().is_none() {
                let now = clock::now();
                let new: Vec<NewMessage<'_>> = raw.iter().map(|raw| new(raw, now)).collect();
                account.append_all(inbox, &new, None, now).await?;
                raw.clear();
            }
        }
        Ok(octets)
    }

    /// Waits until the search index has everything, which is made in the background.
    ///
    /// # Errors
    /// Those of the replica.
    pub async fn indexed(&self) -> Result<()> {
        while self
            .bridge
            .account
            .index_step(INDEXED_AT_A_TIME)
            .await?
            .more
        {}
        Ok(())
    }

    /// Ends the loops; [`Device::start`] starts others.
    pub async fn stop(&mut self) {
        self.shutdown.finish(GRACE).await;
        self.shutdown = Shutdown::new();
    }
}

fn new(raw: &[u8], now: Timestamp) -> NewMessage<'_> {
    NewMessage {
        raw,
        flags: FlagSet::new(),
        internal_date: now,
    }
}

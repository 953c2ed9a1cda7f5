//! The accounts that this bridge serves, unlocked in memory.
//!
//! Invariant: a log-in of a mail program costs the same whether the user is known or not, and
//! only an app password opens it, never the account's own.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use letterlock_core::account::Account;
use letterlock_core::auth::wire::Token;
use letterlock_core::id::Address;
use tokio::sync::{Notify, watch};

use super::app_password::AppPasswordHash;
use super::provider_client::ProviderClient;
use super::sqlite_store::SqliteStore;

/// An account on the bridge.
pub type LocalAccount = Account<SqliteStore>;

/// How the exchange with the provider goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SyncStatus {
    /// The first exchange has not ended.
    Starting,
    /// All that the provider had is here, and it is asked for news.
    Current,
    /// It failed and is tried again.
    Waiting {
        /// Why; no content.
        reason: String,
    },
    /// The provider does not know this device: the user must log in again.
    LoggedOut,
}

/// One account with what its loops share.
pub struct BridgeAccount {
    /// Mail and keys.
    pub account: Arc<LocalAccount>,
    /// Its provider.
    pub provider: ProviderClient,
    /// Rung when a mail was put into the outbox.
    pub submitted: Notify,
    status: watch::Sender<SyncStatus>,
    token: Token,
    app_passwords: Mutex<Vec<AppPasswordHash>>,
}

impl BridgeAccount {
    /// An account whose keys are unlocked and whose device is logged in.
    pub fn new(
        account: LocalAccount,
        provider: ProviderClient,
        token: Token,
        app_passwords: Vec<AppPasswordHash>,
    ) -> Self {
        Self {
            account: Arc::new(account),
            provider,
            submitted: Notify::new(),
            status: watch::Sender::new(SyncStatus::Starting),
            token,
            app_passwords: Mutex::new(app_passwords),
        }
    }

    /// For calls to the provider.
    pub const fn token(&self) -> &Token {
        &self.token
    }

    /// How the exchange with the provider goes, and every change of it.
    pub fn status(&self) -> watch::Receiver<SyncStatus> {
        self.status.subscribe()
    }

    pub(super) fn set_status(&self, status: SyncStatus) {
        self.status.send_if_modified(|current| {
            let changed = *current != status;
            *current = status;
            changed
        });
    }

    /// Lets a mail program in with this app password, until the bridge ends.
    pub fn allow(&self, hash: AppPasswordHash) {
        let mut hashes = self
            .app_passwords
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        hashes.push(hash);
    }

    /// Whether `password` is one of the app passwords.
    pub fn admits(&self, password: &str) -> bool {
        let hashes = self
            .app_passwords
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        // Every hash is compared: the time does not tell which one it was.
        hashes
            .iter()
            .fold(false, |found, hash| found | hash.matches(password))
    }
}

/// All accounts of a bridge.
#[derive(Clone, Default)]
pub struct Accounts {
    by_address: Arc<BTreeMap<Address, Arc<BridgeAccount>>>,
}

impl Accounts {
    /// These accounts.
    pub fn new(accounts: impl IntoIterator<Item = Arc<BridgeAccount>>) -> Self {
        let by_address = accounts
            .into_iter()
            .map(|account| (account.account.address().canonical(), account))
            .collect();
        Self {
            by_address: Arc::new(by_address),
        }
    }

    /// The accounts, by address.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<BridgeAccount>> {
        self.by_address.values()
    }

    /// The account of an address.
    pub fn get(&self, address: &Address) -> Option<&Arc<BridgeAccount>> {
        self.by_address.get(&address.canonical())
    }

    /// The account whose address is `username`, if `password` is one of its app passwords.
    pub fn log_in(&self, username: &str, password: &str) -> Option<&Arc<BridgeAccount>> {
        let account = Address::new(username)
            .ok()
            .and_then(|address| self.get(&address));
        if account.is_none() {
            // One comparison, as for an account with one app password.
            let _never = AppPasswordHash::of_nobody().matches(password);
        }
        account.filter(|account| account.admits(password))
    }
}

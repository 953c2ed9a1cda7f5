//! The accounts that this bridge serves, unlocked in memory.
//!
//! Invariant: a log-in of a mail program costs the same whether the user is known or not, and
//! only an app password opens it, never the account's own.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use letterlock_core::account::Account;
use letterlock_core::auth::DeviceAlarm;
use letterlock_core::auth::wire::Token;
use letterlock_core::id::Address;
use letterlock_core::keys::lookup::NotFound;
use letterlock_core::keys::transparency::Alarm;
use letterlock_core::store::StoreError;
use rand::RngCore as _;
use rand::rngs::OsRng;
use sha2::{Digest as _, Sha256};
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

use super::app_password::AppPasswordHash;
use super::app_passwords::{Admitted, AppPasswords, LOOK_EVERY, Scope};
use super::attempts::Attempts;
use super::enrolment::write_token;
use super::key_fetcher::KeyFetcher;
use super::key_resolver::KeyResolver;
use super::provider_client::ProviderClient;
use super::sqlite_store::SqliteStore;
use crate::clock;
use crate::imap::{Room, Salt};
use crate::scram::{self, Hash, Verifier};

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
    /// Asks strangers for certificates.
    pub fetcher: KeyFetcher,
    /// Asks the DNS for certificates, if that is wanted and it can be asked.
    pub resolver: OnceLock<KeyResolver>,
    /// Rung when a mail was put into the outbox.
    pub submitted: Notify,
    status: watch::Sender<SyncStatus>,
    behind: watch::Sender<bool>,
    room: watch::Sender<Option<Room>>,
    directory_alarm: watch::Sender<Option<Alarm>>,
    device_alarm: watch::Sender<Option<DeviceAlarm>>,
    token: Mutex<Token>,
    /// Where the token is kept for the next start.
    store: Option<SqliteStore>,
    app_passwords: AppPasswords,
    not_found: Mutex<NotFound>,
}

impl BridgeAccount {
    /// An account whose keys are unlocked and whose device is logged in.
    pub fn new(
        account: LocalAccount,
        provider: ProviderClient,
        token: Token,
        app_passwords: AppPasswords,
    ) -> Self {
        // Whoever has asked before has had an answer, and the next one says whether it was all.
        let asked = account.pulled();
        Self {
            account: Arc::new(account),
            provider,
            fetcher: KeyFetcher::default(),
            resolver: OnceLock::new(),
            submitted: Notify::new(),
            status: watch::Sender::new(SyncStatus::Starting),
            behind: watch::Sender::new(asked.0 == 0),
            room: watch::Sender::new(None),
            directory_alarm: watch::Sender::new(None),
            device_alarm: watch::Sender::new(None),
            token: Mutex::new(token),
            store: None,
            app_passwords,
            not_found: Mutex::default(),
        }
    }

    /// The same, whose later tokens are kept in this store.
    #[must_use]
    pub fn keeping_tokens(mut self, store: SqliteStore) -> Self {
        self.store = Some(store);
        self
    }

    /// For whom strangers were asked in vain. Not to be kept across an await.
    pub(super) fn not_found(&self) -> MutexGuard<'_, NotFound> {
        self.not_found
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// For calls to the provider.
    pub fn token(&self) -> Token {
        let token = self.token.lock().unwrap_or_else(PoisonError::into_inner);
        token.clone()
    }

    /// The device has logged in again.
    pub(super) async fn set_token(&self, token: Token) -> Result<(), StoreError> {
        *self.token.lock().unwrap_or_else(PoisonError::into_inner) = token.clone();
        match &self.store {
            Some(store) => write_token(store, &token).await,
            None => Ok(()),
        }
    }

    /// What the last check of the provider's words about the account's devices found to be false.
    pub fn device_alarm(&self) -> watch::Receiver<Option<DeviceAlarm>> {
        self.device_alarm.subscribe()
    }

    pub(super) fn set_device_alarm(&self, alarm: Option<DeviceAlarm>) {
        let raised = alarm.is_some();
        let news = self.device_alarm.send_if_modified(|current| {
            let changed = *current != alarm;
            *current = alarm;
            changed
        });
        if news && raised {
            tracing::error!(
                "the provider's list of the account's devices does not hold: see the message in \
                 INBOX"
            );
        }
    }

    /// How the exchange with the provider goes, and every change of it.
    pub fn status(&self) -> watch::Receiver<SyncStatus> {
        self.status.subscribe()
    }

    /// Whether mail that is at the provider is still to come: before the first exchange has ended.
    pub fn behind(&self) -> watch::Receiver<bool> {
        self.behind.subscribe()
    }

    /// The room that the account takes and has at its provider, as of a while ago; `None` if it
    /// has no limit, or if the provider has not told.
    pub fn room(&self) -> watch::Receiver<Option<Room>> {
        self.room.subscribe()
    }

    pub(super) fn set_room(&self, room: Option<Room>) {
        self.room.send_replace(room);
    }

    /// The provider takes no more: that is known before it is asked again.
    pub(super) fn note_full(&self) {
        self.room.send_modify(|room| {
            if let Some(room) = room {
                room.used_octets = room.used_octets.max(room.quota_octets);
            }
        });
    }

    /// What the last check of the provider's key directory found to be false.
    pub fn directory_alarm(&self) -> watch::Receiver<Option<Alarm>> {
        self.directory_alarm.subscribe()
    }

    pub(super) fn set_directory_alarm(&self, alarm: Option<Alarm>) {
        let news = self.directory_alarm.send_if_modified(|current| {
            let changed = *current != alarm;
            current.clone_from(&alarm);
            changed
        });
        if let Some(alarm) = alarm.filter(|_| news) {
            // Neither addresses nor keys are logged; the message in INBOX names them.
            let domain = &alarm.domain;
            tracing::error!(
                domain,
                "the provider's key directory does not hold: see the message in INBOX"
            );
        }
    }

    pub(super) fn set_behind(&self, behind: bool) {
        self.behind
            .send_if_modified(|before| std::mem::replace(before, behind) != behind);
    }

    pub(super) fn set_status(&self, status: SyncStatus) {
        self.status.send_if_modified(|current| {
            let changed = *current != status;
            *current = status;
            changed
        });
    }

    /// Whether `password` is one of the app passwords.
    pub fn admits(&self, password: &str) -> bool {
        let opens = |scope| self.app_passwords.admit(password, scope).is_some();
        opens(Scope::Imap) | opens(Scope::Smtp)
    }
}

/// An account that is on this device and whose keys are not: nobody has unlocked it.
#[derive(Debug)]
pub struct LockedAccount {
    /// Its address.
    pub address: Address,
    /// What mail programs log in with.
    pub app_passwords: AppPasswords,
    /// One line for the user: how to unlock it.
    pub how: String,
}

/// Why a mail program is not let in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refused {
    /// No such user, or not this password.
    Wrong,
    /// The password is right, and the account is locked.
    Locked {
        /// One line for the user: how to unlock it.
        how: String,
    },
    /// Too many have failed.
    Busy,
}

/// All accounts of a bridge.
#[derive(Clone, Default)]
pub struct Accounts(Arc<All>);

#[derive(Default)]
struct All {
    open: BTreeMap<Address, Arc<BridgeAccount>>,
    locked: BTreeMap<Address, LockedAccount>,
    attempts: Mutex<Attempts>,
    /// Salts of unknown users come from it, so that each stays the same.
    secret: [u8; 32],
}

impl Accounts {
    /// These accounts.
    pub fn new(accounts: impl IntoIterator<Item = Arc<BridgeAccount>>) -> Self {
        Self::with_locked(accounts, [])
    }

    /// These accounts, and others that wait for their users.
    pub fn with_locked(
        accounts: impl IntoIterator<Item = Arc<BridgeAccount>>,
        locked: impl IntoIterator<Item = LockedAccount>,
    ) -> Self {
        let open = accounts.into_iter();
        let locked = locked.into_iter();
        let mut secret = [0; 32];
        OsRng.fill_bytes(&mut secret);
        Self(Arc::new(All {
            open: open
                .map(|account| (account.account.address().canonical(), account))
                .collect(),
            locked: locked
                .map(|account| (account.address.canonical(), account))
                .collect(),
            attempts: Mutex::default(),
            secret,
        }))
    }

    /// The accounts, by address.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<BridgeAccount>> {
        self.0.open.values()
    }

    /// The addresses of all, and whether each is unlocked.
    pub fn all(&self) -> impl Iterator<Item = (&Address, bool)> {
        let open = self.0.open.keys().map(|address| (address, true));
        open.chain(self.0.locked.keys().map(|address| (address, false)))
    }

    /// The account of an address.
    pub fn get(&self, address: &Address) -> Option<&Arc<BridgeAccount>> {
        self.0.open.get(&address.canonical())
    }

    /// The account whose address is `username`, if `password` is one of its app passwords and
    /// opens `scope`.
    pub fn log_in(
        &self,
        username: &str,
        password: &str,
        scope: Scope,
        peer: Option<IpAddr>,
    ) -> Result<(&Arc<BridgeAccount>, Admitted), Refused> {
        self.attempt(username, peer, |passwords| {
            if let Some(passwords) = passwords {
                passwords.admit(password, scope)
            } else {
                // One comparison, as for an account with one app password.
                let _never = AppPasswordHash::of_nobody().matches(password);
                None
            }
        })
    }

    /// The same for a proof (RFC 5802), with the server's signature.
    pub fn prove(
        &self,
        attempt: &scram::Attempt,
        scope: Scope,
        peer: Option<IpAddr>,
    ) -> Result<(&Arc<BridgeAccount>, Admitted, Hash), Refused> {
        let mut proved = None;
        let (account, admitted) = self.attempt(&attempt.user, peer, |passwords| {
            if let Some(passwords) = passwords {
                let (admitted, signature) = passwords.prove(attempt, scope)?;
                proved = Some(signature);
                Some(admitted)
            } else {
                let nobody = Verifier::of_nobody();
                let _never = nobody.verify(&attempt.auth_message, &attempt.proof);
                None
            }
        })?;
        let signature = proved.ok_or(Refused::Wrong)?;
        Ok((account, admitted, signature))
    }

    /// What a proof begins with, for any user name.
    pub fn salt(&self, username: &str) -> Salt {
        let known = self.passwords(username).and_then(AppPasswords::salt);
        known.unwrap_or_else(|| {
            let name = username.to_lowercase();
            let text = [&self.0.secret[..], name.as_bytes()].concat();
            let mut salt = Sha256::digest(text).to_vec();
            salt.truncate(scram::SALT_OCTETS);
            Salt {
                salt,
                iterations: scram::ITERATIONS,
            }
        })
    }

    /// Looks every now and then whether app passwords were removed, until the shutdown.
    pub async fn watch(self, shutdown: CancellationToken) {
        while shutdown
            .run_until_cancelled(tokio::time::sleep(LOOK_EVERY))
            .await
            .is_some()
        {
            let open = self.0.open.values().map(|account| &account.app_passwords);
            let locked = self.0.locked.values();
            let locked = locked.map(|account| &account.app_passwords);
            open.chain(locked).for_each(AppPasswords::refresh);
        }
    }

    fn passwords(&self, username: &str) -> Option<&AppPasswords> {
        let address = Address::new(username).ok()?.canonical();
        let open = self.0.open.get(&address);
        let locked = || self.0.locked.get(&address);
        open.map(|account| &account.app_passwords)
            .or_else(|| locked().map(|account| &account.app_passwords))
    }

    fn attempt(
        &self,
        username: &str,
        peer: Option<IpAddr>,
        check: impl FnOnce(Option<&AppPasswords>) -> Option<Admitted>,
    ) -> Result<(&Arc<BridgeAccount>, Admitted), Refused> {
        let now = clock::now();
        let attempts = || {
            self.0
                .attempts
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
        };
        if !attempts().allow(peer, username, now) {
            return Err(Refused::Busy);
        }
        let Some(admitted) = check(self.passwords(username)) else {
            attempts().failed(peer, username, now);
            return Err(Refused::Wrong);
        };
        attempts().succeeded(peer, username);
        let address = Address::new(username).map_err(|_| Refused::Wrong)?;
        if let Some(account) = self.get(&address) {
            return Ok((account, admitted));
        }
        let locked = self.0.locked.get(&address.canonical());
        let how = locked.map(|account| account.how.clone());
        Err(Refused::Locked {
            how: how.ok_or(Refused::Wrong)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bridge::app_passwords::{NewAppPassword, add};
    use crate::bridge::attempts::MAX_FAILURES;

    #[test]
    fn a_locked_account_says_how_to_unlock_it_to_who_may_know() {
        let folder = tempfile::tempdir().unwrap();
        let new = NewAppPassword {
            name: "mutt",
            scope: Scope::Imap,
            now: clock::now(),
        };
        let password = add(folder.path(), &new).unwrap();
        let address = Address::new("alice@letterlock.example").unwrap();
        let locked = LockedAccount {
            address: address.clone(),
            app_passwords: AppPasswords::open(folder.path()),
            how: "Run it".into(),
        };
        let accounts = Accounts::with_locked([], [locked]);
        let try_with = |password: &str, scope| {
            let answer = accounts.log_in("Alice@letterlock.example", password, scope, None);
            answer.err().unwrap()
        };
        let how = "Run it".to_owned();
        let right = password.as_str();
        assert_eq!(try_with(right, Scope::Imap), Refused::Locked { how });
        assert_eq!(try_with(right, Scope::Smtp), Refused::Wrong);
        for _ in 0..MAX_FAILURES {
            try_with("guess", Scope::Imap);
        }
        assert_eq!(try_with(right, Scope::Imap), Refused::Busy);
        // Salts stay the same, of users that exist and of others.
        let known = accounts.salt("alice@letterlock.example");
        assert_eq!(known, accounts.salt("ALICE@letterlock.example"));
        assert_eq!(accounts.salt("nobody"), accounts.salt("Nobody"));
        assert_ne!(accounts.salt("nobody").salt, accounts.salt("somebody").salt);
    }
}

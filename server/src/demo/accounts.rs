//! The demo's accounts and what it remembers of itself: `demo.json`.
//!
//! The file holds passwords in the clear, which only a demo may: who starts it again gets the
//! same ones. Invariant: it is durable before an account is made with what it says.

use std::fs;
use std::io;
use std::path::Path;
use std::sync::Arc;

use futures::future::try_join_all;
use letterlock_core::auth::RecoveryPhrase;
use letterlock_core::auth::wire::Invite;
use letterlock_core::id::Address;
use rand::rngs::OsRng;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::{DOMAIN, DemoError, ReadyAccount};
use crate::bridge::accounts::{Accounts, BridgeAccount};
use crate::bridge::app_password::AppPassword;
use crate::bridge::app_passwords::{self, NewAppPassword, Scope};
use crate::bridge::enrolment::{EnrolError, Enrolment};
use crate::bridge::offline::account_folder;
use crate::bridge::provider_client::ProviderClient;
use crate::bridge::unlock::write_private;
use crate::clock;

/// Who lives here.
const NAMES: [&str; 2] = ["alice", "bob"];
/// The name of the file in the data directory.
const STATE_FILE: &str = "demo.json";
/// The form of the file.
const VERSION: u32 = 1;
/// The name of the app password that the demo shows.
const APP_PASSWORD_NAME: &str = "demo";
/// What the accounts' lists of devices say.
const DEVICE_NAME: &str = "The demo's bridge";

/// The file's content.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct DemoState {
    version: u32,
    letters_fed: bool,
    accounts: Vec<ReadyAccount>,
}

impl DemoState {
    pub(super) fn load_or_create(folder: &Path) -> Result<Self, DemoError> {
        let path = folder.join(STATE_FILE);
        match fs::read(&path) {
            Ok(octets) => serde_json::from_slice::<Self>(&octets)
                .ok()
                .filter(|state| state.version == VERSION)
                .ok_or(DemoError::State { path }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let state = Self::generate();
                state.write(&path)?;
                Ok(state)
            }
            Err(cause) => Err(DemoError::File { path, cause }),
        }
    }

    pub(super) fn accounts(&self) -> &[ReadyAccount] {
        &self.accounts
    }

    pub(super) const fn letters_fed(&self) -> bool {
        self.letters_fed
    }

    pub(super) fn set_letters_fed(&mut self, folder: &Path) -> Result<(), DemoError> {
        self.letters_fed = true;
        self.write(&folder.join(STATE_FILE))
    }

    /// Opens all accounts, making those that are not there yet.
    pub(super) async fn enrol(
        &self,
        folder: &Path,
        provider: &ProviderClient,
        invite: Option<Invite>,
    ) -> Result<Accounts, DemoError> {
        let phrases = self.accounts.iter().map(|account| {
            let text = account.recovery_phrase.as_deref()?;
            RecoveryPhrase::parse(text).ok()
        });
        let all =
            self.accounts.iter().zip(phrases).map(|(account, phrase)| {
                enrol(account, folder, provider, (phrase, invite.clone()))
            });
        Ok(Accounts::new(try_join_all(all).await?))
    }

    fn generate() -> Self {
        let random = || AppPassword::generate(&mut OsRng).as_str().to_owned();
        let accounts = NAMES.map(|name| ReadyAccount {
            address: format!("{name}@{DOMAIN}"),
            password: random(),
            app_password: random(),
            recovery_phrase: Some(RecoveryPhrase::generate(&mut OsRng).words().to_string()),
        });
        Self {
            version: VERSION,
            letters_fed: false,
            accounts: accounts.to_vec(),
        }
    }

    fn write(&self, path: &Path) -> Result<(), DemoError> {
        write_private(path, self).map_err(|cause| DemoError::File {
            path: path.to_owned(),
            cause,
        })
    }
}

/// Writes down an account's new password, if the demo of this folder has the account: the next
/// start unlocks with it.
pub fn note_password(folder: &Path, address: &Address, password: &str) -> Result<(), DemoError> {
    let path = folder.join(STATE_FILE);
    if !path.exists() {
        return Ok(());
    }
    let mut state = DemoState::load_or_create(folder)?;
    for account in &mut state.accounts {
        let same = Address::new(&account.address)
            .is_ok_and(|known| known.canonical() == address.canonical());
        if same {
            password.clone_into(&mut account.password);
        }
    }
    state.write(&path)
}

async fn enrol(
    account: &ReadyAccount,
    folder: &Path,
    provider: &ProviderClient,
    (phrase, invite): (Option<RecoveryPhrase>, Option<Invite>),
) -> Result<Arc<BridgeAccount>, DemoError> {
    let address = Address::new(&account.address).map_err(|_| DemoError::State {
        path: folder.join(STATE_FILE),
    })?;
    let enrolment = Enrolment {
        address: address.clone(),
        password: Zeroizing::new(account.password.clone()),
        folder: account_folder(folder, &address),
        provider: provider.clone(),
        device_name: DEVICE_NAME.to_owned(),
        phrase,
        invite,
    };
    let opened = Box::pin(open(&enrolment, &account.app_password)).await;
    opened.map(Arc::new).map_err(|cause| DemoError::Enrol {
        address,
        cause: Box::new(cause),
    })
}

async fn open(enrolment: &Enrolment, app_password: &str) -> Result<BridgeAccount, EnrolError> {
    let account = enrolment.ensure(clock::now()).await?;
    if !account.admits(app_password) {
        let password = AppPassword::from_text(app_password.to_owned());
        let new = NewAppPassword {
            name: APP_PASSWORD_NAME,
            scope: Scope::Both,
            now: clock::now(),
        };
        app_passwords::keep(&enrolment.folder, &new, &password)?;
    }
    Ok(account)
}

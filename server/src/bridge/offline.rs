//! An account that is on this device, unlocked without its provider: for commands that work on
//! its mail while no bridge runs.
//!
//! Invariant: nothing is sent anywhere, and the data directory is locked by whoever calls.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use letterlock_core::account::Account;
use letterlock_core::id::{Address, Timestamp};
use letterlock_core::seal::{AccountKeys, RootKey};
use rand::RngCore as _;
use rand::rngs::OsRng;
use zeroize::Zeroizing;

use super::accounts::LocalAccount;
use super::enrolment::{EnrolError, REPLICA_FILE};
use super::sqlite_store::SqliteStore;
use super::unlock::Unlock;

/// The folder of a data directory that has a folder for each account.
const ACCOUNTS_FOLDER: &str = "bridge";

/// The folder of an account in a data directory.
pub fn account_folder(data_dir: &Path, address: &Address) -> PathBuf {
    data_dir.join(ACCOUNTS_FOLDER).join(address.as_str())
}

/// The addresses of the accounts in a data directory.
pub fn addresses(data_dir: &Path) -> io::Result<Vec<Address>> {
    let entries = match fs::read_dir(data_dir.join(ACCOUNTS_FOLDER)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        other => other?,
    };
    let mut found = Vec::new();
    for entry in entries {
        if let Ok(Some(unlock)) = Unlock::read(&entry?.path()) {
            found.push(unlock.address);
        }
    }
    found.sort();
    Ok(found)
}

/// Unlocks the account in a folder with its password; `None` if there is none.
pub async fn unlock_offline(
    folder: &Path,
    password: &str,
    now: Timestamp,
) -> Result<Option<LocalAccount>, EnrolError> {
    let Some(unlock) = Unlock::read(folder)? else {
        return Ok(None);
    };
    let id = unlock.account_id().ok_or(EnrolError::UnknownForm)?;
    let opened = unlock.wrap.open(password, id)?;
    let root = RootKey::from_octets(*opened.root_key);
    let keys = AccountKeys::derive(id, opened.epoch, &root);
    let path = folder.join(REPLICA_FILE);
    let key = Zeroizing::new(*keys.store_key());
    let store = tokio::task::spawn_blocking(move || SqliteStore::open(&path, &key))
        .await
        .map_err(|_| EnrolError::Folder {
            path: folder.to_owned(),
            cause: io::Error::other("interrupted"),
        })??;
    let mut seed = [0; 32];
    OsRng.fill_bytes(&mut seed);
    Ok(Some(
        Account::open(store, unlock.address, keys, seed, now).await?,
    ))
}

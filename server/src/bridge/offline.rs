//! An account that is on this device, unlocked without its provider: for commands that work on
//! its mail while no bridge runs.
//!
//! Invariant: nothing is sent anywhere, and the data directory is locked by whoever calls.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use letterlock_core::account::Account;
use letterlock_core::id::{Address, Timestamp};
use letterlock_core::portable::TwoProcessors;
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
/// What the name of a folder ends with that is being removed.
const REMOVED: &str = ".removed";

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
        let path = entry?.path();
        if let Ok(Some(unlock)) = Unlock::read(&path)
            // Else it is one that is being removed.
            && path.file_name() == Some(OsStr::new(unlock.address.as_str()))
        {
            found.push(unlock.address);
        }
    }
    found.sort();
    Ok(found)
}

/// Removes an account's folder; how many octets it had. From its first step on the account is not
/// listed any more; called again after an interruption it removes what was left.
pub fn remove_account(folder: &Path) -> io::Result<u64> {
    let mut name = folder.file_name().unwrap_or_default().to_owned();
    name.push(REMOVED);
    let removed = folder.with_file_name(name);
    let left = remove_folder(&removed)?;
    match fs::rename(folder, &removed) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(left),
        other => other?,
    }
    if let Some(parent) = folder.parent() {
        fs::File::open(parent)?.sync_all()?;
    }
    Ok(left.saturating_add(remove_folder(&removed)?))
}

fn remove_folder(folder: &Path) -> io::Result<u64> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
        other => other?,
    };
    let mut octets: u64 = 0;
    for entry in entries {
        octets = octets.saturating_add(entry?.metadata()?.len());
    }
    fs::remove_dir_all(folder)?;
    Ok(octets)
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
    let account = Account::open(store, unlock.address, keys, seed, now).await?;
    account.set_bulk_cipher(Box::new(TwoProcessors));
    Ok(Some(account))
}

#[cfg(test)]
mod tests {
    use super::*;
    use letterlock_core::auth::LocalWrap;
    use letterlock_core::id::AccountId;

    #[test]
    fn a_removal_that_was_interrupted_goes_on() {
        let data = tempfile::tempdir().unwrap();
        let address = Address::new("alice@letterlock.example").unwrap();
        let folder = account_folder(data.path(), &address);
        let make = || {
            fs::create_dir_all(&folder).unwrap();
            let id = AccountId::new([7; 16]);
            let wrap = LocalWrap::seal("x", id, 1, &[0; 32], &mut OsRng).unwrap();
            Unlock::new(address.clone(), id, wrap)
                .write(&folder)
                .unwrap();
        };
        make();
        assert_eq!(
            addresses(data.path()).unwrap(),
            std::slice::from_ref(&address)
        );
        // Killed after the folder got its other name: it is listed no more.
        let removed = data.path().join("bridge/alice@letterlock.example.removed");
        fs::rename(&folder, &removed).unwrap();
        assert_eq!(addresses(data.path()).unwrap(), []);
        make();
        assert!(remove_account(&folder).unwrap() > 100);
        assert!(!folder.exists() && !removed.exists());
        assert_eq!(remove_account(&folder).unwrap(), 0);
    }
}

//! The account that mail is brought into or taken from: found, locked against a running bridge,
//! unlocked with its password.

use std::io;
use std::path::{Path, PathBuf};

use letterlock_core::id::{Address, Timestamp};

use super::password::{PasswordError, Passwords};
use crate::bridge::accounts::LocalAccount;
use crate::bridge::enrolment::EnrolError;
use crate::bridge::lock::{DataDir, LockError};
use crate::bridge::offline::{account_folder, addresses, unlock_offline};

/// Why an account cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum AccountError {
    /// There is no such directory.
    #[error("{path}: {cause}")]
    NoDirectory {
        /// The data directory.
        path: PathBuf,
        /// What the system says.
        cause: io::Error,
    },
    /// A bridge runs, or the directory cannot be used.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// There are several accounts, or none.
    #[error("say which account with --account: {}", list(.0))]
    WhichOne(Vec<Address>),
    /// There is no account of this address.
    #[error("{path} has no account {address}; it has {}", list(.known))]
    NoSuchAccount {
        /// The data directory.
        path: PathBuf,
        /// The address.
        address: Address,
        /// Those that are there.
        known: Vec<Address>,
    },
    /// See there.
    #[error(transparent)]
    Password(#[from] PasswordError),
    /// It does not open.
    #[error("account {address}: {cause}")]
    Open {
        /// The address.
        address: Address,
        /// Why.
        cause: Box<EnrolError>,
    },
}

fn list(addresses: &[Address]) -> String {
    let all: Vec<&str> = addresses.iter().map(Address::as_str).collect();
    match all.as_slice() {
        [] => "there is none in this data directory".to_owned(),
        all => all.join(", "),
    }
}

/// An account, and the lock of its data directory.
pub struct Opened {
    /// The account.
    pub account: LocalAccount,
    // Released after the account's store is closed.
    _lock: DataDir,
}

/// Opens the account of `address`, or the only one there is.
pub async fn open(
    data_dir: &Path,
    address: Option<&Address>,
    passwords: &mut Passwords,
    now: Timestamp,
) -> Result<Opened, AccountError> {
    let no_directory = |cause| AccountError::NoDirectory {
        path: data_dir.to_owned(),
        cause,
    };
    // Locking would make it.
    std::fs::metadata(data_dir).map_err(no_directory)?;
    let lock = DataDir::lock(data_dir)?;
    let known = addresses(data_dir).map_err(no_directory)?;
    let address = match (address, known.as_slice()) {
        (Some(address), known) => {
            let same = |other: &&Address| other.canonical() == address.canonical();
            let found = known.iter().find(same).cloned();
            found.ok_or_else(|| AccountError::NoSuchAccount {
                path: data_dir.to_owned(),
                address: address.clone(),
                known: known.to_vec(),
            })?
        }
        (None, [only]) => only.clone(),
        (None, _) => return Err(AccountError::WhichOne(known)),
    };
    let password = passwords.account(&address)?;
    let folder = account_folder(data_dir, &address);
    let opened = unlock_offline(&folder, &password, now).await;
    match opened {
        Ok(Some(account)) => Ok(Opened {
            account,
            _lock: lock,
        }),
        Ok(None) => Err(AccountError::NoSuchAccount {
            path: data_dir.to_owned(),
            address,
            known,
        }),
        Err(cause) => Err(AccountError::Open {
            address,
            cause: Box::new(cause),
        }),
    }
}

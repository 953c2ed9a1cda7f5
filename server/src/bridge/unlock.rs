//! `unlock.json`: what a locked account has on disk beside its replica.
//!
//! Invariant: nothing in it opens mail without the password. It is written whole or not at all,
//! readable by its owner alone. Rejected: keeping it in the replica's database, whose key it
//! holds.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use letterlock_core::auth::LocalWrap;
use letterlock_core::id::{AccountId, Address, ReplicaId};
use serde::{Deserialize, Serialize};

/// Name of the file in an account's folder.
pub const UNLOCK_FILE: &str = "unlock.json";
/// The form of the file.
const VERSION: u32 = 1;

/// The file's content.
#[derive(Clone, Serialize, Deserialize)]
pub struct Unlock {
    version: u32,
    /// Whose it is.
    pub address: Address,
    /// The account at the provider, in hexadecimal.
    account_id: String,
    /// The root key under the password.
    pub wrap: LocalWrap,
    /// Where the provider was last, for commands.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider: Option<String>,
    /// This device in the account's list, in hexadecimal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    device: Option<String>,
}

/// Why the file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum UnlockFileError {
    /// The system failed.
    #[error("{path}: {cause}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system says.
        cause: io::Error,
    },
    /// It is not what this version writes.
    #[error("{path} is damaged, or of a version that this program does not know")]
    Form {
        /// The file.
        path: PathBuf,
    },
}

impl Unlock {
    /// For an account.
    pub fn new(address: Address, account: AccountId, wrap: LocalWrap) -> Self {
        Self {
            version: VERSION,
            address,
            account_id: account.to_string(),
            wrap,
            provider: None,
            device: None,
        }
    }

    /// The same, with where it is synced and as which device.
    #[must_use]
    pub fn synced(mut self, provider: &str, device: ReplicaId) -> Self {
        self.provider = Some(provider.to_owned());
        self.device = Some(device.to_string());
        self
    }

    /// The same, under another password.
    #[must_use]
    pub fn with_wrap(mut self, wrap: LocalWrap) -> Self {
        self.wrap = wrap;
        self
    }

    /// This device in the account's list; an account that an earlier version brought here has
    /// none until its next unlocking.
    pub fn device(&self) -> Option<ReplicaId> {
        self.device.as_ref()?.parse().ok()
    }

    /// The account's id.
    pub fn account_id(&self) -> Option<AccountId> {
        self.account_id.parse().ok()
    }

    /// Reads the file of a folder; `None` if there is none.
    pub fn read(folder: &Path) -> Result<Option<Self>, UnlockFileError> {
        let path = folder.join(UNLOCK_FILE);
        let octets = match fs::read(&path) {
            Ok(octets) => octets,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(cause) => return Err(UnlockFileError::Io { path, cause }),
        };
        let known = serde_json::from_slice::<Self>(&octets)
            .ok()
            .filter(|unlock| unlock.version == VERSION && unlock.account_id().is_some());
        known.map(Some).ok_or(UnlockFileError::Form { path })
    }

    /// Writes the file of a folder.
    pub fn write(&self, folder: &Path) -> Result<(), UnlockFileError> {
        let path = folder.join(UNLOCK_FILE);
        write_private(&path, self).map_err(|cause| UnlockFileError::Io { path, cause })
    }
}

/// Writes a value as JSON, durably, whole or not at all, for its owner alone.
pub fn write_private(path: &Path, value: &impl Serialize) -> io::Result<()> {
    let mut octets = serde_json::to_vec_pretty(value)?;
    octets.push(b'\n');
    write_private_octets(path, &octets)
}

/// Writes octets, durably, whole or not at all, for their owner alone.
pub fn write_private_octets(path: &Path, octets: &[u8]) -> io::Result<()> {
    let temporary = path.with_extension("new");
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(&temporary)?;
    file.write_all(octets)?;
    file.sync_all()?;
    fs::rename(&temporary, path)?;
    // The new name is durable once its folder is.
    match path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty())
    {
        Some(folder) => File::open(folder)?.sync_all(),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use letterlock_core::seal::RootKey;
    use rand::rngs::OsRng;

    #[test]
    fn it_comes_back_and_opens_with_the_password_alone() {
        let folder = tempfile::tempdir().unwrap();
        assert!(Unlock::read(folder.path()).unwrap().is_none());
        let account = AccountId::new([7; 16]);
        let root = RootKey::generate(&mut OsRng);
        let wrap = LocalWrap::seal("a password", account, 1, root.octets(), &mut OsRng).unwrap();
        let address = Address::new("alice@letterlock.example").unwrap();
        let unlock = Unlock::new(address, account, wrap);
        unlock.write(folder.path()).unwrap();
        let text = fs::read_to_string(folder.path().join(UNLOCK_FILE)).unwrap();
        assert!(!text.contains("a password"));
        let back = Unlock::read(folder.path()).unwrap().unwrap();
        assert_eq!(back.account_id(), Some(account));
        let opened = back.wrap.open("a password", account).unwrap();
        assert_eq!(&*opened.root_key, root.octets());
        assert!(back.wrap.open("another", account).is_err());
    }

    #[test]
    fn a_damaged_file_is_named() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join(UNLOCK_FILE), b"{").unwrap();
        let Err(error) = Unlock::read(folder.path()) else {
            panic!("read a damaged file")
        };
        assert!(error.to_string().contains(UNLOCK_FILE), "{error}");
    }
}

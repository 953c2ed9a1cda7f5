//! The app passwords of an account: one for each mail program, named, scoped, and taken back one by
//! one. They are in a file of the account's folder, `app-passwords.json`.
//!
//! ```text
//! letterlock app-password ──► lock, read, write whole ──► file ◄── looked at by the bridge: at
//!                                                                  each log-in and every second
//! ```
//!
//! Invariant: no password can be had from the file: it has hashes, and verifiers of RFC 5802. A
//! session ends within [`LOOK_EVERY`] of its password being removed. Rejected: a control socket of
//! the bridge; then passwords could be managed only while it runs, by one more protocol. Rejected:
//! the sealed store; a bridge that is locked could not even tell its users how to unlock it.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use letterlock_core::id::Timestamp;
use rand::RngCore as _;
use rand::rngs::OsRng;
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

use super::app_password::{AppPassword, AppPasswordHash};
use super::unlock::write_private;
use crate::imap::Salt;
use crate::scram::{self, Attempt, Hash, Verifier};

/// Name of the file in an account's folder.
pub const APP_PASSWORDS_FILE: &str = "app-passwords.json";
/// Name of the file that writers lock.
const LOCK_FILE: &str = "app-passwords.lock";
/// The form of the file.
const VERSION: u32 = 1;
/// Most app passwords of an account.
pub const MAX_APP_PASSWORDS: usize = 100;
/// Longest name, in characters.
pub const MAX_NAME: usize = 64;
/// How often the bridge looks whether a password was added or removed.
pub const LOOK_EVERY: Duration = Duration::from_secs(1);

/// What an app password opens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    /// Reading mail.
    Imap,
    /// Sending mail.
    Smtp,
    /// Both.
    Both,
}

impl Scope {
    /// Whether it opens all that `wanted` is.
    pub fn includes(self, wanted: Self) -> bool {
        self == Self::Both || self == wanted
    }

    /// As it is written in the file and on the command line.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Imap => "imap",
            Self::Smtp => "smtp",
            Self::Both => "both",
        }
    }
}

/// An app password as it is kept.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct KeptAppPassword {
    /// Which program it is for, in its user's words.
    pub name: String,
    /// What it opens.
    pub scope: Scope,
    /// When it was made, in seconds since the epoch.
    pub created: i64,
    hash: AppPasswordHash,
    verifier: Verifier,
}

/// The file's content.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Kept {
    version: u32,
    /// Of all passwords: a client proves one without saying which (RFC 5802 5.1).
    salt: String,
    iterations: u32,
    passwords: Vec<KeptAppPassword>,
}

/// Why app passwords cannot be read or changed.
#[derive(Debug, thiserror::Error)]
pub enum AppPasswordsError {
    /// The system failed.
    #[error("{path}: {cause}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system says.
        cause: io::Error,
    },
    /// The file is not what this version writes.
    #[error("{path} is damaged, or of a version that this program does not know")]
    Form {
        /// The file.
        path: PathBuf,
    },
    /// The name is empty, too long or has control characters.
    #[error("a name has 1 to {MAX_NAME} characters and no control characters")]
    Name,
    /// The name is taken.
    #[error("there is an app password of this name: remove it first, or take another name")]
    Taken,
    /// There are too many.
    #[error("an account has at most {MAX_APP_PASSWORDS} app passwords: remove one first")]
    TooMany,
    /// There is none of this name.
    #[error("there is no app password of this name")]
    Unknown,
}

/// What a new app password shall be.
#[derive(Debug, Clone, Copy)]
pub struct NewAppPassword<'a> {
    /// Which program it is for.
    pub name: &'a str,
    /// What it opens.
    pub scope: Scope,
    /// The time.
    pub now: Timestamp,
}

/// Makes an app password for an account's folder; it can be shown this once.
pub fn add(folder: &Path, new: &NewAppPassword<'_>) -> Result<AppPassword, AppPasswordsError> {
    let password = AppPassword::generate(&mut OsRng);
    keep(folder, new, &password)?;
    Ok(password)
}

/// Keeps an app password that exists.
pub fn keep(
    folder: &Path,
    new: &NewAppPassword<'_>,
    password: &AppPassword,
) -> Result<(), AppPasswordsError> {
    let name = new.name;
    let length = name.chars().count();
    if length == 0 || length > MAX_NAME || name.chars().any(char::is_control) {
        return Err(AppPasswordsError::Name);
    }
    let _lock = lock(folder)?;
    let mut kept = read(folder)?.unwrap_or_else(Kept::empty);
    if kept.passwords.iter().any(|other| other.name == name) {
        return Err(AppPasswordsError::Taken);
    }
    if kept.passwords.len() >= MAX_APP_PASSWORDS {
        return Err(AppPasswordsError::TooMany);
    }
    let salt = kept.salt_octets();
    kept.passwords.push(KeptAppPassword {
        name: name.to_owned(),
        scope: new.scope,
        created: new.now.as_secs(),
        hash: password.hash(),
        verifier: password.verifier(&salt, kept.iterations),
    });
    write(folder, &kept)
}

/// The app passwords of an account's folder, oldest first.
pub fn list(folder: &Path) -> Result<Vec<KeptAppPassword>, AppPasswordsError> {
    Ok(read(folder)?.map_or_else(Vec::new, |kept| kept.passwords))
}

/// Takes an app password back.
pub fn remove(folder: &Path, name: &str) -> Result<(), AppPasswordsError> {
    let _lock = lock(folder)?;
    let mut kept = read(folder)?.ok_or(AppPasswordsError::Unknown)?;
    let before = kept.passwords.len();
    kept.passwords.retain(|password| password.name != name);
    if kept.passwords.len() == before {
        return Err(AppPasswordsError::Unknown);
    }
    write(folder, &kept)
}

impl Kept {
    fn empty() -> Self {
        let mut salt = [0; scram::SALT_OCTETS];
        OsRng.fill_bytes(&mut salt);
        Self {
            version: VERSION,
            salt: hex::encode(salt),
            iterations: scram::ITERATIONS,
            passwords: Vec::new(),
        }
    }

    /// [`read`] has checked that it decodes.
    fn salt_octets(&self) -> Vec<u8> {
        hex::decode(&self.salt).unwrap_or_default()
    }
}

fn io_error(path: PathBuf) -> impl FnOnce(io::Error) -> AppPasswordsError {
    move |cause| AppPasswordsError::Io { path, cause }
}

/// One writer at a time; the lock ends with the file.
fn lock(folder: &Path) -> Result<File, AppPasswordsError> {
    let path = folder.join(LOCK_FILE);
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let file = options.open(&path).map_err(io_error(path.clone()))?;
    file.lock().map_err(io_error(path))?;
    Ok(file)
}

fn read(folder: &Path) -> Result<Option<Kept>, AppPasswordsError> {
    let path = folder.join(APP_PASSWORDS_FILE);
    let octets = match fs::read(&path) {
        Ok(octets) => octets,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(cause) => return Err(AppPasswordsError::Io { path, cause }),
    };
    let kept = serde_json::from_slice::<Kept>(&octets).ok();
    let kept = kept.filter(|kept| {
        kept.version == VERSION && kept.iterations > 0 && !kept.salt_octets().is_empty()
    });
    kept.map(Some).ok_or(AppPasswordsError::Form { path })
}

fn write(folder: &Path, kept: &Kept) -> Result<(), AppPasswordsError> {
    let path = folder.join(APP_PASSWORDS_FILE);
    write_private(&path, kept).map_err(io_error(path))
}

/// The app passwords of an account, as a running bridge knows them.
#[derive(Debug)]
pub struct AppPasswords {
    folder: PathBuf,
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    /// What tells that the file is another one than was read.
    stamp: Option<Stamp>,
    kept: Option<Kept>,
    /// Cancelled when the password is removed; by its hash, so that one that is removed and made
    /// again under the same name is another one.
    tokens: BTreeMap<String, CancellationToken>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    modified: Option<SystemTime>,
    length: u64,
    inode: u64,
}

/// An app password that opens what was asked for.
#[derive(Debug, Clone)]
pub struct Admitted {
    /// Cancelled when it is removed.
    pub revoked: CancellationToken,
}

impl AppPasswords {
    /// Those of an account's folder.
    pub fn open(folder: &Path) -> Self {
        Self {
            folder: folder.to_owned(),
            known: Mutex::default(),
        }
    }

    /// Whether `password` is one of them and opens `scope`.
    pub fn admit(&self, password: &str, scope: Scope) -> Option<Admitted> {
        let known = self.look();
        let passwords = known.kept.iter().flat_map(|kept| &kept.passwords);
        // Every hash is compared: the time does not tell which one it was.
        let found = passwords.fold(None, |found, kept| {
            let right = kept.hash.matches(password) & kept.scope.includes(scope);
            if right { Some(kept) } else { found }
        });
        known.admitted(found?)
    }

    /// Which of them was proved to be known, if it opens `scope`, and the server's signature.
    pub fn prove(&self, attempt: &Attempt, scope: Scope) -> Option<(Admitted, Hash)> {
        let known = self.look();
        let passwords = known.kept.iter().flat_map(|kept| &kept.passwords);
        let found = passwords.fold(None, |found, kept| {
            let signature = kept.verifier.verify(&attempt.auth_message, &attempt.proof);
            let signature = signature.filter(|_| kept.scope.includes(scope));
            signature.map(|signature| (kept, signature)).or(found)
        });
        let (kept, signature) = found?;
        Some((known.admitted(kept)?, signature))
    }

    /// What a proof of one of them begins with; `None` if there are none.
    pub fn salt(&self) -> Option<Salt> {
        let known = self.look();
        let kept = known.kept.as_ref()?;
        Some(Salt {
            salt: kept.salt_octets(),
            iterations: kept.iterations,
        })
    }

    /// Reads the file again if it is another one than was read.
    pub fn refresh(&self) {
        drop(self.look());
    }

    fn look(&self) -> std::sync::MutexGuard<'_, Known> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        // Before it is read: a change in between is seen the next time.
        let stamp = stamp(&self.folder.join(APP_PASSWORDS_FILE));
        if stamp != known.stamp {
            match read(&self.folder) {
                Ok(kept) => known.take(kept),
                Err(error) => {
                    // Nobody is let in by what cannot be read, and nobody is kept.
                    tracing::error!(%error, "app passwords cannot be read");
                    known.take(None);
                }
            }
            known.stamp = stamp;
        }
        known
    }
}

impl Known {
    fn take(&mut self, kept: Option<Kept>) {
        let passwords = kept.iter().flat_map(|kept| &kept.passwords);
        let mut tokens = BTreeMap::new();
        for password in passwords {
            let id = String::from(password.hash.clone());
            let token = self.tokens.remove(&id).unwrap_or_default();
            tokens.insert(id, token);
        }
        for removed in self.tokens.values() {
            removed.cancel();
        }
        self.tokens = tokens;
        self.kept = kept;
    }

    fn admitted(&self, kept: &KeptAppPassword) -> Option<Admitted> {
        let token = self.tokens.get(&String::from(kept.hash.clone()))?;
        Some(Admitted {
            revoked: token.clone(),
        })
    }
}

fn stamp(path: &Path) -> Option<Stamp> {
    let metadata = fs::metadata(path).ok()?;
    #[cfg(unix)]
    let inode = std::os::unix::fs::MetadataExt::ino(&metadata);
    #[cfg(not(unix))]
    let inode = 0;
    Some(Stamp {
        modified: metadata.modified().ok(),
        length: metadata.len(),
        inode,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scram::ClientFirst;

    fn new(name: &str, scope: Scope) -> NewAppPassword<'_> {
        NewAppPassword {
            name,
            scope,
            now: Timestamp::from_secs(1_800_000_000),
        }
    }

    #[test]
    fn passwords_are_named_scoped_and_taken_back() {
        let folder = tempfile::tempdir().unwrap();
        let bridge = AppPasswords::open(folder.path());
        assert!(bridge.salt().is_none() && bridge.admit("x", Scope::Imap).is_none());
        let reader = add(folder.path(), &new("mutt", Scope::Imap)).unwrap();
        let sender = add(folder.path(), &new("msmtp", Scope::Smtp)).unwrap();
        let taken = add(folder.path(), &new("mutt", Scope::Both));
        assert!(matches!(taken, Err(AppPasswordsError::Taken)));
        assert!(bridge.admit(reader.as_str(), Scope::Smtp).is_none());
        assert!(bridge.admit(sender.as_str(), Scope::Imap).is_none());
        assert!(bridge.admit(sender.as_str(), Scope::Smtp).is_some());
        let session = bridge.admit(reader.as_str(), Scope::Imap).unwrap();
        let names: Vec<_> = list(folder.path()).unwrap();
        assert_eq!(names.len(), 2);
        assert_eq!((&*names[0].name, names[0].scope), ("mutt", Scope::Imap));
        // Removing another one ends nothing.
        remove(folder.path(), "msmtp").unwrap();
        bridge.refresh();
        assert!(!session.revoked.is_cancelled());
        remove(folder.path(), "mutt").unwrap();
        assert!(bridge.admit(reader.as_str(), Scope::Imap).is_none());
        assert!(session.revoked.is_cancelled());
        let again = remove(folder.path(), "mutt");
        assert!(matches!(again, Err(AppPasswordsError::Unknown)));
    }

    #[test]
    fn the_file_has_no_password_and_belongs_to_its_owner() {
        let folder = tempfile::tempdir().unwrap();
        let password = add(folder.path(), &new("mutt", Scope::Both)).unwrap();
        let path = folder.path().join(APP_PASSWORDS_FILE);
        let text = fs::read_to_string(&path).unwrap();
        assert!(!text.contains(password.as_str()));
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            assert_eq!(
                fs::metadata(&path).unwrap().permissions().mode() & 0o777,
                0o600
            );
        }
        fs::write(&path, "{}").unwrap();
        assert!(matches!(
            list(folder.path()),
            Err(AppPasswordsError::Form { .. })
        ));
        let bridge = AppPasswords::open(folder.path());
        assert!(bridge.admit(password.as_str(), Scope::Imap).is_none());
    }

    #[test]
    fn one_of_several_is_proved_without_being_named() {
        let folder = tempfile::tempdir().unwrap();
        let bridge = AppPasswords::open(folder.path());
        add(folder.path(), &new("one", Scope::Imap)).unwrap();
        let password = add(folder.path(), &new("two", Scope::Imap)).unwrap();
        let salt = bridge.salt().unwrap();
        let verifier = password.verifier(&salt.salt, salt.iterations);
        let first = ClientFirst::parse(b"n,,n=alice,r=abc").unwrap();
        let (_, _said) = first.answer("def", &salt.salt, salt.iterations);
        // A proof of nothing.
        let attempt = Attempt {
            user: "alice".into(),
            auth_message: b"message".to_vec(),
            proof: [7; 32],
        };
        assert!(bridge.prove(&attempt, Scope::Imap).is_none());
        assert!(verifier.verify(b"message", &[7; 32]).is_none());
    }

    #[test]
    fn odd_names_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["", "a\nb", &"x".repeat(MAX_NAME + 1)] {
            let added = add(folder.path(), &new(name, Scope::Both));
            assert!(matches!(added, Err(AppPasswordsError::Name)), "{name:?}");
        }
    }
}

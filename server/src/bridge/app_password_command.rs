//! `letterlock app-password add|list|remove`: passwords for mail programs, from the command line.
//!
//! Works while the bridge runs and while it does not: the file in the data directory is what both
//! go by. Invariant: a password is printed once, to standard output alone, and logged nowhere.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use letterlock_core::id::{Address, Timestamp};
use letterlock_core::mime::format_date;

use super::app_passwords::{self, AppPasswordsError, NewAppPassword, Scope};
use super::offline::{account_folder, addresses};

/// What is to be done.
#[derive(Debug, Clone, Subcommand)]
pub enum AppPasswordCommand {
    /// Make a password for a mail program and print it, this once.
    Add {
        /// Which program it is for, in your words.
        name: String,
        /// What it opens.
        #[arg(long, value_enum, default_value_t = Scope::Both)]
        scope: Scope,
        /// Whose account.
        #[command(flatten)]
        account: WhoseArguments,
    },
    /// List the passwords of an account: names and what they open.
    List {
        /// Whose account.
        #[command(flatten)]
        account: WhoseArguments,
    },
    /// Take a password back; sessions that use it end.
    Remove {
        /// The name that it was given.
        name: String,
        /// Whose account.
        #[command(flatten)]
        account: WhoseArguments,
    },
}

/// Whose account, and where it is.
#[derive(Debug, Clone, Args)]
pub struct WhoseArguments {
    /// The account; not needed if there is only one.
    #[arg(long, value_name = "ADDRESS")]
    pub account: Option<Address>,
    /// The data directory of the bridge, which may run [default: the demo's].
    #[arg(long, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
}

/// Why it was not done.
#[derive(Debug, thiserror::Error)]
pub enum AppPasswordCommandError {
    /// Neither a data directory nor a home is known.
    #[error("no data directory is known: set HOME, or use --data-dir DIR")]
    NoDataDir,
    /// There is no account in the data directory.
    #[error("{path} has no account: a mail program's password belongs to one")]
    NoAccount {
        /// The data directory.
        path: PathBuf,
    },
    /// There are several.
    #[error("which account? Use --account with one of {addresses}")]
    Which {
        /// All of them.
        addresses: String,
    },
    /// The account is not in the data directory.
    #[error("{path} has no such account; it has {addresses}")]
    Unknown {
        /// The data directory.
        path: PathBuf,
        /// All of them.
        addresses: String,
    },
    /// See there.
    #[error(transparent)]
    AppPasswords(#[from] AppPasswordsError),
    /// Nobody reads what is printed, or the data directory cannot be read.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// Runs one of the commands. `otherwise` is the data directory if none was named.
pub fn run(
    command: &AppPasswordCommand,
    otherwise: Option<&Path>,
    now: Timestamp,
    out: &mut impl Write,
) -> Result<(), AppPasswordCommandError> {
    let (AppPasswordCommand::Add { account, .. }
    | AppPasswordCommand::List { account }
    | AppPasswordCommand::Remove { account, .. }) = command;
    let (address, folder) = find(account, otherwise)?;
    match command {
        AppPasswordCommand::Add { name, scope, .. } => {
            let scope = *scope;
            let password = app_passwords::add(&folder, &NewAppPassword { name, scope, now })?;
            writeln!(out, "{}", password.as_str())?;
            let opens = match scope {
                Scope::Imap => "reads mail (IMAP)",
                Scope::Smtp => "sends mail (SMTP)",
                Scope::Both => "reads and sends mail (IMAP, SMTP)",
            };
            writeln!(out, "It {opens} as {address}. It is not shown again.")?;
        }
        AppPasswordCommand::List { .. } => {
            for kept in app_passwords::list(&folder)? {
                let created = format_date(Timestamp::from_secs(kept.created));
                let scope = kept.scope.as_str();
                writeln!(out, "{:<4}  {created}  {}", scope, kept.name)?;
            }
        }
        AppPasswordCommand::Remove { name, .. } => {
            app_passwords::remove(&folder, name)?;
            writeln!(out, "Removed. Sessions that use it end.")?;
        }
    }
    Ok(out.flush()?)
}

/// The account that is meant, and its folder.
pub(crate) fn find(
    whose: &WhoseArguments,
    otherwise: Option<&Path>,
) -> Result<(Address, PathBuf), AppPasswordCommandError> {
    let data_dir = whose.data_dir.as_deref().or(otherwise);
    let data_dir = data_dir.ok_or(AppPasswordCommandError::NoDataDir)?;
    let all = addresses(data_dir)?;
    let list = || {
        let names: Vec<&str> = all.iter().map(Address::as_str).collect();
        names.join(", ")
    };
    let path = data_dir.to_owned();
    let address = match (&whose.account, all.as_slice()) {
        (_, []) => return Err(AppPasswordCommandError::NoAccount { path }),
        (None, [only]) => only,
        (None, _) => return Err(AppPasswordCommandError::Which { addresses: list() }),
        (Some(wanted), all) => {
            let mut same = all
                .iter()
                .filter(|address| address.canonical() == wanted.canonical());
            let unknown = || AppPasswordCommandError::Unknown {
                path,
                addresses: list(),
            };
            same.next().ok_or_else(unknown)?
        }
    };
    Ok((address.clone(), account_folder(data_dir, address)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bridge::app_passwords::AppPasswords;
    use crate::bridge::lock::create_private_dir;
    use crate::bridge::unlock::Unlock;
    use letterlock_core::auth::LocalWrap;
    use letterlock_core::id::AccountId;
    use rand::rngs::OsRng;

    fn whose(account: Option<&str>, data_dir: &Path) -> WhoseArguments {
        WhoseArguments {
            account: account.map(|address| Address::new(address).unwrap()),
            data_dir: Some(data_dir.to_owned()),
        }
    }

    fn said(command: &AppPasswordCommand) -> Result<String, String> {
        let mut out = Vec::new();
        let now = Timestamp::from_secs(1_800_000_000);
        let done = run(command, None, now, &mut out).map_err(|error| error.to_string());
        done.map(|()| String::from_utf8(out).unwrap())
    }

    #[test]
    fn passwords_are_made_listed_and_removed() {
        let data = tempfile::tempdir().unwrap();
        let alice = whose(None, data.path());
        let list = |account| AppPasswordCommand::List { account };
        assert!(
            said(&list(alice.clone()))
                .unwrap_err()
                .contains("has no account")
        );
        for name in ["alice", "bob"] {
            let address = Address::new(&format!("{name}@letterlock.example")).unwrap();
            let folder = account_folder(data.path(), &address);
            create_private_dir(&folder).unwrap();
            let id = AccountId::new([7; 16]);
            let wrap = LocalWrap::seal("x", id, 1, &[0; 32], &mut OsRng).unwrap();
            Unlock::new(address, id, wrap).write(&folder).unwrap();
        }
        assert!(
            said(&list(alice))
                .unwrap_err()
                .contains("bob@letterlock.example")
        );
        let alice = whose(Some("Alice@letterlock.example"), data.path());
        let add = AppPasswordCommand::Add {
            name: "Thunderbird on the laptop".into(),
            scope: Scope::Imap,
            account: alice.clone(),
        };
        let printed = said(&add).unwrap();
        let password = printed.lines().next().unwrap();
        let address = Address::new("alice@letterlock.example").unwrap();
        let bridge = AppPasswords::open(&account_folder(data.path(), &address));
        let session = bridge.admit(password, Scope::Imap).unwrap();
        let listed = said(&list(alice.clone())).unwrap();
        assert!(listed.starts_with("imap  ") && listed.contains("Thunderbird on the laptop"));
        assert!(!listed.contains(password));
        let remove = AppPasswordCommand::Remove {
            name: "Thunderbird on the laptop".into(),
            account: alice.clone(),
        };
        said(&remove).unwrap();
        bridge.refresh();
        assert!(session.revoked.is_cancelled());
        assert_eq!(said(&list(alice)).unwrap(), "");
        assert!(
            said(&remove)
                .unwrap_err()
                .contains("no app password of this name")
        );
        let carol = whose(Some("carol@letterlock.example"), data.path());
        assert!(said(&list(carol)).unwrap_err().contains("no such account"));
    }
}

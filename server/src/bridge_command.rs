//! `letterlock bridge`: the bridge alone, for accounts whose provider is elsewhere.
//!
//! It serves the accounts that `letterlock account` has brought into its data directory, each
//! unlocked with its own password. Invariant: it works while the provider is away. An account
//! whose password is not given is served all the same, locked: whoever logs in is told how to
//! unlock it, and no mail of it is touched.

use std::io::{self, IsTerminal as _, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;
use letterlock_core::account::ReplicaError;
use letterlock_core::id::Address;
use zeroize::Zeroizing;

use crate::bridge::accounts::{Accounts, BridgeAccount, LockedAccount};
use crate::bridge::app_passwords::AppPasswords;
use crate::bridge::doors::{BindError, Doors, address_of};
use crate::bridge::enrolment::{EnrolError, Enrolment};
use crate::bridge::lock::{DataDir, LockError};
use crate::bridge::offline::{account_folder, addresses};
use crate::bridge::provider_client::{ProviderClient, ProviderError};
use crate::bridge::running;
use crate::bridge::tls::{Tls, TlsError};
use crate::bridge::unlock::{Unlock, UnlockFileError};
use crate::clock;
use crate::config::{Config, ConfigError, Virtual};
use crate::demo::{DemoError, default_data_dir};
use crate::shutdown::{GRACE, Shutdown};
use crate::transfer::password::{PasswordError, Passwords};

/// What the submission server calls itself: it is on the user's own machine.
const NAME: &str = "localhost";
/// How an account is called that has no device's name from before.
const DEVICE_NAME: &str = "letterlock bridge";
/// How often a wrong password may be given again at a terminal.
const ATTEMPTS: usize = 3;

/// What the command line says.
#[derive(Debug, Clone, Args)]
pub struct BridgeArguments {
    /// The data directory of `letterlock account` [default: the demo's].
    #[arg(long, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
    /// Serve this account; may be given more than once [default: all that are here].
    #[arg(long = "account", value_name = "ADDRESS")]
    pub accounts: Vec<Address>,
    /// Take the account's password from the first line of this file, where one is served; else
    /// each is asked for, or taken from a line of standard input. An empty one leaves it locked.
    #[arg(long, value_name = "FILE")]
    pub password_file: Option<PathBuf>,
    /// The provider of all accounts [default: where each was synced last].
    #[arg(long, value_name = "URL")]
    pub provider: Option<String>,
    /// Sections `listen`, `imap`, `keys` and `limits` are read from this file (TOML); flags win
    /// over it.
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Where mail programs come in.
    #[command(flatten)]
    pub doors: DoorArguments,
}

/// Where mail programs come in, and what they see.
#[derive(Debug, Clone, Args)]
pub struct DoorArguments {
    /// IMAP [default: 127.0.0.1:1984].
    #[arg(long, value_name = "ADDR")]
    pub imap: Option<SocketAddr>,
    /// Submission, SMTP [default: 127.0.0.1:2013].
    #[arg(long, value_name = "ADDR")]
    pub smtp: Option<SocketAddr>,
    /// IMAP with TLS from the first octet, on any address.
    #[arg(long, value_name = "ADDR")]
    pub imaps: Option<SocketAddr>,
    /// Submission with TLS from the first octet, on any address.
    #[arg(long, value_name = "ADDR")]
    pub smtps: Option<SocketAddr>,
    /// IMAP on a Unix socket that its owner alone can open.
    #[arg(long, value_name = "PATH")]
    pub imap_socket: Option<PathBuf>,
    /// Let nobody log in to IMAP and SMTP before STARTTLS; then they may be on any address.
    #[arg(long)]
    pub starttls_required: bool,
    /// Show mail programs these mailboxes beside the others, such as `all,flagged`.
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    pub virtual_mailboxes: Option<Vec<Virtual>>,
}

impl DoorArguments {
    /// Puts what was given over what the configuration says.
    pub fn apply(self, config: &mut Config) -> Result<(), ConfigError> {
        let listen = &mut config.listen;
        listen.imap = self.imap.unwrap_or(listen.imap);
        listen.smtp = self.smtp.unwrap_or(listen.smtp);
        listen.imaps = self.imaps.or(listen.imaps);
        listen.smtps = self.smtps.or(listen.smtps);
        listen.imap_socket = self.imap_socket.or(listen.imap_socket.take());
        listen.starttls_required |= self.starttls_required;
        if let Some(wanted) = self.virtual_mailboxes {
            config.imap.virtual_mailboxes = wanted;
        }
        listen.validate()
    }
}

/// Why it does not run.
#[derive(Debug, thiserror::Error)]
pub enum BridgeCommandError {
    /// The configuration is wrong.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// No data directory is known.
    #[error(transparent)]
    DataDir(#[from] DemoError),
    /// Another process has it.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// The accounts in it cannot be listed.
    #[error("{path}: {cause}")]
    List {
        /// The data directory.
        path: PathBuf,
        /// What the system says.
        cause: io::Error,
    },
    /// There is none.
    #[error(
        "{path} has no account: bring one here with `letterlock account create`, `log-in` or \
         `recover`"
    )]
    NoAccount {
        /// The data directory.
        path: PathBuf,
    },
    /// One that was asked for is not there.
    #[error("{address} is not in {path}")]
    Unknown {
        /// Which.
        address: Address,
        /// The data directory.
        path: PathBuf,
    },
    /// A file has one password.
    #[error("a password file is for one account: say which with --account ADDRESS")]
    OneFile,
    /// It is not known where an account is synced.
    #[error("the provider of {0} is not known: say where it is with --provider URL")]
    NoProvider(Address),
    /// See there.
    #[error(transparent)]
    Provider(#[from] ProviderError),
    /// See there.
    #[error(transparent)]
    UnlockFile(#[from] UnlockFileError),
    /// See there.
    #[error(transparent)]
    Password(#[from] PasswordError),
    /// An account does not open.
    #[error("{address} does not open: {cause}")]
    Account {
        /// Which.
        address: Address,
        /// Why.
        cause: Box<EnrolError>,
    },
    /// See there.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// See there.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// See there.
    #[error(transparent)]
    Replica(#[from] ReplicaError),
    /// Nobody reads what is printed.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// Runs a bridge until `stop` ends, and says on `out` where it answers and for whom.
pub async fn run(
    arguments: BridgeArguments,
    stop: impl Future<Output = ()>,
    out: &mut impl Write,
) -> Result<(), BridgeCommandError> {
    let mut config = match &arguments.config {
        Some(path) => Config::load(path)?,
        None => Config::default(),
    };
    arguments.doors.clone().apply(&mut config)?;
    let data_dir = match &arguments.data_dir {
        Some(path) => std::path::absolute(path)?,
        None => default_data_dir()?,
    };
    let _lock = DataDir::lock(&data_dir)?;
    let doors = Doors::bind(&config.listen).await?;
    let tls = Tls::open(&data_dir, clock::now())?;
    let accounts = Box::pin(unlock_all(&arguments, &data_dir)).await?;
    running::show_virtual(&accounts, &config).await?;
    tell_doors(out, &doors, &tls)?;
    for (address, is_open) in accounts.all() {
        let state = if is_open { "unlocked" } else { "locked" };
        writeln!(out, "{address} is {state}")?;
    }
    out.flush()?;
    let shutdown = Shutdown::new();
    running::start(&accounts, doors, (&config, &tls), NAME, &shutdown);
    stop.await;
    if !shutdown.finish(GRACE).await {
        tracing::warn!("some connections did not end in time");
    }
    Ok(())
}

fn tell_doors(out: &mut impl Write, doors: &Doors, tls: &Tls) -> io::Result<()> {
    writeln!(out, "imap   {}", address_of(&doors.imap))?;
    writeln!(out, "smtp   {}", address_of(&doors.smtp))?;
    if let Some(imaps) = &doors.imaps {
        writeln!(out, "imaps  {}", address_of(imaps))?;
    }
    if let Some(smtps) = &doors.smtps {
        writeln!(out, "smtps  {}", address_of(smtps))?;
    }
    if let Some((_, path)) = &doors.imap_socket {
        writeln!(out, "imap   {}", path.display())?;
    }
    writeln!(out, "certificate, SHA-256: {}", tls.fingerprint())
}

/// The accounts to be served, by address.
fn served(
    arguments: &BridgeArguments,
    data_dir: &Path,
) -> Result<Vec<Address>, BridgeCommandError> {
    let path = || data_dir.to_owned();
    let here = addresses(data_dir).map_err(|cause| BridgeCommandError::List {
        path: path(),
        cause,
    })?;
    if here.is_empty() {
        return Err(BridgeCommandError::NoAccount { path: path() });
    }
    let wanted = &arguments.accounts;
    let is_same = |one: &Address, other: &Address| one.canonical() == other.canonical();
    if let Some(address) = wanted
        .iter()
        .find(|wanted| !here.iter().any(|here| is_same(here, wanted)))
    {
        return Err(BridgeCommandError::Unknown {
            address: address.clone(),
            path: path(),
        });
    }
    let is_wanted =
        |here: &Address| wanted.is_empty() || wanted.iter().any(|wanted| is_same(here, wanted));
    let served: Vec<Address> = here.into_iter().filter(is_wanted).collect();
    if arguments.password_file.is_some() && served.len() > 1 {
        return Err(BridgeCommandError::OneFile);
    }
    Ok(served)
}

async fn unlock_all(
    arguments: &BridgeArguments,
    data_dir: &Path,
) -> Result<Accounts, BridgeCommandError> {
    let mut passwords = Passwords {
        account_file: arguments.password_file.clone(),
        source_file: None,
    };
    let (mut open, mut locked) = (Vec::new(), Vec::new());
    for address in served(arguments, data_dir)? {
        let folder = account_folder(data_dir, &address);
        match Box::pin(unlock(arguments, &address, &folder, &mut passwords)).await? {
            Some(account) => open.push(Arc::new(account)),
            None => locked.push(LockedAccount {
                app_passwords: AppPasswords::open(&folder),
                how: format!(
                    "start `letterlock bridge` again and give it the password of {address}"
                ),
                address,
            }),
        }
    }
    Ok(Accounts::with_locked(open, locked))
}

/// One account, if its password is given.
async fn unlock(
    arguments: &BridgeArguments,
    address: &Address,
    folder: &Path,
    passwords: &mut Passwords,
) -> Result<Option<BridgeAccount>, BridgeCommandError> {
    let at_terminal = arguments.password_file.is_none() && io::stdin().is_terminal();
    let unlock = Unlock::read(folder)?;
    let known = unlock.and_then(|unlock| unlock.provider);
    let base = arguments.provider.clone().or(known);
    let base = base.ok_or_else(|| BridgeCommandError::NoProvider(address.clone()))?;
    let provider = ProviderClient::new(&base)?;
    for attempt in 1..=ATTEMPTS {
        let password = match passwords.account(address) {
            Ok(password) => password,
            Err(PasswordError::None(_)) if arguments.password_file.is_none() => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let enrolment = enrolment(address, folder, &provider, password);
        match Box::pin(enrolment.unlock(clock::now())).await {
            Ok(account) => return Ok(account),
            Err(EnrolError::WrongPassword) if at_terminal && attempt < ATTEMPTS => {
                let mut terminal = io::stderr();
                writeln!(terminal, "That is not the password of {address}.")?;
            }
            Err(cause) => {
                return Err(BridgeCommandError::Account {
                    address: address.clone(),
                    cause: Box::new(cause),
                });
            }
        }
    }
    Ok(None)
}

fn enrolment(
    address: &Address,
    folder: &Path,
    provider: &ProviderClient,
    password: Zeroizing<String>,
) -> Enrolment {
    Enrolment {
        address: address.clone(),
        password,
        folder: folder.to_owned(),
        provider: provider.clone(),
        device_name: DEVICE_NAME.to_owned(),
        phrase: None,
        invite: None,
    }
}

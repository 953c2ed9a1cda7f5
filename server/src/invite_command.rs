//! `letterlock invite add|list|remove`: who may sign up at a provider that takes invited people
//! only, from the command line of who keeps it.
//!
//! Works while the provider runs and while it does not. Invariant: a code is printed once, to
//! standard output alone.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use letterlock_core::id::Timestamp;
use letterlock_core::mime::format_date;

use crate::config::{Config, ConfigError};
use crate::demo::PROVIDER_FOLDER;
use crate::provider::invites::{self, Invited};
use crate::provider::{DbError, Records};

const DAY_MS: i64 = 24 * 60 * 60 * 1000;
/// Longest name, in octets.
const MAX_NAME_OCTETS: usize = 200;

/// What is to be done.
#[derive(Debug, Clone, Subcommand)]
pub enum InviteCommand {
    /// Make an invite code and print it, this once.
    Add {
        /// Whom or what it is for, in your words.
        name: String,
        /// Accounts that can be made with it.
        #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=100_000))]
        uses: u32,
        /// Days that it holds.
        #[arg(long, value_name = "N", default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..=3650))]
        days: u32,
        /// Where.
        #[command(flatten)]
        place: PlaceArgument,
    },
    /// List the invites that can still be used.
    List {
        /// Where.
        #[command(flatten)]
        place: PlaceArgument,
    },
    /// Take back all invites of a name; accounts that were made with them stay.
    Remove {
        /// The name that it was given.
        name: String,
        /// Where.
        #[command(flatten)]
        place: PlaceArgument,
    },
}

/// Which provider.
#[derive(Debug, Clone, Args)]
pub struct PlaceArgument {
    /// The data directory of the provider, which may run [default: the demo's].
    #[arg(long, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
    /// The provider's configuration, if it names a database.
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
}

/// Why it was not done.
#[derive(Debug, thiserror::Error)]
pub enum InviteCommandError {
    /// Neither a data directory nor a home is known.
    #[error("no data directory is known: set HOME, or use --data-dir DIR")]
    NoDataDir,
    /// The name is empty or too long.
    #[error("a name has 1 to {MAX_NAME_OCTETS} octets")]
    Name,
    /// There is none of this name.
    #[error("no invite of this name can be taken back")]
    Unknown,
    /// The configuration is wrong.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// See there.
    #[error(transparent)]
    Db(#[from] DbError),
    /// Nobody reads what is printed.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// Runs one of the commands. `otherwise` is the data directory if none was named.
pub async fn run(
    command: &InviteCommand,
    otherwise: Option<&Path>,
    now: Timestamp,
    out: &mut impl Write,
) -> Result<(), InviteCommandError> {
    let (InviteCommand::Add { place, .. }
    | InviteCommand::List { place }
    | InviteCommand::Remove { place, .. }) = command;
    let data_dir = place.data_dir.as_deref().or(otherwise);
    let data_dir = provider_folder(data_dir.ok_or(InviteCommandError::NoDataDir)?);
    let records = &match &place.config {
        Some(path) => Config::load(path)?.storage.records()?,
        None => Records::Embedded,
    };
    match command {
        InviteCommand::Add {
            name, uses, days, ..
        } => {
            if name.is_empty() || name.len() > MAX_NAME_OCTETS {
                return Err(InviteCommandError::Name);
            }
            let holds_ms = i64::from(*days).saturating_mul(DAY_MS);
            let invited = Invited {
                name: name.clone(),
                uses_left: *uses,
                expires_at: Timestamp::from_millis(now.as_millis().saturating_add(holds_ms)),
            };
            let code = invites::add(&data_dir, records, &invited, now).await?;
            writeln!(out, "{}", code.as_str())?;
            let until = format_date(invited.expires_at);
            writeln!(out, "Good for {uses} until {until}. It is not shown again.")?;
        }
        InviteCommand::List { .. } => {
            for invited in invites::list(&data_dir, records, now).await? {
                let until = format_date(invited.expires_at);
                writeln!(out, "{:>4}  {until}  {}", invited.uses_left, invited.name)?;
            }
        }
        InviteCommand::Remove { name, .. } => {
            if invites::remove(&data_dir, records, name).await? == 0 {
                return Err(InviteCommandError::Unknown);
            }
            writeln!(out, "Taken back.")?;
        }
    }
    Ok(out.flush()?)
}

/// A demo has its provider in a folder of its own.
fn provider_folder(data_dir: &Path) -> PathBuf {
    let own = data_dir.join(PROVIDER_FOLDER);
    if own.is_dir() {
        own
    } else {
        data_dir.to_owned()
    }
}

//! `letterlock shard list|accounts|move`: the databases that accounts are spread over, from the command
//! line of who keeps the provider.
//!
//! Works while providers run. A move that is stopped or killed is no move, or is done; it may be run
//! again (`provider::shards`).

use std::io::{self, Write};
use std::path::PathBuf;

use clap::{Args, Subcommand};
use letterlock_core::id::Address;

use crate::config::{Config, ConfigError};
use crate::provider::{MoveError, shards};

/// What is to be done.
#[derive(Debug, Clone, Subcommand)]
pub enum ShardCommand {
    /// List the databases, with accounts and octets of each.
    List {
        /// Which provider.
        #[command(flatten)]
        place: ConfigArgument,
    },
    /// Print the addresses of the accounts that are in a database.
    Accounts {
        /// Its name.
        shard: String,
        /// Which provider.
        #[command(flatten)]
        place: ConfigArgument,
    },
    /// Move an account to another database, while it is in use.
    Move {
        /// The account.
        address: Address,
        /// Where it is to be: a name of `storage.shards`, or `main`.
        #[arg(long, value_name = "SHARD")]
        to: String,
        /// Which provider.
        #[command(flatten)]
        place: ConfigArgument,
    },
}

/// Which provider.
#[derive(Debug, Clone, Args)]
pub struct ConfigArgument {
    /// The provider's configuration, which names its databases.
    #[arg(long, value_name = "FILE")]
    pub config: PathBuf,
}

/// Why it was not done.
#[derive(Debug, thiserror::Error)]
pub enum ShardCommandError {
    /// The configuration is wrong.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// See there.
    #[error(transparent)]
    Move(#[from] MoveError),
    /// Nobody reads what is printed.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// Runs one of the commands.
pub async fn run(command: &ShardCommand, out: &mut impl Write) -> Result<(), ShardCommandError> {
    let (ShardCommand::List { place }
    | ShardCommand::Accounts { place, .. }
    | ShardCommand::Move { place, .. }) = command;
    let records = Config::load(&place.config)?.storage.records()?;
    match command {
        ShardCommand::List { .. } => {
            for shard in shards::list(&records).await? {
                let (accounts, octets) = (shard.accounts, shard.octets);
                writeln!(
                    out,
                    "{accounts:>9} {octets:>15}  {}  {}",
                    shard.name, shard.place
                )?;
            }
        }
        ShardCommand::Accounts { shard, .. } => {
            for address in shards::addresses(&records, shard).await? {
                writeln!(out, "{address}")?;
            }
        }
        ShardCommand::Move { address, to, .. } => {
            let moved = shards::move_account(&records, address, to).await?;
            if moved.from == *to {
                writeln!(out, "It is there already.")?;
            } else {
                let (documents, incoming) = (moved.documents, moved.incoming);
                let from = moved.from;
                writeln!(
                    out,
                    "Moved from {from}: {documents} documents, {incoming} messages."
                )?;
            }
        }
    }
    Ok(out.flush()?)
}

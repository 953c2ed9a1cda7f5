//! `letterlock check`, `letterlock reindex`, `letterlock collect` and `letterlock directory`: looking
//! after the mail on this device while its bridge does not run.
//!
//! Invariant: the data directory is locked meanwhile, so no bridge works on the same store; what
//! is printed names ids and counts, never content. Rejected: a flag of the bridge; what takes
//! minutes must not stand between a person and her mail.

use std::io::{self, Write};
use std::process::ExitCode;

use clap::{Args, Subcommand};

use crate::bridge::sqlite_store::SqliteStore;
use crate::clock::{self, Clock};
use crate::shutdown::GRACE;
use crate::transfer::arguments::AccountArguments;
use crate::transfer::command::{TransferError, open_account, watch_signals};
use crate::transfer::indexing::{Indexed, index};
use crate::transfer::password::Passwords;
use crate::transfer::progress::{Progress, Total, octets};
use letterlock_core::account::{
    Account, CheckReport, DirectoryError, DirectoryState, IndexError, ReplicaError,
};

/// Documents that are collected at a time.
const COLLECTED_AT_A_TIME: usize = 1000;

/// What is to be done.
#[derive(Debug, Clone, Subcommand)]
pub enum Upkeep {
    /// Read everything that an account has on this device and say what is not as it should be.
    Check(UpkeepArguments),
    /// Make an account's search index anew.
    Reindex(UpkeepArguments),
    /// Remove at once what no mailbox has any more; the bridge does it after a while by itself.
    Collect(UpkeepArguments),
    /// Show what this device has seen of the provider's key directory.
    Directory {
        /// Whose.
        #[command(flatten)]
        whose: UpkeepArguments,
        /// Forget it, on all of the account's devices: at the next sync the directory is taken as
        /// it is then. For a provider that has explained an alarm.
        #[arg(long)]
        anew: bool,
    },
}

/// Whose mail.
#[derive(Debug, Clone, Args)]
pub struct UpkeepArguments {
    /// Whose.
    #[command(flatten)]
    pub account: AccountArguments,
}

/// Why it was not done.
#[derive(Debug, thiserror::Error)]
pub enum UpkeepError {
    /// The account does not open.
    #[error(transparent)]
    Account(#[from] TransferError),
    /// The store failed.
    #[error(transparent)]
    Replica(#[from] ReplicaError),
    /// The index failed.
    #[error(transparent)]
    Index(#[from] IndexError),
    /// The directory could not be taken anew.
    #[error(transparent)]
    Directory(#[from] DirectoryError),
    /// Nobody reads what is printed.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// Runs one of the commands. The exit code tells whether all is well.
pub async fn run(upkeep: Upkeep) -> Result<ExitCode, UpkeepError> {
    let (Upkeep::Check(arguments)
    | Upkeep::Reindex(arguments)
    | Upkeep::Collect(arguments)
    | Upkeep::Directory {
        whose: arguments, ..
    }) = &upkeep;
    let mut passwords = Passwords {
        account_file: arguments.account.password_file.clone(),
        source_file: None,
    };
    let opened = open_account(&arguments.account, &mut passwords).await?;
    let account = &opened.account;
    let mut out = io::stdout();
    match upkeep {
        Upkeep::Check(_) => {
            let report = Box::pin(account.check()).await?;
            tell(&mut out, &report)?;
            Ok(if report.is_sound() {
                ExitCode::SUCCESS
            } else {
                ExitCode::FAILURE
            })
        }
        Upkeep::Reindex(_) => {
            let indexed = Box::pin(reindex(account)).await?;
            writeln!(out, "{} messages indexed.", indexed.messages)?;
            if indexed.left > 0 {
                writeln!(out, "interrupted: the bridge does the rest, or a search")?;
                return Ok(ExitCode::FAILURE);
            }
            Ok(ExitCode::SUCCESS)
        }
        Upkeep::Directory { anew, .. } => {
            if anew {
                account.take_directory_anew(clock::now()).await?;
                writeln!(out, "The key directory is taken anew at the next sync.")?;
                return Ok(ExitCode::SUCCESS);
            }
            let state = account.directory_state().await?;
            tell_directory(&mut out, &state)?;
            Ok(if state.alarm.is_none() {
                ExitCode::SUCCESS
            } else {
                ExitCode::FAILURE
            })
        }
        Upkeep::Collect(_) => {
            let mut all = (0_usize, 0_usize, 0_u64);
            loop {
                let some = account
                    .collect_all(clock::now(), COLLECTED_AT_A_TIME)
                    .await?;
                if some.messages == 0 && some.contents == 0 {
                    break;
                }
                all.0 = all.0.saturating_add(some.messages);
                all.1 = all.1.saturating_add(some.contents);
                all.2 = all.2.saturating_add(some.octets);
            }
            let (messages, contents, freed) = (all.0, all.1, octets(all.2));
            writeln!(
                out,
                "{messages} messages and {contents} contents removed, {freed}."
            )?;
            Ok(ExitCode::SUCCESS)
        }
    }
}

/// Makes the index anew, with progress; a signal ends it after the step at hand.
async fn reindex(account: &Account<SqliteStore>) -> Result<Indexed, UpkeepError> {
    let shutdown = watch_signals()?;
    account.rebuild_index().await?;
    let mut progress = Progress::start(Total::Unknown, clock::now());
    let stop = &shutdown.token;
    let indexed = index(account, &mut progress, stop, &Clock::system()).await;
    progress.end();
    shutdown.finish(GRACE).await;
    Ok(indexed?)
}

fn tell_directory(out: &mut impl Write, state: &DirectoryState) -> io::Result<()> {
    let Some(follower) = &state.follower else {
        return writeln!(out, "This device has not seen the key directory yet.");
    };
    let identity = follower.identity();
    writeln!(out, "key directory of {}", identity.domain)?;
    writeln!(out, "key        {}", identity.key)?;
    writeln!(out, "log        {} changes seen", follower.seen())?;
    writeln!(out, "root       {}", follower.log_root())?;
    if let Some(own) = state.own {
        writeln!(out, "own entry  version {}", own.version)?;
    }
    match &state.alarm {
        None => writeln!(out, "It has held so far."),
        Some(alarm) => writeln!(out, "ALARM: {alarm}. {}", alarm.advice()),
    }
}

fn tell(out: &mut impl Write, report: &CheckReport) -> io::Result<()> {
    for finding in &report.findings {
        writeln!(out, "{finding}")?;
    }
    if report.cut {
        writeln!(out, "… and more.")?;
    }
    writeln!(
        out,
        "{} messages in {} places, {} contents, {}: {}",
        report.messages,
        report.placements,
        report.contents,
        octets(report.octets),
        if report.is_sound() {
            "all is as it should be."
        } else {
            "something is wrong."
        }
    )
}

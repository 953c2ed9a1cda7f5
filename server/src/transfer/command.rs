//! `letterlock import` and `letterlock export` as a person runs them: accounts, passwords,
//! signals, progress, and the closing summary.

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use letterlock_core::account::{Account, IndexError};
use letterlock_core::store::Store;
use tokio::signal::unix::{SignalKind, signal};
use zeroize::Zeroizing;

use super::account::{self, AccountError};
use super::arguments::{AccountArguments, ExportArguments, ImportArguments, IndexArgument};
use super::checkpoint::{Kind, Start};
use super::export::{self, ExportError, Exporter};
use super::imap_connect::Access;
use super::imap_source::{ImapError, ImapSource};
use super::imap_url::{ImapUrl, ImapUrlError};
use super::import::{self, ImportError, Importer};
use super::indexing::index;
use super::local::{self, Wanted};
use super::notes::Notes;
use super::password::{PasswordError, Passwords};
use super::progress::{Done, Progress, Total, duration, octets};
use super::source::{CHANNEL_MESSAGES, Source, SourceError, Unit};
use crate::clock::{self, Clock};
use crate::demo::{DemoError, default_data_dir};
use crate::shutdown::{GRACE, Shutdown};

/// Why nothing was done, or not all.
#[derive(Debug, thiserror::Error)]
pub enum TransferError {
    /// See there.
    #[error(transparent)]
    Account(#[from] AccountError),
    /// No data directory is known.
    #[error(transparent)]
    DataDir(#[from] DemoError),
    /// See there.
    #[error(transparent)]
    Password(#[from] PasswordError),
    /// See there.
    #[error("{0}")]
    Url(#[from] ImapUrlError),
    /// See there.
    #[error(transparent)]
    Imap(#[from] ImapError),
    /// See there.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// See there. What was stored before is stored.
    #[error("{cause}\nwhat was imported is kept: the same command goes on where it was")]
    Import {
        /// Why.
        cause: ImportError,
    },
    /// See there.
    #[error(transparent)]
    Export(#[from] ExportError),
    /// The mail is there; the index is made anew when something is searched.
    #[error("the search index was not brought up to date: {0}")]
    Index(#[from] IndexError),
    /// Signals or output failed.
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl From<ImportError> for TransferError {
    fn from(cause: ImportError) -> Self {
        Self::Import { cause }
    }
}

/// A source whose password is known.
enum Wish {
    Local(PathBuf),
    Imap(Box<Access>, Zeroizing<String>),
}

/// Runs `letterlock import`.
pub async fn import(arguments: ImportArguments) -> Result<ExitCode, TransferError> {
    let mut passwords = Passwords {
        account_file: arguments.account.password_file.clone(),
        source_file: arguments.source_password_file.clone(),
    };
    let opened = if arguments.dry_run {
        None
    } else {
        Some(open_account(&arguments.account, &mut passwords).await?)
    };
    let mut wishes = Vec::new();
    for text in &arguments.sources {
        wishes.push((text, wish(text, &arguments, &mut passwords)?));
    }
    // Not before: a signal must end a prompt at once.
    let shutdown = watch_signals()?;
    let mut all_well = true;
    for (text, wish) in wishes {
        let mut source = tokio::select! {
            () = shutdown.token.cancelled() => {
                all_well = false;
                break;
            }
            source = Box::pin(open_source(wish, &arguments)) => source?,
        };
        match opened.as_ref() {
            None => Box::pin(count(text, &mut source, &arguments)).await?,
            Some(opened) => {
                let account = &opened.account;
                let work = import_one(account, text, &mut source, &arguments, &shutdown);
                all_well &= Box::pin(work).await?;
            }
        }
    }
    if let Some(opened) = opened.filter(|_| arguments.index == IndexArgument::Now) {
        all_well &= Box::pin(index_all(&opened.account, &shutdown)).await?;
    }
    shutdown.finish(GRACE).await;
    Ok(exit_code(all_well))
}

/// Indexes what waits, unless there was a signal; whether nothing is left.
async fn index_all<S: Store>(
    account: &Account<S>,
    shutdown: &Shutdown,
) -> Result<bool, TransferError> {
    if shutdown.token.is_cancelled() {
        return Ok(true);
    }
    let mut progress = Progress::start(Total::Unknown, clock::now());
    let indexed = index(account, &mut progress, &shutdown.token, &Clock::system()).await;
    progress.end();
    let indexed = indexed?;
    let mut out = io::stdout();
    if indexed.left > 0 {
        writeln!(
            out,
            "{} messages indexed, {} left: the bridge indexes them when it has nothing else to do",
            indexed.messages, indexed.left
        )?;
    } else if indexed.messages > 0 {
        writeln!(out, "{} messages indexed", indexed.messages)?;
    }
    Ok(indexed.left == 0)
}

/// Runs `letterlock export`.
pub async fn export(arguments: ExportArguments) -> Result<ExitCode, TransferError> {
    let mut passwords = Passwords {
        account_file: arguments.account.password_file.clone(),
        source_file: None,
    };
    let opened = open_account(&arguments.account, &mut passwords).await?;
    let shutdown = watch_signals()?;
    let address = opened.account.address().as_str().to_owned();
    let mut progress = Progress::start(Total::Unknown, clock::now());
    let exporter = Exporter {
        replica: &opened.account,
        address: &address,
        options: export::Options {
            format: arguments.format,
            dialect: arguments.dialect,
            mailboxes: arguments.mailboxes.clone(),
            overwrite: arguments.overwrite,
        },
        progress: &mut progress,
        stop: shutdown.token.clone(),
        clock: Clock::system(),
    };
    let all = exporter.mailboxes()?;
    let size = all
        .iter()
        .fold(0_u64, |sum, mailbox| sum.saturating_add(mailbox.size));
    exporter.progress.set_total(Total::Octets(size));
    let outcome = Box::pin(exporter.run(&arguments.target)).await;
    progress.end();
    let summary = outcome?;
    let all_well = !summary.stopped && summary.unnamed.is_empty();
    tell_export(&mut io::stdout(), &arguments, &summary)?;
    shutdown.finish(GRACE).await;
    Ok(exit_code(all_well))
}

fn exit_code(all_well: bool) -> ExitCode {
    if all_well {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

/// SIGINT and SIGTERM let the batch at hand end.
pub(crate) fn watch_signals() -> io::Result<Shutdown> {
    let shutdown = Shutdown::new();
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let token = shutdown.token.clone();
    shutdown.spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
            () = token.cancelled() => {}
        }
        token.cancel();
    });
    Ok(shutdown)
}

/// Opens the account that a command line means.
pub(crate) async fn open_account(
    arguments: &AccountArguments,
    passwords: &mut Passwords,
) -> Result<account::Opened, TransferError> {
    let data_dir: PathBuf = match &arguments.data_dir {
        Some(path) => path.clone(),
        None => default_data_dir()?,
    };
    let address = arguments.account.as_ref();
    Ok(Box::pin(account::open(&data_dir, address, passwords, clock::now())).await?)
}

fn wish(
    text: &str,
    arguments: &ImportArguments,
    passwords: &mut Passwords,
) -> Result<Wish, TransferError> {
    if !ImapUrl::is_meant(text) {
        return Ok(Wish::Local(text.into()));
    }
    let url = ImapUrl::parse(text)?;
    let password = passwords.source(&url.user, &url.host)?;
    let access = Access {
        url,
        certificates: arguments.source_ca.clone(),
        allow_plaintext: arguments.allow_plaintext,
    };
    Ok(Wish::Imap(Box::new(access), password))
}

async fn open_source(wish: Wish, arguments: &ImportArguments) -> Result<Source, TransferError> {
    match wish {
        Wish::Local(path) => {
            let wanted = Wanted {
                format: arguments.format,
                dialect: arguments.dialect,
            };
            Ok(Source::Local(local::units(&path, wanted)?))
        }
        Wish::Imap(access, password) => {
            let imap = Box::pin(ImapSource::connect(&access, &password)).await?;
            Ok(Source::Imap(Box::new(imap)))
        }
    }
}

/// What all of it is, as far as that is known.
fn total(units: &[Unit]) -> Total {
    let sum = |of: fn(&Unit) -> Option<u64>| {
        let mut parts = units.iter().map(of);
        parts.try_fold(0_u64, |sum, part| Some(sum.saturating_add(part?)))
    };
    let octets = sum(|unit| unit.octets).map(Total::Octets);
    let messages = || sum(|unit| unit.messages).map(Total::Messages);
    octets.or_else(messages).unwrap_or(Total::Unknown)
}

async fn import_one<S: Store>(
    account: &Account<S>,
    text: &str,
    source: &mut Source,
    arguments: &ImportArguments,
    shutdown: &Shutdown,
) -> Result<bool, TransferError> {
    let mut progress = Progress::start(Total::Unknown, clock::now());
    let units = source.units().await?;
    progress.set_total(total(&units));
    let options = import::Options {
        prefix: arguments.mailbox.clone(),
        line_ends: arguments.line_ends.into(),
        again: arguments.again,
    };
    let stop = shutdown.token.clone();
    let importer = Importer::new(account, options, &mut progress, stop, Clock::system());
    let outcome = Box::pin(importer.run(source, &units)).await;
    progress.end();
    let summary = outcome?;
    tell_import(&mut io::stdout(), text, &summary)?;
    Ok(!summary.stopped && summary.refused.is_empty())
}

/// `--dry-run`: reads everything but what is on a server, and stores nothing.
async fn count(
    text: &str,
    source: &mut Source,
    arguments: &ImportArguments,
) -> Result<(), TransferError> {
    let mut out = io::stdout();
    let mut notes = Notes::default();
    let mut all = Done::default();
    let units = source.units().await?;
    for unit in &units {
        let done = match &source {
            Source::Local(_) => count_unit(source, unit, arguments, &mut notes).await?,
            Source::Imap(_) => Done {
                messages: unit.messages.unwrap_or(0),
                octets: 0,
            },
        };
        let (name, size) = (unit.levels.join("/"), octets(done.octets));
        writeln!(out, "  {name}: {} messages, {size}", done.messages)?;
        all.messages = all.messages.saturating_add(done.messages);
        all.octets = all.octets.saturating_add(done.octets);
    }
    let (mailboxes, size) = (units.len(), octets(all.octets));
    writeln!(
        out,
        "{text}: {} messages, {size} in {mailboxes} mailboxes",
        all.messages
    )?;
    write!(out, "{notes}")?;
    Ok(())
}

async fn count_unit(
    source: &mut Source,
    unit: &Unit,
    arguments: &ImportArguments,
    notes: &mut Notes,
) -> Result<Done, TransferError> {
    let start = match source.kind(unit).await? {
        Kind::Mbox(_) => Start::Offset(0),
        Kind::Imap { .. } => Start::AfterUid(0),
        Kind::Files => Start::Without(std::collections::BTreeSet::new()),
    };
    let mut done = Done::default();
    let (sender, mut receiver) = tokio::sync::mpsc::channel(CHANNEL_MESSAGES);
    let reading = source.read(unit, start, arguments.line_ends.into(), sender);
    let counting = async {
        while let Some(item) = receiver.recv().await {
            item.notes.into_iter().for_each(|note| notes.add(note));
            match item.content {
                Ok(message) => {
                    done.messages = done.messages.saturating_add(1);
                    done.octets = done.octets.saturating_add(message.octets.len());
                }
                Err(skipped) => notes.skip(skipped),
            }
        }
    };
    let (read, ()) = futures::join!(reading, counting);
    read?;
    Ok(done)
}

fn tell_import(out: &mut impl Write, source: &str, summary: &import::Summary) -> io::Result<()> {
    for (mailbox, messages) in &summary.resumed {
        writeln!(
            out,
            "{mailbox}: went on after {messages} messages of an earlier import"
        )?;
    }
    for (mailbox, messages) in &summary.before {
        writeln!(
            out,
            "{mailbox}: imported before ({messages} messages), nothing new; --again imports it \
             once more"
        )?;
    }
    for (mailbox, reason) in &summary.refused {
        writeln!(
            out,
            "{mailbox}: not imported: {reason}; --again imports all of it"
        )?;
    }
    writeln!(
        out,
        "{source}: {} messages, {} imported in {}",
        summary.messages,
        octets(summary.octets),
        duration(summary.took)
    )?;
    write!(out, "{}", summary.notes)?;
    if summary.stopped {
        writeln!(out, "interrupted: the same command goes on where it was")?;
    }
    out.flush()
}

fn tell_export(
    out: &mut impl Write,
    arguments: &ExportArguments,
    summary: &export::Summary,
) -> io::Result<()> {
    if summary.before > 0 {
        let before = summary.before;
        writeln!(out, "went on after {before} messages of an earlier export")?;
    }
    for mailbox in &summary.unnamed {
        writeln!(out, "{mailbox}: not exported: no file can have its name")?;
    }
    writeln!(
        out,
        "{}: {} messages, {} exported in {}",
        arguments.target.display(),
        summary.messages,
        octets(summary.octets),
        duration(summary.took)
    )?;
    write!(out, "{}", summary.notes)?;
    if summary.stopped {
        writeln!(out, "interrupted: the same command goes on where it was")?;
    }
    out.flush()
}

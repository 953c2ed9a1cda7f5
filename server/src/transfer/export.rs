//! Writes an account's mail into files: mbox, Maildir++ or `.eml`.
//!
//! Invariant: nothing that is there and not ours is touched; what the state file says is written
//! is durable; an export that was interrupted goes on behind it and writes nothing twice.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use letterlock_core::account::{MailboxStatus, Placement, Replica, ReplicaError};
use letterlock_core::id::MailboxName;
use letterlock_core::store::Store;
use tokio_util::sync::CancellationToken;

use super::export_state::{ExportState, MailboxState};
use super::export_writer::{WriteError, Writer, clear};
use super::mbox::Dialect;
use super::notes::{Note, Notes, SkipReason, Skipped};
use super::progress::{Done, Progress};
use super::source::Format;
use crate::bridge::lock::create_private_dir;
use crate::clock::Clock;

/// Most messages between two states.
const MAX_BATCH_MESSAGES: u64 = 500;
/// Most octets between two states, unless one message alone has more.
const MAX_BATCH_OCTETS: u64 = 16 * 1024 * 1024;

/// What to export, and how.
#[derive(Debug, Clone)]
pub struct Options {
    /// How messages are kept.
    pub format: Format,
    /// Which dialect an mbox is in.
    pub dialect: Dialect,
    /// Only these mailboxes; all if there are none.
    pub mailboxes: Vec<MailboxName>,
    /// Whether what an earlier export wrote is replaced.
    pub overwrite: bool,
}

/// Why an export ended.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// The replica failed.
    #[error(transparent)]
    Replica(#[from] ReplicaError),
    /// The system failed.
    #[error("{path}: {cause}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system says.
        cause: io::Error,
    },
    /// The directory is somebody else's.
    #[error("{path} is not empty, and not an export: choose another directory")]
    NotEmpty {
        /// The directory.
        path: PathBuf,
    },
    /// An export is there.
    #[error(
        "{path} has a finished export: choose another directory, or replace it with --overwrite"
    )]
    Finished {
        /// The directory.
        path: PathBuf,
    },
    /// Another export was begun there.
    #[error(
        "{path} has an unfinished export of another account or in another format: choose another \
         directory, or replace it with --overwrite"
    )]
    Other {
        /// The directory.
        path: PathBuf,
    },
    /// There is no such mailbox.
    #[error("there is no mailbox {0}")]
    NoSuchMailbox(MailboxName),
}

fn at(path: &Path) -> impl FnOnce(io::Error) -> ExportError {
    move |cause| ExportError::Io {
        path: path.to_owned(),
        cause,
    }
}

/// What an export did.
#[derive(Debug, Default)]
pub struct Summary {
    /// Messages written.
    pub messages: u64,
    /// Their octets.
    pub octets: u64,
    /// How long it took.
    pub took: Duration,
    /// Messages that an earlier run wrote.
    pub before: u64,
    /// Mailboxes whose names no file can have.
    pub unnamed: Vec<MailboxName>,
    /// What was noticed.
    pub notes: Notes,
    /// Whether it was told to stop before the end.
    pub stopped: bool,
}

/// Writes mail into files.
pub struct Exporter<'a, S> {
    /// Whose mail.
    pub replica: &'a Replica<S>,
    /// Whose address.
    pub address: &'a str,
    /// What, and how.
    pub options: Options,
    /// Shows how far it is.
    pub progress: &'a mut Progress,
    /// After it the batch at hand is the last.
    pub stop: CancellationToken,
    /// Tells the time.
    pub clock: Clock,
}

impl<S: Store> Exporter<'_, S> {
    /// Exports into a directory.
    pub async fn run(mut self, target: &Path) -> Result<Summary, ExportError> {
        let mut state = self.prepare(target)?;
        let mut summary = Summary::default();
        for mailbox in self.mailboxes()? {
            if self.stop.is_cancelled() {
                break;
            }
            self.mailbox(target, &mailbox, &mut state, &mut summary)
                .await?;
        }
        summary.stopped = self.stop.is_cancelled();
        if !summary.stopped {
            state.finished = true;
            state.write(target).map_err(at(target))?;
        }
        summary.took = self.progress.took(self.clock.now());
        Ok(summary)
    }

    /// The mailboxes asked for.
    pub fn mailboxes(&self) -> Result<Vec<MailboxStatus>, ExportError> {
        let wanted = &self.options.mailboxes;
        if wanted.is_empty() {
            return Ok(self.replica.mailboxes());
        }
        let found = wanted.iter().map(|name| {
            let mailbox = self.replica.mailbox(name);
            mailbox.ok_or_else(|| ExportError::NoSuchMailbox(name.clone()))
        });
        found.collect()
    }

    /// Makes the directory, or finds how far an earlier export came.
    fn prepare(&self, target: &Path) -> Result<ExportState, ExportError> {
        create_private_dir(target).map_err(at(target))?;
        let path = target.to_owned();
        let fresh = ExportState::new(self.options.format, self.options.dialect, self.address);
        let state = match ExportState::read(target).map_err(at(target))? {
            None => {
                let mut entries = fs::read_dir(target).map_err(at(target))?;
                if entries.next().is_some() {
                    return Err(ExportError::NotEmpty { path });
                }
                fresh
            }
            Some(old) if self.options.overwrite => {
                for name in old.mailboxes.keys() {
                    clear(target, &old.format, name).map_err(at(target))?;
                }
                fresh
            }
            Some(old) if old.finished => return Err(ExportError::Finished { path }),
            Some(old) if old.is_like(&fresh) => old,
            Some(_) => return Err(ExportError::Other { path }),
        };
        state.write(target).map_err(at(target))?;
        Ok(state)
    }

    async fn mailbox(
        &mut self,
        target: &Path,
        mailbox: &MailboxStatus,
        state: &mut ExportState,
        summary: &mut Summary,
    ) -> Result<(), ExportError> {
        let name = mailbox.name.as_str().to_owned();
        let mut reached = MailboxState {
            uid_validity: mailbox.uid_validity.get(),
            ..MailboxState::default()
        };
        if let Some(known) = state.mailboxes.get(&name)
            && known.uid_validity == reached.uid_validity
        {
            reached = *known;
        }
        let form = (self.options.format, self.options.dialect);
        let opened = Writer::open(target, mailbox, form, reached).map_err(at(target))?;
        let Some(mut writer) = opened else {
            summary.unnamed.push(mailbox.name.clone());
            return Ok(());
        };
        // From here on it is known that what is there is ours.
        state.mailboxes.insert(name.clone(), reached);
        state.write(target).map_err(at(target))?;
        summary.before = summary.before.saturating_add(reached.messages);
        let placements = self.replica.placements(mailbox.id);
        let after = reached.last_uid;
        let written = placements.iter().filter(|p| p.uid.get() <= after);
        self.progress.pass(Done {
            messages: reached.messages,
            octets: written.fold(0, |sum, p| sum.saturating_add(p.size)),
        });
        let rest = placements.iter().filter(|p| p.uid.get() > after);
        let mut more = Done::default();
        for placement in rest {
            let raw = self.write(&mut writer, placement, &name, summary).await?;
            reached.last_uid = placement.uid.get();
            more.octets = more.octets.saturating_add(raw.unwrap_or(0));
            more.messages = more.messages.saturating_add(u64::from(raw.is_some()));
            let full = more.messages >= MAX_BATCH_MESSAGES || more.octets >= MAX_BATCH_OCTETS;
            if full || self.stop.is_cancelled() {
                self.note(
                    target,
                    &mut writer,
                    &name,
                    &mut reached,
                    (state, summary, more),
                )?;
                more = Done::default();
            }
            if self.stop.is_cancelled() {
                return Ok(());
            }
        }
        self.note(
            target,
            &mut writer,
            &name,
            &mut reached,
            (state, summary, more),
        )
    }

    /// Makes what was written durable, and then the state that says so.
    fn note(
        &mut self,
        target: &Path,
        writer: &mut Writer,
        name: &str,
        reached: &mut MailboxState,
        (state, summary, more): (&mut ExportState, &mut Summary, Done),
    ) -> Result<(), ExportError> {
        reached.octets = writer.sync().map_err(at(target))?;
        reached.messages = reached.messages.saturating_add(more.messages);
        state.mailboxes.insert(name.to_owned(), *reached);
        state.write(target).map_err(at(target))?;
        summary.messages = summary.messages.saturating_add(more.messages);
        summary.octets = summary.octets.saturating_add(more.octets);
        self.progress.advance(more, self.clock.now());
        Ok(())
    }

    /// Writes one message; its octets, or `None` if it was passed over.
    async fn write(
        &self,
        writer: &mut Writer,
        placement: &Placement,
        mailbox: &str,
        summary: &mut Summary,
    ) -> Result<Option<u64>, ExportError> {
        let message = self.replica.message(placement.message).await?;
        let written = match &message {
            Some(message) => Box::pin(writer.write(self.replica, placement, message))
                .await
                .map(|exact| Some((exact, message.structure.size))),
            None => Ok(None),
        };
        match written {
            Ok(Some((exact, octets))) => {
                if !exact {
                    summary.notes.add(Note::NotReversible);
                }
                Ok(Some(octets))
            }
            Ok(None) | Err(WriteError::Replica(ReplicaError::NotHere(_))) => {
                summary.notes.skip(Skipped {
                    place: format!("{mailbox}, UID {}", placement.uid),
                    reason: SkipReason::NotHere,
                });
                Ok(None)
            }
            Err(WriteError::Replica(error)) => Err(error.into()),
            Err(WriteError::Io(cause)) => Err(ExportError::Io {
                path: PathBuf::from(mailbox),
                cause,
            }),
        }
    }
}

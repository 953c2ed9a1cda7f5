//! Brings the mailboxes of a source into an account, in batches.
//!
//! ```text
//! Source::read --Items--> Batch --full--> append_all(messages, checkpoint): one atomic step
//! ```
//!
//! Invariant: killed at any moment and started again, every message of the source is there once.
//! Reading and storing run side by side; between them are at most a few messages.

use std::io;
use std::time::Duration;

use letterlock_core::account::{MAX_APPEND_OCTETS, NewMessage, Replica, ReplicaError};
use letterlock_core::id::{MailboxId, MailboxName, Timestamp, Uid};
use letterlock_core::mime::has_status_fields;
use letterlock_core::model::FlagSet;
use letterlock_core::store::Store;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::checkpoint::{Known, ResumeError, Step, Tracker, UnitKey};
use super::large::{Destination, LargeError, Storing};
use super::mbox::LineEnds;
use super::message::{Octets, SourceMessage};
use super::names::{beside, mailbox_name};
use super::notes::{Note, Notes, SkipReason, Skipped};
use super::progress::{Done, Progress};
use super::source::{CHANNEL_MESSAGES, Item, Source, SourceError, Unit};
use crate::clock::Clock;

/// Most messages of one batch.
pub const MAX_BATCH_MESSAGES: usize = 500;
/// Most octets of one batch, unless one message alone has more.
pub const MAX_BATCH_OCTETS: u64 = 4 * 1024 * 1024;

/// How to import.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// The mailbox that the source's mailboxes are put into or under.
    pub prefix: Option<MailboxName>,
    /// How lines of messages end that no export of ours wrote.
    pub line_ends: LineEnds,
    /// Whether what was imported before is imported again.
    pub again: bool,
}

/// Why an import ended.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// See there.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// See there.
    #[error(transparent)]
    Replica(#[from] ReplicaError),
    /// See there.
    #[error(transparent)]
    Resume(#[from] ResumeError),
    /// A part of the source could not be read again.
    #[error("a message cannot be read again: {0}")]
    Reread(io::Error),
}

/// What an import did.
#[derive(Debug, Default)]
pub struct Summary {
    /// Messages stored.
    pub messages: u64,
    /// Their octets.
    pub octets: u64,
    /// How long it took.
    pub took: Duration,
    /// Mailboxes that had been imported before, and how many messages they had.
    pub before: Vec<(String, u64)>,
    /// Mailboxes that an earlier import was gone on with, and after how many messages.
    pub resumed: Vec<(String, u64)>,
    /// Mailboxes that could not be gone on with.
    pub refused: Vec<(String, ResumeError)>,
    /// What was noticed.
    pub notes: Notes,
    /// Whether it was told to stop before the end.
    pub stopped: bool,
}

/// Brings mail into a replica.
pub struct Importer<'a, S> {
    replica: &'a Replica<S>,
    options: Options,
    progress: &'a mut Progress,
    stop: CancellationToken,
    clock: Clock,
    limit: u64,
    summary: Summary,
}

/// What is on its way into one mailbox.
struct Batch {
    mailbox: MailboxId,
    tracker: Tracker,
    entries: Vec<Entry>,
    octets: u64,
    read: u64,
}

/// One thing in a batch, in the source's order.
enum Entry {
    Message {
        raw: Vec<u8>,
        flags: FlagSet,
        internal_date: Timestamp,
        step: Option<Step>,
    },
    /// Passed over.
    Passed(Step),
}

impl<'a, S: Store> Importer<'a, S> {
    /// Into this replica. After `stop`, the batch at hand is the last, and a long message is given
    /// up.
    pub fn new(
        replica: &'a Replica<S>,
        options: Options,
        progress: &'a mut Progress,
        stop: CancellationToken,
        clock: Clock,
    ) -> Self {
        Self {
            replica,
            options,
            progress,
            stop,
            clock,
            limit: MAX_APPEND_OCTETS,
            summary: Summary::default(),
        }
    }

    /// Takes no message of more octets than this.
    #[must_use]
    pub const fn limited_to(mut self, octets: u64) -> Self {
        self.limit = octets;
        self
    }

    /// Imports mailboxes of a source.
    pub async fn run(
        mut self,
        source: &mut Source,
        units: &[Unit],
    ) -> Result<Summary, ImportError> {
        for unit in units {
            if self.stop.is_cancelled() {
                break;
            }
            Box::pin(self.unit(source, unit)).await?;
        }
        self.summary.stopped = self.stop.is_cancelled();
        self.summary.took = self.progress.took(self.clock.now());
        Ok(self.summary)
    }

    /// Imports one mailbox.
    async fn unit(&mut self, source: &mut Source, unit: &Unit) -> Result<(), ImportError> {
        let mailbox = self.mailbox(unit).await?;
        let kind = source.kind(unit).await?;
        let key = UnitKey::new(kind.name(), &unit.identity, mailbox);
        let known = Tracker::load(self.replica, key, kind, self.options.again).await;
        let Known {
            start,
            messages,
            finished,
            tracker,
        } = match known {
            Ok(known) => known,
            Err(ResumeError::Replica(error)) => return Err(error.into()),
            Err(ResumeError::Io(error)) => return Err(ImportError::Reread(error)),
            Err(refused) => {
                self.summary.refused.push((unit.shown.clone(), refused));
                return Ok(());
            }
        };
        self.progress.pass(unit.passed(&start, messages));
        let mut batch = Batch {
            mailbox,
            tracker,
            entries: Vec::new(),
            octets: 0,
            read: 0,
        };
        let before = self.summary.messages;
        let line_ends = self.options.line_ends;
        let (sender, mut receiver) = mpsc::channel(CHANNEL_MESSAGES);
        let reading = source.read(unit, start, line_ends, sender);
        let storing = self.store(&mut receiver, &mut batch);
        let (read, stored) = futures::join!(reading, storing);
        stored?;
        let complete = read.is_ok() && !self.stop.is_cancelled();
        let nothing_new = batch.entries.is_empty() && self.summary.messages == before;
        self.commit(&mut batch, complete && !(finished && nothing_new))
            .await?;
        read?;
        if self.summary.messages == before && finished {
            self.summary.before.push((unit.shown.clone(), messages));
        } else if messages > 0 {
            self.summary.resumed.push((unit.shown.clone(), messages));
        }
        Ok(())
    }

    /// The mailbox that a source's mailbox goes into; made if need be.
    async fn mailbox(&mut self, unit: &Unit) -> Result<MailboxId, ImportError> {
        let by_role = unit.role.filter(|_| self.options.prefix.is_none());
        let by_role = by_role.and_then(|role| {
            self.replica
                .mailbox_for(role)
                .filter(|m| m.role == Some(role))
        });
        if let Some(mailbox) = by_role {
            return Ok(mailbox.id);
        }
        let levels = unit.levels.iter().map(String::as_str);
        let prefix = self.options.prefix.as_ref();
        let (mut name, mut exact) = match prefix {
            // One file goes into the mailbox that was named.
            Some(prefix) if unit.alone => (prefix.clone(), true),
            Some(prefix) => mailbox_name(prefix.as_str().split('/').chain(levels)),
            None => mailbox_name(levels),
        };
        let mut found = self.replica.mailbox(&name);
        // One that shows the messages of others takes none.
        if found
            .take_if(|found| found.virtual_mailbox.is_some())
            .is_some()
        {
            (name, exact) = (beside(&name), false);
            found = self.replica.mailbox(&name);
        }
        if !exact {
            self.summary.notes.add(Note::ChangedName);
        }
        if let Some(mailbox) = found {
            return Ok(mailbox.id);
        }
        Ok(self.replica.create_mailbox(&name, self.clock.now()).await?)
    }

    /// Stores what is read until there is no more, or until it is to stop.
    async fn store(
        &mut self,
        receiver: &mut mpsc::Receiver<Item>,
        batch: &mut Batch,
    ) -> Result<(), ImportError> {
        let stop = self.stop.clone();
        loop {
            let item = tokio::select! {
                biased;
                () = stop.cancelled() => None,
                item = receiver.recv() => item,
            };
            let taken = match item {
                Some(item) => self.take(item, batch).await,
                None => break,
            };
            if taken.is_err() {
                receiver.close();
                return taken;
            }
        }
        receiver.close();
        Ok(())
    }

    async fn take(&mut self, item: Item, batch: &mut Batch) -> Result<(), ImportError> {
        for note in item.notes {
            self.summary.notes.add(note);
        }
        let message = match item.content {
            Ok(message) => message,
            Err(skipped) => {
                self.summary.notes.skip(skipped);
                batch.read = batch.read.saturating_add(item.read);
                batch.entries.extend(item.step.map(Entry::Passed));
                return Ok(());
            }
        };
        let octets = message.octets.len();
        if octets > self.limit {
            self.skip_too_large(octets);
            batch.read = batch.read.saturating_add(item.read);
            batch.entries.extend(item.step.map(Entry::Passed));
            return Ok(());
        }
        let full = batch.entries.len() >= MAX_BATCH_MESSAGES
            || batch.octets.saturating_add(octets) > MAX_BATCH_OCTETS;
        if full && !batch.entries.is_empty() {
            self.commit(batch, false).await?;
        }
        batch.read = batch.read.saturating_add(item.read);
        let SourceMessage {
            octets: content,
            flags,
            internal_date,
        } = message;
        match content {
            Octets::Memory(raw) => {
                batch.octets = batch.octets.saturating_add(octets);
                batch.entries.push(Entry::Message {
                    raw,
                    flags,
                    internal_date,
                    step: item.step,
                });
                Ok(())
            }
            Octets::Large(large) => {
                let into = Destination {
                    mailbox: batch.mailbox,
                    flags,
                    internal_date,
                };
                self.commit_large(batch, &large, into, item.step).await
            }
        }
    }

    async fn commit_large(
        &mut self,
        batch: &mut Batch,
        large: &super::message::Large,
        into: Destination,
        step: Option<Step>,
    ) -> Result<(), ImportError> {
        // The position after this message stands for those before it, too: a message that is too
        // long to be read at once is too long for a batch, so there are none left in it.
        let before = batch.tracker.snapshot();
        if let Some(step) = &step {
            batch.tracker.note(step);
        }
        let checkpoint = batch.tracker.checkpoint(false)?;
        let storing = Storing {
            replica: self.replica,
            limit: self.limit,
            stop: &self.stop,
            clock: &self.clock,
        };
        let (progress, clock) = (&mut *self.progress, &self.clock);
        let unread = &mut batch.read;
        let told = |octets: u64| {
            // Line ends that are put in are no octets of the source.
            let octets = octets.min(*unread);
            *unread = unread.saturating_sub(octets);
            let more = Done {
                messages: 0,
                octets,
            };
            progress.advance(more, clock.now());
        };
        let stored = Box::pin(storing.store(large, into, Some(checkpoint), told)).await;
        match stored {
            Ok((appended, octets)) => {
                self.stored(1, octets, batch);
                self.note_claims(batch.mailbox, appended.uid, &large.head)
                    .await?;
            }
            // It was not taken: the next import begins with it.
            Err(LargeError::Stopped) => batch.tracker.restore(before),
            Err(LargeError::Replica(ReplicaError::MessageTooLarge)) => {
                batch.tracker.restore(before);
                self.skip_too_large(large.length);
                batch.entries.extend(step.map(Entry::Passed));
            }
            Err(LargeError::Replica(error)) => return Err(error.into()),
            Err(LargeError::Read(error)) => return Err(ImportError::Reread(error)),
        }
        Ok(())
    }

    /// Stores a batch and its position in one atomic step.
    async fn commit(&mut self, batch: &mut Batch, finished: bool) -> Result<(), ImportError> {
        let entries = std::mem::take(&mut batch.entries);
        batch.octets = 0;
        if entries.is_empty() && !finished {
            return Ok(());
        }
        let before = batch.tracker.snapshot();
        match self.append(batch, &entries, finished).await {
            Err(ImportError::Replica(ReplicaError::MessageTooLarge)) => {
                // One of them: each by itself then, so that the others are kept.
                batch.tracker.restore(before);
                self.commit_each(batch, &entries, finished).await
            }
            other => other,
        }
    }

    async fn commit_each(
        &mut self,
        batch: &mut Batch,
        entries: &[Entry],
        finished: bool,
    ) -> Result<(), ImportError> {
        for entry in entries {
            let before = batch.tracker.snapshot();
            let one = std::slice::from_ref(entry);
            match self.append(batch, one, false).await {
                Err(ImportError::Replica(ReplicaError::MessageTooLarge)) => {
                    batch.tracker.restore(before);
                    if let Entry::Message { raw, step, .. } = entry {
                        self.skip_too_large(u64::try_from(raw.len()).unwrap_or(u64::MAX));
                        let passed = step.clone().map(Entry::Passed);
                        self.append(batch, passed.as_slice(), false).await?;
                    }
                }
                other => other?,
            }
        }
        self.append(batch, &[], finished).await
    }

    async fn append(
        &mut self,
        batch: &mut Batch,
        entries: &[Entry],
        finished: bool,
    ) -> Result<(), ImportError> {
        let mut messages = Vec::with_capacity(entries.len());
        let mut octets = 0_u64;
        for entry in entries {
            match entry {
                Entry::Passed(step) => batch.tracker.pass(step),
                Entry::Message {
                    raw,
                    flags,
                    internal_date,
                    step,
                } => {
                    if let Some(step) = step {
                        batch.tracker.note(step);
                    }
                    octets = octets.saturating_add(u64::try_from(raw.len()).unwrap_or(u64::MAX));
                    messages.push(NewMessage {
                        raw,
                        flags: flags.clone(),
                        internal_date: *internal_date,
                    });
                }
            }
        }
        let checkpoint = batch.tracker.checkpoint(finished)?;
        let now = self.clock.now();
        let appended = self
            .replica
            .append_all(batch.mailbox, &messages, Some(checkpoint), now)
            .await?;
        let count = u64::try_from(messages.len()).unwrap_or(u64::MAX);
        self.stored(count, octets, batch);
        for (message, appended) in messages.iter().zip(appended) {
            self.note_claims(batch.mailbox, appended.uid, message.raw)
                .await?;
        }
        Ok(())
    }

    /// Notes status fields that say more than the account knows: they were brought along.
    async fn note_claims(
        &mut self,
        mailbox: MailboxId,
        uid: Uid,
        head: &[u8],
    ) -> Result<(), ReplicaError> {
        let placement = self.replica.placement(mailbox, uid);
        let Some(placement) = placement.filter(|_| has_status_fields(head)) else {
            return Ok(());
        };
        let message = self.replica.message(placement.message).await?;
        if message.is_some_and(|message| message.protection.is_claimed_otherwise(head)) {
            self.summary.notes.add(Note::ForeignStatus);
        }
        Ok(())
    }

    /// Counts what is stored.
    fn stored(&mut self, messages: u64, octets: u64, batch: &mut Batch) {
        self.summary.messages = self.summary.messages.saturating_add(messages);
        self.summary.octets = self.summary.octets.saturating_add(octets);
        let more = Done {
            messages,
            octets: std::mem::take(&mut batch.read),
        };
        self.progress.advance(more, self.clock.now());
    }

    fn skip_too_large(&mut self, octets: u64) {
        self.summary.notes.skip(Skipped {
            place: format!("a message of {octets} octets"),
            reason: SkipReason::TooLarge,
        });
    }
}

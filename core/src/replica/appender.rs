//! Appending one message piece by piece, however large it is: a [`PartialMessage`] with its
//! replica and its mailbox.
//!
//! Invariant: as of [`super::partial`]. Rejected: this alone; what borrows its replica cannot be
//! kept by a session of a server.

use super::append::{Appended, Checkpoint};
use super::partial::PartialMessage;
use super::{Replica, ReplicaError};
use crate::id::{MailboxId, Timestamp};
use crate::model::FlagSet;
use crate::store::Store;

/// A message that is being appended.
#[must_use = "nothing is appended before `finish`"]
pub struct Appender<'a, S: Store> {
    replica: &'a Replica<S>,
    mailbox: MailboxId,
    partial: PartialMessage,
}

impl<S: Store> Replica<S> {
    /// Begins to append a message to a mailbox. `now` is kept for what is written before
    /// [`Appender::finish`].
    pub fn appender(
        &self,
        mailbox: MailboxId,
        flags: FlagSet,
        internal_date: Timestamp,
        now: Timestamp,
    ) -> Result<Appender<'_, S>, ReplicaError> {
        let partial = self.partial(flags, internal_date, now)?;
        if self.mailbox_by_id(mailbox).is_none() {
            return Err(ReplicaError::NoSuchMailbox);
        }
        Ok(Appender {
            replica: self,
            mailbox,
            partial,
        })
    }
}

impl<S: Store> Appender<'_, S> {
    /// Takes the next octets of the message. After an error the message cannot be finished: drop
    /// the appender and begin again.
    pub async fn write(&mut self, octets: &[u8]) -> Result<(), ReplicaError> {
        self.replica.extend(&mut self.partial, octets).await
    }

    /// Ends the message and appends it, durably: one atomic step with the checkpoint. Fails as
    /// [`Replica::append_partial`] does.
    pub async fn finish(
        self,
        checkpoint: Option<Checkpoint>,
        now: Timestamp,
    ) -> Result<Appended, ReplicaError> {
        let messages = vec![self.partial];
        let appended = self
            .replica
            .append_partial(self.mailbox, messages, checkpoint, now)
            .await?;
        // Every message that is appended gets a place.
        appended.first().copied().ok_or(ReplicaError::NoSuchMailbox)
    }
}

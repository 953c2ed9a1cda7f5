//! Putting what a message was opened to in the place of the message that was closed.

use super::append::{Arrival, checkpoint_key};
use super::{Replica, ReplicaError};
use crate::id::{MailboxId, MessageHash, Timestamp, Uid};
use crate::openpgp::Protection;
use crate::store::Store;

impl<S: Store> Replica<S> {
    /// Places another form of a message with the flags and dates of this one, and expunges this
    /// one: one atomic step. A message under a UID never changes, so the new one has a new UID.
    /// `None` if this one is not there any more.
    pub(crate) async fn replace_message(
        &self,
        (mailbox, uid): (MailboxId, Uid),
        closed: MessageHash,
        (rendered, protection): (&[u8], Protection),
        received_as: MessageHash,
        now: Timestamp,
    ) -> Result<Option<Uid>, ReplicaError> {
        let mut change = self.begin(now).await;
        change.keep_pages();
        let Some(placed) = change.shown(mailbox, uid) else {
            return Ok(None);
        };
        if placed.shown.message != closed {
            return Ok(None);
        }
        let arrival = Arrival {
            id: change.new_placement().await?,
            mailbox,
            flags: placed.shown.flags.to_set(),
            internal_date: placed.shown.internal_date,
        };
        let message = change
            .store_message(rendered, protection, Some(received_as))
            .await?;
        let size = u64::try_from(rendered.len()).unwrap_or(u64::MAX);
        let new = change.arrive(arrival, message, size).await?;
        change.delete_placement(mailbox, uid).await?;
        change.commit().await?;
        Ok(Some(new))
    }

    /// Writes a position down by itself.
    pub(crate) async fn set_checkpoint(
        &self,
        name: &[u8],
        position: Vec<u8>,
        now: Timestamp,
    ) -> Result<(), ReplicaError> {
        let mut change = self.begin(now).await;
        change
            .batch
            .put(crate::store::Table::Meta, checkpoint_key(name), position);
        change.commit().await
    }
}

//! Mail that waits to be sent. It is durable here before a mail program is told `250`.

use serde::{Deserialize, Serialize};

use super::append::Arrival;
use super::change::Change;
use super::{Replica, ReplicaError, decode_row, encode_row};
use crate::id::{Address, MailboxId, OutboxId, Timestamp};
use crate::model::{Flag, FlagSet};
use crate::openpgp::Protection;
use crate::store::{KeyRange, Store, Table};
use crate::sync::wire::MAX_MESSAGE_OCTETS;

/// A mail as a mail program submitted it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutboxEntry {
    /// Its id.
    pub id: OutboxId,
    /// The sender.
    pub reverse_path: Address,
    /// The recipients.
    pub forward_paths: Vec<Address>,
    /// When it was submitted.
    pub queued_at: Timestamp,
    /// Why it was not sent when last tried.
    pub problem: Option<OutboxProblem>,
    /// The message in the clear.
    #[serde(with = "serde_bytes")]
    pub message: Vec<u8>,
}

impl core::fmt::Debug for OutboxEntry {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(
            f,
            "OutboxEntry({:?}, {} recipients)",
            self.id,
            self.forward_paths.len()
        )
    }
}

/// Why a mail was not sent when last tried.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutboxProblem {
    /// When.
    pub at: Timestamp,
    /// How often it was tried.
    pub attempts: u32,
    /// For people.
    pub reason: String,
}

impl<S: Store> Replica<S> {
    /// Stores a mail that is to be sent, durably, and returns its id.
    pub async fn outbox_put(
        &self,
        reverse_path: Address,
        forward_paths: Vec<Address>,
        message: Vec<u8>,
        now: Timestamp,
    ) -> Result<OutboxId, ReplicaError> {
        if message.len() > MAX_MESSAGE_OCTETS {
            return Err(ReplicaError::MessageTooLarge);
        }
        let mut change = self.begin(now).await;
        let id = OutboxId::new(change.random());
        let entry = OutboxEntry {
            id,
            reverse_path,
            forward_paths,
            queued_at: now,
            problem: None,
            message,
        };
        change
            .batch
            .put(Table::Outbox, *id.as_bytes(), encode_row(&entry));
        change.commit().await?;
        Ok(id)
    }

    /// The mails that wait, in the order in which they were submitted.
    pub async fn outbox(&self) -> Result<Vec<OutboxEntry>, ReplicaError> {
        let rows = self.store.scan(Table::Outbox, KeyRange::all()).await?;
        let entries = rows
            .into_iter()
            .map(|(_, row)| decode_row(Table::Outbox, &row));
        let mut entries = entries.collect::<Result<Vec<OutboxEntry>, _>>()?;
        entries.sort_by_key(|entry| (entry.queued_at, entry.id));
        Ok(entries)
    }

    /// Files a mail that the provider has taken: appended to `sent`, removed from the outbox,
    /// one atomic step. What is not in the outbox any more is filed, and filing it again changes
    /// nothing.
    pub async fn outbox_sent(
        &self,
        entry: &OutboxEntry,
        sent: MailboxId,
        protection: Protection,
        rendered: &[u8],
        now: Timestamp,
    ) -> Result<(), ReplicaError> {
        let mut change = self.begin(now).await;
        if change.take_out(entry.id).await? {
            let message = change.store_message(rendered, protection, None).await?;
            let flags = FlagSet::from([Flag::Seen]);
            let arrival = Arrival {
                id: change.new_placement().await?,
                mailbox: sent,
                flags,
                internal_date: entry.queued_at,
            };
            change
                .arrive(arrival, message, rendered.len() as u64)
                .await?;
        }
        change.commit().await
    }

    /// Gives a mail up: `report` goes into `mailbox`, the mail out of the outbox, one atomic
    /// step.
    pub async fn outbox_failed(
        &self,
        entry: &OutboxEntry,
        mailbox: MailboxId,
        report: &[u8],
        now: Timestamp,
    ) -> Result<(), ReplicaError> {
        let mut change = self.begin(now).await;
        if change.take_out(entry.id).await? {
            let message = change.store_message(report, Protection::NONE, None).await?;
            let arrival = Arrival {
                id: change.new_placement().await?,
                mailbox,
                flags: FlagSet::new(),
                internal_date: now,
            };
            change.arrive(arrival, message, report.len() as u64).await?;
        }
        change.commit().await
    }

    /// Remembers that a mail could not be sent this time.
    pub async fn outbox_problem(
        &self,
        entry: &OutboxEntry,
        reason: String,
        now: Timestamp,
    ) -> Result<(), ReplicaError> {
        let mut change = self.begin(now).await;
        let attempts = entry.problem.as_ref().map_or(0, |problem| problem.attempts);
        let problem = OutboxProblem {
            at: now,
            attempts: attempts.saturating_add(1),
            reason,
        };
        let entry = OutboxEntry {
            problem: Some(problem),
            ..entry.clone()
        };
        change
            .batch
            .put(Table::Outbox, *entry.id.as_bytes(), encode_row(&entry));
        change.commit().await
    }
}

impl<S: Store> Change<'_, S> {
    /// Takes a mail out of the outbox; false if it is not there any more.
    async fn take_out(&mut self, id: OutboxId) -> Result<bool, ReplicaError> {
        let row = self.replica.store.get(Table::Outbox, id.as_bytes()).await?;
        self.batch.delete(Table::Outbox, *id.as_bytes());
        Ok(row.is_some())
    }
}

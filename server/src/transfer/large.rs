//! The one place where a long message goes from its file into the account.

use std::io::{self, Read as _};

use letterlock_core::account::{Checkpoint, NewMessage, Replica, ReplicaError};
use letterlock_core::id::{MailboxId, Timestamp};
use letterlock_core::model::FlagSet;
use letterlock_core::store::Store;
use letterlock_core::sync::wire::MAX_MESSAGE_OCTETS;

use super::message::Large;

/// Why a long message was not stored.
#[derive(Debug, thiserror::Error)]
pub enum LargeError {
    /// The replica failed.
    #[error(transparent)]
    Replica(#[from] ReplicaError),
    /// It cannot be read (any more).
    #[error(transparent)]
    Read(#[from] io::Error),
}

/// Where a message goes, and how.
#[derive(Debug)]
pub struct Destination {
    /// The mailbox.
    pub mailbox: MailboxId,
    /// Flags and keywords.
    pub flags: FlagSet,
    /// INTERNALDATE.
    pub internal_date: Timestamp,
}

/// Stores a long message and the position after it in one atomic step.
pub async fn store<S: Store>(
    replica: &Replica<S>,
    large: &Large,
    into: Destination,
    checkpoint: Option<Checkpoint>,
    now: Timestamp,
) -> Result<(), LargeError> {
    let limit = u64::try_from(MAX_MESSAGE_OCTETS).unwrap_or(u64::MAX);
    if large.length > limit {
        return Err(ReplicaError::MessageTooLarge.into());
    }
    let mut raw = Vec::new();
    // One more, to notice a message that is longer than it seemed.
    large
        .reader()?
        .take(limit.saturating_add(1))
        .read_to_end(&mut raw)?;
    let message = NewMessage {
        raw: &raw,
        flags: into.flags,
        internal_date: into.internal_date,
    };
    replica
        .append_all(into.mailbox, &[message], checkpoint, now)
        .await?;
    Ok(())
}

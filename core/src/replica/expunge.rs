//! Removing messages for good: EXPUNGE (RFC 9051 6.4.3).

use super::{Replica, ReplicaError};
use crate::id::{MailboxId, Timestamp, Uid};
use crate::store::Store;

impl<S: Store> Replica<S> {
    /// Removes these messages from the mailbox; returns those that were there. Structure and
    /// content stay until nothing refers to them.
    pub async fn expunge(
        &self,
        mailbox: MailboxId,
        uids: &[Uid],
        now: Timestamp,
    ) -> Result<Vec<Uid>, ReplicaError> {
        let mut change = self.begin(now).await;
        change.keep_pages();
        change.read_pages_of(mailbox, uids).await?;
        let mut removed = Vec::new();
        for uid in uids {
            if change.delete_placement(mailbox, *uid).await? {
                removed.push(*uid);
            }
        }
        change.commit().await?;
        Ok(removed)
    }
}

//! Removing messages for good: EXPUNGE (RFC 9051 6.4.3).

use super::{Replica, ReplicaError};
use crate::id::{MailboxId, Timestamp, Uid};
use crate::model::Flag;
use crate::store::Store;

impl<S: Store> Replica<S> {
    /// Removes these messages from the mailbox; returns those that were there. Structure and
    /// content stay until nothing refers to them. From a virtual mailbox those of the placements
    /// that it finds are removed that have `\Deleted`: one that has not was not shown as such.
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
            let mut is_removed = false;
            for (real, uid) in change.behind(mailbox, *uid) {
                let placed = change.placement(real, uid);
                let is_meant = real == mailbox
                    || placed.is_some_and(|placed| placed.shown.flags.has(&Flag::Deleted));
                is_removed |= is_meant && change.delete_placement(real, uid).await?;
            }
            if is_removed {
                removed.push(*uid);
            }
        }
        change.commit().await?;
        Ok(removed)
    }
}

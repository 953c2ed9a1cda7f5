//! Flags and keywords: STORE (RFC 9051 6.4.6).

use super::{Placement, Replica, ReplicaError};
use crate::id::{MailboxId, Timestamp, Uid};
use crate::model::{FlagChange, FlagSet, MAX_FLAGS_PER_MESSAGE};
use crate::store::Store;

impl<S: Store> Replica<S> {
    /// Changes flags; returns the messages that are different afterwards. UIDs that are not
    /// there are passed over.
    pub async fn store_flags(
        &self,
        mailbox: MailboxId,
        uids: &[Uid],
        how: FlagChange,
        flags: &FlagSet,
        now: Timestamp,
    ) -> Result<Vec<Placement>, ReplicaError> {
        let mut change = self.begin(now).await;
        let mut changed = Vec::new();
        for uid in uids {
            let Some(placed) = change.placement(mailbox, *uid) else {
                continue;
            };
            let current = placed.shown.flags.to_set();
            let wanted = how.apply(&current, flags);
            if wanted == current {
                continue;
            }
            if wanted.len() > MAX_FLAGS_PER_MESSAGE {
                return Err(ReplicaError::TooManyFlags);
            }
            change.set_flags(mailbox, placed, &wanted).await?;
            changed.push(*uid);
        }
        change.commit().await?;
        Ok(changed
            .into_iter()
            .filter_map(|uid| self.placement(mailbox, uid))
            .collect())
    }
}

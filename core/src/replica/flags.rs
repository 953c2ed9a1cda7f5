//! Flags and keywords: STORE (RFC 9051 6.4.6), also on condition (RFC 7162 3.1.3).
//!
//! Invariant: a change of flags outlives the process when it is told, and the machine soon after
//! ([`Durability::Process`]). STORE promises no more, and waiting for the disk is most of its time.
//! A machine that loses its power in between loses the last changes of flags and nothing else:
//! whatever gives out a UID or takes one back waits for the disk, and with it for all that was
//! written before. What was pushed comes back from the provider, which merges; a mod-sequence that
//! was lost does not come back (`LEFT_OUT`). Known limit: a mail program that was told of a
//! change that was lost and not pushed shows it until the message changes again.

use super::change::Change;
use super::{Placement, Replica, ReplicaError, RosterEntry};
use crate::id::{MailboxId, Timestamp, Uid};
use crate::model::{FlagChange, FlagSet, MAX_FLAGS_PER_MESSAGE};
use crate::store::{Durability, Store};

/// A change of flags.
#[derive(Debug, Clone, Copy)]
pub struct FlagEdit<'a> {
    /// The mailbox.
    pub mailbox: MailboxId,
    /// The messages.
    pub uids: &'a [Uid],
    /// Set, add or remove.
    pub how: FlagChange,
    /// The flags.
    pub flags: &'a FlagSet,
}

impl<S: Store> Replica<S> {
    /// Changes flags; returns the messages that are different afterwards, if they are still in the
    /// mailbox. UIDs that are not there are passed over. In a virtual mailbox those of all
    /// placements that it finds are changed.
    pub async fn store_flags(
        &self,
        mailbox: MailboxId,
        uids: &[Uid],
        how: FlagChange,
        flags: &FlagSet,
        now: Timestamp,
    ) -> Result<Vec<Placement>, ReplicaError> {
        let edit = FlagEdit {
            mailbox,
            uids,
            how,
            flags,
        };
        let changed = self.store_flags_if(edit, |_| true, now).await?;
        let roster = self.roster(mailbox).unwrap_or_default();
        let found = changed.into_iter().filter_map(|uid| roster.find(uid));
        Ok(found.map(Placement::from).collect())
    }

    /// The same for those messages alone that pass a test; returns the UIDs of those that have
    /// changed. Between the test and the change nobody else writes.
    pub async fn store_flags_if(
        &self,
        edit: FlagEdit<'_>,
        mut passes: impl FnMut(RosterEntry<'_>) -> bool,
        now: Timestamp,
    ) -> Result<Vec<Uid>, ReplicaError> {
        let mut change = self.begin(now).await;
        change.keep_pages();
        let roster = self.roster(edit.mailbox).unwrap_or_default();
        let mut seeker = roster.seek();
        let mut meant = |uid: &Uid| seeker.find(*uid).is_some_and(|(_, entry)| passes(entry));
        let uids: Vec<Uid> = edit.uids.iter().copied().filter(|uid| meant(uid)).collect();
        let changed = if change.may_wait() {
            change.note_flags(edit.mailbox, &roster, uids, (edit.how, edit.flags))?
        } else {
            change
                .edit_all(FlagEdit {
                    uids: &uids,
                    ..edit
                })
                .await?
        };
        change.batch.durability = Durability::Process;
        change.commit().await?;
        Ok(changed)
    }
}

impl<S: Store> Change<'_, S> {
    /// Changes flags in their pages.
    async fn edit_all(&mut self, edit: FlagEdit<'_>) -> Result<Vec<Uid>, ReplicaError> {
        let FlagEdit {
            mailbox,
            uids,
            how,
            flags,
        } = edit;
        self.read_pages_of(mailbox, uids).await?;
        let mut changed = Vec::new();
        for uid in uids {
            let mut is_changed = false;
            for (mailbox, uid) in self.behind(mailbox, *uid) {
                is_changed |= self.edit_flags(mailbox, uid, how, flags).await?;
            }
            if is_changed {
                changed.push(*uid);
            }
        }
        Ok(changed)
    }

    /// Changes flags of one placement; `false` if it is not there or has them already.
    async fn edit_flags(
        &mut self,
        mailbox: MailboxId,
        uid: Uid,
        how: FlagChange,
        flags: &FlagSet,
    ) -> Result<bool, ReplicaError> {
        let Some(placed) = self.placement(mailbox, uid) else {
            return Ok(false);
        };
        let current = placed.shown.flags.to_set();
        let wanted = how.apply(&current, flags);
        if wanted == current {
            return Ok(false);
        }
        if wanted.len() > MAX_FLAGS_PER_MESSAGE {
            return Err(ReplicaError::TooManyFlags);
        }
        self.set_flags(mailbox, placed, &wanted).await?;
        Ok(true)
    }
}

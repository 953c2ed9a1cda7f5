//! SELECT and EXAMINE (RFC 3501 6.3.1, 6.3.2), and what has changed since a client last looked
//! (RFC 7162 3.2.5).

use letterlock_core::account::{MailboxStatus, Placement};
use letterlock_core::id::{MailboxName, Uid};
use letterlock_core::model::Flag;
use letterlock_core::store::Store;

use super::vanished::{self, Question};
use super::{Context, OpError, Outcome, SelectedMailbox};
use crate::imap::command::{Access, Resync};
use crate::imap::set::within;
use crate::imap::view::{Changed, Present, Snapshot};

/// SELECT, EXAMINE.
#[derive(Debug)]
pub struct SelectOp {
    /// Which.
    pub name: MailboxName,
    /// EXAMINE takes no `\Recent` away from others.
    pub access: Access,
    /// What the client knows of it already.
    pub resync: Option<Resync>,
}

/// What has changed since a client last looked (RFC 7162 3.2.5).
#[derive(Debug)]
pub struct Resynced {
    /// UIDs that are not there any more.
    pub vanished: vanished::Spans,
    /// Messages with other flags, ascending.
    pub changed: Vec<Changed>,
}

/// Opens a mailbox.
pub(super) async fn run<S: Store>(
    context: &Context<'_, S>,
    op: SelectOp,
) -> Result<Outcome, OpError> {
    let status = context
        .account
        .mailbox(&op.name)
        .ok_or(OpError::NoSuchMailbox)?;
    let placements = context.account.placements(status.id);
    let next = next_uid(&placements).max(status.uid_next);
    let flags = placements.iter().flat_map(|placement| &placement.flags);
    let unseen = placements
        .iter()
        .find(|placement| !placement.flags.contains(&Flag::Seen));
    let resynced = match op.resync {
        // With another UIDVALIDITY nothing that the client knows counts (RFC 7162 3.2.5).
        Some(resync) if resync.uid_validity == status.uid_validity.get() => {
            Some(resynced(context, &status, &placements, &resync).await?)
        }
        Some(_) | None => None,
    };
    Ok(Outcome::Selected(Box::new(SelectedMailbox {
        id: status.id,
        name: status.name,
        uid_validity: status.uid_validity,
        uid_next: next,
        unseen: unseen.map(|placement| placement.uid),
        keywords: flags
            .filter(|flag| matches!(flag, Flag::Keyword(_)))
            .cloned()
            .collect(),
        snapshot: Snapshot {
            highest: status.highest_mod_seq,
            present: placements.iter().map(present).collect(),
            changed: Vec::new(),
            recent_from: context.recents.claim(status.id, next, op.access),
        },
        resynced,
    })))
}

async fn resynced<S: Store>(
    context: &Context<'_, S>,
    status: &MailboxStatus,
    placements: &[Placement],
    resync: &Resync,
) -> Result<Resynced, OpError> {
    let next = next_uid(placements).max(status.uid_next);
    let present: Vec<Uid> = placements.iter().map(|placement| placement.uid).collect();
    let matches = resync.matches.as_ref();
    let known = vanished::known(resync, next);
    let changed = placements.iter().filter(|placement| {
        placement.mod_seq.get() > resync.mod_seq && within(&known, placement.uid.get())
    });
    let changed = changed.map(changed_placement).collect();
    let question = Question {
        mailbox: status.id,
        since: resync.mod_seq,
        among: known,
        present: &present,
        next,
        known_up_to: matches.map_or(0, |matches| vanished::known_up_to(matches, &present)),
    };
    Ok(Resynced {
        vanished: vanished::spans(context, question).await?,
        changed,
    })
}

/// Above every UID of the list. The list may be newer than the mailbox's own counter.
pub(super) fn next_uid(placements: &[Placement]) -> Uid {
    let last = placements.last().map(|placement| placement.uid);
    last.map_or(Uid::ONE, |uid| uid.next().unwrap_or(uid))
}

pub(super) fn present(placement: &Placement) -> Present {
    Present {
        uid: placement.uid,
        mod_seq: placement.mod_seq,
    }
}

pub(super) fn changed_placement(placement: &Placement) -> Changed {
    Changed {
        uid: placement.uid,
        mod_seq: placement.mod_seq,
        flags: placement.flags.clone(),
    }
}

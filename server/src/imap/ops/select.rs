//! SELECT and EXAMINE (RFC 3501 6.3.1, 6.3.2).

use letterlock_core::account::Placement;
use letterlock_core::id::{MailboxName, Uid};
use letterlock_core::model::Flag;
use letterlock_core::store::Store;

use super::{Context, OpError, Outcome, SelectedMailbox};
use crate::imap::command::Access;
use crate::imap::view::{Present, Snapshot};

/// Opens a mailbox.
pub(super) fn run<S: Store>(
    context: &Context<'_, S>,
    name: &MailboxName,
    access: Access,
) -> Result<Outcome, OpError> {
    let status = context
        .account
        .mailbox(name)
        .ok_or(OpError::NoSuchMailbox)?;
    let placements = context.account.placements(status.id);
    let next = next_uid(&placements).max(status.uid_next);
    let flags = placements.iter().flat_map(|placement| &placement.flags);
    let unseen = placements
        .iter()
        .find(|placement| !placement.flags.contains(&Flag::Seen));
    Ok(Outcome::Selected(Box::new(SelectedMailbox {
        id: status.id,
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
            recent_from: context.recents.claim(status.id, next, access),
        },
    })))
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

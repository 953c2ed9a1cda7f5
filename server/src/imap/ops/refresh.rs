//! What is new in the selected mailbox.

use letterlock_core::id::{MailboxId, ModSeq};
use letterlock_core::store::Store;

use super::select::{next_uid, present};
use super::{Context, Refreshed};
use crate::imap::command::Access;
use crate::imap::view::{Changed, Snapshot};

/// Compares by HIGHESTMODSEQ first, which every change raises, so that nothing new costs nothing.
pub(super) fn run<S: Store>(
    context: &Context<'_, S>,
    mailbox: MailboxId,
    since: Option<ModSeq>,
    access: Access,
) -> Refreshed {
    // Read before the messages: what comes in between is seen twice and told once.
    let Some(highest) = context.account.highest_mod_seq(mailbox) else {
        return Refreshed::Gone;
    };
    if Some(highest) == since {
        return Refreshed::Same;
    }
    let placements = context.account.placements(mailbox);
    let next = next_uid(&placements);
    let changed = placements
        .iter()
        .filter(|placement| Some(placement.mod_seq) > since);
    let changed = changed.map(|placement| Changed {
        uid: placement.uid,
        mod_seq: placement.mod_seq,
        flags: placement.flags.clone(),
    });
    Refreshed::Snapshot(Snapshot {
        highest,
        changed: changed.collect(),
        present: placements.iter().map(present).collect(),
        recent_from: context.recents.claim(mailbox, next, access),
    })
}

//! What is new in the selected mailbox.

use std::sync::Arc;

use letterlock_core::account::Placement;
use letterlock_core::id::{MailboxId, ModSeq, SequenceNumber};
use letterlock_core::store::Store;

use super::select::{changed_placement, next_uid, present};
use super::{Context, OpError, Refreshed, search};
use crate::imap::command::{Access, SearchKey};
use crate::imap::view::{Slot, Snapshot};

/// Compares by HIGHESTMODSEQ first, which every change raises, so that nothing new costs nothing.
pub(super) async fn run<S: Store>(
    context: &Context<'_, S>,
    mailbox: MailboxId,
    since: Option<ModSeq>,
    access: Access,
    followed: &[Arc<SearchKey>],
) -> Result<Refreshed, OpError> {
    // Read before the messages: what comes in between is seen twice and told once.
    let Some(highest) = context.account.highest_mod_seq(mailbox) else {
        return Ok(Refreshed::Gone);
    };
    if Some(highest) == since {
        return Ok(Refreshed::Same);
    }
    let placements = context.account.placements(mailbox);
    let next = next_uid(&placements);
    let changed = placements
        .iter()
        .filter(|placement| Some(placement.mod_seq) > since);
    let snapshot = Snapshot {
        highest,
        changed: changed.clone().map(changed_placement).collect(),
        present: placements.iter().map(present).collect(),
        recent_from: context.recents.claim(mailbox, next, access),
    };
    let mut found = Vec::with_capacity(followed.len());
    if let Some(last) = placements.last().map(slot) {
        for key in followed {
            let slots = changed.clone().map(slot).collect();
            found.push(search::matching(context, mailbox, slots, last, key).await?);
        }
    }
    Ok(Refreshed::Snapshot(snapshot, found))
}

/// A message whose number and `\Recent` no followed search asks for.
fn slot(placement: &Placement) -> Slot {
    Slot {
        number: SequenceNumber::ONE,
        uid: placement.uid,
        mod_seq: placement.mod_seq,
        recent: false,
    }
}

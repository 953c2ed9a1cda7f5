//! STORE (RFC 3501 6.4.6), also on condition (RFC 7162 3.1.3).

use std::collections::BTreeMap;

use letterlock_core::account::{FlagEdit, Placement};
use letterlock_core::id::{ModSeq, Uid};
use letterlock_core::model::{Flag, FlagChange};
use letterlock_core::store::Store;

use super::{Context, OpError, StoreOp, Stored};
use crate::imap::command::Echo;
use crate::imap::view::Changed;

/// Changes flags. With `.SILENT` only those messages are told of whose flags somebody else had
/// changed, unknown to this session.
pub(super) async fn run<S: Store>(
    context: &Context<'_, S>,
    op: StoreOp,
) -> Result<Stored, OpError> {
    let mut stored = Stored::default();
    let mut known: BTreeMap<Uid, ModSeq> = BTreeMap::new();
    for slot in &op.slots {
        match context.account.placement(op.mailbox, slot.uid) {
            Some(before) if before.mod_seq <= slot.mod_seq => {
                known.insert(slot.uid, before.mod_seq);
            }
            Some(_) => {}
            None => stored.gone = true,
        }
    }
    let uids: Vec<Uid> = op.slots.iter().map(|slot| slot.uid).collect();
    let edit = FlagEdit {
        mailbox: op.mailbox,
        uids: &uids,
        how: op.change,
        flags: &op.flags,
    };
    let passes = |placement: &Placement| {
        let unchanged = is_unchanged(&op, placement);
        if !unchanged {
            stored.modified.push(placement.uid);
        }
        unchanged
    };
    context
        .account
        .store_flags_if(edit, passes, context.now)
        .await?;
    stored.modified.sort_unstable();
    for uid in uids {
        if stored.modified.binary_search(&uid).is_ok() {
            continue;
        }
        let Some(after) = context.account.placement(op.mailbox, uid) else {
            continue;
        };
        if op.echo == Echo::Silent && known.contains_key(&uid) {
            stored.silent.push((uid, after.mod_seq));
        } else {
            stored.told.push(Changed {
                uid,
                mod_seq: after.mod_seq,
                flags: after.flags,
            });
        }
    }
    Ok(stored)
}

/// Whether a message passes UNCHANGEDSINCE. A message has one mod-sequence for all its flags;
/// with 0 a client asks whether a keyword is there at all, and that is known exactly
/// (RFC 7162 3.1.3).
fn is_unchanged(op: &StoreOp, placement: &Placement) -> bool {
    let is_keyword = |flag: &Flag| matches!(flag, Flag::Keyword(_));
    match op.unchanged_since {
        None => true,
        Some(0) if op.change != FlagChange::Replace && op.flags.iter().all(is_keyword) => {
            op.flags.is_disjoint(&placement.flags)
        }
        Some(since) => placement.mod_seq.get() <= since,
    }
}

//! STORE (RFC 3501 6.4.6).

use std::collections::BTreeMap;

use letterlock_core::id::{ModSeq, Uid};
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
    context
        .account
        .store_flags(op.mailbox, &uids, op.change, &op.flags, context.now)
        .await?;
    for uid in uids {
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

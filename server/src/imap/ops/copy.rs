//! COPY (RFC 3501 6.4.7) and MOVE (RFC 6851): all of the messages or none of them.

use letterlock_core::id::{MailboxId, Uid};
use letterlock_core::store::Store;

use super::{Context, CopyOp, OpError, Outcome};

/// Copies messages. Those that somebody else has expunged meanwhile are passed over.
pub(super) async fn copy<S: Store>(
    context: &Context<'_, S>,
    op: CopyOp,
) -> Result<Outcome, OpError> {
    let (to, uids) = destination(context, &op)?;
    let copied = context
        .account
        .copy(op.mailbox, &uids, to, context.now)
        .await?;
    Ok(Outcome::Copied(copied.uid_validity, copied.pairs))
}

/// Moves messages. Those that somebody else has expunged meanwhile are passed over.
pub(super) async fn move_messages<S: Store>(
    context: &Context<'_, S>,
    op: CopyOp,
) -> Result<Outcome, OpError> {
    let (to, uids) = destination(context, &op)?;
    let moved = context
        .account
        .move_messages(op.mailbox, &uids, to, context.now)
        .await?;
    Ok(Outcome::Copied(moved.uid_validity, moved.pairs))
}

fn destination<S: Store>(
    context: &Context<'_, S>,
    op: &CopyOp,
) -> Result<(MailboxId, Vec<Uid>), OpError> {
    let to = context
        .account
        .mailbox(&op.to)
        .ok_or(OpError::NoDestination)?;
    Ok((to.id, op.slots.iter().map(|slot| slot.uid).collect()))
}

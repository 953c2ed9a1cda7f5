//! EXPUNGE (RFC 3501 6.4.3), UID EXPUNGE (RFC 4315 2.1), and that of CLOSE.

use std::collections::BTreeSet;

use letterlock_core::id::{MailboxId, Uid};
use letterlock_core::model::Flag;
use letterlock_core::store::Store;

use super::{Context, OpError, Outcome};

/// Removes the messages with `\Deleted`, among `only` if that is given.
pub(super) async fn run<S: Store>(
    context: &Context<'_, S>,
    mailbox: MailboxId,
    only: Option<BTreeSet<Uid>>,
) -> Result<Outcome, OpError> {
    let roster = context.account.roster(mailbox).unwrap_or_default();
    if roster.counts().deleted == 0 {
        return Ok(Outcome::Expunged(false));
    }
    let deleted = roster.iter().filter(|entry| entry.has(&Flag::Deleted));
    let uids: Vec<Uid> = deleted
        .map(|entry| entry.uid())
        .filter(|uid| only.as_ref().is_none_or(|only| only.contains(uid)))
        .collect();
    if uids.is_empty() {
        return Ok(Outcome::Expunged(false));
    }
    let gone = context.account.expunge(mailbox, &uids, context.now).await?;
    Ok(Outcome::Expunged(!gone.is_empty()))
}

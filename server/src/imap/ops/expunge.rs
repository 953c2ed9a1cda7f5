//! EXPUNGE (RFC 3501 6.4.3), UID EXPUNGE (RFC 4315 2.1), and that of CLOSE.

use letterlock_core::id::{MailboxId, Uid};
use letterlock_core::model::Flag;
use letterlock_core::store::Store;

use super::{Among, Context, OpError, Outcome};

/// Removes the messages with `\Deleted`, among `only` if that is given: then those with the highest
/// UIDs (RFC 9738 3.1).
pub(super) async fn run<S: Store>(
    context: &Context<'_, S>,
    mailbox: MailboxId,
    only: Option<Among>,
) -> Result<Outcome, OpError> {
    let roster = context.account.roster(mailbox).unwrap_or_default();
    if roster.counts().deleted == 0 {
        return Ok(Outcome::Expunged(false, None));
    }
    let deleted = roster.iter().filter(|entry| entry.has(&Flag::Deleted));
    let mut uids: Vec<Uid> = deleted
        .map(|entry| entry.uid())
        .filter(|uid| only.as_ref().is_none_or(|only| only.uids.contains(uid)))
        .collect();
    let most = only.map_or(usize::MAX, |only| only.most);
    let over = uids.len().saturating_sub(most);
    uids.drain(..over);
    let cut = uids.first().copied().filter(|_| over > 0);
    if uids.is_empty() {
        return Ok(Outcome::Expunged(false, None));
    }
    let gone = context.account.expunge(mailbox, &uids, context.now).await?;
    Ok(Outcome::Expunged(!gone.is_empty(), cut))
}

//! CREATE, DELETE, RENAME, SUBSCRIBE, UNSUBSCRIBE (RFC 3501 6.3.3 to 6.3.7): one call each, so
//! they share a file.

use letterlock_core::account::MailboxStatus;
use letterlock_core::id::{HIERARCHY_SEPARATOR, MailboxName};
use letterlock_core::model::Role;
use letterlock_core::store::Store;

use super::{Context, OpError, Outcome, Subscription};
use crate::imap::response::Rights;

/// Makes a mailbox and those above it that are missing.
pub(super) async fn create<S: Store>(
    context: &Context<'_, S>,
    name: &MailboxName,
    role: Option<Role>,
) -> Result<Outcome, OpError> {
    let (account, now) = (context.account, context.now);
    match role {
        Some(role) => account.create_mailbox_for(name, role, now).await?,
        None => account.create_mailbox(name, now).await?,
    };
    let made = account.mailbox(name);
    let made = made.ok_or(OpError::NoSuchMailbox)?;
    Ok(Outcome::Created(made.id))
}

/// Whether there is such a mailbox, and what may be done with it.
pub(super) fn exists<S: Store>(
    context: &Context<'_, S>,
    name: &MailboxName,
) -> Result<Outcome, OpError> {
    match context.account.mailbox(name) {
        Some(mailbox) => Ok(Outcome::Rights(rights(&mailbox))),
        None => Err(OpError::NoSuchMailbox),
    }
}

/// What may be done with a mailbox.
pub(super) const fn rights(mailbox: &MailboxStatus) -> Rights {
    match mailbox.virtual_mailbox {
        None => Rights::Own,
        Some(_) => Rights::Virtual,
    }
}

/// Deletes a mailbox with its messages; those below it stay (RFC 3501 6.3.4).
pub(super) async fn delete<S: Store>(
    context: &Context<'_, S>,
    name: &MailboxName,
) -> Result<Outcome, OpError> {
    context.account.delete_mailbox(name, context.now).await?;
    Ok(Outcome::Done)
}

/// Renames a mailbox and those below it; of INBOX it moves the messages (RFC 3501 6.3.5).
pub(super) async fn rename<S: Store>(
    context: &Context<'_, S>,
    from: &MailboxName,
    to: &MailboxName,
) -> Result<Outcome, OpError> {
    let below = to.as_str().strip_prefix(from.as_str());
    if below.is_some_and(|rest| rest.starts_with(HIERARCHY_SEPARATOR)) && !from.is_inbox() {
        return Err(OpError::Cannot("A mailbox cannot be moved below itself"));
    }
    context
        .account
        .rename_mailbox(from, to, context.now)
        .await?;
    Ok(Outcome::Done)
}

/// Subscribes to a mailbox or ends it.
pub(super) async fn subscribe<S: Store>(
    context: &Context<'_, S>,
    name: &MailboxName,
    subscription: Subscription,
) -> Result<Outcome, OpError> {
    let on = subscription == Subscription::On;
    context
        .account
        .set_subscribed(name, on, context.now)
        .await?;
    Ok(Outcome::Done)
}

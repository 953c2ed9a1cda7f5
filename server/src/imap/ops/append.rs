//! APPEND (RFC 3501 6.3.11): the message is taken as it is, whatever is wrong with it.

use letterlock_core::id::MailboxName;
use letterlock_core::store::Store;

use super::{Context, OpError, Outcome};
use crate::imap::command::AppendCommand;

/// Stores a message; what comes back is durable.
pub(super) async fn run<S: Store>(
    context: &Context<'_, S>,
    name: &MailboxName,
    command: AppendCommand,
) -> Result<Outcome, OpError> {
    let mailbox = context
        .account
        .mailbox(name)
        .ok_or(OpError::NoDestination)?;
    let date = command.date.unwrap_or(context.now);
    let raw = &command.message.0;
    let appended = context
        .account
        .append(mailbox.id, raw, command.flags, date, context.now)
        .await?;
    Ok(Outcome::Appended(appended.uid_validity, appended.uid))
}

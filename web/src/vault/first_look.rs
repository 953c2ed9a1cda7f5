//! What a browser shows of an account that it has never had: the newest messages of INBOX, before it
//! has heard of the others.
//!
//! ```text
//! where messages are (a pull of one collection) -> the newest of INBOX (by their ids) -> the list
//! then the log from its beginning, as ever
//! ```
//!
//! Invariant: this is a look ahead and no more. The log is heard to its end after it, and judged by
//! its rules; what fails here is done there.

use letterlock_core::id::{Generation, MailboxName};
use letterlock_core::sync::engine;

use super::exchange::{ExchangeError, token};
use super::session::{Session, now};
use super::{fetching, mail, provider, serve};
use crate::protocol::{News, PAGE_ROWS};

/// Most answers of the provider's that the look takes. An account in which more mail waits to be
/// taken in, which stands between, is shown as it comes.
const MOST_ANSWERS: usize = 8;

/// Looks, if this browser has nothing of the account yet.
pub async fn look(session: &Session) -> Result<(), ExchangeError> {
    let account = &session.account;
    if account.pulled() != Generation::default() {
        return Ok(());
    }
    let mut since = Some(Generation::default());
    for _ in 0..MOST_ANSWERS {
        let Some(from) = since else { break };
        let request = engine::first_look(account, from);
        let response = provider::pull(&token(session)?, &request).await?;
        since = engine::handle_first_look(account, response, now()).await?;
    }
    if let Some(inbox) = account.mailbox(&MailboxName::inbox()) {
        let newest = mail::newest(account, inbox.id, PAGE_ROWS).0;
        let newest: Vec<_> = newest.iter().map(|placement| placement.message).collect();
        fetching::bring(session, account.missing_messages(&newest).await?).await?;
    }
    serve::tell(News::Changed);
    Ok(())
}

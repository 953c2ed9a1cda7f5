//! The provider's key directory: proven lookups, and its check after each pull
//! (`letterlock_core::keys::transparency`).
//!
//! Invariant: what the provider says of an address of its own domain is used only if it is proven.

use letterlock_core::account::{DirectoryError, DirectorySession};
use letterlock_core::id::Address;
use letterlock_core::keys::Found;
use letterlock_core::keys::transparency::Alarm;
use letterlock_core::sync::engine::Next;

use super::exchange::{ExchangeError, token};
use super::provider;
use super::session::{BrowserStore, Session, now};

/// What the directory has for an address of our own domain, proven.
pub async fn proven(session: &Session, address: &Address) -> Result<Option<Found>, ExchangeError> {
    let account = &session.account;
    let mut turn = account.directory().await?;
    if turn.lookup_call(address)?.is_none() {
        check_in(session, &mut turn).await?;
    }
    let Some(call) = turn.lookup_call(address)? else {
        return Err(DirectoryError::Unsettled.into());
    };
    let octets = provider::directory(&token(session)?, &call).await?;
    let entry = turn.handle_lookup(address, &octets, now()).await?;
    let answer = entry.certificates.concat();
    Ok(Found::answered(account.address(), address, &answer, now()))
}

/// Checks the directory after a pull. An alarm, if there is one; [`Next::Again`] if what other
/// devices wrote is to be pulled first.
pub async fn check(session: &Session) -> Result<(Next, Option<Alarm>), ExchangeError> {
    let outcome = async {
        let mut turn = session.account.directory().await?;
        check_in(session, &mut turn).await
    };
    match outcome.await {
        Ok(()) => Ok((Next::Idle, None)),
        Err(ExchangeError::Directory(DirectoryError::Unsettled)) => Ok((Next::Again, None)),
        Err(ExchangeError::Directory(DirectoryError::Alarm(alarm))) => {
            Ok((Next::Idle, Some(*alarm)))
        }
        Err(error) => Err(error),
    }
}

async fn check_in(
    session: &Session,
    turn: &mut DirectorySession<'_, BrowserStore>,
) -> Result<(), ExchangeError> {
    let mut next = turn.begin_check().await?;
    while let Some(call) = next {
        let octets = provider::directory(&token(session)?, &call).await?;
        next = turn.handle_check(&call, &octets, now()).await?;
    }
    Ok(())
}

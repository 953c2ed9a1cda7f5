//! Looking up certificates that the account lacks: carries out what `core::keys::lookup` asks; and
//! holding the provider's directory to what it said (`core::keys::transparency`).
//!
//! Invariant: what our provider says of an address of our own domain is used only if it is proven.
//! A directory that is found to be false gives no key to send with, so that mail waits; mail that
//! came is taken in all the same.

use futures::future::try_join_all;
use letterlock_core::account::{Answers, DirectoryError, DirectorySession};
use letterlock_core::id::Address;
use letterlock_core::keys::Found;
use letterlock_core::keys::lookup::{Answer, Lookup, Purpose, Request};
use letterlock_core::sync::engine::Next;

use super::accounts::BridgeAccount;
use super::sqlite_store::SqliteStore;
use super::sync_loop::ExchangeError;
use crate::clock;

/// Addresses that are looked up at the same time.
const AT_ONCE: usize = 8;

/// Adds what is found for these addresses. An answer that makes no sense, and an address that the
/// directory refuses, count as none; so does a stranger who does not answer, but not our provider:
/// it has to be there for the mail anyway.
pub(super) async fn look_up(
    account: &BridgeAccount,
    addresses: &[Address],
    purpose: Purpose,
    answers: &mut Answers,
) -> Result<(), ExchangeError> {
    for some in addresses.chunks(AT_ONCE) {
        let found = try_join_all(some.iter().map(|address| one(account, address, purpose))).await?;
        let canonical = some.iter().map(Address::canonical);
        answers.extend(canonical.zip(found));
    }
    Ok(())
}

async fn one(
    account: &BridgeAccount,
    address: &Address,
    purpose: Purpose,
) -> Result<Option<Found>, ExchangeError> {
    let sources = account.account.key_sources();
    let mut lookup = Lookup::new(account.account.address(), address, purpose, &sources);
    while let Some(request) = lookup.next_request().cloned() {
        let answer = match request {
            Request::Https { url } => account.fetcher.fetch(&url).await,
            Request::Directory(address) if account.account.is_at_home(&address) => {
                match Box::pin(proven(account, &address)).await {
                    Ok(answer) => answer,
                    Err(ExchangeError::Directory(error)) if purpose == Purpose::Verifying => {
                        tracing::warn!(%error, "the key directory gives no key to verify with");
                        Answer::Nothing
                    }
                    Err(error) => return Err(error),
                }
            }
            Request::Directory(address) => match account.provider.certificate(&address).await {
                Ok(Some(octets)) => Answer::Octets(octets),
                Err(error) if error.is_temporary() => return Err(error.into()),
                Ok(None) | Err(_) => Answer::Nothing,
            },
        };
        lookup.handle(&answer, clock::now());
    }
    Ok(lookup.finish())
}

/// What the directory has for an address of our own domain, proven.
async fn proven(account: &BridgeAccount, address: &Address) -> Result<Answer, ExchangeError> {
    let mut session = account.account.directory().await?;
    if session.lookup_call(address)?.is_none() {
        check_in(account, &mut session).await?;
    }
    let Some(call) = session.lookup_call(address)? else {
        return Err(DirectoryError::Unsettled.into());
    };
    let octets = account.provider.directory(&call).await?;
    let entry = session
        .handle_lookup(address, &octets, clock::now())
        .await?;
    Ok(if entry.certificates.is_empty() {
        Answer::Nothing
    } else {
        Answer::Octets(entry.certificates.concat())
    })
}

/// Checks the directory after a pull. [`Next::Again`] if what other devices wrote is to be pulled
/// first.
pub(super) async fn check(account: &BridgeAccount) -> Result<Next, ExchangeError> {
    let outcome = async {
        let mut session = account.account.directory().await?;
        check_in(account, &mut session).await
    };
    match Box::pin(outcome).await {
        Ok(()) => {
            account.set_directory_alarm(None);
            Ok(Next::Idle)
        }
        Err(ExchangeError::Directory(DirectoryError::Unsettled)) => Ok(Next::Again),
        Err(ExchangeError::Directory(DirectoryError::Alarm(alarm))) => {
            account.set_directory_alarm(Some(*alarm));
            Ok(Next::Idle)
        }
        Err(ExchangeError::Provider(error)) if !error.is_temporary() => {
            tracing::warn!(%error, "the provider does not answer for its key directory");
            Ok(Next::Idle)
        }
        Err(ExchangeError::Directory(error)) => {
            tracing::warn!(%error, "the key directory could not be checked");
            Ok(Next::Idle)
        }
        Err(error) => Err(error),
    }
}

async fn check_in(
    account: &BridgeAccount,
    session: &mut DirectorySession<'_, SqliteStore>,
) -> Result<(), ExchangeError> {
    let mut next = session.begin_check().await?;
    while let Some(call) = next {
        let octets = account.provider.directory(&call).await?;
        next = session.handle_check(&call, &octets, clock::now()).await?;
    }
    Ok(())
}

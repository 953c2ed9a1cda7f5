//! Looking up certificates that the account lacks: carries out what `core::keys::lookup` asks; and
//! holding the provider's directory to what it said (`core::keys::transparency`).
//!
//! Invariant: what our provider says of an address of our own domain is used only if it is proven.
//! A directory that is found to be false gives no key to send with, so that mail waits; mail that
//! came is taken in all the same.

use futures::future::try_join_all;
use letterlock_core::account::{Answers, DirectoryError, DirectorySession};
use letterlock_core::id::{Address, Timestamp};
use letterlock_core::keys::Found;
use letterlock_core::keys::lookup::{Answer, Lookup, Purpose, Request};
use letterlock_core::sync::engine::Next;

use super::accounts::BridgeAccount;
use super::key_fetcher::KeyFetcher;
use super::key_resolver::KeyResolver;
use super::sqlite_store::SqliteStore;
use super::sync_loop::ExchangeError;
use crate::clock;

/// Addresses that are looked up at the same time.
const AT_ONCE: usize = 8;

/// Adds what is found for these addresses. An answer that makes no sense, and an address that the
/// directory refuses, count as none; so does a stranger who does not answer, but not our provider:
/// it has to be there for the mail anyway. Strangers who had nothing are left alone for a while.
pub(super) async fn look_up(
    account: &BridgeAccount,
    addresses: &[Address],
    purpose: Purpose,
    answers: &mut Answers,
    now: Timestamp,
) -> Result<(), ExchangeError> {
    for some in addresses.chunks(AT_ONCE) {
        let one = |address| one(account, address, purpose, now);
        let found = try_join_all(some.iter().map(one)).await?;
        let canonical = some.iter().map(Address::canonical);
        answers.extend(canonical.zip(found));
    }
    Ok(())
}

async fn one(
    account: &BridgeAccount,
    address: &Address,
    purpose: Purpose,
    now: Timestamp,
) -> Result<Option<Found>, ExchangeError> {
    let sources = account.account.key_sources();
    let sources = account.not_found().sources(address, &sources, now);
    let pointer = account.account.pointer(address).await?;
    let lookup = Lookup::new(account.account.address(), address, purpose, &sources);
    let lookup = lookup.with_pointer(pointer.as_ref());
    let at_home = move |address| asked_at_home(account, address, purpose, now);
    let strangers = (&account.fetcher, account.resolver.get());
    let lookup = carry_out(lookup, strangers, at_home, now).await?;
    account.not_found().note(address, lookup.strangers(), now);
    Ok(lookup.finish())
}

/// Asks whom a lookup wants to be asked: strangers by the fetcher and the resolver, our provider's
/// directory by `at_home`.
pub(super) async fn carry_out<E, F: Future<Output = Result<Answer, E>>>(
    mut lookup: Lookup,
    (fetcher, resolver): (&KeyFetcher, Option<&KeyResolver>),
    at_home: impl Fn(Address) -> F,
    now: Timestamp,
) -> Result<Lookup, E> {
    while let Some(request) = lookup.next_request().cloned() {
        let answer = match request {
            Request::Https { url } => fetcher.fetch(&url).await,
            Request::OpenPgpKey { name } => match resolver {
                Some(resolver) => resolver.openpgp_keys(&name).await,
                None => Answer::Failed,
            },
            Request::Directory(address) => at_home(address).await?,
        };
        lookup.handle(&answer, now);
    }
    Ok(lookup)
}

/// What our provider says of an address: proven, if it is of our own domain.
async fn asked_at_home(
    account: &BridgeAccount,
    address: Address,
    purpose: Purpose,
    now: Timestamp,
) -> Result<Answer, ExchangeError> {
    if account.account.is_at_home(&address) {
        return match Box::pin(proven(account, &address, now)).await {
            Err(ExchangeError::Directory(error)) if purpose == Purpose::Verifying => {
                tracing::warn!(%error, "the key directory gives no key to verify with");
                Ok(Answer::Nothing)
            }
            answer => answer,
        };
    }
    match account.provider.certificate(&address).await {
        Ok(Some(octets)) => Ok(Answer::Octets(octets)),
        Err(error) if error.is_temporary() => Err(error.into()),
        Ok(None) | Err(_) => Ok(Answer::Nothing),
    }
}

/// What the directory has for an address of our own domain, proven.
async fn proven(
    account: &BridgeAccount,
    address: &Address,
    now: Timestamp,
) -> Result<Answer, ExchangeError> {
    let mut session = account.account.directory().await?;
    if session.lookup_call(address)?.is_none() {
        check_in(account, &mut session).await?;
    }
    let Some(call) = session.lookup_call(address)? else {
        return Err(DirectoryError::Unsettled.into());
    };
    let octets = account.provider.directory(&call).await?;
    let entry = session.handle_lookup(address, &octets, now).await?;
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

//! Looking up certificates that the account lacks: carries out what `core::keys::lookup` asks.

use futures::future::try_join_all;
use letterlock_core::account::Answers;
use letterlock_core::id::{Address, Timestamp};
use letterlock_core::keys::Found;
use letterlock_core::keys::lookup::{Answer, Lookup, Purpose, Request};

use super::accounts::BridgeAccount;
use super::key_fetcher::KeyFetcher;
use super::provider_client::ProviderError;

/// Addresses that are looked up at the same time.
const AT_ONCE: usize = 8;

/// Adds what is found for these addresses. An answer that makes no sense, and an address that the
/// directory refuses, count as none; so does a stranger who does not answer, but not our provider:
/// it has to be there for the mail anyway. Strangers who had nothing are left alone for a while.
pub async fn look_up(
    account: &BridgeAccount,
    addresses: &[Address],
    purpose: Purpose,
    answers: &mut Answers,
    now: Timestamp,
) -> Result<(), ProviderError> {
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
) -> Result<Option<Found>, ProviderError> {
    let sources = account.account.key_sources();
    let sources = account.not_found().sources(address, &sources, now);
    let lookup = Lookup::new(account.account.address(), address, purpose, &sources);
    let provider = &account.provider;
    let at_home = move |address: Address| async move {
        match provider.certificate(&address).await {
            Ok(Some(octets)) => Ok(Answer::Octets(octets)),
            Err(error) if error.is_temporary() => Err(error),
            Ok(None) | Err(_) => Ok(Answer::Nothing),
        }
    };
    let lookup = carry_out(lookup, &account.fetcher, at_home, now).await?;
    account.not_found().note(address, lookup.strangers(), now);
    Ok(lookup.finish())
}

/// Asks whom a lookup wants to be asked: strangers by the fetcher, our provider's directory by
/// `at_home`.
pub(super) async fn carry_out<E, F: Future<Output = Result<Answer, E>>>(
    mut lookup: Lookup,
    fetcher: &KeyFetcher,
    at_home: impl Fn(Address) -> F,
    now: Timestamp,
) -> Result<Lookup, E> {
    while let Some(request) = lookup.next_request().cloned() {
        let answer = match request {
            Request::Https { url } => fetcher.fetch(&url).await,
            Request::Directory(address) => at_home(address).await?,
        };
        lookup.handle(&answer, now);
    }
    Ok(lookup)
}

//! Looking up certificates that the account lacks: carries out what `core::keys::lookup` asks.

use futures::future::try_join_all;
use letterlock_core::account::Answers;
use letterlock_core::id::Address;
use letterlock_core::keys::Found;
use letterlock_core::keys::lookup::{Answer, Lookup, Purpose, Request};

use super::accounts::BridgeAccount;
use super::provider_client::ProviderError;
use crate::clock;

/// Addresses that are looked up at the same time.
const AT_ONCE: usize = 8;

/// Adds what is found for these addresses. An answer that makes no sense, and an address that the
/// directory refuses, count as none; so does a stranger who does not answer, but not our provider:
/// it has to be there for the mail anyway.
pub async fn look_up(
    account: &BridgeAccount,
    addresses: &[Address],
    purpose: Purpose,
    answers: &mut Answers,
) -> Result<(), ProviderError> {
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
) -> Result<Option<Found>, ProviderError> {
    let sources = account.account.key_sources();
    let mut lookup = Lookup::new(account.account.address(), address, purpose, &sources);
    while let Some(request) = lookup.next_request().cloned() {
        let answer = match request {
            Request::Https { url } => account.fetcher.fetch(&url).await,
            Request::Directory(address) => match account.provider.certificate(&address).await {
                Ok(Some(octets)) => Answer::Octets(octets),
                Err(error) if error.is_temporary() => return Err(error),
                Ok(None) | Err(_) => Answer::Nothing,
            },
        };
        lookup.handle(&answer, clock::now());
    }
    Ok(lookup.finish())
}

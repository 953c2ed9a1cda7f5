//! Keeps the account's own keys up: renewed before they end, and known to the provider's directory.
//!
//! Whichever device runs does it, without being asked; several that do it at once agree
//! (`letterlock_core::keys::own`). Invariants: nothing is made before the first sync has ended,
//! and nothing is published before its secret key was pushed.

use letterlock_core::account::KeyError;
use letterlock_core::auth::wire::Publish;
use letterlock_core::id::Timestamp;

use super::accounts::BridgeAccount;
use super::provider_client::ProviderError;
use crate::clock;

/// How often the keys are looked at, in milliseconds.
const MAINTAIN_EVERY_MS: i64 = 60 * 60 * 1000;

/// Makes and renews what is due, now and then. It waits to be pushed then.
pub(super) async fn maintain(account: &BridgeAccount, last: &mut Timestamp) {
    let now = clock::now();
    if now.as_millis().saturating_sub(last.as_millis()) < MAINTAIN_EVERY_MS {
        return;
    }
    *last = now;
    match account.account.maintain_keys(now).await {
        Ok(true) => tracing::info!("the account's keys were renewed or made"),
        Ok(false) => {}
        Err(error) => tracing::warn!(%error, "the account's keys were not renewed"),
    }
}

/// Tells the directory what it does not have yet.
pub(super) async fn publish(account: &BridgeAccount) -> Result<(), ProviderError> {
    let publication = match account.account.to_publish(clock::now()).await {
        Ok(Some(publication)) => publication,
        Ok(None) => return Ok(()),
        Err(error) => {
            log(&error);
            return Ok(());
        }
    };
    let certificates = publication.certificates.iter();
    let body = Publish {
        certificates: certificates
            .map(|certificate| certificate.to_bytes().into())
            .collect(),
    };
    match account.provider.publish(&account.token(), &body).await {
        Ok(()) => {}
        // It would refuse again; after a restart it is asked again.
        Err(error @ ProviderError::Refused { .. }) => {
            tracing::warn!(%error, "the directory does not take the account's certificates");
        }
        Err(error) => return Err(error),
    }
    account.account.note_published(&publication);
    Ok(())
}

fn log(error: &KeyError) {
    tracing::warn!(%error, "the account's certificates cannot be published");
}

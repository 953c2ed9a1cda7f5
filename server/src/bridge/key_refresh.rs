//! Asks key servers for news of certificates that are known: revocations, above all.
//!
//! One correspondent at a time, by chance and with long pauses, so that nobody sees a whole address
//! book asked for at once. Does nothing unless the account names a server.

use std::sync::Arc;
use std::time::Duration;

use letterlock_core::account::ReplicaError;
use letterlock_core::keys::lookup::{Refresh, Request};
use letterlock_core::keys::{Decision, Level, Offer, keyring};
use rand::Rng as _;
use rand::rngs::OsRng;
use tokio_util::sync::CancellationToken;

use super::accounts::BridgeAccount;
use crate::clock;
use crate::shutdown::Shutdown;

/// The pause between two questions is by chance from half of this to one and a half of it.
const REFRESH_EVERY: Duration = Duration::from_mins(30);

/// Starts an account's loop.
pub fn start(account: &Arc<BridgeAccount>, shutdown: &Shutdown) {
    let (account, token) = (Arc::clone(account), shutdown.token.clone());
    shutdown.spawn(async move { refresh_loop(&account, &token).await });
}

async fn refresh_loop(account: &BridgeAccount, shutdown: &CancellationToken) {
    loop {
        let pause = REFRESH_EVERY.mul_f64(OsRng.gen_range(0.5..1.5));
        let slept = shutdown
            .run_until_cancelled(tokio::time::sleep(pause))
            .await;
        if slept.is_none() {
            return;
        }
        let refreshed = shutdown
            .run_until_cancelled(Box::pin(refresh_one(account)))
            .await;
        if let Some(Err(error)) = refreshed {
            tracing::warn!(%error, "a certificate could not be refreshed");
        }
    }
}

/// Asks for news of one correspondent's certificate. Whether there were any.
pub(super) async fn refresh_one(account: &BridgeAccount) -> Result<bool, ReplicaError> {
    let sources = account.account.key_sources();
    let mut contacts = account.account.contacts().await?;
    if contacts.is_empty() {
        return Ok(false);
    }
    let contact = contacts.swap_remove(OsRng.gen_range(0..contacts.len()));
    let Some(known) = contact.parse_certificate() else {
        return Ok(false);
    };
    let mut refresh = Refresh::new(&known, &sources);
    while let Some(request) = refresh.next_request().cloned() {
        let Request::Https { url } = request else {
            break;
        };
        refresh.handle(&account.fetcher.fetch(&url).await);
    }
    let now = clock::now();
    let news = Offer {
        address: contact.address.clone(),
        certificate: refresh.finish(),
        level: Level::WeakChain,
        seen_at: contact.last_seen,
        prefers_encryption: false,
    };
    match keyring::consider(Some(&contact), &news, now) {
        Decision::Store(changed) if *changed != contact => {
            account.account.store_contact(*changed, now).await?;
            Ok(true)
        }
        Decision::Store(_) | Decision::Keep(_) => Ok(false),
    }
}

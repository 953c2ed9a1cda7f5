//! Asks key servers for news of certificates that are known: revocations, above all.
//!
//! One correspondent at a time, by chance and with long pauses, so that nobody sees a whole address
//! book asked for at once. Does nothing unless the account names a server.

use std::fmt::Display;
use std::sync::Arc;
use std::time::Duration;

use letterlock_core::account::{Account, ReplicaError};
use letterlock_core::keys::lookup::{Refresh, Request};
use letterlock_core::keys::{Decision, Level, Offer, keyring};
use letterlock_core::store::Store;
use rand::Rng as _;
use rand::rngs::OsRng;
use tokio_util::sync::CancellationToken;

use super::accounts::BridgeAccount;
use super::key_fetcher::KeyFetcher;
use crate::clock;
use crate::shutdown::Shutdown;

/// The pause between two questions is by chance from half of this to one and a half of it.
const REFRESH_EVERY: Duration = Duration::from_mins(30);

/// Starts an account's loop.
pub fn start(account: &Arc<BridgeAccount>, shutdown: &Shutdown) {
    let (account, token) = (Arc::clone(account), shutdown.token.clone());
    shutdown.spawn(async move {
        let refresh = || Box::pin(refresh_one(&account.account, &account.fetcher));
        refresh_loop(refresh, pause, &token).await;
    });
}

/// How long to wait before the next question.
fn pause() -> Duration {
    REFRESH_EVERY.mul_f64(OsRng.gen_range(0.5..1.5))
}

async fn refresh_loop<E: Display, F: Future<Output = Result<bool, E>>>(
    refresh: impl Fn() -> F,
    pause: impl Fn() -> Duration,
    shutdown: &CancellationToken,
) {
    loop {
        let slept = shutdown
            .run_until_cancelled(tokio::time::sleep(pause()))
            .await;
        if slept.is_none() {
            return;
        }
        let refreshed = shutdown.run_until_cancelled(refresh()).await;
        if let Some(Err(error)) = refreshed {
            tracing::warn!(%error, "a certificate could not be refreshed");
        }
    }
}

/// Asks for news of one correspondent's certificate. Whether there were any.
pub(super) async fn refresh_one<S: Store>(
    account: &Account<S>,
    fetcher: &KeyFetcher,
) -> Result<bool, ReplicaError> {
    let sources = account.key_sources();
    let mut contacts = account.contacts().await?;
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
        refresh.handle(&fetcher.fetch(&url).await);
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
            account.store_contact(*changed, now).await?;
            Ok(true)
        }
        Decision::Store(_) | Decision::Keep(_) => Ok(false),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    /// It waits before it asks, an error does not end it, and the shutdown does.
    #[tokio::test]
    async fn the_loop_asks_now_and_then_and_ends_with_the_bridge() {
        let done: Mutex<Vec<&str>> = Mutex::default();
        let token = CancellationToken::new();
        let refresh = || async {
            let mut done = done.lock().unwrap();
            done.push("asked");
            match done.len() {
                10 => {
                    token.cancel();
                    Ok(true)
                }
                4 => Err("no answer"),
                _ => Ok(false),
            }
        };
        let pause = || {
            done.lock().unwrap().push("waited");
            Duration::from_millis(1)
        };
        refresh_loop(refresh, pause, &token).await;
        let done = done.into_inner().unwrap();
        // After the shutdown it may have begun to wait once more, and asks nobody.
        assert!(done.starts_with(&["waited", "asked"].repeat(5)), "{done:?}");
        assert!(done.len() <= 11, "{done:?}");
        // One that is told to end while it waits for long ends at once.
        let ends = refresh_loop(|| async { Ok::<_, &str>(true) }, || REFRESH_EVERY, &token);
        let ended = tokio::time::timeout(Duration::from_secs(5), ends).await;
        assert!(ended.is_ok());
    }

    #[test]
    fn the_pauses_are_by_chance_around_half_an_hour() {
        let pauses: Vec<Duration> = (0..64).map(|_| pause()).collect();
        let within = REFRESH_EVERY / 2..REFRESH_EVERY * 3 / 2;
        assert!(
            pauses.iter().all(|pause| within.contains(pause)),
            "{pauses:?}"
        );
        assert!(pauses.windows(2).any(|two| two[0] != two[1]));
    }
}

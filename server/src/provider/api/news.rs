//! News, pushed as they come: one stream for each device, as server-sent events.
//!
//! Invariant: a stream holds at most one event in memory, which is at most
//! [`letterlock_core::sync::news::NEWS_OCTETS`] of the log; a device that reads slowly is told more at
//! once later. It ends when its token does: each time before something is told, and with each sign
//! of life, the token is looked up again.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, header};
use axum::response::{IntoResponse, Response};
use futures::stream;
use letterlock_core::id::{AccountId, Generation};
use letterlock_core::sync::news::{
    EVENT_STREAM, HEARTBEAT_MS, LAST_EVENT_ID, MAX_STREAMS, SIGN_OF_LIFE, event,
};
use letterlock_core::sync::wire::{News, PullResponse};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::auth::Authorized;
use super::error::ApiError;
use crate::provider::Provider;
use crate::provider::db::{Changes, Cut, Wanted, changed_since, sessions};

/// Tells what changes, as it changes, until the token ends.
///
/// Events of the type `news`; each id is the generation up to which it tells, its data are a `News`
/// in CBOR in base64url without padding. Comments in between show that the stream lives. Of an
/// account's streams the newest 128 are kept.
#[utoipa::path(
    get,
    path = "/api/v1/news",
    operation_id = "news",
    tag = "sync",
    params(("Last-Event-ID" = Option<u64>, Header, description = "The last generation heard.")),
    responses(
        (status = OK, description = "A stream that does not end by itself.", body = News, content_type = "text/event-stream"),
        ApiError,
    ),
    security(("token" = []))
)]
pub(super) async fn listen(
    State(provider): State<Arc<Provider>>,
    session: Authorized,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let since = match headers.get(LAST_EVENT_ID) {
        None => Generation::default(),
        Some(value) => {
            let number = value
                .to_str()
                .ok()
                .and_then(|text| text.trim().parse().ok());
            let number = number.ok_or_else(|| ApiError::malformed("Last-Event-ID is no number"))?;
            Generation(number)
        }
    };
    let listener = Listener {
        // Subscribed before the first look, so that nothing falls between the two.
        news: provider.db.subscribe(session.account),
        place: Place::take(&provider.listeners, session.account),
        provider,
        session,
        since,
        greeted: false,
    };
    let events = stream::unfold(listener, |listener| Box::pin(listener.next()));
    let headers = [
        (header::CONTENT_TYPE, EVENT_STREAM),
        (header::CACHE_CONTROL, "no-store, no-transform"),
        // nginx collects what it passes on, unless it is told.
        (HeaderName::from_static("x-accel-buffering"), "no"),
    ];
    Ok((headers, Body::from_stream(events)).into_response())
}

/// A device that listens.
struct Listener {
    provider: Arc<Provider>,
    session: Authorized,
    news: watch::Receiver<Generation>,
    place: Place,
    /// It was told everything up to here.
    since: Generation,
    greeted: bool,
}

impl Listener {
    /// Waits for what is to be said next; `None` ends the stream.
    async fn next(mut self) -> Option<(Result<Bytes, Infallible>, Self)> {
        if !self.greeted {
            self.greeted = true;
            return Some((Ok(Bytes::from_static(SIGN_OF_LIFE.as_bytes())), self));
        }
        loop {
            self.news.borrow_and_update();
            let changes = self.look().await?;
            // A log that ends before `since` was set back: the device must hear of it now.
            if !changes.entries.is_empty() || changes.more || changes.until < self.since {
                return Some((Ok(self.tell(changes)), self));
            }
            self.since = changes.until;
            tokio::select! {
                heard = self.news.changed() => heard.ok()?,
                () = tokio::time::sleep(Duration::from_millis(HEARTBEAT_MS.into())) => {
                    return Some((Ok(Bytes::from_static(SIGN_OF_LIFE.as_bytes())), self));
                }
                () = self.place.taken.cancelled() => return None,
                () = self.provider.closing.cancelled() => return None,
            }
        }
    }

    /// What is new; `None` if the token has ended or the storage fails.
    async fn look(&self) -> Option<Changes> {
        let (account, token) = (self.session.account, self.session.token_hash);
        let (since, now) = (self.since, self.provider.clock.now());
        let db = &self.provider.db;
        let changes = db.read_account(account, move |transaction, blobs| {
            if sessions::find(transaction, &token, now)?.is_none() {
                return Ok(None);
            }
            let all = Wanted::default();
            changed_since(transaction, blobs, account, since, all, Cut::News).map(Some)
        });
        match changes.await {
            Ok(changes) => changes,
            Err(error) => {
                tracing::error!(%error, "a stream of news ends");
                None
            }
        }
    }

    fn tell(&mut self, changes: Changes) -> Bytes {
        let news = News {
            since: self.since,
            changes: PullResponse {
                entries: changes.entries,
                until: changes.until,
                more: changes.more,
            },
        };
        // What has no room is asked for.
        self.since = changes.end;
        Bytes::from(event(&news))
    }
}

/// Who listens, the oldest first.
#[derive(Debug, Default)]
pub(crate) struct Listeners {
    streams: BTreeMap<(AccountId, u64), CancellationToken>,
    last: u64,
}

/// A stream's place among those of its account, until it is dropped.
struct Place {
    listeners: Arc<Mutex<Listeners>>,
    key: (AccountId, u64),
    /// Another has taken it.
    taken: CancellationToken,
}

impl Place {
    fn take(listeners: &Arc<Mutex<Listeners>>, account: AccountId) -> Self {
        let taken = CancellationToken::new();
        let mut all = listeners.lock().unwrap_or_else(PoisonError::into_inner);
        all.last = all.last.wrapping_add(1);
        let key = (account, all.last);
        all.streams.insert(key, taken.clone());
        let of_account = all.streams.range((account, 0)..=(account, u64::MAX));
        let over = of_account.clone().count().saturating_sub(MAX_STREAMS);
        let oldest: Vec<_> = of_account.take(over).map(|(key, _)| *key).collect();
        for key in oldest {
            if let Some(taken) = all.streams.remove(&key) {
                taken.cancel();
            }
        }
        drop(all);
        Self {
            listeners: Arc::clone(listeners),
            key,
            taken,
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let listeners = self.listeners.lock();
        let mut listeners = listeners.unwrap_or_else(PoisonError::into_inner);
        listeners.streams.remove(&self.key);
    }
}

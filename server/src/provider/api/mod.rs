//! What devices call: one file per resource, each a handler and its mapping to the storage.
//!
//! Types, limits and status codes are `letterlock_core::sync::wire` and
//! `letterlock_core::auth::wire`. Errors are JSON with a stable code (`error`).
//! Invariant: a handler speaks about the token's account alone; no address, token or content
//! gets into a log. There is no CORS: a page of another origin has no business here, except in the
//! public Web Key Directory.

mod error;
mod body;
mod auth;
mod attempts;
mod waiting;
mod accounts;
mod sessions;
mod password;
mod recovery;
mod account;
mod sync;
mod keys;
mod publish;
mod directory;
mod outbox;
mod health;
mod wkd;

use std::sync::Arc;

use axum::Router;
use axum::extract::{DefaultBodyLimit, MatchedPath, Request};
use axum::routing::{delete, get, post, put};
use letterlock_core::auth::wire::MAX_ACCOUNT_REQUEST_OCTETS;
use letterlock_core::sync::wire::MAX_REQUEST_OCTETS;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::trace::TraceLayer;

use super::Provider;
use error::ApiError;

pub(super) use attempts::Attempts;
pub(super) type LogIns = waiting::Waiting<sessions::LogIn>;
pub(super) type Challenges = waiting::Waiting<recovery::Challenge>;
pub(super) type PasswordChanges = waiting::Waiting<password::Change>;

/// The provider's API, everything under `/api/`, and its Web Key Directory.
///
/// Serve it with `into_make_service_with_connect_info::<SocketAddr>()`: without a peer's address
/// the limit of log-in attempts counts by mail address alone.
pub fn router(provider: Arc<Provider>) -> Router {
    let account_calls = Router::new()
        .route("/api/v1/accounts/start", post(accounts::start))
        .route("/api/v1/accounts/finish", post(accounts::finish))
        .route("/api/v1/sessions/start", post(sessions::start))
        .route("/api/v1/sessions/finish", post(sessions::finish))
        .route("/api/v1/sessions", delete(sessions::delete))
        .route("/api/v1/account", get(account::state))
        .route("/api/v1/account/delete", post(account::delete))
        .route("/api/v1/devices/{id}", delete(account::remove_device))
        .route("/api/v1/password/start", post(password::start))
        .route("/api/v1/password/finish", post(password::finish))
        .route("/api/v1/recovery", put(recovery::set))
        .route("/api/v1/keys", put(publish::publish))
        .route("/api/v1/recovery/start", post(recovery::start))
        .route("/api/v1/recovery/prove", post(recovery::prove))
        .layer(DefaultBodyLimit::max(MAX_ACCOUNT_REQUEST_OCTETS));
    let sync_calls = Router::new()
        .route("/api/v1/sync/pull", post(sync::pull))
        .route("/api/v1/sync/push", post(sync::push))
        .route("/api/v1/sync/documents", post(sync::documents))
        .route("/api/v1/outbox", post(outbox::submit))
        .layer(DefaultBodyLimit::max(MAX_REQUEST_OCTETS));
    Router::new()
        .merge(account_calls)
        .merge(sync_calls)
        .route("/api/v1/keys/{address}", get(keys::certificate))
        .route("/api/v1/directory/head", get(directory::head))
        .route("/api/v1/directory/lookup/{address}", get(directory::lookup))
        .route("/api/v1/directory/changes", get(directory::changes))
        .route("/api/v1/directory/entry", get(directory::entry))
        .route("/api/v1/health", get(health::health))
        .route("/.well-known/openpgpkey/hu/{name}", get(wkd::direct))
        .route("/.well-known/openpgpkey/policy", get(wkd::policy))
        .route(
            "/.well-known/openpgpkey/{domain}/hu/{name}",
            get(wkd::advanced),
        )
        .route("/.well-known/openpgpkey/{domain}/policy", get(wkd::policy))
        .route("/api/{*rest}", axum::routing::any(unknown))
        .method_not_allowed_fallback(wrong_method)
        .layer(CatchPanicLayer::custom(panicked))
        .layer(TraceLayer::new_for_http().make_span_with(span))
        .with_state(provider)
}

/// A request's span: the route, never the path itself, which may hold an address.
fn span(request: &Request) -> tracing::Span {
    let route = request
        .extensions()
        .get::<MatchedPath>()
        .map_or("", MatchedPath::as_str);
    tracing::debug_span!("request", method = %request.method(), route)
}

async fn unknown() -> ApiError {
    ApiError::not_found("unknown_call", "there is no such call")
}

async fn wrong_method() -> ApiError {
    ApiError::wrong_method()
}

fn panicked(_: Box<dyn std::any::Any + Send>) -> axum::response::Response {
    tracing::error!("a request's handler panicked");
    axum::response::IntoResponse::into_response(ApiError::internal())
}

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
mod devices;
mod rendezvous;
mod sync;
mod news;
mod keys;
mod publish;
mod directory;
mod outbox;
mod health;
mod wkd;
mod docs;

use std::sync::Arc;

use axum::Router;
use axum::extract::{DefaultBodyLimit, MatchedPath, Request};
use axum::routing::get;
use letterlock_core::auth::wire::MAX_ACCOUNT_REQUEST_OCTETS;
use letterlock_core::sync::wire::MAX_REQUEST_OCTETS;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::trace::TraceLayer;
use utoipa::OpenApi as _;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Provider;
use error::ApiError;

pub(super) use attempts::Attempts;
pub(super) use news::Listeners;
pub(super) type LogIns = waiting::Waiting<sessions::LogIn>;
pub(super) type Challenges = waiting::Waiting<recovery::Challenge>;
pub(super) type DeviceChallenges = waiting::Waiting<devices::Challenge>;
pub(super) type PasswordChanges = waiting::Waiting<password::Change>;

/// The provider's API, everything under `/api/`, its description at `/api/docs`, and its Web Key
/// Directory.
///
/// Serve it with `into_make_service_with_connect_info::<SocketAddr>()`: without a peer's address
/// the limit of log-in attempts counts by mail address alone.
pub fn router(provider: Arc<Provider>) -> Router {
    let account_calls = OpenApiRouter::new()
        .routes(routes!(accounts::start))
        .routes(routes!(accounts::finish))
        .routes(routes!(sessions::start))
        .routes(routes!(sessions::finish))
        .routes(routes!(sessions::delete))
        .routes(routes!(devices::challenge))
        .routes(routes!(devices::prove))
        .routes(routes!(devices::show, devices::put))
        .routes(routes!(
            rendezvous::show,
            rendezvous::put,
            rendezvous::answer
        ))
        .routes(routes!(account::state))
        .routes(routes!(account::delete))
        .routes(routes!(account::remove_device))
        .routes(routes!(password::start))
        .routes(routes!(password::finish))
        .routes(routes!(recovery::start))
        .routes(routes!(recovery::prove))
        .routes(routes!(recovery::set))
        .routes(routes!(publish::publish))
        .layer(DefaultBodyLimit::max(MAX_ACCOUNT_REQUEST_OCTETS));
    let sync_calls = OpenApiRouter::new()
        .routes(routes!(sync::pull))
        .routes(routes!(sync::push))
        .routes(routes!(sync::documents))
        .routes(routes!(news::listen))
        .routes(routes!(outbox::submit))
        .layer(DefaultBodyLimit::max(MAX_REQUEST_OCTETS));
    let (calls, description) = OpenApiRouter::with_openapi(docs::ApiDocs::openapi())
        .merge(account_calls)
        .merge(sync_calls)
        .routes(routes!(keys::certificate))
        .routes(routes!(directory::head))
        .routes(routes!(directory::lookup))
        .routes(routes!(directory::changes))
        .routes(routes!(directory::entry))
        .routes(routes!(health::health))
        .split_for_parts();
    calls
        .merge(docs::router(&description))
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

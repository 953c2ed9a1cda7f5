//! A device hands in a mail to be delivered and relayed.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use letterlock_core::sync::wire::Submission;

use super::auth::Authorized;
use super::body::Body;
use super::error::ApiError;
use crate::provider::Provider;

/// Hands over a mail to be delivered or relayed.
///
/// The same id again changes nothing.
#[utoipa::path(
    post,
    path = "/api/v1/outbox",
    operation_id = "submit",
    tag = "sync",
    request_body(content = Submission, content_type = "application/cbor"),
    responses(
        (status = ACCEPTED, description = "The provider has it, durably."),
        ApiError,
    ),
    security(("token" = []))
)]
pub(super) async fn submit(
    State(provider): State<Arc<Provider>>,
    session: Authorized,
    body: Body,
) -> Result<StatusCode, ApiError> {
    let submission: Submission = body.cbor()?;
    drop(body);
    let now = provider.clock.now();
    provider.submit(session.account, submission, now).await?;
    Ok(StatusCode::ACCEPTED)
}

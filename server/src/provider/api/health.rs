//! Whether the provider works: it answers if its database does.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

use super::error::ApiError;
use crate::provider::Provider;
use crate::provider::db::accounts;

#[derive(Serialize, ToSchema)]
pub(super) struct Health {
    /// `ok`.
    status: &'static str,
    /// The program's version.
    version: &'static str,
}

/// Whether the provider works: it answers if its database does.
#[utoipa::path(
    get,
    path = "/api/v1/health",
    operation_id = "health",
    tag = "health",
    responses(
        (status = OK, description = "It works.", body = Health),
        ApiError,
    )
)]
pub(super) async fn health(
    State(provider): State<Arc<Provider>>,
) -> Result<Json<Health>, ApiError> {
    provider
        .db
        .read(|transaction, _| {
            accounts::provider_value(transaction, crate::provider::SERVER_SECRET)
        })
        .await?;
    Ok(Json(Health {
        status: "ok",
        version: env!("CARGO_PKG_VERSION"),
    }))
}

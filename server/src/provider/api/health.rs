//! Whether the provider works: it answers if its database does.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::Serialize;

use super::error::ApiError;
use crate::provider::Provider;
use crate::provider::db::accounts;

#[derive(Serialize)]
pub(super) struct Health {
    status: &'static str,
    version: &'static str,
}

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

//! The key directory: an address's certificates, one after the other, for everybody who writes to
//! it.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use letterlock_core::id::Address;

use super::error::ApiError;
use crate::provider::Provider;

/// The OpenPGP certificates of an address, without a proof.
#[utoipa::path(
    get,
    path = "/api/v1/keys/{address}",
    operation_id = "certificates",
    tag = "keys",
    params(("address" = String, Path, description = "A mail address.")),
    responses(
        (status = OK, description = "Binary certificates, one behind the other.", body = Vec<u8>, content_type = "application/octet-stream"),
        ApiError,
    )
)]
pub(super) async fn certificate(
    State(provider): State<Arc<Provider>>,
    Path(address): Path<String>,
) -> Result<Response, ApiError> {
    let address = Address::new(&address)
        .map_err(|error| ApiError::malformed(&format!("the address {error}")))?;
    let found = provider.resolve(vec![address]).await?;
    let certificates = found
        .into_iter()
        .flatten()
        .find_map(|recipient| recipient.certificates);
    let Some(certificates) = certificates else {
        let message = "no certificate is known for this address";
        return Err(ApiError::not_found("no_certificate", message));
    };
    let content_type = [(header::CONTENT_TYPE, "application/octet-stream")];
    Ok((content_type, certificates).into_response())
}

//! Bodies: whole octets within the call's limit, then CBOR or JSON.

use axum::body::Bytes;
use axum::extract::{FromRequest, Request};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use letterlock_core::sync::wire;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::error::ApiError;

/// A body that is within the limit.
pub(super) struct Body(Bytes);

impl<S: Send + Sync> FromRequest<S> for Body {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        match Bytes::from_request(request, state).await {
            Ok(octets) => Ok(Self(octets)),
            Err(rejection) if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE => {
                Err(ApiError::too_large())
            }
            Err(_) => Err(ApiError::malformed("the request's body ends early")),
        }
    }
}

impl Body {
    pub(super) fn cbor<T: DeserializeOwned>(&self) -> Result<T, ApiError> {
        wire::decode(&self.0).map_err(|error| {
            tracing::debug!(%error, "a request does not decode");
            ApiError::malformed(&format!("the body is no {}", error.expected))
        })
    }

    pub(super) fn json<T: DeserializeOwned>(&self) -> Result<T, ApiError> {
        serde_json::from_slice(&self.0).map_err(|error| {
            let place = format!("line {}, column {}", error.line(), error.column());
            ApiError::malformed(&format!("the body is not the JSON of this call: {place}"))
        })
    }
}

/// An answer in CBOR.
pub(super) struct Cbor<T>(pub(super) StatusCode, pub(super) T);

impl<T: Serialize> IntoResponse for Cbor<T> {
    fn into_response(self) -> Response {
        let content_type = [(header::CONTENT_TYPE, wire::CBOR)];
        (self.0, content_type, wire::encode(&self.1)).into_response()
    }
}

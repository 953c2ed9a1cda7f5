//! The one place where errors become HTTP: status, stable code, JSON body.

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use letterlock_core::sync::wire::ErrorBody;

use crate::provider::DbError;
use crate::provider::mx::{DeliverError, SubmitError};

/// An error as a device sees it.
#[derive(Debug)]
pub(super) struct ApiError {
    status: StatusCode,
    code: &'static str,
    message: String,
    retry_after_secs: Option<u64>,
}

impl ApiError {
    pub(super) fn new(status: StatusCode, code: &'static str, message: &str) -> Self {
        Self {
            status,
            code,
            message: message.to_owned(),
            retry_after_secs: None,
        }
    }

    pub(super) fn malformed(message: &str) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "malformed", message)
    }

    pub(super) fn bad_request(code: &'static str, message: &str) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code, message)
    }

    pub(super) fn unauthorized() -> Self {
        let message = "log in first: the token is missing, unknown or ended";
        Self::new(StatusCode::UNAUTHORIZED, "unauthorized", message)
    }

    /// One text for a wrong password and for an unknown address.
    pub(super) fn wrong_password() -> Self {
        let message = "the address or the password is wrong";
        Self::new(StatusCode::UNAUTHORIZED, "wrong_password", message)
    }

    /// One text for a wrong phrase, an account without one and an unknown address.
    pub(super) fn wrong_phrase() -> Self {
        let message = "the address or the recovery phrase is wrong";
        Self::new(StatusCode::UNAUTHORIZED, "wrong_phrase", message)
    }

    /// One text for a wrong proof, a device that was removed or logged out and an unknown one.
    pub(super) fn wrong_device() -> Self {
        let message = "this device cannot log in by its key: log in with the password";
        Self::new(StatusCode::UNAUTHORIZED, "wrong_device", message)
    }

    pub(super) fn proof_needed() -> Self {
        let message = "the first list of devices needs a proof of the password";
        Self::forbidden("proof_needed", message)
    }

    pub(super) fn list_changed() -> Self {
        let message = "there is a later list of devices: build on that one";
        Self::new(StatusCode::CONFLICT, "list_changed", message)
    }

    /// What was begun is not known (any more).
    pub(super) fn expired() -> Self {
        let message = "this took too long: begin again";
        Self::new(StatusCode::UNAUTHORIZED, "log_in_expired", message)
    }

    pub(super) fn invite_needed() -> Self {
        let message =
            "this provider takes invited people only: the code is missing, unknown or used";
        Self::new(StatusCode::FORBIDDEN, "invite_needed", message)
    }

    pub(super) fn over_quota() -> Self {
        let message = "the account has used up its room; nothing of this was stored";
        Self::new(StatusCode::INSUFFICIENT_STORAGE, "over_quota", message)
    }

    pub(super) fn forbidden(code: &'static str, message: &str) -> Self {
        Self::new(StatusCode::FORBIDDEN, code, message)
    }

    pub(super) fn not_found(code: &'static str, message: &str) -> Self {
        Self::new(StatusCode::NOT_FOUND, code, message)
    }

    pub(super) fn address_taken() -> Self {
        let message = "this address belongs to somebody already";
        Self::new(StatusCode::CONFLICT, "address_taken", message)
    }

    pub(super) fn already_left() -> Self {
        let message = "this message of the rendezvous is there already";
        Self::new(StatusCode::CONFLICT, "already_left", message)
    }

    pub(super) fn wrong_method() -> Self {
        let message = "this call does not know that method";
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "wrong_method", message)
    }

    pub(super) fn too_large() -> Self {
        let message = "the request is larger than this call takes";
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", message)
    }

    pub(super) fn too_many_attempts(retry_after_secs: u64) -> Self {
        let message = "too many failed log-ins: wait before the next one";
        let mut error = Self::new(StatusCode::TOO_MANY_REQUESTS, "too_many_attempts", message);
        error.retry_after_secs = Some(retry_after_secs);
        error
    }

    pub(super) fn too_many_sign_ups(retry_after_secs: u64) -> Self {
        let message = "too many accounts were made from here: wait before the next one";
        let mut error = Self::new(StatusCode::TOO_MANY_REQUESTS, "too_many_attempts", message);
        error.retry_after_secs = Some(retry_after_secs);
        error
    }

    pub(super) fn too_many_enrolments(retry_after_secs: u64) -> Self {
        let message = "too many enrolments of devices were begun: wait before the next one";
        let mut error = Self::new(StatusCode::TOO_MANY_REQUESTS, "too_many_attempts", message);
        error.retry_after_secs = Some(retry_after_secs);
        error
    }

    pub(super) fn internal() -> Self {
        let message = "the provider failed; its log says why";
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", message)
    }
}

/// Logged here, once; paths and causes stay on this side.
impl From<DbError> for ApiError {
    fn from(error: DbError) -> Self {
        Self::from(&error)
    }
}

impl From<&DbError> for ApiError {
    fn from(error: &DbError) -> Self {
        if matches!(error, DbError::NoAccount) {
            return Self::unauthorized();
        }
        tracing::error!(%error, "the storage failed");
        match error {
            DbError::Full { .. } => {
                let message = "the provider's disk is full; nothing was stored";
                Self::new(StatusCode::INSUFFICIENT_STORAGE, "disk_full", message)
            }
            DbError::Stopped => {
                let message = "the provider is shutting down";
                Self::new(StatusCode::SERVICE_UNAVAILABLE, "stopping", message)
            }
            DbError::Moving => {
                let message = "the account is being moved: try again";
                let mut error = Self::new(StatusCode::SERVICE_UNAVAILABLE, "moving", message);
                error.retry_after_secs = Some(1);
                error
            }
            DbError::Damaged { .. }
            | DbError::WrongShard { .. }
            | DbError::NewerSchema { .. }
            | DbError::Io { .. }
            | DbError::Database { .. }
            | DbError::Postgres { .. }
            | DbError::Object { .. }
            | DbError::NoAccount => Self::internal(),
        }
    }
}

impl From<SubmitError> for ApiError {
    fn from(error: SubmitError) -> Self {
        let message = error.to_string();
        match error {
            SubmitError::WrongSender => Self::forbidden("wrong_sender", &message),
            SubmitError::Recipients => Self::bad_request("recipients", &message),
            SubmitError::TooLarge => Self::too_large(),
            SubmitError::Storage(error) => Self::from(error),
            SubmitError::Recipient { error, .. } => match error {
                DeliverError::UnknownRecipient => {
                    let status = StatusCode::UNPROCESSABLE_ENTITY;
                    Self::new(status, "unknown_recipient", &message)
                }
                DeliverError::NotLocal => {
                    Self::new(StatusCode::UNPROCESSABLE_ENTITY, "not_local", &message)
                }
                DeliverError::TooLarge => Self::too_large(),
                DeliverError::MailboxFull | DeliverError::LargerThanQuota => {
                    Self::new(StatusCode::UNPROCESSABLE_ENTITY, "mailbox_full", &message)
                }
                DeliverError::NoCertificate | DeliverError::Encryption => Self::new(
                    StatusCode::SERVICE_UNAVAILABLE,
                    "undeliverable_now",
                    &message,
                ),
                DeliverError::Storage(error) => Self::from(&*error),
            },
        }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let body = ErrorBody {
            code: self.code.to_owned(),
            message: self.message,
        };
        let mut response = (self.status, Json(body)).into_response();
        if let Some(secs) = self.retry_after_secs {
            let headers = response.headers_mut();
            headers.insert(header::RETRY_AFTER, HeaderValue::from(secs));
        }
        response
    }
}

//! A new password: for who knows the old one, or the recovery phrase (`recovery`).
//!
//! Record, wrap, log-ins and the list that names the password change in one transaction. Invariant: the provider evaluates its OPRF
//! for a new password only after a proof; a token alone gets no oracle to try guesses with.

use std::sync::{Arc, PoisonError};

use axum::Json;
use axum::extract::State;
use letterlock_core::auth::wire::{
    Octets, OtherDevices, PasswordFinish, PasswordFinished, PasswordStart, PasswordStarted,
};
use letterlock_core::auth::{RootKeyWrap, sign_up};
use letterlock_core::id::{AccountId, Address, ReplicaId};

use super::auth::{Authorized, check_device, new_token};
use super::body::Body;
use super::devices as lists;
use super::error::ApiError;
use super::sessions as log_ins;
use crate::provider::Provider;
use crate::provider::db::sessions::TokenHash;
use crate::provider::db::{Decision, Scope, accounts, devices, sessions};

/// A change of a password that was allowed and waits for the record.
pub(crate) struct Change {
    pub(super) account: AccountId,
    pub(super) by: By,
}

/// What the change was allowed by.
pub(super) enum By {
    /// The old password, on this device with this token.
    Password(ReplicaId, TokenHash),
    /// The recovery phrase; the device has no token yet.
    Phrase,
}

/// Begins a change of the password.
#[utoipa::path(
    post,
    path = "/api/v1/password/start",
    operation_id = "password_start",
    tag = "account",
    request_body = PasswordStart,
    responses(
        (status = OK, description = "The provider's half.", body = PasswordStarted),
        ApiError,
    ),
    security(("token" = []))
)]
pub(super) async fn start(
    State(provider): State<Arc<Provider>>,
    session: Authorized,
    body: Body,
) -> Result<Json<PasswordStarted>, ApiError> {
    let request: PasswordStart = body.json()?;
    let address = log_ins::prove(&provider, &session, &request.proof).await?;
    let change = Change {
        account: session.account,
        by: By::Password(session.replica, session.token_hash),
    };
    let (change, response) = allow(&provider, change, &address, &request.request)?;
    Ok(Json(PasswordStarted { change, response }))
}

/// Evaluates the OPRF for the new password and keeps the change until the record comes.
pub(super) fn allow(
    provider: &Provider,
    change: Change,
    address: &Address,
    request: &Octets,
) -> Result<(Octets, Octets), ApiError> {
    let response = sign_up::respond(&provider.secret, address, &request.0)
        .map_err(|error| ApiError::malformed(&error.to_string()))?;
    let id = provider
        .changes
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .put(change, provider.clock.now());
    Ok((id.into(), response.into()))
}

/// Sets the new password: record, wrap, log-ins and the list of devices, or nothing.
///
/// The change that the first call named stands for a token: who recovers an account has none. 409
/// `list_changed` if another device has changed the list meanwhile: begin again.
#[utoipa::path(
    post,
    path = "/api/v1/password/finish",
    operation_id = "password_finish",
    tag = "account",
    request_body = PasswordFinish,
    responses(
        (status = OK, description = "The new password holds.", body = PasswordFinished),
        ApiError,
    )
)]
pub(super) async fn finish(
    State(provider): State<Arc<Provider>>,
    body: Body,
) -> Result<Json<PasswordFinished>, ApiError> {
    let request: PasswordFinish = body.json()?;
    check_device(&request.device)?;
    sign_up::check_record(&request.record.0)
        .map_err(|error| ApiError::malformed(&error.to_string()))?;
    RootKeyWrap::from_octets(&request.root_key_wrap.0)
        .map_err(|error| ApiError::malformed(&error.to_string()))?;
    let now = provider.clock.now();
    let change = provider
        .changes
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .take(&request.change.0, now)
        .ok_or_else(ApiError::expired)?;
    let list = request.devices.as_ref();
    let list = list
        .map(|list| lists::read(list, change.account))
        .transpose()?;
    let (token, hash, kept) = match change.by {
        By::Password(replica, hash) => (None, hash, replica),
        By::Phrase => {
            let (token, hash) = new_token(change.account);
            (Some(token), hash, request.device.id)
        }
    };
    let is_new = token.is_some();
    let changed = provider
        .db
        .write(
            Scope::account(change.account),
            move |transaction, effects| {
                // The device may have been removed since the change was allowed.
                let allowed = is_new || sessions::find(transaction, &hash, now)?.is_some();
                let (record, wrap) = (&request.record.0, &request.root_key_wrap.0);
                if !allowed || !accounts::set_password(transaction, change.account, record, wrap)? {
                    return Ok(Decision::Rollback(Err(ApiError::unauthorized())));
                }
                if let Some(list) = &list {
                    let account = (change.account, list);
                    if let Some(error) = lists::replace(transaction, effects, account, true)? {
                        return Ok(Decision::Rollback(Err(error)));
                    }
                }
                if is_new {
                    let device = (request.device.id, request.device.name.as_str());
                    sessions::insert(transaction, change.account, &hash, device, now)?;
                }
                if request.others == OtherDevices::LogOut {
                    sessions::delete_others(transaction, effects, change.account, Some(kept))?;
                }
                devices::admit(transaction, change.account, kept)?;
                Ok(Decision::Commit(Ok(())))
            },
        )
        .await?;
    changed?;
    Ok(Json(PasswordFinished { token }))
}

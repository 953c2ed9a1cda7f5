//! Log-in, in two calls, and log-out; and a log-in whose second half proves the password for
//! another call.

use std::net::IpAddr;
use std::sync::{Arc, PoisonError};

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use letterlock_core::auth::wire::{
    LogInFinish, LogInFinished, LogInStart, LogInStarted, PasswordProof,
};
use letterlock_core::auth::{LogInError, ServerLogIn};
use letterlock_core::id::Address;
use rand::rngs::OsRng;

use super::auth::{Authorized, From, check_device, new_token};
use super::body::Body;
use super::error::ApiError;
use crate::provider::Provider;
use crate::provider::db::{Decision, Home, Scope, accounts, devices, places, sessions};

/// A log-in between its two calls.
pub(crate) struct LogIn {
    state: ServerLogIn,
    address: Address,
    peer: Option<IpAddr>,
}

/// Begins a log-in, or a proof of the password.
///
/// Unknown addresses are answered like known ones. 429 `too_many_attempts` with `Retry-After`.
#[utoipa::path(
    post,
    path = "/api/v1/sessions/start",
    operation_id = "log_in_start",
    tag = "sessions",
    request_body = LogInStart,
    responses(
        (status = OK, description = "The provider's half.", body = LogInStarted),
        ApiError,
    )
)]
pub(super) async fn start(
    State(provider): State<Arc<Provider>>,
    From(peer): From,
    body: Body,
) -> Result<Json<LogInStarted>, ApiError> {
    let LogInStart { address, request } = body.json()?;
    begin_attempt(&provider, &address, peer)?;
    let now = provider.clock.now();
    let wanted = address.clone();
    let found = provider
        .db
        .read_at(Home::Address(address.clone()), move |transaction, _| {
            accounts::credentials(transaction, &wanted)
        })
        .await?;
    let record = found.as_ref().map(|found| found.record.as_slice());
    let (state, response) =
        ServerLogIn::start(&provider.secret, &address, record, &request.0, &mut OsRng)
            .map_err(|error| ApiError::malformed(&error.to_string()))?;
    let log_in = LogIn {
        state,
        address,
        peer,
    };
    let id = provider
        .log_ins
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .put(log_in, now);
    Ok(Json(LogInStarted {
        session: id.into(),
        response: response.into(),
    }))
}

/// Proves the password and logs a device in.
///
/// 401 `wrong_password`, `log_in_expired`.
#[utoipa::path(
    post,
    path = "/api/v1/sessions/finish",
    operation_id = "log_in_finish",
    tag = "sessions",
    request_body = LogInFinish,
    responses(
        (status = OK, description = "A token for this device, and the wrapped root key.", body = LogInFinished),
        ApiError,
    )
)]
pub(super) async fn finish(
    State(provider): State<Arc<Provider>>,
    body: Body,
) -> Result<Json<LogInFinished>, ApiError> {
    let request: LogInFinish = body.json()?;
    check_device(&request.device)?;
    let now = provider.clock.now();
    let proved = finish_handshake(&provider, &request.session.0, &request.finalization.0)?;
    let address = proved.address.clone();
    let wanted = address.clone();
    let account = provider
        .db
        .read(move |transaction, _| places::find(transaction, &wanted))
        .await?
        .ok_or_else(ApiError::wrong_password)?;
    let (token, hash) = new_token(account);
    let found = provider
        .db
        .write(Scope::account(account), move |transaction, _| {
            // It may have been ended since.
            let found = accounts::credentials(transaction, &address)?;
            let Some(found) = found.filter(|found| found.account == account) else {
                return Ok(Decision::Rollback(None));
            };
            let device = (request.device.id, request.device.name.as_str());
            sessions::insert(transaction, found.account, &hash, device, now)?;
            devices::admit(transaction, found.account, device.0)?;
            Ok(Decision::Commit(Some(found)))
        })
        .await?
        .ok_or_else(ApiError::wrong_password)?;
    succeeded(&provider, &proved.address, proved.peer);
    Ok(Json(LogInFinished {
        token,
        account_id: found.account,
        root_key_wrap: found.root_key_wrap.into(),
    }))
}

/// Checks the second half of a log-in that was made for another call of a device that is logged
/// in: whoever has found its token cannot go on from there.
pub(super) async fn prove(
    provider: &Provider,
    session: &Authorized,
    proof: &PasswordProof,
) -> Result<Address, ApiError> {
    let proved = finish_handshake(provider, &proof.session.0, &proof.finalization.0)?;
    let address = proved.address.clone();
    let found = provider
        .db
        .read(move |transaction, _| places::find(transaction, &address))
        .await?;
    if found != Some(session.account) {
        return Err(ApiError::wrong_password());
    }
    succeeded(provider, &proved.address, proved.peer);
    Ok(proved.address)
}

struct Proved {
    address: Address,
    peer: Option<IpAddr>,
}

fn finish_handshake(
    provider: &Provider,
    session: &[u8],
    finalization: &[u8],
) -> Result<Proved, ApiError> {
    let waiting = provider
        .log_ins
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .take(session, provider.clock.now());
    let log_in = waiting.ok_or_else(ApiError::expired)?;
    log_in
        .state
        .finish(finalization)
        .map_err(|error| match error {
            LogInError::WrongPassword => ApiError::wrong_password(),
            LogInError::Malformed => ApiError::malformed(&error.to_string()),
        })?;
    Ok(Proved {
        address: log_in.address,
        peer: log_in.peer,
    })
}

/// Counts an attempt to get into an account, or refuses it.
pub(super) fn begin_attempt(
    provider: &Provider,
    address: &Address,
    peer: Option<IpAddr>,
) -> Result<(), ApiError> {
    provider
        .attempts
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .begin(address, peer, provider.clock.now())
        .map_err(ApiError::too_many_attempts)
}

/// The attempt was no failure.
pub(super) fn succeeded(provider: &Provider, address: &Address, peer: Option<IpAddr>) {
    provider
        .attempts
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .succeed(address, peer);
}

/// Ends the log-in of the token.
#[utoipa::path(
    delete,
    path = "/api/v1/sessions",
    operation_id = "log_out",
    tag = "sessions",
    responses(
        (status = NO_CONTENT, description = "The token is worth nothing any more."),
        ApiError,
    ),
    security(("token" = []))
)]
pub(super) async fn delete(
    State(provider): State<Arc<Provider>>,
    session: Authorized,
) -> Result<StatusCode, ApiError> {
    provider
        .db
        .write(
            Scope::account(session.account),
            move |transaction, effects| {
                sessions::delete(transaction, effects, session.account, &session.token_hash)?;
                Ok(Decision::Commit(()))
            },
        )
        .await?;
    Ok(StatusCode::NO_CONTENT)
}

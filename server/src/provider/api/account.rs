//! What an account's owner sees of it: its room and its devices; and its end.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use letterlock_core::auth::wire::{AccountDelete, AccountDeleted, AccountState, DeviceState};
use letterlock_core::id::ReplicaId;

use super::auth::Authorized;
use super::body::Body;
use super::error::ApiError;
use super::sessions as log_ins;
use crate::provider::Provider;
use crate::provider::db::{Decision, Home, Scope, accounts, deletion, sessions};

/// What the provider knows of the account.
#[utoipa::path(
    get,
    path = "/api/v1/account",
    operation_id = "account_state",
    tag = "account",
    responses(
        (status = OK, description = "Room, devices, whether a recovery phrase is set.", body = AccountState),
        ApiError,
    ),
    security(("token" = []))
)]
pub(super) async fn state(
    State(provider): State<Arc<Provider>>,
    session: Authorized,
) -> Result<Json<AccountState>, ApiError> {
    let account = session.account;
    let (found, devices) = provider
        .db
        .read_account(account, move |transaction, _| {
            let state = accounts::state(transaction, account)?;
            Ok((state, sessions::devices(transaction, account)?))
        })
        .await?;
    let found = found.ok_or_else(ApiError::unauthorized)?;
    let devices = devices.into_iter().map(|device| DeviceState {
        id: device.replica,
        name: device.name,
        since: device.since,
        last_seen: device.last_seen,
        current: device.replica == session.replica,
    });
    Ok(Json(AccountState {
        created_at: found.created_at,
        has_recovery: found.has_recovery,
        used_octets: found.octets,
        quota_octets: provider.config.quota_octets,
        devices: devices.collect(),
    }))
}

/// Logs a device out for good.
///
/// 404 `no_such_device`.
#[utoipa::path(
    delete,
    path = "/api/v1/devices/{id}",
    operation_id = "remove_device",
    tag = "account",
    params(("id" = String, Path, description = "The device, in hexadecimal.")),
    responses(
        (status = NO_CONTENT, description = "Its tokens are worth nothing any more."),
        ApiError,
    ),
    security(("token" = []))
)]
pub(super) async fn remove_device(
    State(provider): State<Arc<Provider>>,
    session: Authorized,
    Path(id): Path<String>,
) -> Result<StatusCode, ApiError> {
    let none = || ApiError::not_found("no_such_device", "the account has no such device");
    let replica: ReplicaId = id.parse().map_err(|_| none())?;
    let removed = provider
        .db
        .write(
            Scope::account(session.account),
            move |transaction, effects| {
                let removed =
                    sessions::delete_device(transaction, effects, session.account, replica)?;
                Ok(Decision::Commit(removed))
            },
        )
        .await?;
    if removed {
        Ok(StatusCode::NO_CONTENT)
    } else {
        Err(none())
    }
}

/// Ends the account and removes what it had.
#[utoipa::path(
    post,
    path = "/api/v1/account/delete",
    operation_id = "delete_account",
    tag = "account",
    request_body = AccountDelete,
    responses(
        (status = OK, description = "What was removed.", body = AccountDeleted),
        ApiError,
    ),
    security(("token" = []))
)]
pub(super) async fn delete(
    State(provider): State<Arc<Provider>>,
    session: Authorized,
    body: Body,
) -> Result<Json<AccountDeleted>, ApiError> {
    let request: AccountDelete = body.json()?;
    log_ins::prove(&provider, &session, &request.proof).await?;
    let now = provider.clock.now();
    let account = session.account;
    let removed = provider
        .db
        .write_both(Home::Account(account), account, move |both, effects| {
            let removed = deletion::begin(both, effects, account, now)?;
            Ok(Decision::Commit(removed))
        })
        .await?
        .ok_or_else(ApiError::unauthorized)?;
    provider.finish_deletions().await?;
    Ok(Json(AccountDeleted {
        documents: removed.documents,
        incoming: removed.incoming,
        queued: removed.queued,
        devices: removed.devices,
        octets: removed.octets,
        reserved_until: removed.reserved_until,
    }))
}

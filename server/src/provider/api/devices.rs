//! The account's list of devices, which it signs itself, and log-ins of these by their own keys.
//!
//! Invariant: a token alone brings no device into the list: each list is signed by the account's
//! key, and the first, which names it, comes with the sign-up or a proof of the password. An unknown
//! device gets a challenge like any other, and every proof for it fails as a wrong one does.

use std::net::IpAddr;
use std::sync::{Arc, PoisonError};

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use letterlock_core::auth::device::{self, CHALLENGE_OCTETS};
use letterlock_core::auth::wire::{
    ChallengeProve, ChallengeProved, ChallengeStart, ChallengeStarted, DevicesPut, DevicesShown,
    Octets,
};
use letterlock_core::auth::{DeviceListError, SignedDeviceList};
use letterlock_core::id::{AccountId, Address, ReplicaId};
use rand::RngCore;
use rand::rngs::OsRng;

use super::auth::{Authorized, From, new_token};
use super::body::Body;
use super::error::ApiError;
use super::sessions as log_ins;
use crate::provider::Provider;
use crate::provider::db::{
    Decision, Effects, Home, Scope, Transaction, TxError, devices, sessions,
};

/// A challenge that was sent.
pub(crate) struct Challenge {
    octets: [u8; CHALLENGE_OCTETS],
    address: Address,
    device: ReplicaId,
    peer: Option<IpAddr>,
}

/// The account's list of its devices.
#[utoipa::path(
    get,
    path = "/api/v1/devices",
    operation_id = "devices",
    tag = "account",
    responses(
        (status = OK, description = "As the account's key has signed it.", body = DevicesShown),
        ApiError,
    ),
    security(("token" = []))
)]
pub(super) async fn show(
    State(provider): State<Arc<Provider>>,
    session: Authorized,
) -> Result<Json<DevicesShown>, ApiError> {
    let list = provider
        .db
        .read_account(session.account, move |transaction, _| {
            devices::list(transaction, session.account)
        })
        .await?;
    let list = list.map(|list| list.octets().to_vec().into());
    Ok(Json(DevicesShown { list }))
}

/// Replaces the list by a later one of the same account: signed by the same key, or by that of a key
/// epoch that this one's has signed.
///
/// Devices that are not in it any more are logged out. 403 `proof_needed` for the first without a
/// proof of the password; 409 `list_changed` if another device was first; 400 `bad_list`.
#[utoipa::path(
    put,
    path = "/api/v1/devices",
    operation_id = "put_devices",
    tag = "account",
    request_body = DevicesPut,
    responses(
        (status = NO_CONTENT, description = "It is the account's list."),
        ApiError,
    ),
    security(("token" = []))
)]
pub(super) async fn put(
    State(provider): State<Arc<Provider>>,
    session: Authorized,
    body: Body,
) -> Result<StatusCode, ApiError> {
    let request: DevicesPut = body.json()?;
    let list = read(&request.list, session.account)?;
    let proved = match &request.proof {
        Some(proof) => {
            log_ins::prove(&provider, &session, proof).await?;
            true
        }
        None => false,
    };
    let account = session.account;
    let done = provider
        .db
        .write(Scope::account(account), move |transaction, effects| {
            Ok(
                match replace(transaction, effects, (account, &list), proved)? {
                    Some(error) => Decision::Rollback(Err(error)),
                    None => Decision::Commit(Ok(())),
                },
            )
        })
        .await?;
    done?;
    Ok(StatusCode::NO_CONTENT)
}

/// Puts a list in the place of the one that is there; why not.
pub(super) fn replace(
    transaction: &Transaction<'_>,
    effects: &mut Effects,
    (account, list): (AccountId, &SignedDeviceList),
    proved: bool,
) -> Result<Option<ApiError>, TxError> {
    match devices::list(transaction, account)? {
        Some(stored) if list.follows(&stored) => {}
        Some(stored) if list.list().number() > stored.list().number() => {
            let message = "another key has signed it";
            return Ok(Some(ApiError::bad_request("bad_list", message)));
        }
        Some(_) => return Ok(Some(ApiError::list_changed())),
        None if !proved => return Ok(Some(ApiError::proof_needed())),
        None => {}
    }
    devices::set(transaction, effects, account, list)?;
    Ok(None)
}

/// Reads a list that is to be this account's.
pub(super) fn read(list: &Octets, account: AccountId) -> Result<SignedDeviceList, ApiError> {
    let bad = |message: &str| ApiError::bad_request("bad_list", message);
    match SignedDeviceList::parse(&list.0) {
        Ok(list) if list.account() == account => Ok(list),
        Ok(_) => Err(bad("it is another account's")),
        Err(error @ DeviceListError::Newer(_)) => Err(bad(&error.to_string())),
        Err(_) => Err(bad("it is no signed list of devices")),
    }
}

/// Asks for a challenge for a device's key.
///
/// Unknown devices get one too.
#[utoipa::path(
    post,
    path = "/api/v1/sessions/challenge",
    operation_id = "challenge_start",
    tag = "sessions",
    request_body = ChallengeStart,
    responses(
        (status = OK, description = "The challenge.", body = ChallengeStarted),
        ApiError,
    )
)]
pub(super) async fn challenge(
    State(provider): State<Arc<Provider>>,
    From(peer): From,
    body: Body,
) -> Result<Json<ChallengeStarted>, ApiError> {
    let ChallengeStart { address, device } = body.json()?;
    let now = provider.clock.now();
    if let Some(peer) = peer {
        // A key is not guessed: only who asks without end is held up, and no address.
        let mut attempts = provider
            .attempts
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let begun = attempts.begin_peer(peer, now);
        begun.map_err(ApiError::too_many_attempts)?;
    }
    let mut octets = [0; CHALLENGE_OCTETS];
    OsRng.fill_bytes(&mut octets);
    let sent = Challenge {
        octets,
        address,
        device,
        peer,
    };
    let session = provider
        .device_challenges
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .put(sent, now);
    Ok(Json(ChallengeStarted {
        session: session.into(),
        challenge: octets.to_vec().into(),
    }))
}

/// Proves the device, and logs it in for a day.
///
/// 401 `wrong_device`, `log_in_expired`.
#[utoipa::path(
    post,
    path = "/api/v1/sessions/prove",
    operation_id = "challenge_prove",
    tag = "sessions",
    request_body = ChallengeProve,
    responses(
        (status = OK, description = "The device is logged in.", body = ChallengeProved),
        ApiError,
    )
)]
pub(super) async fn prove(
    State(provider): State<Arc<Provider>>,
    body: Body,
) -> Result<Json<ChallengeProved>, ApiError> {
    let request: ChallengeProve = body.json()?;
    let now = provider.clock.now();
    let sent = provider
        .device_challenges
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .take(&request.session.0, now)
        .ok_or_else(ApiError::expired)?;
    let (address, replica, peer) = (sent.address.clone(), sent.device, sent.peer);
    let found = provider
        .db
        .read_at(Home::Address(address.clone()), move |transaction, _| {
            devices::log_in(transaction, &address, replica)
        })
        .await?;
    let key = found.as_ref().map(|found| found.key.as_slice());
    let signature = &request.signature.0;
    let proved = device::verify(key, &sent.address, replica, &sent.octets, signature);
    let (Some(found), true) = (found, proved) else {
        return Err(ApiError::wrong_device());
    };
    let (token, hash) = new_token(found.account);
    let logged_in = provider
        .db
        .write(Scope::account(found.account), move |transaction, _| {
            // It may have been removed since.
            if !devices::has_key(transaction, found.account, replica, &found.key)? {
                return Ok(Decision::Rollback(false));
            }
            let list = devices::list(transaction, found.account)?;
            let name = list.as_ref().and_then(|list| list.list().find(replica));
            let name = name.map_or("", |device| device.name.as_str());
            sessions::insert(transaction, found.account, &hash, (replica, name), now)?;
            Ok(Decision::Commit(true))
        })
        .await?;
    if !logged_in {
        return Err(ApiError::wrong_device());
    }
    if let Some(peer) = peer {
        provider
            .attempts
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .succeed_peer(peer);
    }
    Ok(Json(ChallengeProved { token }))
}

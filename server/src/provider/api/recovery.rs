//! The recovery phrase: proved for a new password, and set anew.
//!
//! An unknown address and an account without a phrase get a challenge like any other, and every
//! proof for them fails as a wrong one does, in the same words and time.

use std::net::IpAddr;
use std::sync::{Arc, PoisonError};

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use letterlock_core::auth::RootKeyWrap;
use letterlock_core::auth::recovery::{self, CHALLENGE_OCTETS};
use letterlock_core::auth::wire::{
    Recovery, RecoveryProve, RecoveryProved, RecoverySet, RecoveryStart, RecoveryStarted,
};
use letterlock_core::id::Address;
use rand::RngCore;
use rand::rngs::OsRng;

use super::auth::{Authorized, From};
use super::body::Body;
use super::devices as lists;
use super::error::ApiError;
use super::password::{self, By, Change};
use super::sessions as log_ins;
use crate::provider::Provider;
use crate::provider::db::{Decision, Home, Scope, accounts, devices};

/// A challenge that was sent.
pub(crate) struct Challenge {
    octets: [u8; CHALLENGE_OCTETS],
    address: Address,
    peer: Option<IpAddr>,
}

/// Asks for a challenge for the recovery phrase.
///
/// Unknown addresses get one too.
#[utoipa::path(
    post,
    path = "/api/v1/recovery/start",
    operation_id = "recovery_start",
    tag = "account",
    request_body = RecoveryStart,
    responses(
        (status = OK, description = "The challenge.", body = RecoveryStarted),
        ApiError,
    )
)]
pub(super) async fn start(
    State(provider): State<Arc<Provider>>,
    From(peer): From,
    body: Body,
) -> Result<Json<RecoveryStarted>, ApiError> {
    let RecoveryStart { address } = body.json()?;
    log_ins::begin_attempt(&provider, &address, peer)?;
    let mut octets = [0; CHALLENGE_OCTETS];
    OsRng.fill_bytes(&mut octets);
    let sent = Challenge {
        octets,
        address,
        peer,
    };
    let session = provider
        .challenges
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .put(sent, provider.clock.now());
    Ok(Json(RecoveryStarted {
        session: session.into(),
        challenge: octets.to_vec().into(),
    }))
}

/// Proves the recovery phrase, and asks for a new password.
///
/// 401 `wrong_phrase`, `log_in_expired`.
#[utoipa::path(
    post,
    path = "/api/v1/recovery/prove",
    operation_id = "recovery_prove",
    tag = "account",
    request_body = RecoveryProve,
    responses(
        (status = OK, description = "The phrase is right.", body = RecoveryProved),
        ApiError,
    )
)]
pub(super) async fn prove(
    State(provider): State<Arc<Provider>>,
    body: Body,
) -> Result<Json<RecoveryProved>, ApiError> {
    let request: RecoveryProve = body.json()?;
    let sent = provider
        .challenges
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .take(&request.session.0, provider.clock.now())
        .ok_or_else(ApiError::expired)?;
    let wanted = sent.address.clone();
    let found = provider
        .db
        .read_at(Home::Address(wanted.clone()), move |transaction, _| {
            let found = accounts::recoverable(transaction, &wanted)?;
            let list = match &found {
                Some(found) => devices::list(transaction, found.account)?,
                None => None,
            };
            Ok((found, list))
        })
        .await?;
    let (found, list) = found;
    let account = found.as_ref().map(|found| found.account);
    let recovery = found.and_then(|found| found.recovery);
    let verifier = recovery.as_ref().map(|known| known.verifier.as_slice());
    let signature = &request.signature.0;
    let proved = recovery::verify(verifier, &sent.address, &sent.octets, signature);
    let (Some(account), Some(recovery), true) = (account, recovery, proved) else {
        return Err(ApiError::wrong_phrase());
    };
    let by = By::Phrase;
    let change = Change { account, by };
    let (change, response) = password::allow(&provider, change, &sent.address, &request.request)?;
    log_ins::succeeded(&provider, &sent.address, sent.peer);
    Ok(Json(RecoveryProved {
        account_id: account,
        root_key_wrap: recovery.root_key_wrap.into(),
        change,
        response,
        devices: list.map(|list| list.octets().to_vec().into()),
    }))
}

/// Sets a new recovery phrase; the old one ends.
///
/// 409 `list_changed` if another device has changed the list of devices meanwhile.
#[utoipa::path(
    put,
    path = "/api/v1/recovery",
    operation_id = "set_recovery",
    tag = "account",
    request_body = RecoverySet,
    responses(
        (status = NO_CONTENT, description = "It is set."),
        ApiError,
    ),
    security(("token" = []))
)]
pub(super) async fn set(
    State(provider): State<Arc<Provider>>,
    session: Authorized,
    body: Body,
) -> Result<StatusCode, ApiError> {
    let request: RecoverySet = body.json()?;
    let recovery = check(request.recovery)?;
    let list = request.devices.as_ref();
    let list = list
        .map(|list| lists::read(list, session.account))
        .transpose()?;
    log_ins::prove(&provider, &session, &request.proof).await?;
    let set = provider
        .db
        .write(
            Scope::account(session.account),
            move |transaction, effects| {
                accounts::set_recovery(transaction, session.account, &recovery)?;
                if let Some(list) = &list {
                    let account = (session.account, list);
                    if let Some(error) = lists::replace(transaction, effects, account, true)? {
                        return Ok(Decision::Rollback(Err(error)));
                    }
                }
                Ok(Decision::Commit(Ok(())))
            },
        )
        .await?;
    set?;
    Ok(StatusCode::NO_CONTENT)
}

/// Refuses what no phrase could ever be proved with: its owner would find out too late.
pub(super) fn check(recovery: Recovery) -> Result<accounts::Recovery, ApiError> {
    if !recovery::is_verifier(&recovery.verifier.0) {
        return Err(ApiError::malformed(
            "the verifier of the recovery phrase is none",
        ));
    }
    RootKeyWrap::from_octets(&recovery.root_key_wrap.0)
        .map_err(|error| ApiError::malformed(&error.to_string()))?;
    Ok(accounts::Recovery {
        verifier: recovery.verifier.0,
        root_key_wrap: recovery.root_key_wrap.0,
    })
}

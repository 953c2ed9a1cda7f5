//! Where two devices leave each other messages while one enrols the other.
//!
//! Invariant: the provider sees octets of one size and cannot open them; who has no account can
//! leave nothing but one answer to what an account has begun. An id has 128 random bits, so that
//! nobody finds another's.

use std::sync::{Arc, PoisonError};

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use letterlock_core::auth::enrolment::{ENROLMENT_MS, MESSAGE_OCTETS, Step};
use letterlock_core::auth::wire::{
    Octets, RendezvousAnswer, RendezvousPut, RendezvousShown, SponsorStep,
};
use letterlock_core::id::RendezvousId;

use super::auth::{Authorized, From};
use super::body::Body;
use super::error::ApiError;
use crate::provider::Provider;
use crate::provider::db::rendezvous::{self, Left};
use crate::provider::db::{Decision, Scope, ShardId};

/// What two devices have left each other while one enrols the other.
///
/// Asked for again and again; what is not there yet is null.
#[utoipa::path(
    get,
    path = "/api/v1/rendezvous/{id}",
    operation_id = "rendezvous",
    tag = "account",
    params(("id" = String, Path, description = "The rendezvous, in hexadecimal.")),
    responses(
        (status = OK, description = "The messages that are there.", body = RendezvousShown),
        ApiError,
    )
)]
pub(super) async fn show(
    State(provider): State<Arc<Provider>>,
    Path(id): Path<String>,
) -> Result<Json<RendezvousShown>, ApiError> {
    let id = read_id(&id)?;
    let now = provider.clock.now();
    let shown = provider
        .db
        .read(move |transaction, _| {
            let message = |step| {
                let message = rendezvous::message(transaction, id, step, now);
                message.map(|message| message.map(Octets::from))
            };
            Ok(RendezvousShown {
                hello: message(Step::Hello)?,
                opening: message(Step::Opening)?,
                handover: message(Step::Handover)?,
            })
        })
        .await?;
    Ok(Json(shown))
}

/// Leaves a message of the device that enrols another one; the first begins the rendezvous.
///
/// It ends after ten minutes. 404 `no_rendezvous`; 409 `already_left`; 429 `too_many_attempts` with
/// `Retry-After` if the account has begun eight.
#[utoipa::path(
    put,
    path = "/api/v1/rendezvous/{id}",
    operation_id = "put_rendezvous",
    tag = "account",
    params(("id" = String, Path, description = "The rendezvous, in hexadecimal.")),
    request_body = RendezvousPut,
    responses(
        (status = NO_CONTENT, description = "It is there."),
        ApiError,
    ),
    security(("token" = []))
)]
pub(super) async fn put(
    State(provider): State<Arc<Provider>>,
    session: Authorized,
    Path(id): Path<String>,
    body: Body,
) -> Result<StatusCode, ApiError> {
    let id = read_id(&id)?;
    let RendezvousPut { step, message } = body.json()?;
    let message = checked(message)?;
    let (account, now) = (session.account, provider.clock.now());
    let left = provider
        .db
        .write(Scope::provider(), move |transaction, _| {
            Ok(Decision::Commit(match step {
                SponsorStep::Hello => rendezvous::begin(transaction, (id, account), &message, now)?,
                SponsorStep::Handover => {
                    let which = (id, Step::Handover);
                    rendezvous::go_on(transaction, which, Some(account), &message, now)?
                }
            }))
        })
        .await?;
    outcome(left)
}

/// Leaves the message of the device that is enrolled; it is not logged in yet.
///
/// 404 `no_rendezvous`; 409 `already_left`.
#[utoipa::path(
    post,
    path = "/api/v1/rendezvous/{id}",
    operation_id = "answer_rendezvous",
    tag = "account",
    params(("id" = String, Path, description = "The rendezvous, in hexadecimal.")),
    request_body = RendezvousAnswer,
    responses(
        (status = NO_CONTENT, description = "It is there."),
        ApiError,
    )
)]
pub(super) async fn answer(
    State(provider): State<Arc<Provider>>,
    From(peer): From,
    Path(id): Path<String>,
    body: Body,
) -> Result<StatusCode, ApiError> {
    let id = read_id(&id)?;
    let RendezvousAnswer { message } = body.json()?;
    let message = checked(message)?;
    let now = provider.clock.now();
    if let Some(peer) = peer {
        let begun = attempts(&provider).begin_peer(peer, now);
        begun.map_err(ApiError::too_many_attempts)?;
    }
    let left = provider
        .db
        .write(Scope::rows(ShardId::MAIN), move |transaction, _| {
            let which = (id, Step::Opening);
            let left = rendezvous::go_on(transaction, which, None, &message, now)?;
            Ok(Decision::Commit(left))
        })
        .await?;
    if let (Some(peer), Left::Done) = (peer, left) {
        attempts(&provider).succeed_peer(peer);
    }
    outcome(left)
}

fn attempts(provider: &Provider) -> std::sync::MutexGuard<'_, super::Attempts> {
    let attempts = provider.attempts.lock();
    attempts.unwrap_or_else(PoisonError::into_inner)
}

fn read_id(text: &str) -> Result<RendezvousId, ApiError> {
    let id = text.parse();
    id.map_err(|_| ApiError::malformed("the rendezvous is not 32 hexadecimal digits"))
}

fn checked(message: Octets) -> Result<Vec<u8>, ApiError> {
    if message.0.len() == MESSAGE_OCTETS {
        Ok(message.0)
    } else {
        Err(ApiError::malformed("the message has another size"))
    }
}

fn outcome(left: Left) -> Result<StatusCode, ApiError> {
    match left {
        Left::Done => Ok(StatusCode::NO_CONTENT),
        Left::Already => Err(ApiError::already_left()),
        Left::Unknown => {
            let message = "there is no such rendezvous, or it has ended";
            Err(ApiError::not_found("no_rendezvous", message))
        }
        Left::TooMany => {
            let wait = u64::try_from(ENROLMENT_MS / 1000).unwrap_or_default();
            Err(ApiError::too_many_enrolments(wait))
        }
    }
}

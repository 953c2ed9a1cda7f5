//! What a device tells the key directory about its account: renewals, successors, revocations.
//!
//! Invariant: a log-in alone brings no key into the directory that none of those in it has signed,
//! and takes nothing out of it: who has stolen a device's token cannot have mail encrypted to a key
//! of their own.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use letterlock_core::auth::wire::{Octets, Publish};
use letterlock_core::id::{Address, Timestamp};
use letterlock_core::keys::Published;
use letterlock_core::keys::published::{MAX_PUBLISHED, PublishError, Right};
use letterlock_core::openpgp::Certificate;

use super::auth::Authorized;
use super::body::Body;
use super::error::ApiError;
use crate::provider::Provider;
use crate::provider::db::{Decision, Scope, keys, places};

/// Tells the directory of renewals, successors and revocations.
///
/// The directory merges them with what it has. 403 `not_vouched` where a new key is signed by none that
/// is there.
#[utoipa::path(
    put,
    path = "/api/v1/keys",
    operation_id = "publish_keys",
    tag = "keys",
    request_body = Publish,
    responses(
        (status = NO_CONTENT, description = "They are published."),
        ApiError,
    ),
    security(("token" = []))
)]
pub(super) async fn publish(
    State(provider): State<Arc<Provider>>,
    session: Authorized,
    body: Body,
) -> Result<StatusCode, ApiError> {
    let request: Publish = body.json()?;
    let offered = certificates(&request.certificates)?;
    let (account, now) = (session.account, provider.clock.now());
    let done = provider
        .db
        .write(Scope::provider(), move |transaction, _| {
            let Some(address) = places::address(transaction, account)? else {
                return Ok(Decision::Rollback(Err(ApiError::unauthorized())));
            };
            let stored = keys::certificates(transaction, account)?;
            let stored = Published::parse(&stored.unwrap_or_default());
            match stored.with(&offered, &address, Right::LogIn, now) {
                Ok(entry) if entry == stored => Ok(Decision::Rollback(Ok(()))),
                Ok(entry) => {
                    keys::put(transaction, account, &entry.to_bytes(), now)?;
                    Ok(Decision::Commit(Ok(())))
                }
                Err(error) => Ok(Decision::Rollback(Err(refused(error)))),
            }
        })
        .await?;
    done?;
    Ok(StatusCode::NO_CONTENT)
}

/// The entry of a new account: certificates that name its address, one of them with a key to
/// encrypt to.
pub(super) fn first_entry(
    offered: &[Octets],
    address: &Address,
    now: Timestamp,
) -> Result<Published, ApiError> {
    let offered = certificates(offered)?;
    let entry = Published::default().with(&offered, address, Right::Owner, now);
    let entry = entry.map_err(refused)?;
    if entry.for_sealing(now).is_none() {
        return Err(bad(
            "the certificate must name the address and have a key to encrypt to",
        ));
    }
    Ok(entry)
}

fn certificates(octets: &[Octets]) -> Result<Vec<Certificate>, ApiError> {
    if octets.len() > MAX_PUBLISHED {
        return Err(ApiError::malformed("too many certificates"));
    }
    let parsed = octets.iter().map(|octets| Certificate::parse(&octets.0));
    parsed
        .collect::<Result<_, _>>()
        .map_err(|_| bad("a certificate is not in order"))
}

fn refused(error: PublishError) -> ApiError {
    match error {
        PublishError::WrongAddress(_) | PublishError::TooMany => bad(&error.to_string()),
        PublishError::NotVouched(_) => ApiError::forbidden("not_vouched", &error.to_string()),
    }
}

fn bad(message: &str) -> ApiError {
    ApiError::bad_request("bad_certificate", message)
}

//! Sign-up, in two calls; the account appears with the second, all or nothing.

use std::net::IpAddr;
use std::sync::{Arc, PoisonError};

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use letterlock_core::auth::wire::{
    Invite, MAX_SIGN_UP_DOCUMENTS, SignUpFinish, SignUpFinished, SignUpStart, SignUpStarted,
};
use letterlock_core::auth::{RootKeyWrap, sign_up};
use letterlock_core::id::{AccountId, Address, Timestamp};

use super::attempts::Attempts;
use super::auth::{From, check_device, new_token};
use super::body::Body;
use super::error::ApiError;
use super::{devices, publish, recovery, sync};
use crate::provider::db::accounts::{self, NewAccount};
use crate::provider::db::documents::{self, Document, Put};
use crate::provider::db::invites::{self, CodeHash};
use crate::provider::db::{
    self, Decision, Home, Transaction, TxError, deletion, keys, places, sessions,
};
use crate::provider::{self, Provider, SignUp};

/// Local parts that speak for the domain (RFC 2142, and what certificate authorities write to):
/// nobody gets them by signing up.
const RESERVED: [&str; 12] = [
    "abuse",
    "admin",
    "administrator",
    "hostmaster",
    "mailer-daemon",
    "noc",
    "noreply",
    "postmaster",
    "root",
    "security",
    "support",
    "webmaster",
];

/// Begins a sign-up.
///
/// The first message of OPAQUE (RFC 9807) goes to the provider and its answer comes back; the account
/// appears with the second call. 403 `sign_up_closed`, `invite_needed`, `reserved_address`; 409
/// `address_taken`; 429 with `Retry-After`.
#[utoipa::path(
    post,
    path = "/api/v1/accounts/start",
    operation_id = "sign_up_start",
    tag = "accounts",
    request_body = SignUpStart,
    responses(
        (status = OK, description = "The provider's half.", body = SignUpStarted),
        ApiError,
    )
)]
pub(super) async fn start(
    State(provider): State<Arc<Provider>>,
    From(peer): From,
    body: Body,
) -> Result<Json<SignUpStarted>, ApiError> {
    let request: SignUpStart = body.json()?;
    check_address(&provider, &request.address)?;
    // The second call counts: nobody need have made the first.
    may_sign_up(&provider, peer)?;
    let address = request.address.clone();
    let now = provider.clock.now();
    let invite = invite(&provider, request.invite.as_ref());
    let (invited, taken) = provider
        .db
        .read(move |transaction, _| {
            let invited = match &invite {
                Some(code) => invites::is_valid(transaction, code, now)?,
                None => true,
            };
            Ok((invited, is_taken(transaction, &address, now)?))
        })
        .await?;
    if !invited {
        return Err(ApiError::invite_needed());
    }
    if taken {
        return Err(ApiError::address_taken());
    }
    let response = sign_up::respond(&provider.secret, &request.address, &request.request.0)
        .map_err(|error| ApiError::malformed(&error.to_string()))?;
    Ok(Json(SignUpStarted {
        response: response.into(),
    }))
}

/// Makes the account with all that it needs, or nothing.
#[utoipa::path(
    post,
    path = "/api/v1/accounts/finish",
    operation_id = "sign_up_finish",
    tag = "accounts",
    request_body = SignUpFinish,
    responses(
        (status = CREATED, description = "The account exists.", body = SignUpFinished),
        ApiError,
    )
)]
pub(super) async fn finish(
    State(provider): State<Arc<Provider>>,
    From(peer): From,
    body: Body,
) -> Result<(StatusCode, Json<SignUpFinished>), ApiError> {
    let request: SignUpFinish = body.json()?;
    let now = provider.clock.now();
    check(&provider, &request)?;
    let mut certificates = vec![request.certificate];
    certificates.extend(request.more_certificates);
    let entry = publish::first_entry(&certificates, &request.address, now)?;
    count(&provider, peer)?;
    let documents = read_documents(&provider, request.account_id, request.documents).await?;
    let list = request.devices.as_ref();
    let list = list
        .map(|list| devices::read(list, request.account_id))
        .transpose()?;
    let new = NewAccount {
        account: request.account_id,
        address: request.address,
        record: request.record.0,
        root_key_wrap: request.root_key_wrap.0,
        recovery: request.recovery.map(recovery::check).transpose()?,
    };
    let invite = invite(&provider, request.invite.as_ref());
    let device = request.device;
    let (token, hash) = new_token(new.account);
    let blobs = provider.db.blobs().clone();
    let account = new.account;
    let done = provider
        .db
        .write_both(Home::New(account), account, move |both, effects| {
            if let Some(code) = &invite
                && !invites::spend(both.provider, code, now)?
            {
                return Ok(Decision::Rollback(Err(ApiError::invite_needed())));
            }
            if deletion::is_reserved(both.provider, &new.address, now)?
                || !places::insert(both, account, &new.address)?
                || !accounts::insert(both.account, &new, now)?
            {
                return Ok(Decision::Rollback(Err(ApiError::address_taken())));
            }
            keys::put(both.provider, account, &entry.to_bytes(), now)?;
            let transaction = both.account;
            for document in documents {
                let put = documents::put(transaction, &blobs, effects, account, document)?;
                if !matches!(put, Put::Stored(_)) {
                    let message = "the first documents must each be revision 1";
                    return Ok(Decision::Rollback(Err(ApiError::malformed(message))));
                }
            }
            let device = (device.id, device.name.as_str());
            sessions::insert(transaction, account, &hash, device, now)?;
            if let Some(list) = &list {
                db::devices::set(transaction, effects, account, list)?;
            }
            Ok(Decision::Commit(Ok(())))
        })
        .await?;
    done?;
    Ok((StatusCode::CREATED, Json(SignUpFinished { token })))
}

/// The code of a sign-up at a provider that asks for one: what is missing is looked up too, and
/// not found.
fn invite(provider: &Provider, given: Option<&Invite>) -> Option<CodeHash> {
    let nothing = Invite::new("");
    (provider.config.sign_up == SignUp::Invite)
        .then(|| provider::invites::hash(given.unwrap_or(&nothing)))
}

/// Whether this peer may sign up now.
fn may_sign_up(provider: &Provider, peer: Option<IpAddr>) -> Result<(), ApiError> {
    limited(provider, peer, |attempts, peer, limit, now| {
        attempts.may_sign_up(peer, limit, now)
    })
}

/// Counts a sign-up of this peer, or refuses it.
fn count(provider: &Provider, peer: Option<IpAddr>) -> Result<(), ApiError> {
    limited(provider, peer, Attempts::begin_sign_up)
}

fn limited(
    provider: &Provider,
    peer: Option<IpAddr>,
    ask: impl FnOnce(&mut Attempts, IpAddr, u32, Timestamp) -> Result<(), u64>,
) -> Result<(), ApiError> {
    let Some(peer) = peer else {
        return Ok(());
    };
    let mut attempts = provider
        .attempts
        .lock()
        .unwrap_or_else(PoisonError::into_inner);
    let limit = provider.config.sign_ups_per_hour;
    ask(&mut attempts, peer, limit, provider.clock.now()).map_err(ApiError::too_many_sign_ups)
}

fn is_taken(
    transaction: &Transaction<'_>,
    address: &Address,
    now: Timestamp,
) -> Result<bool, TxError> {
    Ok(places::find(transaction, address)?.is_some()
        || deletion::is_reserved(transaction, address, now)?)
}

fn check_address(provider: &Provider, address: &Address) -> Result<(), ApiError> {
    if provider.config.sign_up == SignUp::Closed {
        let message = "this provider takes no new accounts";
        return Err(ApiError::forbidden("sign_up_closed", message));
    }
    if !provider.is_local(address.domain()) {
        let message = "this provider does not serve the address's domain";
        return Err(ApiError::bad_request("foreign_domain", message));
    }
    // `+` begins a detail that is cut off when mail comes in, quotes would have to be undone.
    let local = address.canonical();
    let local = local.local_part();
    if local.contains(['+', '"']) {
        let message = "an account's address has no + and no quotes";
        return Err(ApiError::bad_request("bad_address", message));
    }
    if RESERVED.contains(&local) {
        let message = "this address is kept for the provider";
        return Err(ApiError::forbidden("reserved_address", message));
    }
    Ok(())
}

fn check(provider: &Provider, request: &SignUpFinish) -> Result<(), ApiError> {
    check_address(provider, &request.address)?;
    check_device(&request.device)?;
    sign_up::check_record(&request.record.0)
        .map_err(|error| ApiError::malformed(&error.to_string()))?;
    RootKeyWrap::from_octets(&request.root_key_wrap.0)
        .map_err(|error| ApiError::malformed(&error.to_string()))?;
    Ok(())
}

async fn read_documents(
    provider: &Provider,
    account: AccountId,
    envelopes: Vec<letterlock_core::auth::wire::Octets>,
) -> Result<Vec<Document>, ApiError> {
    if envelopes.len() > MAX_SIGN_UP_DOCUMENTS {
        return Err(ApiError::malformed("too many documents"));
    }
    let envelopes = envelopes.into_iter().map(|envelope| envelope.0).collect();
    sync::read_documents(provider, account, envelopes).await
}

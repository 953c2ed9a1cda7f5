//! Log-in, in two calls, and log-out.
//!
//! Between the calls the provider keeps the handshake's state in memory, for a short time and for
//! a bounded number of log-ins; a restart in between makes the device begin again.

use std::collections::{BTreeMap, VecDeque};
use std::net::IpAddr;
use std::sync::{Arc, PoisonError};

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use letterlock_core::auth::wire::{LogInFinish, LogInFinished, LogInStart, LogInStarted};
use letterlock_core::auth::{LogInError, ServerLogIn};
use letterlock_core::id::{Address, Timestamp};
use rand::RngCore;
use rand::rngs::OsRng;

use super::auth::{Authorized, From, check_device, new_token};
use super::body::Body;
use super::error::ApiError;
use crate::provider::Provider;
use crate::provider::db::{Decision, accounts, sessions};

/// How long a log-in may take between its two calls, in milliseconds.
const LOG_IN_MS: i64 = 2 * 60 * 1000;
/// Most log-ins that wait for their second call; the oldest makes room.
const MAX_LOG_INS: usize = 10_000;

type LogInId = [u8; 16];

/// Log-ins between their two calls.
#[derive(Default)]
pub(crate) struct LogIns {
    waiting: BTreeMap<LogInId, LogIn>,
    /// By age; ids that are gone may remain.
    order: VecDeque<(Timestamp, LogInId)>,
}

struct LogIn {
    state: ServerLogIn,
    address: Address,
    peer: Option<IpAddr>,
}

impl LogIns {
    fn put(&mut self, log_in: LogIn, now: Timestamp) -> LogInId {
        self.expire(now);
        while self.order.len() >= MAX_LOG_INS {
            if let Some((_, id)) = self.order.pop_front() {
                self.waiting.remove(&id);
            }
        }
        let mut id = LogInId::default();
        OsRng.fill_bytes(&mut id);
        self.waiting.insert(id, log_in);
        self.order.push_back((now, id));
        id
    }

    fn take(&mut self, id: &[u8], now: Timestamp) -> Option<LogIn> {
        self.expire(now);
        self.waiting.remove(id)
    }

    fn expire(&mut self, now: Timestamp) {
        let limit = now.as_millis().saturating_sub(LOG_IN_MS);
        while let Some((_, id)) = self
            .order
            .pop_front_if(|(since, _)| since.as_millis() < limit)
        {
            self.waiting.remove(&id);
        }
    }
}

pub(super) async fn start(
    State(provider): State<Arc<Provider>>,
    From(peer): From,
    body: Body,
) -> Result<Json<LogInStarted>, ApiError> {
    let LogInStart { address, request } = body.json()?;
    let now = provider.clock.now();
    provider
        .attempts
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .begin(&address, peer, now)
        .map_err(ApiError::too_many_attempts)?;
    let wanted = address.clone();
    let found = provider
        .db
        .read(move |transaction, _| accounts::credentials(transaction, &wanted))
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
        session: id.to_vec().into(),
        response: response.into(),
    }))
}

pub(super) async fn finish(
    State(provider): State<Arc<Provider>>,
    body: Body,
) -> Result<Json<LogInFinished>, ApiError> {
    let request: LogInFinish = body.json()?;
    check_device(&request.device)?;
    let now = provider.clock.now();
    let log_in = provider
        .log_ins
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .take(&request.session.0, now);
    let Some(log_in) = log_in else {
        let message = "this log-in took too long: begin again";
        return Err(ApiError::new(
            StatusCode::UNAUTHORIZED,
            "log_in_expired",
            message,
        ));
    };
    log_in
        .state
        .finish(&request.finalization.0)
        .map_err(|error| match error {
            LogInError::WrongPassword => ApiError::wrong_password(),
            LogInError::Malformed => ApiError::malformed(&error.to_string()),
        })?;
    let address = log_in.address.clone();
    let (token, hash) = new_token();
    let found = provider
        .db
        .write(move |transaction, _| {
            let Some(found) = accounts::credentials(transaction, &address)? else {
                return Ok(Decision::Rollback(None));
            };
            let device = (request.device.id, request.device.name.as_str());
            sessions::insert(transaction, found.account, &hash, device, now)?;
            Ok(Decision::Commit(Some(found)))
        })
        .await?
        .ok_or_else(ApiError::wrong_password)?;
    provider
        .attempts
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .succeed(&log_in.address, log_in.peer);
    Ok(Json(LogInFinished {
        token,
        account_id: found.account,
        root_key_wrap: found.root_key_wrap.into(),
    }))
}

/// Log-out: ends the session of the token that the request carries.
pub(super) async fn delete(
    State(provider): State<Arc<Provider>>,
    session: Authorized,
) -> Result<StatusCode, ApiError> {
    provider
        .db
        .write(move |transaction, _| {
            sessions::delete(transaction, &session.token_hash)?;
            Ok(Decision::Commit(()))
        })
        .await?;
    Ok(StatusCode::NO_CONTENT)
}

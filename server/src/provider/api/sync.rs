//! Exchange of sealed documents: pull, push, documents by id.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use letterlock_core::id::{AccountId, Generation};
use letterlock_core::seal::Header;
use letterlock_core::sync::engine::{OLD_KEYS, REVISION_GAP};
use letterlock_core::sync::wire::{
    BATCH_OCTETS, DocumentsRequest, DocumentsResponse, MAX_BATCH_DOCUMENTS, MAX_REQUEST_OCTETS,
    MAX_WAIT_MS, PullRequest, PullResponse, PushRequest, PushResponse,
};
use serde_bytes::ByteBuf;

use super::auth::Authorized;
use super::body::{Body, Cbor};
use super::error::ApiError;
use crate::provider::Provider;
use crate::provider::db::documents::{self, Document, Put};
use crate::provider::db::{
    Blobs, Changes, Cut, Decision, Effects, Scope, Transaction, TxError, Wanted,
};
use crate::provider::db::{accounts, changed_since, devices, incoming, log, sessions};

/// Most incoming messages that one push removes.
const MAX_REMOVALS: usize = 10_000;

/// What has changed since a generation.
///
/// With `wait_ms` the answer comes with the next change, or when the time is over.
#[utoipa::path(
    post,
    path = "/api/v1/sync/pull",
    operation_id = "pull",
    tag = "sync",
    request_body(content = PullRequest, content_type = "application/cbor"),
    responses(
        (status = OK, description = "Changes, oldest first.", body = PullResponse, content_type = "application/cbor"),
        ApiError,
    ),
    security(("token" = []))
)]
pub(super) async fn pull(
    State(provider): State<Arc<Provider>>,
    session: Authorized,
    body: Body,
) -> Result<Cbor<PullResponse>, ApiError> {
    let request: PullRequest = body.cbor()?;
    let wait = Duration::from_millis(u64::from(request.wait_ms.min(MAX_WAIT_MS)));
    let changes = wait_for_changes(&provider, &session, request, wait).await?;
    let response = PullResponse {
        entries: changes.entries,
        until: changes.until,
        more: changes.more,
    };
    Ok(Cbor(StatusCode::OK, response))
}

async fn wait_for_changes(
    provider: &Provider,
    session: &Authorized,
    request: PullRequest,
    wait: Duration,
) -> Result<Changes, ApiError> {
    let (account, token) = (session.account, session.token_hash);
    // Subscribed before the first look, so that nothing falls between the two.
    let mut news = provider.db.subscribe(account);
    let deadline = tokio::time::sleep(wait);
    tokio::pin!(deadline);
    let mut since = request.since;
    loop {
        news.borrow_and_update();
        let (collections, rewritten) = (request.collections.clone(), request.rewritten.clone());
        let now = provider.clock.now();
        let changes = provider
            .db
            .read_account(account, move |transaction, blobs| {
                // The device may have been removed while it waited.
                if sessions::find(transaction, &token, now)?.is_none() {
                    return Ok(None);
                }
                let wanted = Wanted {
                    collections: &collections,
                    rewritten: &rewritten,
                };
                let cut = Cut::Answer;
                changed_since(transaction, blobs, account, since, wanted, cut).map(Some)
            })
            .await?
            .ok_or_else(ApiError::unauthorized)?;
        // A log that ends before `since` was set back: the device must hear of it now.
        if !changes.entries.is_empty() || changes.until < since {
            return Ok(changes);
        }
        since = changes.until;
        let heard = tokio::select! {
            heard = news.changed() => heard.is_ok(),
            () = &mut deadline => false,
            () = provider.closing.cancelled() => false,
        };
        if !heard {
            return Ok(changes);
        }
    }
}

/// Stores sealed documents and removes incoming mail, all or nothing.
///
/// 400 `old_keys` for new documents that are sealed in an earlier key epoch than that of the
/// account's list of devices; 507 `over_quota`.
#[utoipa::path(
    post,
    path = "/api/v1/sync/push",
    operation_id = "push",
    tag = "sync",
    request_body(content = PushRequest, content_type = "application/cbor"),
    responses(
        (status = OK, description = "`Accepted`: all is stored, durably.", body = PushResponse, content_type = "application/cbor"),
        (status = CONFLICT, description = "`Conflict`: nothing is stored.", body = PushResponse, content_type = "application/cbor"),
        ApiError,
    ),
    security(("token" = []))
)]
pub(super) async fn push(
    State(provider): State<Arc<Provider>>,
    session: Authorized,
    body: Body,
) -> Result<Response, ApiError> {
    let request: PushRequest = body.cbor()?;
    drop(body);
    let fits = request.documents.len() <= MAX_BATCH_DOCUMENTS
        && request.remove_incoming.len() <= MAX_REMOVALS;
    if !fits {
        return Err(ApiError::malformed("too many documents or removals"));
    }
    let account = session.account;
    let envelopes = request
        .documents
        .into_iter()
        .map(ByteBuf::into_vec)
        .collect();
    let documents = read_documents(&provider, account, envelopes).await?;
    let blobs = provider.db.blobs().clone();
    let quota = provider.config.quota_octets;
    let (token, now) = (session.token_hash, provider.clock.now());
    let outcome = provider
        .db
        .write(Scope::account(account), move |transaction, effects| {
            // The device may have been removed since the call began.
            if sessions::find(transaction, &token, now)?.is_none() {
                return Ok(Decision::Rollback(Pushed::Unauthorized));
            }
            let before = accounts::octets(transaction, account)?;
            let epoch = devices::epoch(transaction, account)?;
            let mut outcome = put_all(transaction, &blobs, effects, (account, epoch), documents)?;
            if let Pushed::Stored(last) = &mut outcome {
                for id in request.remove_incoming {
                    let removed = incoming::remove(transaction, effects, account, id)?;
                    *last = removed.unwrap_or_default().max(*last);
                }
                let after = accounts::octets(transaction, account)?;
                if quota.is_some_and(|quota| after > before && after > with_headroom(quota)) {
                    return Ok(Decision::Rollback(Pushed::OverQuota));
                }
                return Ok(Decision::Commit(outcome));
            }
            Ok(Decision::Rollback(outcome))
        })
        .await?;
    Ok(match outcome {
        Pushed::Stored(generation) => {
            Cbor(StatusCode::OK, PushResponse::Accepted { generation }).into_response()
        }
        Pushed::Conflict(current) => {
            Cbor(StatusCode::CONFLICT, PushResponse::Conflict { current }).into_response()
        }
        Pushed::Gap => {
            let message = "a document that is not stored must begin with revision 1";
            ApiError::bad_request(REVISION_GAP, message).into_response()
        }
        Pushed::OldKeys => {
            let message = "a new document is sealed under keys that the account has given up";
            ApiError::bad_request(OLD_KEYS, message).into_response()
        }
        Pushed::OverQuota => ApiError::over_quota().into_response(),
        Pushed::Unauthorized => ApiError::unauthorized().into_response(),
    })
}

/// What a device may store: a quarter more than the quota, and no more than one largest request.
/// Mail that was accepted within the quota is there twice while a device takes it in, and who is
/// at the quota must be able to say what is to be deleted.
fn with_headroom(quota: u64) -> u64 {
    let largest = u64::try_from(MAX_REQUEST_OCTETS).unwrap_or(u64::MAX);
    quota.saturating_add((quota / 4).min(largest))
}

enum Pushed {
    OverQuota,
    OldKeys,
    Unauthorized,
    Stored(Generation),
    Conflict(Vec<ByteBuf>),
    Gap,
}

fn put_all(
    transaction: &Transaction<'_>,
    blobs: &Blobs,
    effects: &mut Effects,
    (account, epoch): (AccountId, u32),
    documents: Vec<Document>,
) -> Result<Pushed, TxError> {
    let known = log::current_generation(transaction, account)?;
    let mut last = Generation::default();
    let mut conflicts = Vec::new();
    let mut octets: usize = 0;
    let mut gap = false;
    for document in documents {
        let is_old = document.epoch < epoch;
        match documents::put(transaction, blobs, effects, account, document)? {
            // What was stored before its keys were given up stays, and may be said again.
            Put::Stored(generation) if is_old && generation > known => return Ok(Pushed::OldKeys),
            Put::Stored(generation) => last = last.max(generation),
            Put::Conflict(current) => {
                octets = octets.saturating_add(current.len());
                conflicts.push(ByteBuf::from(current));
            }
            Put::Gap => gap = true,
        }
        // The device merges these and hears of the others at its next push.
        if octets > BATCH_OCTETS {
            break;
        }
    }
    Ok(match (conflicts.is_empty(), gap) {
        (false, _) => Pushed::Conflict(conflicts),
        (true, true) => Pushed::Gap,
        (true, false) => Pushed::Stored(last),
    })
}

/// Reads the clear headers, refuses other accounts' documents, makes the envelopes ready.
pub(super) async fn read_documents(
    provider: &Provider,
    account: AccountId,
    envelopes: Vec<Vec<u8>>,
) -> Result<Vec<Document>, ApiError> {
    let mut headers = Vec::with_capacity(envelopes.len());
    for envelope in &envelopes {
        let header = Header::parse(envelope)
            .map_err(|error| ApiError::malformed(&format!("a document {error}")))?;
        if header.account != account {
            let message = "a document belongs to another account";
            return Err(ApiError::forbidden("foreign_account", message));
        }
        headers.push(header);
    }
    let values = provider.db.stage(envelopes).await?;
    let documents = headers
        .into_iter()
        .zip(values)
        .map(|(header, envelope)| Document {
            id: header.document,
            collection: header.collection,
            revision: header.revision.get(),
            epoch: header.epoch,
            envelope,
        });
    Ok(documents.collect())
}

/// Sealed documents by their ids.
#[utoipa::path(
    post,
    path = "/api/v1/sync/documents",
    operation_id = "documents",
    tag = "sync",
    request_body(content = DocumentsRequest, content_type = "application/cbor"),
    responses(
        (status = OK, description = "Those that exist, in the order asked.", body = DocumentsResponse, content_type = "application/cbor"),
        ApiError,
    ),
    security(("token" = []))
)]
pub(super) async fn documents(
    State(provider): State<Arc<Provider>>,
    session: Authorized,
    body: Body,
) -> Result<Cbor<DocumentsResponse>, ApiError> {
    let request: DocumentsRequest = body.cbor()?;
    if request.ids.len() > MAX_BATCH_DOCUMENTS {
        return Err(ApiError::malformed("too many documents"));
    }
    let envelopes = provider
        .db
        .read_account(session.account, move |transaction, blobs| {
            let mut envelopes: Vec<ByteBuf> = Vec::new();
            let mut octets: usize = 0;
            for id in &request.ids {
                let Some(envelope) = documents::get(transaction, blobs, session.account, *id)?
                else {
                    continue;
                };
                octets = octets.saturating_add(envelope.len());
                if !envelopes.is_empty() && octets > BATCH_OCTETS {
                    break;
                }
                envelopes.push(ByteBuf::from(envelope));
            }
            Ok(envelopes)
        })
        .await?;
    Ok(Cbor(StatusCode::OK, DocumentsResponse { envelopes }))
}

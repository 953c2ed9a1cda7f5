//! The key directory with its proofs (`letterlock_core::keys::transparency::answer`), for everybody.
//!
//! What is here is public: who asks for an address learns what `GET /api/v1/keys/{address}` tells,
//! and can prove it.

use std::sync::Arc;

use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use letterlock_core::id::Address;
use letterlock_core::keys::transparency::answer::{
    ChangesAnswer, EntryAnswer, HeadAnswer, LookupAnswer,
};
use serde::Deserialize;

use super::body::Cbor;
use super::error::ApiError;
use crate::provider::Provider;
use crate::provider::db::{Transaction, TxError, directory};

/// Sizes of heads and positions; what is left out is 0.
#[derive(Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Sizes {
    /// Size of the last head that was verified; the answer's head is proven to extend it.
    #[serde(default)]
    seen: u64,
    /// Another size that the head shall be proven to extend (`head` alone).
    #[serde(default)]
    also: u64,
    /// Position of the first change (`changes` alone).
    #[serde(default)]
    from: u64,
    /// Position of the change (`entry` alone).
    #[serde(default)]
    position: u64,
}

/// The directory's signed head, and that it extends the one that was seen last.
#[utoipa::path(
    get,
    path = "/api/v1/directory/head",
    operation_id = "directory_head",
    tag = "directory",
    params(Sizes),
    responses(
        (status = OK, description = "The head and its proofs.", body = HeadAnswer, content_type = "application/cbor"),
        ApiError,
    )
)]
pub(super) async fn head(
    State(provider): State<Arc<Provider>>,
    Query(sizes): Query<Sizes>,
) -> Result<Cbor<HeadAnswer>, ApiError> {
    answered(&provider, move |transaction| {
        directory::head(transaction, sizes.seen, sizes.also)
    })
    .await
}

/// What an address has, with the proof.
#[utoipa::path(
    get,
    path = "/api/v1/directory/lookup/{address}",
    operation_id = "directory_lookup",
    tag = "directory",
    params(("address" = String, Path, description = "A mail address."), Sizes),
    responses(
        (status = OK, description = "The entry, or the proof that there is none.", body = LookupAnswer, content_type = "application/cbor"),
        ApiError,
    )
)]
pub(super) async fn lookup(
    State(provider): State<Arc<Provider>>,
    Path(address): Path<String>,
    Query(sizes): Query<Sizes>,
) -> Result<Cbor<LookupAnswer>, ApiError> {
    let address = Address::new(&address)
        .map_err(|error| ApiError::malformed(&format!("the address {error}")))?;
    answered(&provider, move |transaction| {
        directory::lookup(transaction, &address, sizes.seen)
    })
    .await
}

/// The directory's changes from a position on.
#[utoipa::path(
    get,
    path = "/api/v1/directory/changes",
    operation_id = "directory_changes",
    tag = "directory",
    params(Sizes),
    responses(
        (status = OK, description = "The changes, in order.", body = ChangesAnswer, content_type = "application/cbor"),
        ApiError,
    )
)]
pub(super) async fn changes(
    State(provider): State<Arc<Provider>>,
    Query(sizes): Query<Sizes>,
) -> Result<Cbor<ChangesAnswer>, ApiError> {
    answered(&provider, move |transaction| {
        directory::changes(transaction, sizes.from, sizes.seen)
    })
    .await
}

/// What a change has published.
#[utoipa::path(
    get,
    path = "/api/v1/directory/entry",
    operation_id = "directory_entry",
    tag = "directory",
    params(Sizes),
    responses(
        (status = OK, description = "The certificates.", body = EntryAnswer, content_type = "application/cbor"),
        ApiError,
    )
)]
pub(super) async fn entry(
    State(provider): State<Arc<Provider>>,
    Query(sizes): Query<Sizes>,
) -> Result<Cbor<EntryAnswer>, ApiError> {
    answered(&provider, move |transaction| {
        directory::entry(transaction, sizes.position)
    })
    .await
}

async fn answered<T: Send + 'static>(
    provider: &Provider,
    query: impl Fn(&Transaction<'_>) -> Result<Option<T>, TxError> + Send + Sync + 'static,
) -> Result<Cbor<T>, ApiError> {
    let found = provider
        .db
        .read(move |transaction, _| query(transaction))
        .await?;
    let message = "the key directory has no such change";
    let found = found.ok_or_else(|| ApiError::not_found("no_such_change", message))?;
    Ok(Cbor(StatusCode::OK, found))
}

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
use rusqlite::Transaction;
use serde::Deserialize;

use super::body::Cbor;
use super::error::ApiError;
use crate::provider::Provider;
use crate::provider::db::{TxError, directory};

/// Sizes of heads and positions; what is left out is 0.
#[derive(Deserialize)]
pub(super) struct Sizes {
    #[serde(default)]
    seen: u64,
    #[serde(default)]
    also: u64,
    #[serde(default)]
    from: u64,
    #[serde(default)]
    position: u64,
}

pub(super) async fn head(
    State(provider): State<Arc<Provider>>,
    Query(sizes): Query<Sizes>,
) -> Result<Cbor<HeadAnswer>, ApiError> {
    answered(&provider, move |transaction| {
        directory::head(transaction, sizes.seen, sizes.also)
    })
    .await
}

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

pub(super) async fn changes(
    State(provider): State<Arc<Provider>>,
    Query(sizes): Query<Sizes>,
) -> Result<Cbor<ChangesAnswer>, ApiError> {
    answered(&provider, move |transaction| {
        directory::changes(transaction, sizes.from, sizes.seen)
    })
    .await
}

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
    query: impl Fn(&Transaction<'_>) -> Result<Option<T>, TxError> + Send + 'static,
) -> Result<Cbor<T>, ApiError> {
    let found = provider
        .db
        .read(move |transaction, _| query(transaction))
        .await?;
    let message = "the key directory has no such change";
    let found = found.ok_or_else(|| ApiError::not_found("no_such_change", message))?;
    Ok(Cbor(StatusCode::OK, found))
}

//! The Web Key Directory of our domains (draft-koch-openpgp-webkey-service, sections 3.1 and 4.5).
//!
//! Two ways to ask, as the draft has them: `openpgpkey.DOMAIN` with the domain in the path, and
//! `DOMAIN` itself. Both are answered wherever they arrive, whoever serves the name: what is here is
//! public, and pages of any origin may read it. Only certificates of version 4 are given, those that
//! were revoked behind those in use: many who ask read no others.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use letterlock_core::keys::Published;

use super::error::ApiError;
use crate::provider::Provider;
use crate::provider::db::places;

/// The advanced way: the domain is in the path.
pub(super) async fn advanced(
    State(provider): State<Arc<Provider>>,
    Path((domain, name)): Path<(String, String)>,
) -> Result<Response, ApiError> {
    published(&provider, &domain, &name).await
}

/// The direct way: the domain is the host that was asked.
pub(super) async fn direct(
    State(provider): State<Arc<Provider>>,
    Path(name): Path<String>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let host = headers
        .get(header::HOST)
        .and_then(|host| host.to_str().ok())
        .unwrap_or_default();
    let domain = host.split_once(':').map_or(host, |(name, _)| name);
    published(&provider, domain, &name).await
}

/// The policy: there is nothing to say in it, but it has to be there.
pub(super) async fn policy() -> Response {
    let content_type = (header::CONTENT_TYPE, "text/plain; charset=utf-8");
    ([content_type, ANY_ORIGIN], "").into_response()
}

const ANY_ORIGIN: (header::HeaderName, &str) = (header::ACCESS_CONTROL_ALLOW_ORIGIN, "*");

async fn published(
    provider: &Arc<Provider>,
    domain: &str,
    name: &str,
) -> Result<Response, ApiError> {
    let none = || {
        let message = "no certificate is published under this name";
        ApiError::not_found("no_certificate", message)
    };
    if !provider.is_local(domain) {
        return Err(none());
    }
    let wanted = name.to_ascii_lowercase();
    let named = provider
        .db
        .read(move |transaction, _| places::with_wkd_name(transaction, &wanted))
        .await?;
    let address = named
        .into_iter()
        .find(|address| address.domain().eq_ignore_ascii_case(domain))
        .ok_or_else(none)?;
    let found = provider.resolve(vec![address.clone()]).await?;
    let certificates = found
        .into_iter()
        .flatten()
        .find_map(|recipient| recipient.certificates)
        .map(|octets| Published::parse(&octets).for_the_world(&address, provider.clock.now()))
        .filter(|published| !published.is_empty())
        .ok_or_else(none)?;
    let content_type = (header::CONTENT_TYPE, "application/octet-stream");
    Ok(([content_type, ANY_ORIGIN], certificates).into_response())
}

//! Bearer tokens (RFC 6750 2.1): the account, so that it is known where to look, and 32 random octets.
//! The database has a hash of it all.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use axum::extract::{ConnectInfo, FromRequestParts};
use axum::http::header;
use axum::http::request::Parts;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use letterlock_core::auth::wire::{Device, MAX_DEVICE_NAME_OCTETS, Token};
use letterlock_core::id::{AccountId, ReplicaId};
use rand::RngCore;
use rand::rngs::OsRng;
use sha2::{Digest, Sha256};

use super::error::ApiError;
use crate::provider::Provider;
use crate::provider::db::sessions::{self, SEEN_EVERY_MS, Session, TokenHash};
use crate::provider::db::{Decision, Home, Scope};

/// A request that carries a valid token.
pub(super) struct Authorized {
    pub(super) account: AccountId,
    pub(super) replica: ReplicaId,
    pub(super) token_hash: TokenHash,
}

impl FromRequestParts<Arc<Provider>> for Authorized {
    type Rejection = ApiError;

    async fn from_request_parts(
        parts: &mut Parts,
        provider: &Arc<Provider>,
    ) -> Result<Self, ApiError> {
        let token = parts
            .headers
            .get(header::AUTHORIZATION)
            .and_then(|value| value.to_str().ok())
            .and_then(|value| value.split_once(' '))
            .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("Bearer"))
            .map(|(_, token)| token.trim());
        let token = token.ok_or_else(ApiError::unauthorized)?;
        let token_hash = hash(token);
        let account = match account_of(token) {
            Some(account) => account,
            None => find_anywhere(provider, token_hash).await?,
        };
        let now = provider.clock.now();
        let session = provider
            .db
            .read_account(account, move |transaction, _| {
                sessions::find(transaction, &token_hash, now)
            })
            .await?
            .filter(|session| session.account == account)
            .ok_or_else(ApiError::unauthorized)?;
        note_seen(provider, &session, token_hash).await?;
        Ok(Self {
            account: session.account,
            replica: session.replica,
            token_hash,
        })
    }
}

/// The account of a token from before tokens named it.
async fn find_anywhere(provider: &Provider, token_hash: TokenHash) -> Result<AccountId, ApiError> {
    let now = provider.clock.now();
    for shard in provider.db.shards() {
        let found = provider
            .db
            .read_at(Home::Shard(shard), move |transaction, _| {
                sessions::find(transaction, &token_hash, now)
            });
        if let Some(session) = found.await? {
            return Ok(session.account);
        }
    }
    Err(ApiError::unauthorized())
}

/// Writes down that the device was heard of, now and then.
async fn note_seen(
    provider: &Provider,
    session: &Session,
    token_hash: TokenHash,
) -> Result<(), ApiError> {
    let now = provider.clock.now();
    let since = now
        .as_millis()
        .saturating_sub(session.last_seen.as_millis());
    // A clock that was set back is written down too.
    if (0..SEEN_EVERY_MS).contains(&since) {
        return Ok(());
    }
    provider
        .db
        .write(Scope::rows_of(session.account), move |transaction, _| {
            sessions::seen(transaction, &token_hash, now)?;
            Ok(Decision::Commit(()))
        })
        .await?;
    Ok(())
}

/// Where a request comes from, as far as attempts are counted; `None` if the listener does not
/// tell. An IPv6 site is counted as one: it has 2^64 addresses.
pub(super) struct From(pub(super) Option<IpAddr>);

impl<S: Sync> FromRequestParts<S> for From {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        let peer = parts.extensions.get::<ConnectInfo<SocketAddr>>();
        Ok(Self(peer.map(|ConnectInfo(peer)| site(peer.ip()))))
    }
}

fn site(ip: IpAddr) -> IpAddr {
    match ip.to_canonical() {
        IpAddr::V6(ip) => IpAddr::V6(Ipv6Addr::from_bits(ip.to_bits() & (u128::MAX << 64))),
        v4 @ IpAddr::V4(_) => v4,
    }
}

/// Draws a token.
pub(super) fn new_token(account: AccountId) -> (Token, TokenHash) {
    let mut octets = [0; 32];
    OsRng.fill_bytes(&mut octets);
    let octets = [account.as_bytes().as_slice(), &octets].concat();
    let token = Token::new(URL_SAFE_NO_PAD.encode(octets));
    let hash = hash(token.as_str());
    (token, hash)
}

/// Refuses names that are too long to be listed.
pub(super) fn check_device(device: &Device) -> Result<(), ApiError> {
    if device.name.len() > MAX_DEVICE_NAME_OCTETS {
        return Err(ApiError::malformed("the device's name is too long"));
    }
    Ok(())
}

fn account_of(token: &str) -> Option<AccountId> {
    let octets = URL_SAFE_NO_PAD.decode(token).ok()?;
    let (account, random) = octets.split_first_chunk::<16>()?;
    (random.len() == 32).then(|| AccountId::new(*account))
}

fn hash(token: &str) -> TokenHash {
    Sha256::digest(token.as_bytes()).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_names_its_account() {
        let account = AccountId::new([7; 16]);
        let (token, token_hash) = new_token(account);
        assert_eq!(account_of(token.as_str()), Some(account));
        assert_eq!(hash(token.as_str()), token_hash);
        // Older ones are random octets alone.
        assert_eq!(account_of(&URL_SAFE_NO_PAD.encode([7; 32])), None);
        assert_eq!(account_of("no token"), None);
    }
}

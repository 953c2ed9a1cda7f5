//! Carries out what `letterlock_core::keys::lookup` asks of the DNS: `OPENPGPKEY` records (RFC 7929).
//!
//! Invariants: only what DNSSEC proves is an answer, and the proof is made here, from the root's key
//! down; what a resolver says of having checked it is not believed. A largest answer and a longest
//! time. Nothing of a name is logged.
//! Rejected: the `AD` bit of the machine's resolver (RFC 7929 5.1 allows it if the way there is
//! trusted): in a café it is not.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use hickory_resolver::TokioResolver;
use hickory_resolver::config::{NameServerConfig, ResolveHosts, ResolverConfig, ResolverOpts};
use hickory_resolver::lookup::Lookup;
use hickory_resolver::net::NetError;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::proto::dnssec::TrustAnchors;
use hickory_resolver::proto::rr::{Name, RData, RecordType};
use letterlock_core::keys::lookup::{Answer, MAX_ANSWER_OCTETS, REQUEST_SECS};

use crate::config::Keys;

/// How long one question of a name server may take: a proof needs several.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(3);
/// Most answers that are remembered, keys of zones above all.
const CACHED_ANSWERS: u64 = 256;

/// Why the DNS cannot be asked.
#[derive(Debug, thiserror::Error)]
pub enum ResolverError {
    /// The file of `keys.trust_anchor`.
    #[error("the trust anchor {0} is no file of DNSKEY records")]
    TrustAnchor(PathBuf),
    /// The machine has no name servers, or they are written in a way that is not understood.
    #[error("no name server to ask: {0}")]
    NoServer(NetError),
}

/// Asks the DNS for certificates.
pub struct KeyResolver {
    resolver: TokioResolver,
    patience: Duration,
}

impl std::fmt::Debug for KeyResolver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KeyResolver").finish_non_exhaustive()
    }
}

impl KeyResolver {
    /// As the configuration says; `None` if the DNS is not to be asked. What keeps it from being
    /// asked is logged: other sources may have what it would have had.
    pub fn configured(keys: &Keys) -> Option<Self> {
        if !keys.dane {
            return None;
        }
        Self::new(keys.resolver, keys.trust_anchor.as_deref())
            .inspect_err(|error| tracing::error!(%error, "the DNS is not asked for certificates"))
            .ok()
    }

    /// Asks this name server, or the machine's; proofs begin at the keys in this file, or at the
    /// root's. Blocks for as long as reading two small files takes.
    pub fn new(server: Option<SocketAddr>, anchor: Option<&Path>) -> Result<Self, ResolverError> {
        let anchors = match anchor {
            None => TrustAnchors::default(),
            Some(path) => TrustAnchors::from_file(path)
                .map_err(|_| ResolverError::TrustAnchor(path.to_owned()))?,
        };
        Self::with(server, anchors, Duration::from_secs(REQUEST_SECS))
    }

    fn with(
        server: Option<SocketAddr>,
        anchors: TrustAnchors,
        patience: Duration,
    ) -> Result<Self, ResolverError> {
        let mut builder = match server {
            None => TokioResolver::builder_tokio().map_err(ResolverError::NoServer)?,
            Some(server) => {
                let mut named = NameServerConfig::udp_and_tcp(server.ip());
                for connection in &mut named.connections {
                    connection.port = server.port();
                }
                let config = ResolverConfig::from_name_servers(vec![named]);
                TokioResolver::builder_with_config(config, TokioRuntimeProvider::default())
            }
        };
        limit(builder.options_mut());
        let resolver = builder.with_trust_anchor(Arc::new(anchors)).build();
        Ok(Self {
            resolver: resolver.map_err(ResolverError::NoServer)?,
            patience,
        })
    }

    /// The `OPENPGPKEY` records of a name, all their octets one behind the other.
    pub async fn openpgp_keys(&self, name: &str) -> Answer {
        let Ok(name) = Name::from_ascii(name) else {
            return Answer::Nothing;
        };
        let asked = self.resolver.lookup(name, RecordType::OPENPGPKEY);
        match tokio::time::timeout(self.patience, asked).await {
            Ok(Ok(found)) => proven(&found),
            Ok(Err(error)) if error.is_no_records_found() => Answer::Nothing,
            Ok(Err(_)) | Err(_) => Answer::Failed,
        }
    }
}

fn limit(options: &mut ResolverOpts) {
    options.timeout = ATTEMPT_TIMEOUT;
    options.attempts = 1;
    options.cache_size = CACHED_ANSWERS;
    options.use_hosts_file = ResolveHosts::Never;
    // An alias on the way is proven, too, or nothing is.
    options.preserve_intermediates = true;
    options.validate = true;
}

/// The keys of an answer all of whose records are proven.
fn proven(found: &Lookup) -> Answer {
    let records = found.answers();
    let is_signature = |kind: RecordType| kind == RecordType::RRSIG;
    let mut shown = records
        .iter()
        .filter(|record| !is_signature(record.record_type()));
    if !shown.all(|record| record.proof.is_secure()) {
        return Answer::Nothing;
    }
    let keys = records.iter().filter_map(|record| match &record.data {
        RData::OPENPGPKEY(key) => Some(key.public_key.as_slice()),
        _ => None,
    });
    let octets = keys.collect::<Vec<_>>().concat();
    match octets.len() {
        0 => Answer::Nothing,
        1..=MAX_ANSWER_OCTETS => Answer::Octets(octets),
        _ => Answer::Failed,
    }
}

#[cfg(test)]
mod tests;

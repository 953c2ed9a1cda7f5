//! `[keys]`: who is asked for the certificates of correspondents, beside the own provider.

use std::net::SocketAddr;
use std::path::PathBuf;

use letterlock_core::keys::lookup::Sources;
use serde::{Deserialize, Serialize};

/// Who is asked. A host that is empty is not asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Keys {
    /// The Web Key Directory of the domain that is written to.
    pub web_key_directory: bool,
    /// The DNS of the domain that is written to (DANE, RFC 7929).
    pub dane: bool,
    /// The name server that is asked for that; the machine's, if none is named.
    pub resolver: Option<SocketAddr>,
    /// A file of DNSKEY records where proofs begin; at the root's keys, if none is named.
    pub trust_anchor: Option<PathBuf>,
    /// Their domain, at the address that the `OpenPGP` field of their last mail named.
    pub openpgp_field: bool,
    /// A verifying key server, such as `keys.openpgp.org`; it learns whom one writes to.
    pub key_server: String,
    /// A key server that is asked for revocations, by fingerprint.
    pub revocation_server: String,
}

impl Default for Keys {
    fn default() -> Self {
        let Sources {
            web_key_directory,
            dane,
            openpgp_field,
            key_server,
            revocation_server,
        } = Sources::default();
        Self {
            web_key_directory,
            dane,
            resolver: None,
            trust_anchor: None,
            openpgp_field,
            key_server: key_server.unwrap_or_default(),
            revocation_server: revocation_server.unwrap_or_default(),
        }
    }
}

impl Keys {
    pub(super) const KEYS: &[&str] = &[
        "web_key_directory",
        "dane",
        "resolver",
        "trust_anchor",
        "openpgp_field",
        "key_server",
        "revocation_server",
    ];

    /// For the accounts.
    pub fn sources(&self) -> Sources {
        let named = |host: &str| (!host.is_empty()).then(|| host.to_owned());
        Sources {
            web_key_directory: self.web_key_directory,
            dane: self.dane,
            openpgp_field: self.openpgp_field,
            key_server: named(&self.key_server),
            revocation_server: named(&self.revocation_server),
        }
    }
}

//! `[listen]`: where the listeners are.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::ConfigError;
use crate::starttls::Protection;

/// Addresses with ports; port 0 picks a free one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Listen {
    /// The web UI and the provider's API (HTTP).
    pub web: SocketAddr,
    /// The bridge's IMAP server; it offers STARTTLS.
    pub imap: SocketAddr,
    /// The bridge's submission server (SMTP); it offers STARTTLS.
    pub smtp: SocketAddr,
    /// The provider's mail intake (LMTP).
    pub lmtp: SocketAddr,
    /// The IMAP server again, with TLS from the first octet (RFC 8314 3.2); if it is given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub imaps: Option<SocketAddr>,
    /// The submission server again, with TLS from the first octet (RFC 8314 3.3); if it is given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub smtps: Option<SocketAddr>,
    /// The IMAP server again, on a Unix socket that its owner alone can open; if it is given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub imap_socket: Option<PathBuf>,
    /// Whether nobody logs in to `imap` and `smtp` before STARTTLS. Then they may be reached from
    /// other machines.
    pub starttls_required: bool,
}

impl Default for Listen {
    fn default() -> Self {
        let local = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        Self {
            web: local(8080),
            imap: local(1984),
            smtp: local(2013),
            lmtp: local(2424),
            imaps: None,
            smtps: None,
            imap_socket: None,
            starttls_required: false,
        }
    }
}

/// Why an address must be on this machine.
const PLAIN_LOGIN: &str = "the log-in is not encrypted (set `listen.starttls_required`, or use \
    `listen.imaps` and `listen.smtps`)";

impl Listen {
    pub(super) const KEYS: &[&str] = &[
        "web",
        "imap",
        "smtp",
        "lmtp",
        "imaps",
        "smtps",
        "imap_socket",
        "starttls_required",
    ];

    /// Log-ins and opened mail go over some of these in the clear: none of them may leave the
    /// machine.
    pub fn validate(&self) -> Result<(), ConfigError> {
        let encrypted = self.starttls_required;
        let all = [
            ("listen.web", self.web, "its pages hold opened mail", false),
            ("listen.imap", self.imap, PLAIN_LOGIN, encrypted),
            ("listen.smtp", self.smtp, PLAIN_LOGIN, encrypted),
            (
                "listen.lmtp",
                self.lmtp,
                "it takes mail from anybody",
                false,
            ),
        ];
        match all
            .iter()
            .find(|(_, address, _, free)| !free && !address.ip().is_loopback())
        {
            None => Ok(()),
            Some((key, _, reason, _)) => Err(ConfigError::Value {
                key,
                must: format!("on this machine (127.0.0.1 or [::1]): {reason}"),
            }),
        }
    }

    /// What protects the connections of `imap` and `smtp`.
    pub const fn protection(&self) -> Protection {
        if self.starttls_required {
            Protection::None
        } else {
            Protection::Local
        }
    }
}

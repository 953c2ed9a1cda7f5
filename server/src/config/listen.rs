//! `[listen]`: where the listeners are.

use std::net::{Ipv4Addr, SocketAddr};

use serde::{Deserialize, Serialize};

use super::ConfigError;

/// Addresses with ports; port 0 picks a free one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Listen {
    /// The web UI and the provider's API (HTTP).
    pub web: SocketAddr,
    /// The bridge's IMAP server.
    pub imap: SocketAddr,
    /// The bridge's submission server (SMTP).
    pub smtp: SocketAddr,
    /// The provider's mail intake (LMTP).
    pub lmtp: SocketAddr,
}

impl Default for Listen {
    fn default() -> Self {
        let local = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        Self {
            web: local(8080),
            imap: local(1984),
            smtp: local(2013),
            lmtp: local(2424),
        }
    }
}

impl Listen {
    pub(super) const KEYS: &[&str] = &["web", "imap", "smtp", "lmtp"];

    /// Log-ins and opened mail go over these in the clear, so none may leave the machine.
    pub fn validate(&self) -> Result<(), ConfigError> {
        let all = [
            ("listen.web", self.web, "its pages hold opened mail"),
            ("listen.imap", self.imap, "the log-in is not encrypted"),
            ("listen.smtp", self.smtp, "the log-in is not encrypted"),
            ("listen.lmtp", self.lmtp, "it takes mail from anybody"),
        ];
        match all
            .iter()
            .find(|(_, address, _)| !address.ip().is_loopback())
        {
            None => Ok(()),
            Some((key, _, reason)) => Err(ConfigError::Value {
                key,
                must: format!("on this machine (127.0.0.1 or [::1]): {reason}"),
            }),
        }
    }
}

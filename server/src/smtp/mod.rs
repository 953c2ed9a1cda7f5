//! One RFC 5321 server for both ends of the house.
//!
//! The provider's MX speaks LMTP (RFC 2033) with it, the bridge speaks submission (RFC 6409); a
//! [`Policy`] value tells them apart. What happens to a message is the [`conn::Handler`]'s
//! business: no storage, no DNS and no OpenPGP here.
//!
//! Invariant: only CRLF ends a line and only CRLF.CRLF ends a message; a bare CR or LF is
//! rejected and never repaired, so that no two readers of one stream see different messages
//! (SMTP smuggling). Rejected: a server crate with callbacks; those that exist mix the socket
//! with the protocol and repair line ends.

pub mod command;
pub mod data;
pub mod reply;
pub mod session;
pub mod conn;

use std::net::IpAddr;
use std::sync::Arc;

use letterlock_core::id::Address;
use tokio_rustls::rustls::ServerConfig;
use zeroize::Zeroizing;

use crate::starttls::Protection;

pub use command::ReversePath;
pub use conn::{Handler, serve};
pub use data::Message;
pub use reply::Refusal;

/// Longest command line, CRLF included, in octets. RFC 5321 4.5.3.1.4 asks for 512, extensions
/// add to it (RFC 6531 3.4, RFC 1870 3).
pub const MAX_LINE_OCTETS: usize = 4096;
/// Longest line of a SASL exchange, CRLF included, in octets (RFC 4954 4).
pub const MAX_AUTH_LINE_OCTETS: usize = 12_288;
/// Most recipients of one message (RFC 5321 4.5.3.1.8 asks for at least 100).
pub const MAX_RECIPIENTS: usize = letterlock_core::sync::wire::MAX_FORWARD_PATHS;
/// Most commands that may fail in one session before it is closed.
pub const MAX_ERRORS: usize = 20;
/// Most log-ins that may fail in one session before it is closed.
pub const MAX_FAILED_LOGINS: usize = 5;
/// Most sessions of one listener at a time.
pub const MAX_SESSIONS: usize = 100;
/// How long a peer may be silent, in seconds (RFC 5321 4.5.3.2.7).
pub const IDLE_TIMEOUT_SECS: u64 = 300;

/// Which protocol a listener speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// RFC 2033: `LHLO`, and a reply for each recipient after the message.
    Lmtp,
    /// RFC 6409: `EHLO`, `AUTH` before `MAIL`, and only the account's own address as sender.
    Submission,
}

/// What a listener is: its protocol, name and limits.
#[derive(Debug, Clone)]
pub struct Policy {
    /// The protocol.
    pub protocol: Protocol,
    /// The server's name in the greeting.
    pub host_name: String,
    /// The domain that `<Postmaster>` without a domain belongs to (RFC 5321 4.5.1).
    pub domain: String,
    /// Largest message, in octets.
    pub max_message_octets: usize,
    /// With what `STARTTLS` is offered, if it is; submission only.
    pub tls: Option<Arc<ServerConfig>>,
    /// What protects its connections before their first octet.
    pub protection: Protection,
}

/// Who sends what to whom (RFC 5321 2.3.1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Envelope {
    /// What the client called itself in `LHLO` or `EHLO`.
    pub client_name: String,
    /// Where the client connects from.
    pub peer: Option<IpAddr>,
    /// The account that logged in; none for LMTP.
    pub submitter: Option<Address>,
    /// Where failure reports go.
    pub reverse_path: ReversePath,
    /// Recipients, each once, in the order of their first `RCPT`.
    pub forward_paths: Vec<Address>,
}

/// A user name and an app password, as `AUTH` gave them.
#[derive(Clone)]
pub struct Credentials {
    /// Where the client connects from.
    pub peer: Option<IpAddr>,
    /// The name, usually an address.
    pub username: String,
    /// The password.
    pub password: Zeroizing<String>,
}

/// Neither half belongs in a log.
impl core::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Credentials(…)")
    }
}

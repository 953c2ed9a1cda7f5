//! What all connections share: the accounts, what was recent to whom, the clock, how long things
//! may take.

use std::sync::Arc;
use std::time::Duration;

use letterlock_core::id::Timestamp;
use tokio_rustls::rustls::ServerConfig;

use super::accounts::Accounts;
use super::recall::Recall;
use super::recent::Recents;
use super::session::message_limit::MESSAGE_LIMIT;

/// How long a client may leave the connection full (a program that hangs, a dead machine).
pub const WRITE_TIMEOUT: Duration = Duration::from_mins(5);
/// How often a client is told how far its command is (RFC 9585 4 has 10 to 15 seconds).
const PROGRESS_INTERVAL: Duration = Duration::from_secs(10);

/// Reads the time.
pub type Clock = fn() -> Timestamp;

/// What all connections share.
#[derive(Debug)]
pub struct Server<A> {
    pub(super) accounts: A,
    pub(super) recents: Recents,
    pub(super) recall: Recall,
    pub(super) clock: Clock,
    pub(super) tls: Option<Arc<ServerConfig>>,
    pub(super) tell_every: Duration,
    pub(super) write_timeout: Duration,
    pub(super) message_limit: usize,
}

impl<A: Accounts> Server<A> {
    /// A server for these accounts.
    pub fn new(accounts: A, clock: Clock) -> Self {
        Self {
            accounts,
            recents: Recents::default(),
            recall: Recall::default(),
            clock,
            tls: None,
            tell_every: PROGRESS_INTERVAL,
            write_timeout: WRITE_TIMEOUT,
            message_limit: MESSAGE_LIMIT,
        }
    }

    /// The same, telling of progress so often.
    #[cfg(test)]
    pub(super) fn telling_every(self, tell_every: Duration) -> Self {
        Self { tell_every, ..self }
    }

    /// The same, with a limit of so many messages to a command.
    #[cfg(test)]
    pub(super) fn limited_to(self, message_limit: usize) -> Self {
        Self {
            message_limit,
            ..self
        }
    }

    /// The same, leaving a client that does not read so soon.
    #[cfg(test)]
    pub(super) fn leaving_after(self, write_timeout: Duration) -> Self {
        Self {
            write_timeout,
            ..self
        }
    }

    /// The same, offering STARTTLS.
    #[must_use]
    pub fn with_tls(self, tls: Arc<ServerConfig>) -> Self {
        Self {
            tls: Some(tls),
            ..self
        }
    }
}

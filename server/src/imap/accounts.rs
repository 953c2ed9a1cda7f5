//! The one seam to the bridge: who may log in, and to what.

use std::future::Future;
use std::net::IpAddr;
use std::sync::Arc;

use letterlock_core::account::Account;
use letterlock_core::store::Store;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::scram;

/// Why nobody was let in.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LoginRefused {
    /// No such user, or not this password: which of them is not told.
    #[error("user name or password is wrong")]
    Wrong,
    /// The password is right, but the account's keys are locked.
    #[error("account is locked")]
    Locked {
        /// One line for the user: how to unlock it.
        how: String,
    },
    /// Too many attempts.
    #[error("too many attempts")]
    Busy,
}

/// What a user who was let in gets.
pub struct Grant<S> {
    /// Whose mail.
    pub account: Arc<Account<S>>,
    /// Cancelled when what the user logged in with is taken back.
    pub revoked: CancellationToken,
    /// Whether mail that is at the provider is still to come to this device.
    pub behind: watch::Receiver<bool>,
    /// The room that the account takes and has at its provider.
    pub room: watch::Receiver<Option<Room>>,
}

/// Room at the provider, of an account that has a limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Room {
    /// Octets that are taken.
    pub used_octets: u64,
    /// Octets that may be.
    pub quota_octets: u64,
}

/// Where a client connects from, for counting its failures; none for a socket of the machine's
/// own.
pub type Peer = Option<IpAddr>;

/// What a SCRAM exchange begins with (RFC 5802 5.1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Salt {
    /// The salt of the user's passwords; for an unknown user one that stays the same.
    pub salt: Vec<u8>,
    /// How often the hash is iterated.
    pub iterations: u32,
}

/// Checks app passwords. Implemented by the bridge.
///
/// An unknown user and a wrong password must take the same time as a right one and be told
/// alike; passwords are compared in constant time.
pub trait Accounts: Send + Sync + 'static {
    /// What the accounts are kept in.
    type Store: Store;

    /// The account of `user`, if `password` is one of its app passwords.
    fn log_in(
        &self,
        user: &[u8],
        password: &[u8],
        peer: Peer,
    ) -> impl Future<Output = Result<Grant<Self::Store>, LoginRefused>> + Send;

    /// The salt of this user's passwords, known or not.
    fn salt(&self, user: &str) -> Salt;

    /// The account of the user who proves to know one of its app passwords, and the signature by
    /// which the server proves the same.
    fn prove(
        &self,
        attempt: &scram::Attempt,
        peer: Peer,
    ) -> impl Future<Output = Result<(Grant<Self::Store>, scram::Hash), LoginRefused>> + Send;
}

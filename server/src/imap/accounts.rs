//! The one seam to the bridge: who may log in, and to what.

use std::future::Future;
use std::sync::Arc;

use letterlock_core::account::Account;
use letterlock_core::store::Store;

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

/// Checks app passwords. Implemented by the bridge.
pub trait Accounts: Send + Sync + 'static {
    /// What the accounts are kept in.
    type Store: Store;

    /// The account of `user`, if `password` is one of its app passwords.
    ///
    /// An unknown user and a wrong password must take the same time as a right one and be told
    /// alike; passwords are compared in constant time.
    fn log_in(
        &self,
        user: &[u8],
        password: &[u8],
    ) -> impl Future<Output = Result<Arc<Account<Self::Store>>, LoginRefused>> + Send;
}

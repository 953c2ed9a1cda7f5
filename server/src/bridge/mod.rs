//! The user's own machine: loopback listeners for mail programs, keys unlocked in memory, the
//! replica on SQLite, and the loops that exchange sealed documents and mail with the provider.
//!
//! Invariant: nothing from `provider` is named here; the two talk HTTP only.

pub mod lock;
pub mod sqlite_store;
pub mod app_password;
pub mod provider_client;

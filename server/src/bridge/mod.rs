//! The user's own machine: loopback listeners for mail programs, keys unlocked in memory, the
//! replica on SQLite, and the loops that exchange sealed documents and mail with the provider.
//!
//! Invariant: nothing from `provider` is named here; the two talk HTTP only.

pub mod lock;
pub mod sqlite_store;
pub mod app_password;
pub mod app_passwords;
pub mod app_password_command;
pub mod attempts;
pub mod unlock;
pub mod provider_client;
pub mod accounts;
pub mod credentials;
pub mod devices;
pub mod enrolment;
pub mod rendezvous;
pub mod offline;
pub mod backoff;
pub mod key_fetcher;
pub mod directory;
mod listening;
pub mod key_refresh;
pub mod key_resolver;
mod own_keys;
mod contents;
pub mod sync_loop;
pub mod outgoing;
pub mod delivery_report;
pub mod tls;
pub mod unix_socket;
pub mod submission;
pub mod imap;
pub mod doors;
pub mod running;
pub mod web_ui;

//! The IMAP server (RFC 3501, and RFC 9051 by ENABLE) over one account's replica.
//!
//! ```text
//! octets -> decoder -> session -> Action::Run(Op) -> ops -> Outcome -> session -> encoder -> octets
//! ```
//!
//! Invariant: `conn` alone has a socket, `ops` alone has the account, `session` and `view` have
//! neither and hold all rules of the protocol. An extension is announced when all of it works.
//! Rejected: a grammar crate; what there is lacks half of the extensions and holds whole commands.

pub mod accounts;
pub mod capability;
pub mod command;
pub mod compress;
pub mod conn;
mod server;
pub mod date;
pub mod decoder;
pub mod encoder;
pub mod object_id;
pub mod notify;
pub mod ops;
pub mod recall;
pub mod recent;
pub mod response;
pub mod session;
pub mod set;
pub mod url;
pub mod utf7;
pub mod view;
#[cfg(test)]
mod transcripts;
#[cfg(test)]
mod starttls;
#[cfg(test)]
mod clients;
#[cfg(test)]
mod streams;
#[cfg(test)]
mod compressed;
#[cfg(test)]
mod agreement;
#[cfg(test)]
mod many;
#[cfg(test)]
mod progress;
#[cfg(test)]
mod resync;

pub use accounts::{Accounts, Grant, LoginRefused, Peer, Room, Salt};
pub use conn::{Clock, Origin, Server, serve, serve_from};

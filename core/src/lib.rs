//! The portable core of Letterlock.
//!
//! Everything that must be the same on all sides: the MIME split and join, the document model,
//! OpenPGP, the key manager, sealing, the store trait, the replica (one account's truth on one
//! device), full-text search, the sync engine and the sending policy. It compiles natively and for
//! `wasm32-unknown-unknown`.
//!
//! Invariant: no sockets, no files, no clock reading, no globals. Octets, answers, `now` and
//! randomness come in as arguments; effects go out as values.
//!
//! Suggested reading order is the order of the modules below.

pub mod account;
pub mod auth;
pub mod casemap;
pub mod id;
pub mod keys;
pub mod manifest;
pub mod mime;
pub mod model;
#[cfg(feature = "openapi")]
mod openapi;
pub mod openpgp;
pub mod portable;
pub mod replica;
pub mod search;
pub mod seal;
pub mod sending;
pub mod store;
pub mod sync;
pub mod threads;
mod varint;

//! Key transparency: the provider's directory is an append-only log, and devices hold it to that.
//!
//! The provider says which certificates an address has, so it could say one thing to its owner and
//! another to everybody else. Here every state of the directory is a leaf of one Merkle log (RFC
//! 9162), every answer proves itself against a signed head of that log, and devices replay the log
//! and tell each other which heads they saw.
//!
//! ```text
//! map    label of an address -> version, hash of its certificates   (one trie: one answer for each)
//! log    leaf n: which label changed to what, and the map's root since
//! head   signed: size and root of the log, root of the map, when
//! ```
//!
//! Reading order: [`merkle`] (the log's hashes and proofs), [`map`], [`entry`] (labels, sets, leaves),
//! [`head`], [`answer`] (the wire), [`follower`] (a device's judgement), [`alarm`], [`serve`] (the
//! provider's side).
//!
//! What it does not protect from: the first use, before which nobody has seen another head; a
//! provider that withholds everything from one device (mail, documents and heads of others) for
//! good; an account none of whose devices syncs; who has an address. A log of changes tells how
//! many there were and when.
//! Invariant: pure and without a clock; a directory that cannot prove an answer gives none.

pub mod merkle;
pub mod map;
pub mod entry;
pub mod head;
pub mod answer;
pub mod alarm;
pub mod follower;
pub mod serve;
#[cfg(any(test, feature = "conformance"))]
pub mod memory;
#[cfg(test)]
mod tests;

pub use alarm::{Alarm, Finding, Witness};
pub use entry::{entry_address, set_hash};
pub use follower::{Entry, Follower, Refusal};
pub use head::SignedHead;
pub use map::{MAX_MAP_PATH, Value};
pub use merkle::{Hash, MAX_LOG_PATH};

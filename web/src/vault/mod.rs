//! The worker's side: the keys, the replica and the network.
//!
//! | module | what it does |
//! |---|---|
//! | [`present`] | messages as the page shows them |
//! | [`letter`] | the message that the user wrote |
//! | [`decrypt`] | the page that needs no account |
//! | `indexeddb_store` | the core's store over IndexedDB |
//!
//! Invariant: keys and plaintext leave here only as the values of [`crate::protocol`].

pub mod decrypt;
pub mod letter;
pub mod present;

#[cfg(target_arch = "wasm32")]
pub mod indexeddb_store;

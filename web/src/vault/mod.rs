//! The worker's side: the keys, the replica and the network.
#[cfg(target_arch = "wasm32")]
pub mod indexeddb_store;

//! The worker's side: the keys, the replica and the network.
//!
//! | module | what it does |
//! |---|---|
//! | [`present`] | messages as the page shows them |
//! | [`letter`] | the message that the user wrote |
//! | [`decrypt`] | the page that needs no account |
//! | [`mail`] | what the page asks of an open account |
//! | [`device`] | what this device knows of its accounts before one is open |
//! | `indexeddb_store` | the core's store over IndexedDB |
//! | `bulk` | the browser's AES, for long messages |
//! | `http`, `provider` | the provider's calls by fetch |
//! | `session` | unlocking an account |
//! | `account` | its password, recovery phrase, devices and end |
//! | `enrolment` | an account comes by another device, or goes to one |
//! | `directory` | the provider's key directory, held to what it said |
//! | `keys` | what people compare to know each other's keys |
//! | `exchange` | the loops that pull, take in, push and send |
//! | `first_look` | the newest messages of an account that is new here, before all others |
//! | `fetching` | contents, when they are wanted; what of them is kept |
//! | `listening` | waiting for what the provider pushes |
//! | `serve` | questions of the page in, answers and news out |
//!
//! Invariant: keys and plaintext leave here only as the values of [`crate::protocol`]. The page
//! that needs no account causes no request: only `session`, `account`,
//! `devices`, `enrolment`, `directory`, `listening`, `fetching`, `first_look` and `exchange` make
//! any.

pub mod decrypt;
pub mod device;
pub mod letter;
pub mod mail;
pub mod present;

#[cfg(target_arch = "wasm32")]
pub mod account;
#[cfg(target_arch = "wasm32")]
pub mod bulk;
#[cfg(target_arch = "wasm32")]
pub mod devices;
#[cfg(target_arch = "wasm32")]
pub mod directory;
#[cfg(target_arch = "wasm32")]
pub mod enrolment;
#[cfg(target_arch = "wasm32")]
pub mod exchange;
#[cfg(target_arch = "wasm32")]
pub mod fetching;
#[cfg(target_arch = "wasm32")]
pub mod first_look;
#[cfg(target_arch = "wasm32")]
pub mod http;
#[cfg(target_arch = "wasm32")]
pub mod indexeddb_store;
#[cfg(target_arch = "wasm32")]
pub mod keys;
#[cfg(target_arch = "wasm32")]
pub mod listening;
#[cfg(target_arch = "wasm32")]
pub mod provider;
#[cfg(target_arch = "wasm32")]
pub mod serve;
#[cfg(target_arch = "wasm32")]
pub mod session;
#[cfg(target_arch = "wasm32")]
pub mod signal;

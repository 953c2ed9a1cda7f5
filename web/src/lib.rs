//! Letterlock's webmail.
//!
//! Two WebAssembly modules share this library: the *page* (`bin/app.rs`: user interface only, no
//! OpenPGP, no keys) and the *worker* (`bin/worker.rs`: the core, the keys, IndexedDB and the
//! network). They speak by messages of [`protocol`].
//!
//! | module | side | what lives there |
//! |---|---|---|
//! | [`protocol`] | both | what they say to each other |
//! | [`model`], [`app`] | page | the state machine: `update(&mut Model, Event) -> Vec<Effect>` |
//! | [`view`] | page | model to HTML, by askama templates |
//! | `page` | page | the shell: DOM events, effects, the worker's life |
//! | [`html`] | worker | the sanitizer for mail HTML |
//! | [`vault`] | worker | the account, the store, the network |
//!
//! `README.md` beside this crate's manifest lists the `data-testid` hooks for browser tests.
//!
//! Invariant: the page never holds a key, and mail HTML reaches it only sanitised, for a
//! sandboxed frame.

pub mod app;
pub mod html;
pub mod model;
#[cfg(target_arch = "wasm32")]
pub mod page;
pub mod protocol;
pub mod vault;
pub mod view;

//! Sans-IO exchange of sealed documents with the provider.
//!
//! [`engine`] says what to ask next and takes answers in; the shells (the bridge's loop, the
//! browser's worker) carry requests and answers. What is exchanged is in [`wire`]; how the provider
//! pushes what is new, in [`news`].

pub mod engine;
pub mod filling;
pub mod news;
pub mod wire;

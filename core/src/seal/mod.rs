//! Sealed documents, format "seal/1": what a device stores at the provider and the provider
//! cannot read.
//!
//! An envelope is a clear header of fixed length, a nonce, and XChaCha20-Poly1305 ciphertext of
//! the padded payload. The whole header is associated data, so an envelope cannot be moved to
//! another account, collection, document or revision. Each revision names the hash of the one
//! before it, so that history cannot be rewritten unnoticed.
//!
//! Rejected: AES-256-GCM (96-bit nonces are too short for random ones, and 4 times slower in
//! WebAssembly); AES-GCM-SIV (slow there too).

pub mod header;
pub mod document;
mod padding;
pub mod secret;

pub(crate) use document::open_in_place;
pub use document::{EnvelopeHash, OpenError, Place, SealError, hash, open, seal};
pub use header::{HEADER_LEN, Header};
pub use secret::{AccountKeys, Collection, MessageHasher, RootKey};

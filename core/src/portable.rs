//! What differs between native targets and `wasm32-unknown-unknown`, in one place.
//!
//! Invariant: this is, with what lies below it, the only file in core with a `cfg` on the target.
//! Natively every future of a store is `Send`, so that a multi-threaded runtime can carry it; in a
//! browser there is one thread and handles to JavaScript objects are not `Send`.

#[cfg(not(target_arch = "wasm32"))]
pub(crate) mod zstd;
#[cfg(any(test, target_arch = "wasm32"))]
pub(crate) mod zstd_in_rust;
#[cfg(target_arch = "wasm32")]
pub(crate) use zstd_in_rust as zstd;

#[cfg(not(target_arch = "wasm32"))]
mod two_processors;
#[cfg(not(target_arch = "wasm32"))]
pub use two_processors::TwoProcessors;

/// `Send` natively, nothing on wasm32.
#[cfg(not(target_arch = "wasm32"))]
pub trait MaybeSend: Send {}
#[cfg(not(target_arch = "wasm32"))]
impl<T: Send + ?Sized> MaybeSend for T {}

/// `Send` natively, nothing on wasm32.
#[cfg(target_arch = "wasm32")]
pub trait MaybeSend {}
#[cfg(target_arch = "wasm32")]
impl<T: ?Sized> MaybeSend for T {}

/// `Sync` natively, nothing on wasm32.
#[cfg(not(target_arch = "wasm32"))]
pub trait MaybeSync: Sync {}
#[cfg(not(target_arch = "wasm32"))]
impl<T: Sync + ?Sized> MaybeSync for T {}

/// `Sync` natively, nothing on wasm32.
#[cfg(target_arch = "wasm32")]
pub trait MaybeSync {}
#[cfg(target_arch = "wasm32")]
impl<T: ?Sized> MaybeSync for T {}

/// Whether processors have instructions for SHA-256. Without them SHA-512 does the same octets in
/// half the steps.
pub const HAS_SHA256: bool = cfg!(not(target_arch = "wasm32"));

/// Largest AEAD chunk that OCB can open, in octets; `None` where it opens all that RFC 9580
/// allows. On 32-bit targets the OCB crate's table has room for chunks below 1 MiB only, and a
/// larger one would end the whole WebAssembly instance.
#[cfg(target_arch = "wasm32")]
pub const OCB_CHUNK_LIMIT: Option<u64> = Some(512 * 1024);
/// Largest AEAD chunk that OCB can open, in octets; `None` where it opens all that RFC 9580
/// allows.
#[cfg(not(target_arch = "wasm32"))]
pub const OCB_CHUNK_LIMIT: Option<u64> = None;

//! Long messages, opened and sealed with what a platform has for AES.
//!
//! WebAssembly has no instructions for AES, but the browser around it does; natively there is a second
//! processor, which rPGP leaves idle. What a platform offers is handed in as a [`BulkCipher`]
//! (natively `portable::TwoProcessors`), bare AES and digests, and what RFC 9580 makes of them (chunks, nonces, tags, the MDC, packets) stays
//! here, the same code for every platform.
//!
//! | module | what it does |
//! |---|---|
//! | `open` | SEIPD of version 1, and of version 2 with GCM, to what is inside |
//! | `document` | what is inside: a literal packet, signed or not, read as it comes |
//! | `seal` | the other way |
//! | `cfb` | AES-CFB of many blocks at once |
//! | `chunks` | keys, nonces and associated data of SEIPD version 2 |
//!
//! Invariants: what comes out is what rPGP would give, to the octet and to the digest, which every
//! test of `decrypt` checks besides its own matter; only what usual messages look like is done
//! here, and all else, and all that fails, is left to rPGP (`None`), which then decides; nothing
//! leaves before the MDC or the last tag has been verified. Rejected: OCB here, which rPGP does
//! many times faster than what else there is in a browser; a second parser of all that a message
//! may be.

mod cfb;
mod chunks;
pub(super) mod document;
pub(super) mod open;
pub(super) mod seal;
#[cfg(test)]
#[expect(
    clippy::disallowed_methods,
    reason = "tests make what no sender of ours would"
)]
pub(super) mod tests;

use core::pin::Pin;
use std::future::Future;

use futures::FutureExt as _;
use sha2::digest::DynDigest;

use crate::portable::{MaybeSend, MaybeSync};

/// Octets of AES-CFB that are done at a time when a message is opened.
const OPENED_AT_ONCE: usize = 64 * 1024;
/// Octets of AES-CFB that are done at a time when a message is sealed.
const SEALED_AT_ONCE: usize = 512 * 1024;
/// Octets of chunks that may be under way at a time; two chunks always may.
const UNDER_WAY: usize = 4 * 1024 * 1024;
/// Octets of the digest of a message's octets in SEIPD version 1, with its packet's head.
const MDC_OCTETS: usize = 22;
/// Octets of a block, and of an authentication tag.
const BLOCK: usize = 16;

/// A future that has been begun: the work goes on while nobody asks.
pub type Deferred<'a, T> = Pin<Box<dyn Begun<Output = T> + 'a>>;

/// What [`Deferred`] holds: a future that can go where the platform's futures go.
pub trait Begun: Future + MaybeSend {}
impl<F: Future + MaybeSend> Begun for F {}

/// A platform's AES.
pub trait BulkCipher: MaybeSend + MaybeSync {
    /// Shorter messages, in octets, are done faster without it.
    fn least_octets(&self) -> usize;

    /// Takes a key of 16, 24 or 32 octets for one purpose; `None` if the platform does not have
    /// that.
    fn key<'a>(
        &'a self,
        octets: &'a [u8],
        purpose: Purpose,
    ) -> Deferred<'a, Option<Box<dyn BulkKey>>>;

    /// Takes a digest while other work goes on, where the platform can.
    fn beside(&self, hasher: Box<dyn DynDigest + Send>) -> Box<dyn Digesting> {
        Box::new(InPlace(hasher))
    }
}

/// A digest that is being taken.
pub trait Digesting: MaybeSend {
    /// The next octets.
    fn update(&mut self, octets: &[u8]);

    /// The digest of all of them; `None` if the platform failed.
    fn finish(self: Box<Self>) -> Deferred<'static, Option<Vec<u8>>>;
}

/// A digest that is taken when it is asked for.
struct InPlace(Box<dyn DynDigest + Send>);

impl Digesting for InPlace {
    fn update(&mut self, octets: &[u8]) {
        self.0.update(octets);
    }

    fn finish(self: Box<Self>) -> Deferred<'static, Option<Vec<u8>>> {
        let digest = self.0.finalize().into_vec();
        Box::pin(core::future::ready(Some(digest)))
    }
}

/// What a key is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// [`BulkKey::open_gcm`] and [`BulkKey::seal_gcm`].
    Gcm,
    /// [`BulkKey::chain`].
    Chain,
    /// [`BulkKey::encrypt_blocks`].
    Blocks,
}

/// AES under one key, for one purpose; any other use of it gives `None`.
pub trait BulkKey: MaybeSend + MaybeSync {
    /// AES-GCM with a tag of 16 octets at the end: the plaintext, if the tag holds.
    fn open_gcm(
        &self,
        nonce: &[u8; 12],
        associated: &[u8],
        sealed: &[u8],
    ) -> Deferred<'static, Option<Vec<u8>>>;

    /// AES-GCM: the ciphertext and behind it a tag of 16 octets.
    fn seal_gcm(
        &self,
        nonce: &[u8; 12],
        associated: &[u8],
        plaintext: &[u8],
    ) -> Deferred<'static, Option<Vec<u8>>>;

    /// AES-CBC encryption of whole blocks from an IV of zeros: as many octets, without padding.
    fn chain(&self, blocks: &[u8]) -> Deferred<'static, Option<Vec<u8>>>;

    /// AES encryption of whole blocks, each for itself, in place and in constant time.
    fn encrypt_blocks(&self, blocks: &mut [u8]) -> Option<()>;
}

/// What a function gives that takes a [`BulkCipher`] and got none: it has nothing to wait for.
pub(super) fn without<T>(future: impl Future<Output = T>) -> T {
    future
        .now_or_never()
        .expect("only a platform's AES is waited for")
}

/// Octets xored to as many others, by words: compilers for small code do not see that themselves.
fn xor(octets: &mut [u8], others: &[u8]) {
    debug_assert_eq!(octets.len(), others.len(), "as many");
    let (words, rest) = octets.as_chunks_mut::<8>();
    let (other_words, other_rest) = others.as_chunks::<8>();
    for (word, other) in words.iter_mut().zip(other_words) {
        *word = (u64::from_ne_bytes(*word) ^ u64::from_ne_bytes(*other)).to_ne_bytes();
    }
    for (octet, other) in rest.iter_mut().zip(other_rest) {
        *octet ^= other;
    }
}

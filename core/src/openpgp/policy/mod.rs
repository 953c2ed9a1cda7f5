//! The only judge: what a certificate may be used for, whether a signature is good, whether a
//! message is safe to open.
//!
//! rPGP checks hashes and signatures. It does not check types, times, issuers, flags, revocations,
//! bindings, strengths or sizes; all of that is here, one named check each, one test each:
//!
//! | checks | where |
//! |---|---|
//! | signatures over documents: every one judged, type, version, issuer, hash, times, criticals, unhashed area, key state, flags and back-signature, strength, sender, intended recipients | `signature` |
//! | certificates: per-signature filtering, grafted parts dropped, revocation, expiry, limits | `certificate` |
//! | algorithms and key sizes | `algorithm` |
//! | messages before they are opened: session key packets, containers without integrity, chunk sizes | `container` |
//! | every number | [`limits`] |
//!
//! Invariant: nothing else in this workspace calls rPGP's `verify*`, `decrypt*` or
//! `encrypt_to_key` without a verdict from here.

pub(super) mod algorithm;
pub(super) mod certificate;
pub(super) mod container;
pub mod limits;
pub(super) mod signature;

#[cfg(test)]
#[expect(
    clippy::disallowed_methods,
    reason = "tests make what no sender of ours would"
)]
mod tests;

pub use certificate::{CertificateDefect, Unusable};
pub use container::Refused;
pub use signature::Proof;

use crate::id::Timestamp;

/// Seconds since the epoch as OpenPGP counts them; times before 1970 or after 2106 are cut.
pub(super) fn seconds(time: Timestamp) -> u32 {
    u32::try_from(time.as_secs().max(0)).unwrap_or(u32::MAX)
}

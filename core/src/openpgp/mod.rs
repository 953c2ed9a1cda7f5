//! OpenPGP (RFC 9580) and PGP/MIME (RFC 3156) over rPGP.
//!
//! Reading order: what a message's protection is ([`protection`]), the one judge ([`policy`]),
//! keys ([`certificate`], [`secret_certificate`]), operations on octets ([`encrypt`], [`decrypt`],
//! [`sign`], [`cleartext`], [`pending`]), what a browser does faster ([`bulk`]), and mail
//! ([`pgp_mime`]).
//!
//! Invariants: nobody outside this folder names the `pgp` crate; nothing inside it calls rPGP's
//! verification but [`policy`], because rPGP checks mathematics and not meaning, and what encrypts,
//! decrypts and signs does so in one function each, marked as the exception that it is (clippy's
//! `disallowed_methods`, whose list is in `clippy.toml`); no clock and no
//! global randomness, both come in as arguments; every limit is a constant of [`policy::limits`].
//! Rejected: leaving the checks to each caller; one forgotten check is a forged signature.

pub mod armor;
pub mod bulk;
pub mod certificate;
pub mod cleartext;
pub mod decrypt;
pub mod encrypt;
mod fingerprint;
mod frame;
pub mod pending;
pub mod pgp_mime;
mod plaintext;
pub mod policy;
pub mod protection;
pub mod secret_certificate;
pub mod sign;
#[cfg(test)]
#[expect(
    clippy::disallowed_methods,
    reason = "tests make what no sender of ours would"
)]
mod attack_tests;
#[cfg(test)]
#[expect(
    clippy::disallowed_methods,
    reason = "tests make what no sender of ours would"
)]
mod differential_tests;
#[cfg(test)]
mod gpg_tests;
#[cfg(test)]
pub(crate) mod test_support;

pub use certificate::Certificate;
pub use fingerprint::{Fingerprint, Issuer};
pub use pending::PendingSignatures;
pub use plaintext::Plaintext;
pub use policy::Proof;
pub use protection::{Encryption, Protection, SignatureStatus};
pub use secret_certificate::{Profile, SecretCertificate};

/// The version of the crate `pgp` that does the mathematics.
pub const RPGP_VERSION: &str = pgp::VERSION;

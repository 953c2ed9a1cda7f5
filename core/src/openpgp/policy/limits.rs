//! Every limit of the OpenPGP code, with what it guards.

/// Largest certificate or transferable secret key, in octets of binary.
pub const MAX_CERTIFICATE_OCTETS: usize = 64 * 1024;
/// Largest file of several certificates or keys, in octets of binary.
pub const MAX_KEYRING_OCTETS: usize = 256 * MAX_CERTIFICATE_OCTETS;
/// Most subkeys of a certificate.
pub const MAX_SUBKEYS: usize = 64;
/// Most signatures in a certificate, third parties' included.
pub const MAX_CERTIFICATE_SIGNATURES: usize = 256;
/// Most user ids of a certificate.
pub const MAX_USER_IDS: usize = 64;

/// Largest encrypted message, in octets of binary: a largest mail and its frame.
pub const MAX_CIPHERTEXT_OCTETS: usize = 80 * 1024 * 1024;
/// Largest decrypted message, in octets.
pub const MAX_PLAINTEXT_OCTETS: usize = 64 * 1024 * 1024;
/// Largest detached signature block, in octets of binary.
pub const MAX_SIGNATURE_OCTETS: usize = 64 * 1024;

/// Most public-key encrypted session keys of a message.
pub const MAX_RECIPIENT_PACKETS: usize = 100;
/// Most of them that name no recipient and are tried with every key of ours.
pub const MAX_WILDCARD_TRIES: usize = 3;
/// Most password encrypted session keys of a message; none of them is ever tried.
pub const MAX_PASSWORD_PACKETS: usize = 8;
/// Most signatures judged in one message.
pub const MAX_DATA_SIGNATURES: usize = 16;
/// Most layers (compression, signatures) inside the encryption.
pub const MAX_LAYERS: usize = 3;
/// Compressed data may grow by this factor ...
pub const MAX_COMPRESSION_RATIO: usize = 200;
/// ... or to this size, in octets, whichever is more.
pub const MIN_DECOMPRESSED_OCTETS: usize = 4 * 1024 * 1024;

/// How far ahead of us a signer's clock may be, in seconds.
pub const CLOCK_SKEW_SECS: u32 = 300;
/// Smallest RSA modulus, in bits.
pub const MIN_RSA_BITS: usize = 2048;
/// Largest RSA modulus, in bits: beyond, one verification costs too much.
pub const MAX_RSA_BITS: usize = 8192;
/// Self-signatures with SHA-1 count only if made before 2020-01-01 (SHA-1 is a Shambles), as
/// seconds since the epoch. For signatures over mail SHA-1 never counts.
pub const SHA1_SELF_SIGNATURE_CUTOFF: u32 = 1_577_836_800;

//! Which algorithms and key sizes mean anything (checks 5, 12 and 17).
//!
//! Rejected: a configurable list. What is too weak to trust does not depend on the user.

use pgp::crypto::hash::HashAlgorithm;
use pgp::crypto::public_key::PublicKeyAlgorithm;
use pgp::crypto::sym::SymmetricKeyAlgorithm;
use pgp::types::{EcdhPublicParams, EcdsaPublicParams, KeyDetails, KeyVersion, PublicParams};

use super::limits::{MAX_RSA_BITS, MIN_RSA_BITS, SHA1_SELF_SIGNATURE_CUTOFF};
use crate::openpgp::protection::Cipher;

/// Whether a hash may carry a signature over mail. SHA-224 is the weakest that does (112 bits).
pub(in crate::openpgp) fn hash_is_strong(hash: HashAlgorithm) -> bool {
    matches!(
        hash,
        HashAlgorithm::Sha224
            | HashAlgorithm::Sha256
            | HashAlgorithm::Sha384
            | HashAlgorithm::Sha512
            | HashAlgorithm::Sha3_256
            | HashAlgorithm::Sha3_512
    )
}

/// What a message is hashed with before a key of this kind signs it. Processors have instructions
/// for SHA-256, which no curve of 256 bits and no RSA key asks more of (RFC 9580 5.2.3); without
/// them, as in WebAssembly, SHA-512 does the same octets in half the steps.
pub(in crate::openpgp) const fn message_hash(signer: PublicKeyAlgorithm) -> HashAlgorithm {
    let suffices = matches!(
        signer,
        PublicKeyAlgorithm::Ed25519 | PublicKeyAlgorithm::EdDSALegacy | PublicKeyAlgorithm::RSA
    );
    if suffices && crate::portable::HAS_SHA256 {
        HashAlgorithm::Sha256
    } else {
        HashAlgorithm::Sha512
    }
}

/// Whether a hash may carry a self-signature made at `created`: old keys have SHA-1 ones.
pub(super) fn hash_serves_self_signature(hash: HashAlgorithm, created: u32) -> bool {
    hash_is_strong(hash) || (hash == HashAlgorithm::Sha1 && created < SHA1_SELF_SIGNATURE_CUTOFF)
}

/// Whether the key is strong enough, to verify with or to encrypt to.
pub(in crate::openpgp) fn key_is_strong(key: &(impl KeyDetails + ?Sized)) -> bool {
    if !matches!(key.version(), KeyVersion::V4 | KeyVersion::V6) {
        return false;
    }
    match key.public_params() {
        PublicParams::RSA(rsa) => {
            let bits = rsa_bits(rsa);
            (MIN_RSA_BITS..=MAX_RSA_BITS).contains(&bits)
        }
        PublicParams::ECDSA(ecdsa) => !matches!(ecdsa, EcdsaPublicParams::Unsupported { .. }),
        PublicParams::ECDH(ecdh) => ecdh_is_strong(ecdh),
        PublicParams::EdDSALegacy(_)
        | PublicParams::Ed25519(_)
        | PublicParams::X25519(_)
        | PublicParams::X448(_)
        | PublicParams::Ed448(_)
        | PublicParams::MlKem768X25519(_)
        | PublicParams::MlKem1024X448(_)
        | PublicParams::MlDsa65Ed25519(_)
        | PublicParams::MlDsa87Ed448(_)
        | PublicParams::SlhDsaShake128s(_)
        | PublicParams::SlhDsaShake128f(_)
        | PublicParams::SlhDsaShake256s(_) => true,
        _ => false,
    }
}

/// Whether the algorithm of a key can encrypt at all.
pub(in crate::openpgp) fn can_encrypt(algorithm: PublicKeyAlgorithm) -> bool {
    matches!(
        algorithm,
        PublicKeyAlgorithm::RSA
            | PublicKeyAlgorithm::RSAEncrypt
            | PublicKeyAlgorithm::ECDH
            | PublicKeyAlgorithm::X25519
            | PublicKeyAlgorithm::X448
            | PublicKeyAlgorithm::MlKem768X25519
            | PublicKeyAlgorithm::MlKem1024X448
    )
}

/// The cipher for the summary.
pub(in crate::openpgp) fn cipher(algorithm: SymmetricKeyAlgorithm, aead: bool) -> Cipher {
    match (algorithm, aead) {
        (SymmetricKeyAlgorithm::AES128, false) => Cipher::Aes128,
        (SymmetricKeyAlgorithm::AES192, false) => Cipher::Aes192,
        (SymmetricKeyAlgorithm::AES256, false) => Cipher::Aes256,
        (SymmetricKeyAlgorithm::AES128, true) => Cipher::Aes128Aead,
        (SymmetricKeyAlgorithm::AES192, true) => Cipher::Aes192Aead,
        (SymmetricKeyAlgorithm::AES256, true) => Cipher::Aes256Aead,
        (
            SymmetricKeyAlgorithm::TripleDES
            | SymmetricKeyAlgorithm::CAST5
            | SymmetricKeyAlgorithm::Blowfish
            | SymmetricKeyAlgorithm::IDEA,
            _,
        ) => Cipher::Weak,
        _ => Cipher::Other,
    }
}

fn rsa_bits(rsa: &pgp::types::RsaPublicParams) -> usize {
    // Serialized as an MPI: two octets of bit length first (RFC 9580 3.2).
    use pgp::ser::Serialize as _;
    let octets = rsa.to_bytes().unwrap_or_default();
    match octets.as_slice() {
        [high, low, ..] => usize::from(u16::from_be_bytes([*high, *low])),
        _ => 0,
    }
}

fn ecdh_is_strong(ecdh: &EcdhPublicParams) -> bool {
    let (hash, cipher) = match ecdh {
        EcdhPublicParams::Curve25519Legacy { hash, alg_sym, .. }
        | EcdhPublicParams::P256 { hash, alg_sym, .. }
        | EcdhPublicParams::P384 { hash, alg_sym, .. }
        | EcdhPublicParams::P521 { hash, alg_sym, .. }
        | EcdhPublicParams::Brainpool256 { hash, alg_sym, .. }
        | EcdhPublicParams::Brainpool384 { hash, alg_sym, .. }
        | EcdhPublicParams::Brainpool512 { hash, alg_sym, .. } => (*hash, *alg_sym),
        EcdhPublicParams::Unsupported { .. } => return false,
    };
    // The key derivation of RFC 9580 11.4: SHA-2 of 256 bits and more, and AES.
    matches!(
        hash,
        HashAlgorithm::Sha256 | HashAlgorithm::Sha384 | HashAlgorithm::Sha512
    ) && matches!(
        cipher,
        SymmetricKeyAlgorithm::AES128
            | SymmetricKeyAlgorithm::AES192
            | SymmetricKeyAlgorithm::AES256
    )
}

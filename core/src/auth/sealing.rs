//! Keys sealed to a device, a password or a recovery phrase whose public key is known: so a new
//! root key reaches all that may have it, and nobody has to type anything.
//!
//! ```text
//! seed 32    = HKDF-SHA256(ikm = what the owner has, info = label | kind)
//! public key = X-Wing's: ML-KEM-768 1184 | X25519 32          (draft-connolly-cfrg-xwing-kem)
//! sealed     = X-Wing's ciphertext 1120 | key 32 | tag 16
//!              XChaCha20-Poly1305(HKDF-SHA256(ikm = shared secret, info = label | bound), 0, key)
//! ```
//!
//! X-Wing is both an elliptic curve and a lattice, so what a provider keeps today stays closed to
//! the quantum computers of tomorrow, as mail at rest does. Invariant: each shared secret seals one
//! key, so the nonce is zero; what is bound is named by nobody else. Rejected: X25519 alone, the
//! weakest link of an account that is otherwise symmetric; HPKE (RFC 9180) around the same, whose
//! crate brings a second generation of everything.

use core::fmt;

use chacha20poly1305::aead::{Aead, KeyInit};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use hkdf::Hkdf;
use ml_kem::kem::{Decapsulate, DecapsulationKey, EncapsulationKey};
use ml_kem::{
    B32, Ciphertext, EncapsulateDeterministic, Encoded, EncodedSizeUser, KemCore, MlKem768,
    MlKem768Params,
};
use rand::{CryptoRng, RngCore};
use sha2::Sha256;
use sha3::digest::{ExtendableOutput, Update, XofReader};
use sha3::{Digest, Sha3_256, Shake256};
use x25519_dalek::{X25519_BASEPOINT_BYTES, x25519};
use zeroize::Zeroizing;

const LABEL: &[u8] = b"letterlock/auth/1/sealing/";
/// Octets of a public key.
pub const SEALING_KEY_OCTETS: usize = ML_KEM_KEY_OCTETS + 32;
/// Octets of a key that is sealed.
pub const SEALED_KEY_OCTETS: usize = ML_KEM_TEXT_OCTETS + 32 + 32 + 16;
const ML_KEM_KEY_OCTETS: usize = 1184;
const ML_KEM_TEXT_OCTETS: usize = 1088;
const TEXT_OCTETS: usize = ML_KEM_TEXT_OCTETS + 32;
const XWING_LABEL: &[u8] = b"\\.//^\\";

type Secret = Zeroizing<[u8; 32]>;

/// Opens what is sealed to its public key. Erased on drop; `Debug` hides it.
#[derive(Clone)]
pub struct SealingSecret(Secret);

struct Expanded {
    lattice: DecapsulationKey<MlKem768Params>,
    public: EncapsulationKey<MlKem768Params>,
    curve: Secret,
}

impl SealingSecret {
    /// From what its owner alone has, which must have the entropy of a key already; the kind keeps
    /// keys of one owner apart.
    pub(crate) fn derive(material: &[u8], kind: &[u8]) -> Self {
        let mut seed = Zeroizing::new([0; 32]);
        Hkdf::<Sha256>::new(None, material)
            .expand_multi_info(&[LABEL, kind], &mut *seed)
            .expect("32 octets are within HKDF's limit");
        Self(seed)
    }

    /// What others seal to; [`SEALING_KEY_OCTETS`].
    pub fn public_key(&self) -> Vec<u8> {
        let expanded = self.expand();
        let curve = x25519(*expanded.curve, X25519_BASEPOINT_BYTES);
        [&expanded.public.as_bytes()[..], &curve].concat()
    }

    /// Opens a key that was sealed to this one and bound to `bound`; `None` for anything else.
    pub fn open(&self, sealed: &[u8], bound: &[u8]) -> Option<Secret> {
        let (text, key) = sealed.split_first_chunk::<TEXT_OCTETS>()?;
        let shared = self.decapsulate(text)?;
        let opened = cipher(&shared, bound).decrypt(&XNonce::default(), key);
        let opened = Zeroizing::new(opened.ok()?);
        opened.first_chunk::<32>().copied().map(Zeroizing::new)
    }

    fn decapsulate(&self, text: &[u8; TEXT_OCTETS]) -> Option<Secret> {
        let expanded = self.expand();
        let (lattice, curve) = text.split_at_checked(ML_KEM_TEXT_OCTETS)?;
        let theirs = <[u8; 32]>::try_from(curve).ok()?;
        let lattice = Ciphertext::<MlKem768>::try_from(lattice).ok()?;
        let one = expanded.lattice.decapsulate(&lattice).ok()?;
        let other = Zeroizing::new(x25519(*expanded.curve, theirs));
        let own = x25519(*expanded.curve, X25519_BASEPOINT_BYTES);
        Some(combine(&one, &other, &theirs, &own))
    }

    fn expand(&self) -> Expanded {
        let mut reader = Shake256::default().chain(*self.0).finalize_xof();
        let mut next = || {
            let mut octets = Zeroizing::new([0; 32]);
            reader.read(&mut *octets);
            octets
        };
        let (d, z, curve) = (next(), next(), next());
        let (lattice, public) = MlKem768::generate_deterministic(&B32::from(*d), &B32::from(*z));
        Expanded {
            lattice,
            public,
            curve,
        }
    }
}

impl fmt::Debug for SealingSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SealingSecret(…)")
    }
}

/// Seals a key to a public key; `None` if that is none.
pub fn seal_to(
    public: &[u8],
    key: &[u8; 32],
    bound: &[u8],
    rng: &mut (impl CryptoRng + RngCore),
) -> Option<Vec<u8>> {
    let mut random = Zeroizing::new([0; 64]);
    rng.fill_bytes(&mut *random);
    let (text, shared) = encapsulate(public, &random)?;
    let sealed = cipher(&shared, bound).encrypt(&XNonce::default(), &key[..]);
    Some([text, sealed.ok()?].concat())
}

fn encapsulate(public: &[u8], random: &[u8; 64]) -> Option<(Vec<u8>, Secret)> {
    let (lattice, theirs) = public.split_at_checked(ML_KEM_KEY_OCTETS)?;
    let theirs = <[u8; 32]>::try_from(theirs).ok()?;
    let lattice = Encoded::<EncapsulationKey<MlKem768Params>>::try_from(lattice).ok()?;
    let lattice = EncapsulationKey::<MlKem768Params>::from_bytes(&lattice);
    let (first, second) = random.split_first_chunk::<32>()?;
    let ephemeral = Zeroizing::new(<[u8; 32]>::try_from(second).ok()?);
    let (text, one) = lattice.encapsulate_deterministic(&B32::from(*first)).ok()?;
    let own = x25519(*ephemeral, X25519_BASEPOINT_BYTES);
    let other = Zeroizing::new(x25519(*ephemeral, theirs));
    let shared = combine(&one, &other, &own, &theirs);
    Some(([&text[..], &own].concat(), shared))
}

fn combine(lattice: &[u8], curve: &[u8; 32], text: &[u8; 32], key: &[u8; 32]) -> Secret {
    let mut hasher = Sha3_256::new();
    for part in [lattice, curve, text, key, XWING_LABEL] {
        Digest::update(&mut hasher, part);
    }
    Zeroizing::new(hasher.finalize().into())
}

fn cipher(shared: &[u8; 32], bound: &[u8]) -> XChaCha20Poly1305 {
    let mut key = Zeroizing::new([0; 32]);
    Hkdf::<Sha256>::new(None, shared)
        .expand_multi_info(&[LABEL, b"key", bound], &mut *key)
        .expect("32 octets are within HKDF's limit");
    XChaCha20Poly1305::new((&*key).into())
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand_chacha::ChaCha20Rng;

    use super::*;

    fn octets<const N: usize>(hex: &str) -> [u8; N] {
        let digits: Vec<u8> = (0..N)
            .map(|at| u8::from_str_radix(&hex[2 * at..2 * at + 2], 16).unwrap())
            .collect();
        digits.try_into().unwrap()
    }

    #[test]
    fn the_first_vector_of_the_draft() {
        // draft-connolly-cfrg-xwing-kem, appendix C.
        let seed = octets("7f9c2ba4e88f827d616045507605853ed73b8093f6efbc88eb1a6eacfa66ef26");
        let random = octets(
            "3cb1eea988004b93103cfb0aeefd2a686e01fa4a58e8a3639ca8a1e3f9ae57e2\
             35b8cc873c23dc62b8d260169afa2f75ab916a58d974918835d25e6a435085b2",
        );
        let secret = SealingSecret(Zeroizing::new(seed));
        let public = secret.public_key();
        assert_eq!(public.len(), SEALING_KEY_OCTETS);
        let (text, shared) = encapsulate(&public, &random).unwrap();
        let expected: [u8; 32] =
            octets("d2df0522128f09dd8e2c92b1e905c793d8f57a54c3da25861f10bf4ca613e384");
        assert_eq!(*shared, expected);
        let text: [u8; TEXT_OCTETS] = text.try_into().unwrap();
        assert_eq!(*secret.decapsulate(&text).unwrap(), expected);
    }

    #[test]
    fn what_is_sealed_opens_for_one_key_and_one_purpose() {
        let mut rng = ChaCha20Rng::seed_from_u64(1);
        let secret = SealingSecret::derive(&[1; 32], b"device");
        let sealed = seal_to(&secret.public_key(), &[7; 32], b"bound", &mut rng).unwrap();
        assert_eq!(sealed.len(), SEALED_KEY_OCTETS);
        assert_eq!(*secret.open(&sealed, b"bound").unwrap(), [7; 32]);
        assert!(secret.open(&sealed, b"other").is_none());
        assert!(
            SealingSecret::derive(&[1; 32], b"phrase")
                .open(&sealed, b"bound")
                .is_none()
        );
        assert!(
            SealingSecret::derive(&[2; 32], b"device")
                .open(&sealed, b"bound")
                .is_none()
        );
        for at in (0..sealed.len()).step_by(37).chain([sealed.len() - 1]) {
            let mut altered = sealed.clone();
            altered[at] ^= 1;
            assert!(secret.open(&altered, b"bound").is_none(), "octet {at}");
        }
        assert!(
            secret
                .open(&sealed[..SEALED_KEY_OCTETS - 1], b"bound")
                .is_none()
        );
        assert!(seal_to(&secret.public_key()[1..], &[7; 32], b"", &mut rng).is_none());
        assert_eq!(format!("{secret:?}"), "SealingSecret(…)");
    }
}

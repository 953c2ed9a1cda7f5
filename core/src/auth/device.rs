//! A device's own key: it logs the device in by a challenge, without the password.
//!
//! ```text
//! seed 32   = random, made on the device and kept in its store alone
//! signature = Ed25519(label | device 16 | length u32 | canonical address | challenge)   (RFC 8032)
//! sealing   = a key that follows from the seed opens what is sealed to the device    (super::sealing)
//! ```
//!
//! The provider knows the public key from the account's signed list ([`super::devices`]), and
//! forgets it with the device. Invariant: the seed leaves the device in no form; a signature is
//! good for one challenge of one device and account. Rejected: a token that never ends, which
//! whoever has read it once has for ever.

use core::fmt;

use ed25519_dalek::{Signer as _, SigningKey};
use rand::{CryptoRng, RngCore};
use zeroize::Zeroizing;

use super::recovery::{is_verifier, verify_message};
use super::sealing::SealingSecret;
use crate::id::{Address, ReplicaId};

pub use super::recovery::CHALLENGE_OCTETS;

const LABEL: &[u8] = b"letterlock/auth/1/device/challenge";
/// Octets of a device's public key, and of its seed.
pub const DEVICE_KEY_OCTETS: usize = 32;

/// The secret of one device: an Ed25519 seed. `Debug` hides it.
#[derive(Clone)]
pub struct DeviceKey(Zeroizing<[u8; DEVICE_KEY_OCTETS]>);

impl DeviceKey {
    /// A new one.
    pub fn generate(rng: &mut (impl CryptoRng + RngCore)) -> Self {
        let mut seed = Zeroizing::new([0; DEVICE_KEY_OCTETS]);
        rng.fill_bytes(&mut *seed);
        Self(seed)
    }

    /// From octets that were kept.
    pub fn from_octets(seed: [u8; DEVICE_KEY_OCTETS]) -> Self {
        Self(Zeroizing::new(seed))
    }

    /// The octets, to be kept.
    pub fn octets(&self) -> &[u8; DEVICE_KEY_OCTETS] {
        &self.0
    }

    /// What others know the device by.
    pub fn public_key(&self) -> [u8; DEVICE_KEY_OCTETS] {
        self.signing_key().verifying_key().to_bytes()
    }

    /// Opens what is sealed to this device ([`super::devices`]).
    pub fn sealing_secret(&self) -> SealingSecret {
        SealingSecret::derive(&*self.0, b"device")
    }

    /// Proves to the provider that has sent the challenge that this is the device.
    pub fn prove(&self, address: &Address, device: ReplicaId, challenge: &[u8]) -> Vec<u8> {
        let message = challenge_message(address, device, challenge);
        self.signing_key().sign(&message).to_bytes().to_vec()
    }

    /// Signs what this device states ([`crate::manifest`]); the message begins with a label of its
    /// own.
    pub(crate) fn sign(&self, message: &[u8]) -> [u8; 64] {
        self.signing_key().sign(message).to_bytes()
    }

    fn signing_key(&self) -> SigningKey {
        SigningKey::from_bytes(&self.0)
    }
}

impl fmt::Debug for DeviceKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DeviceKey(…)")
    }
}

/// Whether octets are a public key that a device can have.
pub fn is_public_key(octets: &[u8]) -> bool {
    is_verifier(octets)
}

/// Whether a signature proves the device with this public key. `key` is `None` for an unknown
/// device or address; that costs the same and is always false.
pub fn verify(
    key: Option<&[u8]>,
    address: &Address,
    device: ReplicaId,
    challenge: &[u8],
    signature: &[u8],
) -> bool {
    let message = challenge_message(address, device, challenge);
    verify_message(key, &message, signature)
}

/// Whether a device with this public key has signed a message.
pub(crate) fn has_signed(key: &[u8], message: &[u8], signature: &[u8]) -> bool {
    verify_message(Some(key), message, signature)
}

fn challenge_message(address: &Address, device: ReplicaId, challenge: &[u8]) -> Vec<u8> {
    let address = address.canonical();
    let address = address.as_str().as_bytes();
    let length = u32::try_from(address.len()).unwrap_or(u32::MAX);
    [
        LABEL,
        device.as_bytes(),
        &length.to_be_bytes(),
        address,
        challenge,
    ]
    .concat()
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand_chacha::ChaCha20Rng;

    use super::*;
    use crate::auth::RecoveryPhrase;

    #[test]
    fn a_proof_is_of_one_key_device_account_and_challenge() {
        let mut rng = ChaCha20Rng::seed_from_u64(7);
        let key = DeviceKey::generate(&mut rng);
        let public = key.public_key();
        let other = DeviceKey::generate(&mut rng).public_key();
        let alice = Address::new("Alice@x.example").unwrap();
        let bob = Address::new("bob@x.example").unwrap();
        let (one, two) = (ReplicaId::new([1; 16]), ReplicaId::new([2; 16]));
        let proof = key.prove(&alice, one, &[7; CHALLENGE_OCTETS]);
        let check = |key: Option<&[u8]>, address: &Address, device, challenge: u8| {
            let challenge = [challenge; CHALLENGE_OCTETS];
            verify(key, address, device, &challenge, &proof)
        };
        assert!(check(Some(&public), &alice.canonical(), one, 7));
        assert!(!check(Some(&public), &bob, one, 7));
        assert!(!check(Some(&public), &alice, two, 7));
        assert!(!check(Some(&public), &alice, one, 8));
        assert!(!check(Some(&other), &alice, one, 7));
        assert!(!check(None, &alice, one, 7));
        assert!(!verify(Some(&public), &alice, one, &[7; 32], b"short"));
        assert_eq!(DeviceKey::from_octets(*key.octets()).public_key(), public);
        assert!(is_public_key(&public) && !is_public_key(&[0; 32]));
        assert_eq!(format!("{key:?}"), "DeviceKey(…)");
    }

    #[test]
    fn a_recovery_phrase_proves_no_device() {
        // The same curve and challenge: the label keeps them apart.
        let mut rng = ChaCha20Rng::seed_from_u64(8);
        let phrase = RecoveryPhrase::generate(&mut rng);
        let alice = Address::new("alice@x.example").unwrap();
        let proof = phrase.prove(&alice, &[7; CHALLENGE_OCTETS]);
        let device = ReplicaId::new([1; 16]);
        let verifier = phrase.verifier();
        assert!(!verify(
            Some(&verifier),
            &alice,
            device,
            &[7; CHALLENGE_OCTETS],
            &proof
        ));
    }
}

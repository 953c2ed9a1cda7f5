//! The recovery phrase: 24 words (BIP-39's English list) that repair a lost password.
//!
//! ```text
//! entropy 32   = random, shown once as 24 words
//! wrapping key = HKDF-SHA256(ikm = entropy, info = label "wrap")    opens the root key's wrap
//! signing seed = HKDF-SHA256(ikm = entropy, info = label "proof")   Ed25519 (RFC 8032)
//! signature    = Ed25519(label "challenge" | length | canonical address | challenge)
//! ```
//!
//! The provider keeps the Ed25519 public key (the *verifier*) and the wrap. Whoever signs a fresh
//! challenge may set a new password and gets the wrap, which the same phrase opens: address and
//! phrase bring everything back on a new machine. 256 random bits need no slow hash.
//!
//! Invariant: neither the words nor anything that opens mail leaves the device; a provider that
//! keeps every signature it was shown can repeat none of them, since challenges are its own and
//! fresh. Rejected: BIP-39's seed (PBKDF2 of the words), which stretches what is strong already;
//! sending a hash of the phrase, which whoever reads it once could send again.

use core::fmt;

use bip39::{Language, Mnemonic};
use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey};
use hkdf::Hkdf;
use rand::{CryptoRng, RngCore};
use sha2::Sha256;
use zeroize::Zeroizing;

use super::sealing::SealingSecret;
use super::wrap::{RootKeyWrap, Unwrapped, WrapError, WrapKind, unwrap_root_key, wrap_root_key};
use crate::id::{AccountId, Address};

const LABEL: &[u8] = b"letterlock/auth/1/recovery/";
/// Words of a phrase.
pub const PHRASE_WORDS: usize = 24;
/// Octets of a challenge.
pub const CHALLENGE_OCTETS: usize = 32;
/// Octets of a verifier.
pub const VERIFIER_OCTETS: usize = 32;
/// Longest text that is read as a phrase, in octets: 24 words of eight letters, generously spaced.
pub const MAX_PHRASE_OCTETS: usize = 1024;
/// Stands in for the verifier of an account that has none, so that checking takes its time: RFC
/// 8032's base point. What is found with it is dropped.
const NOBODY: [u8; VERIFIER_OCTETS] = [
    0x58, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66,
    0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66,
];

/// Why a text is no recovery phrase. Positions count from 1; the words themselves are not told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PhraseError {
    /// Another number of words.
    #[error("a recovery phrase has {PHRASE_WORDS} words, this has {0}")]
    Length(usize),
    /// A word that is not in the list.
    #[error("word {0} is not one of the words that phrases are made of")]
    UnknownWord(usize),
    /// Every word is in the list, but together they are no phrase.
    #[error("one of the words is another, or two have changed places")]
    Checksum,
}

/// A recovery phrase. Erased on drop; `Debug` hides it.
#[derive(Clone)]
pub struct RecoveryPhrase(Zeroizing<[u8; 32]>);

impl fmt::Debug for RecoveryPhrase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RecoveryPhrase(…)")
    }
}

impl RecoveryPhrase {
    /// A random one.
    pub fn generate(rng: &mut (impl CryptoRng + RngCore)) -> Self {
        let mut entropy = Zeroizing::new([0; 32]);
        rng.fill_bytes(&mut *entropy);
        Self(entropy)
    }

    /// Reads what a person typed or pasted: letters in any case, any space between the words,
    /// with or without numbers before them.
    pub fn parse(text: &str) -> Result<Self, PhraseError> {
        if text.len() > MAX_PHRASE_OCTETS {
            return Err(PhraseError::Length(text.split_whitespace().count()));
        }
        let lower = Zeroizing::new(text.to_lowercase());
        let words: Vec<&str> = lower
            .split(|c: char| !c.is_alphabetic())
            .filter(|word| !word.is_empty())
            .collect();
        if words.len() != PHRASE_WORDS {
            return Err(PhraseError::Length(words.len()));
        }
        let joined = Zeroizing::new(words.join(" "));
        let mnemonic = Mnemonic::parse_in_normalized(Language::English, &joined);
        let mnemonic = Zeroizing::new(mnemonic.map_err(|error| match error {
            bip39::Error::UnknownWord(at) => PhraseError::UnknownWord(at.saturating_add(1)),
            _ => PhraseError::Checksum,
        })?);
        let (octets, _) = mnemonic.to_entropy_array();
        let octets = Zeroizing::new(octets);
        let entropy = octets.first_chunk::<32>().ok_or(PhraseError::Checksum)?;
        Ok(Self(Zeroizing::new(*entropy)))
    }

    /// The words, to be shown to their owner.
    ///
    /// # Panics
    /// Never: 32 octets are an entropy of BIP-39.
    pub fn words(&self) -> Zeroizing<String> {
        let mnemonic = Mnemonic::from_entropy_in(Language::English, &*self.0);
        let mnemonic = Zeroizing::new(mnemonic.expect("32 octets are an entropy of BIP-39"));
        let mut text = Zeroizing::new(String::with_capacity(PHRASE_WORDS.saturating_mul(9)));
        for word in mnemonic.words() {
            if !text.is_empty() {
                text.push(' ');
            }
            text.push_str(word);
        }
        text
    }

    /// Wraps the root key for this phrase.
    pub fn wrap(
        &self,
        account: AccountId,
        epoch: u32,
        root_key: &[u8; 32],
        rng: &mut (impl CryptoRng + RngCore),
    ) -> RootKeyWrap {
        let kind = WrapKind::Recovery;
        wrap_root_key(&*self.derive(b"wrap"), account, epoch, kind, root_key, rng)
    }

    /// Opens what [`RecoveryPhrase::wrap`] wrapped.
    pub fn unwrap_key(
        &self,
        account: AccountId,
        wrap: &RootKeyWrap,
    ) -> Result<Unwrapped, WrapError> {
        unwrap_root_key(&*self.derive(b"wrap"), account, WrapKind::Recovery, wrap)
    }

    /// Opens what is sealed to whoever knows the phrase ([`super::devices`]).
    pub fn sealing_secret(&self) -> SealingSecret {
        SealingSecret::derive(&*self.0, b"phrase")
    }

    /// What the provider keeps, to know this phrase by.
    pub fn verifier(&self) -> [u8; VERIFIER_OCTETS] {
        self.signing_key().verifying_key().to_bytes()
    }

    /// Proves this phrase to the provider that has sent the challenge.
    pub fn prove(&self, address: &Address, challenge: &[u8]) -> Vec<u8> {
        let message = challenge_message(address, challenge);
        self.signing_key().sign(&message).to_bytes().to_vec()
    }

    fn signing_key(&self) -> SigningKey {
        SigningKey::from_bytes(&self.derive(b"proof"))
    }

    fn derive(&self, part: &[u8]) -> Zeroizing<[u8; 32]> {
        let mut key = Zeroizing::new([0; 32]);
        Hkdf::<Sha256>::new(None, &*self.0)
            .expand_multi_info(&[LABEL, part], &mut *key)
            .expect("32 octets are within HKDF's limit");
        key
    }
}

/// Whether `octets` are a verifier that a phrase can have: a point of the curve that is not weak.
pub fn is_verifier(octets: &[u8]) -> bool {
    read_verifier(octets).is_some()
}

/// Whether a signature proves the phrase of an account. `verifier` is `None` for an account that
/// has none and for an unknown address; that costs the same and is always false.
pub fn verify(
    verifier: Option<&[u8]>,
    address: &Address,
    challenge: &[u8],
    signature: &[u8],
) -> bool {
    verify_message(verifier, &challenge_message(address, challenge), signature)
}

/// Whether `signature` is of `message` and by `verifier`, if there is one, in the same time.
pub(super) fn verify_message(verifier: Option<&[u8]>, message: &[u8], signature: &[u8]) -> bool {
    let key = read_verifier(verifier.unwrap_or(&NOBODY));
    let signature = Signature::from_slice(signature).unwrap_or_else(|_| {
        // Another length: checked all the same, so that it takes the same time.
        Signature::from_bytes(&[0; 64])
    });
    let proved = key.is_some_and(|key| key.verify_strict(message, &signature).is_ok());
    proved & verifier.is_some()
}

fn read_verifier(octets: &[u8]) -> Option<VerifyingKey> {
    let octets = <[u8; VERIFIER_OCTETS]>::try_from(octets).ok()?;
    let key = VerifyingKey::from_bytes(&octets).ok()?;
    (!key.is_weak()).then_some(key)
}

fn challenge_message(address: &Address, challenge: &[u8]) -> Vec<u8> {
    let address = address.canonical();
    let address = address.as_str().as_bytes();
    let length = u32::try_from(address.len()).unwrap_or(u32::MAX);
    [
        LABEL,
        b"challenge",
        &length.to_be_bytes(),
        address,
        challenge,
    ]
    .concat()
}

#[cfg(test)]
mod tests;

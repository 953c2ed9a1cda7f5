//! Passwords for mail programs: generated, shown once, kept as a hash.
//!
//! A mail program stores its password on disk and sends it at each log-in, so it does not get the
//! account's own. 160 random bits need no slow hash: nobody tries 2^160 values, and a fast one
//! keeps IMAP log-ins cheap. Invariant: checking costs the same whether the user is known or not,
//! and never tells how much of a password was right. Rejected: Argon2 here, which would let
//! anybody on the machine burn memory by trying log-ins.

use core::fmt;

use rand::{CryptoRng, RngCore};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use crate::scram::Verifier;

/// Random octets of a password: 160 bits, 32 characters.
const SECRET_OCTETS: usize = 20;
/// Characters between two dashes.
const GROUP: usize = 8;
/// Letters and digits that are not mistaken for one another (no 0, 1, l, o).
const ALPHABET: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";
/// Longest password that is looked at, in octets.
const MAX_PASSWORD_OCTETS: usize = 256;

/// A new password, to be shown once.
pub struct AppPassword(Zeroizing<String>);

impl AppPassword {
    /// A random one.
    pub fn generate(rng: &mut (impl CryptoRng + RngCore)) -> Self {
        let mut octets = Zeroizing::new([0_u8; SECRET_OCTETS]);
        rng.fill_bytes(&mut *octets);
        let mut text = Zeroizing::new(String::with_capacity(SECRET_OCTETS * 2));
        // Five octets are eight characters of five bits each.
        for chunk in octets.chunks(5) {
            if !text.is_empty() {
                text.push('-');
            }
            let bits = chunk
                .iter()
                .fold(0_u64, |bits, octet| bits << 8 | u64::from(*octet));
            for position in (0..GROUP).rev() {
                let index = usize::try_from(bits >> (position * 5) & 31).unwrap_or(0);
                text.push(ALPHABET.get(index).map_or('a', |octet| char::from(*octet)));
            }
        }
        Self(text)
    }

    /// One that was generated before and kept by its user.
    pub fn from_text(text: String) -> Self {
        Self(Zeroizing::new(text))
    }

    /// The text to show.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What is kept of it for log-ins that send the password.
    pub fn hash(&self) -> AppPasswordHash {
        AppPasswordHash::of(&self.0)
    }

    /// What is kept of it for log-ins that prove it.
    pub fn verifier(&self, salt: &[u8], iterations: u32) -> Verifier {
        Verifier::new(&self.0, salt, iterations)
    }
}

impl fmt::Debug for AppPassword {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AppPassword(…)")
    }
}

/// SHA-256 of an app password, in hexadecimal where it is stored.
#[derive(Clone, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct AppPasswordHash([u8; 32]);

/// The text is no hash.
#[derive(Debug, thiserror::Error)]
#[error("is not the SHA-256 of an app password in hexadecimal")]
pub struct InvalidHash;

impl AppPasswordHash {
    fn of(password: &str) -> Self {
        Self(Sha256::digest(password.as_bytes()).into())
    }

    /// A hash that no password has: stands for an unknown user's.
    pub const fn of_nobody() -> Self {
        Self([0; 32])
    }

    /// Whether this is the hash of `password`, in constant time.
    pub fn matches(&self, password: &str) -> bool {
        let within_limit = password.len() <= MAX_PASSWORD_OCTETS;
        let shown = if within_limit { password } else { "" };
        within_limit & bool::from(Self::of(shown).0.ct_eq(&self.0))
    }
}

impl fmt::Debug for AppPasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AppPasswordHash(…)")
    }
}

impl TryFrom<String> for AppPasswordHash {
    type Error = InvalidHash;

    fn try_from(text: String) -> Result<Self, InvalidHash> {
        let mut octets = [0; 32];
        hex::decode_to_slice(text, &mut octets).map_err(|_| InvalidHash)?;
        Ok(Self(octets))
    }
}

impl From<AppPasswordHash> for String {
    fn from(hash: AppPasswordHash) -> Self {
        hex::encode(hash.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_are_long_distinct_and_checked() {
        let first = AppPassword::generate(&mut rand::rngs::OsRng);
        let second = AppPassword::generate(&mut rand::rngs::OsRng);
        assert_eq!(first.as_str().len(), 35);
        assert_ne!(first.as_str(), second.as_str());
        assert!(first.hash().matches(first.as_str()));
        assert!(!first.hash().matches(second.as_str()));
        assert!(!first.hash().matches(""));
        assert!(!first.hash().matches(&first.as_str().repeat(50)));
        assert!(!AppPasswordHash::of_nobody().matches(""));
        assert!(!format!("{first:?} {:?}", first.hash()).contains(first.as_str()));
    }

    #[test]
    fn hashes_are_stored_as_text() {
        let password = AppPassword::generate(&mut rand::rngs::OsRng);
        let json = serde_json::to_string(&password.hash()).unwrap();
        assert_eq!(json.len(), 66);
        let hash: AppPasswordHash = serde_json::from_str(&json).unwrap();
        assert!(hash.matches(password.as_str()));
        assert!(serde_json::from_str::<AppPasswordHash>("\"abc\"").is_err());
    }
}

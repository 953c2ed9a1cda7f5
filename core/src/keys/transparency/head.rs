//! The signed head: what the whole directory is at one moment, in the provider's name.
//!
//! ```text
//! head   = version 1 | length u8 | domain | directory key 32 | salt 32
//!        | log size u64 | log root 32 | map root 32 | time i64 (milliseconds)
//! signed = head | Ed25519 signature 64 over "letterlock directory head\0" | head     (RFC 8032)
//! ```
//!
//! A head carries the key that signed it, so two heads of one log size and different roots convict
//! their signer before anybody. Which key is the provider's is not proven by a head: whoever sees
//! the first one pins its key and salt ([`Identity`]), and later ones must have the same.

use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey};
use rand::{CryptoRng, RngCore};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::map::EMPTY;
use super::merkle::{Hash, empty_root};
use crate::id::Timestamp;

/// The version of heads that this program writes, and the only one that it reads.
pub const HEAD_VERSION: u8 = 1;
/// Most octets of a signed head: a domain has at most 255.
pub const MAX_HEAD_OCTETS: usize = 2 + 255 + 32 + 32 + 8 + 32 + 32 + 8 + 64;
const CONTEXT: &[u8] = b"letterlock directory head\0";
const SIGNATURE_OCTETS: usize = 64;

/// Which directory: what is pinned when it is seen first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// The provider's name.
    pub domain: String,
    /// Its Ed25519 key.
    pub key: Hash,
    /// What labels are hashed with.
    pub salt: Hash,
}

/// What the directory is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// Which directory.
    pub identity: Identity,
    /// How many changes the log has.
    pub size: u64,
    /// The log's root.
    pub log_root: Hash,
    /// The map's root after the last change.
    pub map_root: Hash,
    /// When it was signed.
    pub time: Timestamp,
}

/// A head whose signature is good: by the key that it names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedHead {
    head: Head,
    octets: Vec<u8>,
}

/// Why octets are no signed head.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HeadError {
    /// Of a version that this program does not know.
    #[error("the directory's head has version {0}, which this program does not know: update it")]
    Newer(u8),
    /// Too short, too long, or otherwise not of the form.
    #[error("the directory's head does not read")]
    Malformed,
    /// The signature is not by the key that the head names.
    #[error("the directory's head has a bad signature")]
    BadSignature,
}

impl Head {
    /// The head of a directory without changes.
    pub const fn is_empty(&self) -> bool {
        self.size == 0
    }

    fn to_octets(&self) -> Vec<u8> {
        let domain = self.identity.domain.as_bytes();
        let domain = domain.get(..255).unwrap_or(domain);
        [
            &[HEAD_VERSION, u8::try_from(domain.len()).unwrap_or(u8::MAX)],
            domain,
            &self.identity.key.0,
            &self.identity.salt.0,
            &self.size.to_be_bytes(),
            &self.log_root.0,
            &self.map_root.0,
            &self.time.as_millis().to_be_bytes(),
        ]
        .concat()
    }

    fn parse(octets: &[u8]) -> Result<Self, HeadError> {
        let (&[version, length], rest) = octets.split_first_chunk().ok_or(HeadError::Malformed)?;
        if version != HEAD_VERSION {
            return Err(HeadError::Newer(version));
        }
        let read = || {
            let (domain, rest) = rest.split_at_checked(usize::from(length))?;
            let domain = core::str::from_utf8(domain).ok()?.to_owned();
            let (key, rest) = rest.split_first_chunk()?;
            let (salt, rest) = rest.split_first_chunk()?;
            let (size, rest) = rest.split_first_chunk()?;
            let (log_root, rest) = rest.split_first_chunk()?;
            let (map_root, rest) = rest.split_first_chunk()?;
            let (time, []) = rest.split_first_chunk()? else {
                return None;
            };
            Some(Self {
                identity: Identity {
                    domain,
                    key: Hash(*key),
                    salt: Hash(*salt),
                },
                size: u64::from_be_bytes(*size),
                log_root: Hash(*log_root),
                map_root: Hash(*map_root),
                time: Timestamp::from_millis(i64::from_be_bytes(*time)),
            })
        };
        let head = read().ok_or(HeadError::Malformed)?;
        let empty = head.log_root == empty_root() && head.map_root == EMPTY;
        if head.is_empty() && !empty {
            return Err(HeadError::Malformed);
        }
        Ok(head)
    }
}

impl SignedHead {
    /// Reads a head and checks its signature.
    pub fn parse(octets: &[u8]) -> Result<Self, HeadError> {
        if let Some(&version) = octets.first().filter(|version| **version != HEAD_VERSION) {
            return Err(HeadError::Newer(version));
        }
        if octets.len() > MAX_HEAD_OCTETS {
            return Err(HeadError::Malformed);
        }
        let end = octets.len().checked_sub(SIGNATURE_OCTETS);
        let (signed, signature) = end
            .and_then(|end| octets.split_at_checked(end))
            .ok_or(HeadError::Malformed)?;
        let head = Head::parse(signed)?;
        let signature = Signature::from_slice(signature).map_err(|_| HeadError::Malformed)?;
        let key =
            VerifyingKey::from_bytes(&head.identity.key.0).map_err(|_| HeadError::BadSignature)?;
        // Strict: a signature that two verifiers judge differently convicts nobody.
        key.verify_strict(&[CONTEXT, signed].concat(), &signature)
            .map_err(|_| HeadError::BadSignature)?;
        Ok(Self {
            head,
            octets: octets.to_vec(),
        })
    }

    /// What it says.
    pub const fn head(&self) -> &Head {
        &self.head
    }

    /// As it travels.
    pub fn octets(&self) -> &[u8] {
        &self.octets
    }
}

/// The provider's key for heads.
pub struct DirectoryKey(SigningKey);

impl DirectoryKey {
    /// A new one.
    pub fn generate(rng: &mut (impl CryptoRng + RngCore)) -> Self {
        let mut seed = Zeroizing::new([0; 32]);
        rng.fill_bytes(&mut *seed);
        Self(SigningKey::from_bytes(&seed))
    }

    /// From the octets that were kept.
    pub fn from_octets(octets: &[u8]) -> Option<Self> {
        let seed = Zeroizing::new(<[u8; 32]>::try_from(octets).ok()?);
        Some(Self::from_seed(&seed))
    }

    pub(super) fn from_seed(seed: &[u8; 32]) -> Self {
        Self(SigningKey::from_bytes(seed))
    }

    /// The octets to keep.
    pub fn to_octets(&self) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(self.0.to_bytes())
    }

    /// The public key.
    pub fn public(&self) -> Hash {
        Hash(self.0.verifying_key().to_bytes())
    }

    /// Signs a head, which gets this key's name.
    pub fn sign(&self, mut head: Head) -> SignedHead {
        head.identity.key = self.public();
        let octets = head.to_octets();
        let signature = self.0.sign(&[CONTEXT, &octets].concat());
        SignedHead {
            head,
            octets: [&octets[..], &signature.to_bytes()].concat(),
        }
    }
}

impl core::fmt::Debug for DirectoryKey {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("DirectoryKey(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn signed() -> SignedHead {
        let key = DirectoryKey::from_octets(&[5; 32]).unwrap();
        key.sign(Head {
            identity: Identity {
                domain: "letterlock.example".to_owned(),
                key: EMPTY,
                salt: Hash([7; 32]),
            },
            size: 3,
            log_root: Hash([1; 32]),
            map_root: Hash([2; 32]),
            time: Timestamp::from_millis(1_700_000_000_000),
        })
    }

    #[test]
    fn golden_head() {
        let head = signed();
        let hex = crate::keys::transparency::tests::hex(head.octets());
        let key = head.head().identity.key.to_string();
        let expected = [
            "01126c65747465726c6f636b2e6578616d706c65",
            &key,
            &"07".repeat(32),
            "0000000000000003",
            &"01".repeat(32),
            &"02".repeat(32),
            "0000018bcfe56800",
        ]
        .concat();
        assert_eq!(hex.get(..expected.len()), Some(&expected[..]));
        assert_eq!(hex.len(), expected.len() + 128);
        assert_eq!(SignedHead::parse(head.octets()), Ok(head));
    }

    #[test]
    fn no_octet_can_be_changed_and_a_newer_version_is_refused() {
        let head = signed();
        for at in 0..head.octets().len() {
            let mut changed = head.octets().to_vec();
            changed[at] ^= 0x10;
            let error = SignedHead::parse(&changed).unwrap_err();
            let expected = at == 0;
            assert_eq!(matches!(error, HeadError::Newer(_)), expected, "octet {at}");
        }
        let mut newer = head.octets().to_vec();
        newer[0] = 2;
        let error = SignedHead::parse(&newer).unwrap_err();
        assert_eq!(error, HeadError::Newer(2));
        assert!(error.to_string().contains("update"), "{error}");
        for end in 0..head.octets().len() {
            assert!(SignedHead::parse(&head.octets()[..end]).is_err());
        }
        assert!(SignedHead::parse(&[1; 1000]).is_err());
    }

    #[test]
    fn a_directory_without_changes_has_no_other_roots() {
        let key = DirectoryKey::from_octets(&[5; 32]).unwrap();
        let mut head = signed().head().clone();
        head.size = 0;
        let wrong = key.sign(head.clone());
        assert_eq!(SignedHead::parse(wrong.octets()), Err(HeadError::Malformed));
        (head.log_root, head.map_root) = (empty_root(), EMPTY);
        assert!(SignedHead::parse(key.sign(head).octets()).is_ok());
    }
}

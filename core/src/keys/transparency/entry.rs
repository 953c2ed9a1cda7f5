//! What the directory says of an address, and the log's leaf that says when it changed.
//!
//! ```text
//! label = SHA-256("letterlock directory label 1\0" | salt 32 | canonical address without detail)
//! set   = SHA-256("letterlock directory set 1\0" | SHA-256 of each certificate, ascending, each once)
//! leaf  = version 1 | salt 32 | label 32 | entry version u64 | set 32 | map root 32
//! ```
//!
//! An address has an ordered set of certificates (of several versions of OpenPGP); it is hashed as
//! a set, so that its order is nobody's statement. No certificates is a set too: the address has
//! none any more. The salt is in every leaf, so equal logs have equal labels.
//! Known limit: whoever knows the salt can test guesses of addresses against a label; the
//! directory answers such guesses anyway. Rejected: a verifiable random function (RFC 9381) over
//! addresses; it hides what an open directory tells to everybody who asks.

use serde::{Deserialize, Serialize};

use super::map::{Label, MapProof, Value};
use super::merkle::{Hash, sha256};
use crate::id::Address;

/// The version of leaves that this program writes, and the only one that it reads.
pub const LEAF_VERSION: u8 = 1;
/// Most certificates of an address.
pub const MAX_CERTIFICATES: usize = 8;

/// Which address an entry is of: letters in any case, without the detail that RFC 5233 puts behind
/// a `+` and that is cut off when mail comes in.
pub fn entry_address(address: &Address) -> Address {
    let canonical = address.canonical();
    let base = canonical.local_part().split_once('+');
    base.and_then(|(base, _)| Address::new(&format!("{base}@{}", canonical.domain())).ok())
        .unwrap_or(canonical)
}

/// Where an address stands in the map of the directory with this salt.
pub fn label(salt: &Hash, address: &Address) -> Label {
    let address = entry_address(address);
    Label(sha256(&[
        b"letterlock directory label 1\0",
        &salt.0,
        address.as_str().as_bytes(),
    ]))
}

/// The hash of an address's certificates, in whatever order.
pub fn set_hash<T: AsRef<[u8]>>(certificates: &[T]) -> Hash {
    let mut hashes: Vec<Hash> = certificates
        .iter()
        .map(|certificate| sha256(&[certificate.as_ref()]))
        .collect();
    hashes.sort_unstable();
    hashes.dedup();
    let octets: Vec<u8> = hashes.iter().flat_map(|hash| hash.0).collect();
    sha256(&[b"letterlock directory set 1\0", &octets])
}

/// A leaf of the log: one label has got another value, and nothing else has changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Change {
    /// Of the directory.
    pub salt: Hash,
    /// Whose entry changed.
    pub label: Label,
    /// What it is since.
    pub value: Value,
    /// The map's root since.
    pub map_root: Hash,
}

impl Change {
    /// The leaf's octets.
    pub fn to_octets(&self) -> Vec<u8> {
        [
            &[LEAF_VERSION],
            &self.salt.0[..],
            &self.label.0.0,
            &self.value.version.to_be_bytes(),
            &self.value.set.0,
            &self.map_root.0,
        ]
        .concat()
    }
}

/// A change as it is told to those who follow the log: what they cannot compute themselves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Step {
    /// Whose entry changed.
    pub label: Label,
    /// What it is since.
    pub value: Value,
    /// The label's proof in the map before.
    pub before: MapProof,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> Address {
        Address::new(text).unwrap()
    }

    #[test]
    fn golden_label_set_and_leaf() {
        let salt = Hash([7; 32]);
        let label = label(&salt, &address("Alice+news@Letterlock.example"));
        assert_eq!(
            label,
            super::label(&salt, &address("alice@letterlock.example"))
        );
        assert_ne!(
            label,
            super::label(&Hash([8; 32]), &address("alice@letterlock.example"))
        );
        assert_eq!(label.0.to_string(), GOLDEN_LABEL);
        let set = set_hash(&[b"one", b"two"]);
        assert_eq!(set, set_hash(&[b"two", b"one", b"two"]));
        assert_ne!(set, set_hash(&[b"one"]));
        assert_eq!(set.to_string(), GOLDEN_SET);
        let change = Change {
            salt,
            label,
            value: Value { version: 3, set },
            map_root: Hash([9; 32]),
        };
        let octets = change.to_octets();
        assert_eq!(octets.len(), 137);
        let expected = format!(
            "01{}{GOLDEN_LABEL}0000000000000003{GOLDEN_SET}{}",
            "07".repeat(32),
            "09".repeat(32)
        );
        assert_eq!(crate::keys::transparency::tests::hex(&octets), expected);
    }

    const GOLDEN_LABEL: &str = "695135e629cbca8238c6b56308abcd6ff8f497cac78b4a0c44db9a73c6395a11";
    const GOLDEN_SET: &str = "6a96f4a0311b7b8b51545bd878e60c244b03094f274d03448d58aaf98ab7f227";
}

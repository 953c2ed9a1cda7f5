//! Merkle tree hashing of the log, its proofs and how they are verified (RFC 9162 2.1).
//!
//! Whoever has the log keeps the hashes of its *perfect* subtrees (2^level leaves, aligned), which
//! never change once they are whole: an append writes O(log n) of them, a root or a proof reads
//! O(log n). Whoever follows the log keeps a [`Frontier`] alone.
//!
//! Invariant: a proof is verified by the RFC's own algorithms (2.1.3.2, 2.1.4.2), which know
//! nothing of how it was made; malformed proofs fail, none panics or runs longer than it is long.
//! Rejected: keeping all leaves in memory and hashing them anew, linear in the log.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// Most hashes in a proof of the log: a log of 2^63 leaves has no longer one.
pub const MAX_LOG_PATH: usize = 64;

/// A hash of the log or of the map: SHA-256.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Hash(#[serde(with = "serde_bytes")] pub [u8; 32]);

impl core::fmt::Debug for Hash {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        for octet in self.0.iter().take(4) {
            write!(f, "{octet:02x}")?;
        }
        f.write_str("…")
    }
}

impl core::fmt::Display for Hash {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        self.0.iter().try_for_each(|octet| write!(f, "{octet:02x}"))
    }
}

/// SHA-256 of some pieces, one behind the other.
pub(super) fn sha256(pieces: &[&[u8]]) -> Hash {
    let mut hasher = Sha256::new();
    for piece in pieces {
        hasher.update(piece);
    }
    Hash(hasher.finalize().into())
}

/// The hash of a leaf (RFC 9162 2.1.1).
pub fn leaf_hash(leaf: &[u8]) -> Hash {
    sha256(&[&[0], leaf])
}

/// The hash of two subtrees (RFC 9162 2.1.1).
pub fn node_hash(left: &Hash, right: &Hash) -> Hash {
    sha256(&[&[1], &left.0, &right.0])
}

/// The root of a log without leaves (RFC 9162 2.1.1).
pub fn empty_root() -> Hash {
    sha256(&[])
}

/// A perfect subtree: the leaves from `index * 2^level` on, 2^level of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Node {
    /// 0 for a leaf.
    pub level: u8,
    /// Which of its level.
    pub index: u64,
}

/// The perfect subtrees that become whole with the leaf at position `size`, its own first.
/// `read` gives those that are whole already.
pub fn appended<E>(
    size: u64,
    leaf: Hash,
    mut read: impl FnMut(Node) -> Result<Hash, E>,
) -> Result<Vec<(Node, Hash)>, E> {
    let mut at = Node {
        level: 0,
        index: size,
    };
    let mut hash = leaf;
    let mut whole = vec![(at, hash)];
    while at.index & 1 == 1 {
        let left = Node {
            level: at.level,
            index: at.index ^ 1,
        };
        hash = node_hash(&read(left)?, &hash);
        at = Node {
            level: at.level.saturating_add(1),
            index: at.index >> 1,
        };
        whole.push((at, hash));
    }
    Ok(whole)
}

/// The root of the first `size` leaves.
pub fn root<E>(size: u64, mut read: impl FnMut(Node) -> Result<Hash, E>) -> Result<Hash, E> {
    if size == 0 {
        return Ok(empty_root());
    }
    range(0, size, &mut read)
}

/// The inclusion proof of the leaf `index` in the first `size` (RFC 9162 2.1.3.1).
pub fn inclusion_path<E>(
    index: u64,
    size: u64,
    mut read: impl FnMut(Node) -> Result<Hash, E>,
) -> Result<Vec<Hash>, E> {
    let (mut start, mut end) = (0, size);
    let mut path = Vec::new();
    while end.saturating_sub(start) > 1 {
        let middle = middle(start, end);
        if index < middle {
            path.push(range(middle, end, &mut read)?);
            end = middle;
        } else {
            path.push(range(start, middle, &mut read)?);
            start = middle;
        }
    }
    path.reverse();
    Ok(path)
}

/// The consistency proof between the first `first` and the first `second` leaves (RFC 9162
/// 2.1.4.1); empty if `first` is 0 or not less than `second`.
pub fn consistency_path<E>(
    first: u64,
    second: u64,
    mut read: impl FnMut(Node) -> Result<Hash, E>,
) -> Result<Vec<Hash>, E> {
    let mut path = Vec::new();
    if first == 0 || first >= second {
        return Ok(path);
    }
    let (mut start, mut end) = (0, second);
    // Whether the verifier knows the subtree that is looked at: it is the whole old log.
    let mut known = true;
    while first != end {
        let middle = middle(start, end);
        if first <= middle {
            path.push(range(middle, end, &mut read)?);
            end = middle;
        } else {
            path.push(range(start, middle, &mut read)?);
            start = middle;
            known = false;
        }
    }
    if !known {
        path.push(range(start, end, &mut read)?);
    }
    path.reverse();
    Ok(path)
}

/// Verifies that the leaf `index` of a log of `size` leaves has the hash `leaf` (RFC 9162
/// 2.1.3.2).
pub fn verify_inclusion(leaf: Hash, index: u64, size: u64, path: &[Hash], root: &Hash) -> bool {
    if index >= size || path.len() > MAX_LOG_PATH {
        return false;
    }
    let (mut fn_, mut sn) = (index, size.saturating_sub(1));
    let mut r = leaf;
    for p in path {
        if sn == 0 {
            return false;
        }
        if fn_ & 1 == 1 || fn_ == sn {
            r = node_hash(p, &r);
            while fn_ & 1 == 0 && fn_ != 0 {
                fn_ >>= 1;
                sn >>= 1;
            }
        } else {
            r = node_hash(&r, p);
        }
        fn_ >>= 1;
        sn >>= 1;
    }
    sn == 0 && r == *root
}

/// Verifies that a log of `second` leaves begins with the one of `first` leaves (RFC 9162
/// 2.1.4.2). Every log extends the empty one, and each itself.
pub fn verify_consistency(
    first: u64,
    first_root: &Hash,
    second: u64,
    second_root: &Hash,
    path: &[Hash],
) -> bool {
    if first > second || path.len() > MAX_LOG_PATH {
        return false;
    }
    if first == second {
        return path.is_empty() && first_root == second_root;
    }
    if first == 0 {
        return path.is_empty() && *first_root == empty_root();
    }
    let own = first.is_power_of_two().then_some(first_root);
    let mut hashes = own.into_iter().chain(path);
    let (mut fn_, mut sn) = (first.saturating_sub(1), second.saturating_sub(1));
    while fn_ & 1 == 1 {
        fn_ >>= 1;
        sn >>= 1;
    }
    // An empty path fails here, or below because `sn` is not 0.
    let Some(start) = hashes.next() else {
        return false;
    };
    let (mut fr, mut sr) = (*start, *start);
    for c in hashes {
        if sn == 0 {
            return false;
        }
        if fn_ & 1 == 1 || fn_ == sn {
            fr = node_hash(c, &fr);
            sr = node_hash(c, &sr);
            while fn_ & 1 == 0 && fn_ != 0 {
                fn_ >>= 1;
                sn >>= 1;
            }
        } else {
            sr = node_hash(&sr, c);
        }
        fn_ >>= 1;
        sn >>= 1;
    }
    sn == 0 && fr == *first_root && sr == *second_root
}

/// What somebody who follows a log keeps of it: the roots of the perfect subtrees that its leaves
/// fall into, largest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Frontier {
    size: u64,
    subtrees: Vec<Hash>,
}

impl Default for Frontier {
    fn default() -> Self {
        Self::empty()
    }
}

impl Frontier {
    /// Of a log without leaves.
    pub const fn empty() -> Self {
        Self {
            size: 0,
            subtrees: Vec::new(),
        }
    }

    /// Of a log of `size` leaves whose last one has this inclusion proof. It is the log with
    /// [`Frontier::root`], whatever the proof says: the caller compares.
    pub fn of_last(size: u64, leaf: Hash, path: &[Hash]) -> Option<Self> {
        let before = size.checked_sub(1)?;
        if u32::try_from(path.len()).ok()? != before.count_ones() {
            return None;
        }
        // All siblings of the last leaf are on its left, and each is a perfect subtree.
        let mut frontier = Self {
            size: before,
            subtrees: path.iter().rev().copied().collect(),
        };
        frontier.append(leaf);
        Some(frontier)
    }

    /// How many leaves the log has.
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// Adds a leaf.
    pub fn append(&mut self, leaf: Hash) {
        let mut hash = leaf;
        for _ in 0..self.size.trailing_ones() {
            let Some(left) = self.subtrees.pop() else {
                break;
            };
            hash = node_hash(&left, &hash);
        }
        self.subtrees.push(hash);
        self.size = self.size.saturating_add(1);
    }

    /// The log's root.
    pub fn root(&self) -> Hash {
        let mut from_right = self.subtrees.iter().rev();
        let Some(last) = from_right.next() else {
            return empty_root();
        };
        from_right.fold(*last, |right, left| node_hash(left, &right))
    }
}

/// Where RFC 9162 2.1.1 cuts these leaves: behind the largest power of two that is less than how
/// many there are.
fn middle(start: u64, end: u64) -> u64 {
    let below = end.saturating_sub(start).saturating_sub(1).max(1);
    let largest = 1_u64
        .checked_shl(63_u32.saturating_sub(below.leading_zeros()))
        .unwrap_or(1);
    start.saturating_add(largest)
}

/// The hash of the leaves from `start` to `end`, which RFC 9162 2.1.1 makes a subtree.
fn range<E>(
    start: u64,
    end: u64,
    read: &mut impl FnMut(Node) -> Result<Hash, E>,
) -> Result<Hash, E> {
    let width = end.saturating_sub(start);
    if width.is_power_of_two() {
        let level = width.trailing_zeros();
        return read(Node {
            level: u8::try_from(level).unwrap_or(u8::MAX),
            index: start.checked_shr(level).unwrap_or(0),
        });
    }
    let middle = middle(start, end);
    let left = range(start, middle, read)?;
    Ok(node_hash(&left, &range(middle, end, read)?))
}

#[cfg(test)]
mod tests;

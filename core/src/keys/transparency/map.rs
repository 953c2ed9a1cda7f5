//! The map from labels to entries: a Merkle trie, so that "this is the entry of this label" and
//! "this label has none" can be proven against one root.
//!
//! ```text
//! subtree without labels    EMPTY
//! subtree with one label    SHA-256(0x02 | label 32 | version u64 | set 32)
//! subtree with several      SHA-256(0x03 | left | right), cut by the bit of its depth
//! ```
//!
//! A subtree with one label is a leaf wherever it stands, so a path is about log2(labels) long.
//! A label has one place under a root, so one root gives one answer for it: an entry cannot be
//! there twice, and cannot be there and absent. Entries are never removed; what an address no
//! longer has is an entry without certificates, and its version goes on from there.
//! Invariant: every function here takes what a stranger sends; nothing panics.
//! Rejected: a tree of depth 256 with default hashes (eight times the octets); ordered leaves
//! with neighbours as proof of absence (an insertion moves all that follow).

use serde::{Deserialize, Serialize};

use super::merkle::{Hash, sha256};

/// Most hashes in a proof of the map: a label's bits.
pub const MAX_MAP_PATH: usize = 256;
/// The hash of a subtree without labels; no SHA-256 is known to give it.
pub const EMPTY: Hash = Hash([0; 32]);

/// Where an address stands in the map: see [`super::entry::label`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Label(pub Hash);

impl Label {
    /// Whether the bit at `depth` is 1, from the most significant one on.
    fn bit(&self, depth: u16) -> bool {
        let octet = self.0.0.get(usize::from(depth >> 3)).copied().unwrap_or(0);
        octet.rotate_left(u32::from(depth & 7).saturating_add(1)) & 1 == 1
    }

    /// How many bits both begin with.
    fn common(&self, other: &Self) -> u16 {
        let mut bits: u16 = 0;
        for (a, b) in self.0.0.iter().zip(&other.0.0) {
            let same = (a ^ b).leading_zeros();
            bits = bits.saturating_add(u16::try_from(same).unwrap_or(0));
            if same < 8 {
                break;
            }
        }
        bits
    }
}

/// What stands at a label.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Value {
    /// Counts the label's changes from 1.
    pub version: u64,
    /// The certificates, as [`super::entry::set_hash`] says.
    pub set: Hash,
}

/// The hash of a subtree with this label alone.
pub fn entry_hash(label: &Label, value: &Value) -> Hash {
    let version = value.version.to_be_bytes();
    sha256(&[&[2], &label.0.0, &version, &value.set.0])
}

fn inner_hash(left: &Hash, right: &Hash) -> Hash {
    sha256(&[&[3], &left.0, &right.0])
}

/// A subtree of the map: all labels that begin with these bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Prefix {
    /// How many bits.
    pub depth: u16,
    /// The bits; all others are 0.
    pub bits: [u8; 32],
}

impl Prefix {
    /// The first `depth` bits of a label.
    fn of(label: &Label, depth: u16) -> Self {
        let mut bits = label.0.0;
        for (octet, from) in bits.iter_mut().zip((0_u16..).step_by(8)) {
            let kept = depth.saturating_sub(from).min(8);
            *octet &= !0xff_u8.checked_shr(u32::from(kept)).unwrap_or(0);
        }
        Self { depth, bits }
    }

    /// The subtree beside the one with the first `depth` bits of a label.
    fn beside(label: &Label, depth: u16) -> Self {
        let mut prefix = Self::of(label, depth);
        let last = depth.saturating_sub(1);
        if let Some(octet) = prefix.bits.get_mut(usize::from(last >> 3)) {
            *octet ^= 0x80_u8.rotate_right(u32::from(last & 7));
        }
        prefix
    }

    /// The last label that begins with these bits, as octets; the first is `bits`.
    pub fn last(&self) -> [u8; 32] {
        let mut last = self.bits;
        for (octet, from) in last.iter_mut().zip((0_u16..).step_by(8)) {
            let kept = self.depth.saturating_sub(from).min(8);
            *octet |= 0xff_u8.checked_shr(u32::from(kept)).unwrap_or(0);
        }
        last
    }
}

/// Where the map is kept: what is asked of it for a proof.
pub trait MapNodes {
    /// Why it could not be read.
    type Error;

    /// The hash of a subtree with several labels; `None` if it has one or none.
    fn inner(&mut self, at: &Prefix) -> Result<Option<Hash>, Self::Error>;

    /// The first entry of a subtree.
    fn entry(&mut self, at: &Prefix) -> Result<Option<(Label, Value)>, Self::Error>;
}

/// What stands at the end of a label's path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum End {
    /// No label.
    Empty,
    /// One label: the one that was asked for, or another that proves its absence.
    Entry(Label, Value),
}

impl End {
    fn hash(&self) -> Hash {
        match self {
            Self::Empty => EMPTY,
            Self::Entry(label, value) => entry_hash(label, value),
        }
    }
}

/// Proves a label's entry or its absence.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct MapProof {
    /// The subtrees beside the path, from the root down.
    pub beside: Vec<Hash>,
    /// What the path ends at.
    pub end: End,
}

/// What a change makes of the map.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Changed {
    /// The new root.
    pub root: Hash,
    /// All subtrees with several labels whose hash is another one.
    pub inner: Vec<(Prefix, Hash)>,
}

impl MapProof {
    /// Makes the proof of a label.
    pub fn make<N: MapNodes>(nodes: &mut N, label: &Label) -> Result<Self, N::Error> {
        let mut beside = Vec::new();
        for depth in 0..=256 {
            let at = Prefix::of(label, depth);
            if nodes.inner(&at)?.is_none() {
                let entry = nodes.entry(&at)?;
                let end = entry.map_or(End::Empty, |(label, value)| End::Entry(label, value));
                return Ok(Self { beside, end });
            }
            let sibling = Prefix::beside(label, depth.saturating_add(1));
            let hash = match nodes.inner(&sibling)? {
                Some(hash) => hash,
                None => nodes
                    .entry(&sibling)?
                    .map_or(EMPTY, |(label, value)| entry_hash(&label, &value)),
            };
            beside.push(hash);
        }
        Ok(Self {
            beside,
            end: End::Empty,
        })
    }

    /// What the map with this root has at the label; `None` if the proof proves nothing.
    pub fn verify(&self, label: &Label, root: &Hash) -> Option<Option<Value>> {
        let depth = self.depth()?;
        let found = match &self.end {
            End::Empty => None,
            End::Entry(other, value) if other == label => Some(*value),
            End::Entry(other, _) if other.common(label) >= depth => None,
            End::Entry(..) => return None,
        };
        let reached = self.climb(label, self.end.hash(), |_, _| ());
        (reached == *root).then_some(found)
    }

    /// What the map becomes if the label has `value`. The proof must have been verified.
    pub fn change(&self, label: &Label, value: &Value) -> Option<Changed> {
        let depth = self.depth()?;
        let mut hash = entry_hash(label, value);
        let mut inner = Vec::new();
        if let End::Entry(other, theirs) = &self.end
            && other != label
        {
            // Both go down to where they part.
            let parting = other.common(label);
            if parting < depth {
                return None;
            }
            let mut sibling = entry_hash(other, theirs);
            for at in (depth..=parting).rev() {
                hash = if label.bit(at) {
                    inner_hash(&sibling, &hash)
                } else {
                    inner_hash(&hash, &sibling)
                };
                sibling = EMPTY;
                inner.push((Prefix::of(label, at), hash));
            }
        }
        let root = self.climb(label, hash, |at, hash| inner.push((at, hash)));
        Some(Changed { root, inner })
    }

    fn depth(&self) -> Option<u16> {
        let within = self.beside.len() <= MAX_MAP_PATH;
        u16::try_from(self.beside.len()).ok().filter(|_| within)
    }

    /// Hashes from the end of the path up to the root.
    fn climb(&self, label: &Label, end: Hash, mut each: impl FnMut(Prefix, Hash)) -> Hash {
        let mut hash = end;
        for (at, sibling) in (0_u16..).zip(&self.beside).collect::<Vec<_>>().iter().rev() {
            hash = if label.bit(*at) {
                inner_hash(sibling, &hash)
            } else {
                inner_hash(&hash, sibling)
            };
            each(Prefix::of(label, *at), hash);
        }
        hash
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::convert::Infallible;

    use proptest::prelude::*;

    use super::*;

    #[derive(Default)]
    struct Memory {
        inner: BTreeMap<Prefix, Hash>,
        entries: BTreeMap<Label, Value>,
    }

    impl MapNodes for Memory {
        type Error = Infallible;

        fn inner(&mut self, at: &Prefix) -> Result<Option<Hash>, Infallible> {
            Ok(self.inner.get(at).copied())
        }

        fn entry(&mut self, at: &Prefix) -> Result<Option<(Label, Value)>, Infallible> {
            let range = Label(Hash(at.bits))..=Label(Hash(at.last()));
            let first = self.entries.range(range).next();
            Ok(first.map(|(label, value)| (*label, *value)))
        }
    }

    impl Memory {
        fn put(&mut self, label: Label, value: Value) -> Hash {
            let proof = MapProof::make(self, &label).unwrap();
            let changed = proof.change(&label, &value).unwrap();
            self.inner.extend(changed.inner);
            self.entries.insert(label, value);
            changed.root
        }
    }

    /// The root as the module's table defines it.
    fn define(entries: &[(Label, Value)], depth: u16) -> Hash {
        match entries {
            [] => EMPTY,
            [(label, value)] => entry_hash(label, value),
            many => {
                let (right, left): (Vec<_>, Vec<_>) =
                    many.iter().partition(|(label, _)| label.bit(depth));
                inner_hash(&define(&left, depth + 1), &define(&right, depth + 1))
            }
        }
    }

    fn value(version: u64) -> Value {
        Value {
            version,
            set: Hash([9; 32]),
        }
    }

    /// Labels that share long beginnings, so that leaves part deep down.
    fn labels() -> impl Strategy<Value = Label> {
        (any::<u8>(), 0_usize..32, any::<u8>()).prop_map(|(first, at, octet)| {
            let mut octets = [0x55; 32];
            octets[0] = first & 0xc0;
            octets[at] = octet;
            Label(Hash(octets))
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(40))]
        #[test]
        fn every_order_gives_the_defined_root_and_every_proof_holds(
            puts in prop::collection::vec((labels(), 1_u64..4), 1..24), asked in labels()) {
            let mut map = Memory::default();
            let mut root = EMPTY;
            for (label, version) in &puts {
                root = map.put(*label, value(*version));
                let entries: Vec<_> = map.entries.iter().map(|(l, v)| (*l, *v)).collect();
                prop_assert_eq!(root, define(&entries, 0));
            }
            for label in puts.iter().map(|(label, _)| label).chain([&asked]) {
                let proof = MapProof::make(&mut map, label).unwrap();
                let found = map.entries.get(label).copied();
                prop_assert_eq!(proof.verify(label, &root), Some(found));
                // No other root, no other end, nothing left out.
                prop_assert_eq!(proof.verify(label, &Hash([1; 32])), None);
                let mut hidden = proof.clone();
                hidden.end = End::Empty;
                prop_assert!(proof.end == End::Empty || hidden.verify(label, &root).is_none());
                let mut other = proof.clone();
                other.end = End::Entry(*label, value(77));
                prop_assert_eq!(other.verify(label, &root), None);
                if !proof.beside.is_empty() {
                    let mut shorter = proof.clone();
                    shorter.beside.pop();
                    prop_assert_eq!(shorter.verify(label, &root), None);
                }
            }
        }

        #[test]
        fn nothing_panics(label in any::<[u8; 32]>(), other in any::<[u8; 32]>(), depth in 0_usize..300) {
            let proof = MapProof {
                beside: vec![EMPTY; depth],
                end: End::Entry(Label(Hash(other)), value(1)),
            };
            let label = Label(Hash(label));
            let _any = proof.verify(&label, &EMPTY);
            let _any = proof.change(&label, &value(1));
        }
    }

    #[test]
    fn an_entry_that_is_another_ones_neighbour_does_not_prove_a_third_absent() {
        let mut map = Memory::default();
        let at = |octet: u8| Label(Hash([octet; 32]));
        map.put(at(0x00), value(1));
        let root = map.put(at(0xff), value(1));
        let proof = MapProof::make(&mut map, &at(0x00)).unwrap();
        assert_eq!(proof.verify(&at(0x00), &root), Some(Some(value(1))));
        // 0x0f is below 0x00's end, 0xf0 is not.
        assert_eq!(proof.verify(&at(0x0f), &root), Some(None));
        assert_eq!(proof.verify(&at(0xf0), &root), None);
    }
}

//! Sums over sets of documents, which do not depend on the order and change with one document at a
//! time.

use serde::{Deserialize, Serialize};

use crate::id::{DocId, Revision};
use crate::seal::{AccountKeys, Collection, EnvelopeHash};

/// Octets of a [`Fingerprint`].
pub const FINGERPRINT_OCTETS: usize = 16;
const COLLECTIONS: usize = Collection::ALL.len();
const LANES: usize = 4;

/// The first octets of an envelope's hash: nobody but the account's devices can make envelopes.
pub type Fingerprint = [u8; FINGERPRINT_OCTETS];

/// An envelope's fingerprint, of its hash.
pub fn fingerprint(hash: &EnvelopeHash) -> Fingerprint {
    let mut short = Fingerprint::default();
    for (slot, octet) in short.iter_mut().zip(hash) {
        *slot = *octet;
    }
    short
}

/// How many documents, and the sum of a keyed hash of each of their revisions: four numbers of 64
/// bits, each modulo 2^64.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Digest {
    count: i64,
    sum: [u64; LANES],
}

impl Digest {
    /// How many documents; of one device's part it may be less than none.
    pub const fn count(&self) -> i64 {
        self.count
    }

    pub(super) fn to_octets(self) -> Vec<u8> {
        let lanes = self.sum.iter().flat_map(|lane| lane.to_be_bytes());
        self.count.to_be_bytes().into_iter().chain(lanes).collect()
    }

    pub(super) fn read(octets: &[u8]) -> Option<(Self, &[u8])> {
        let (count, mut rest) = octets.split_first_chunk()?;
        let mut sum = [0; LANES];
        for lane in &mut sum {
            let (octets, after) = rest.split_first_chunk()?;
            (*lane, rest) = (u64::from_be_bytes(*octets), after);
        }
        let count = i64::from_be_bytes(*count);
        Some((Self { count, sum }, rest))
    }

    fn of(hash: [u8; 32]) -> Self {
        let (chunks, _) = hash.as_chunks();
        let mut sum = [0; LANES];
        for (lane, chunk) in sum.iter_mut().zip(chunks) {
            *lane = u64::from_le_bytes(*chunk);
        }
        Self { count: 1, sum }
    }

    fn add(&mut self, other: &Self) {
        self.count = self.count.wrapping_add(other.count);
        for (lane, other) in self.sum.iter_mut().zip(other.sum) {
            *lane = lane.wrapping_add(other);
        }
    }

    fn subtract(&mut self, other: &Self) {
        self.count = self.count.wrapping_sub(other.count);
        for (lane, other) in self.sum.iter_mut().zip(other.sum) {
            *lane = lane.wrapping_sub(other);
        }
    }
}

/// One digest for each collection.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Digests([Digest; COLLECTIONS]);

impl Digests {
    /// That of one collection.
    pub fn get(&self, collection: Collection) -> Digest {
        self.0.get(collection.index()).copied().unwrap_or_default()
    }

    /// Adds a document at a revision.
    pub fn add_document(
        &mut self,
        keys: &AccountKeys,
        collection: Collection,
        id: DocId,
        at: (Revision, Fingerprint),
    ) {
        let hash = keys.revision_hash(collection, id, at.0.get(), &at.1);
        self.edit(collection, |digest| digest.add(&Digest::of(hash)));
    }

    /// Takes a document at a revision out.
    pub fn remove_document(
        &mut self,
        keys: &AccountKeys,
        collection: Collection,
        id: DocId,
        at: (Revision, Fingerprint),
    ) {
        let hash = keys.revision_hash(collection, id, at.0.get(), &at.1);
        self.edit(collection, |digest| digest.subtract(&Digest::of(hash)));
    }

    /// Adds all of others.
    pub fn add(&mut self, others: &Self) {
        for (digest, other) in self.0.iter_mut().zip(&others.0) {
            digest.add(other);
        }
    }

    /// Takes all of others away.
    pub fn subtract(&mut self, others: &Self) {
        for (digest, other) in self.0.iter_mut().zip(&others.0) {
            digest.subtract(other);
        }
    }

    /// The same, with nothing in this collection.
    #[must_use]
    pub fn without(mut self, collection: Collection) -> Self {
        self.edit(collection, |digest| *digest = Digest::default());
        self
    }

    pub(super) fn to_octets(self) -> Vec<u8> {
        let digests = self.0.iter();
        digests.flat_map(|digest| digest.to_octets()).collect()
    }

    pub(super) fn read(mut octets: &[u8]) -> Option<(Self, &[u8])> {
        let mut all = Self::default();
        for digest in &mut all.0 {
            (*digest, octets) = Digest::read(octets)?;
        }
        Some((all, octets))
    }

    fn edit(&mut self, collection: Collection, edit: impl FnOnce(&mut Digest)) {
        if let Some(digest) = self.0.get_mut(collection.index()) {
            edit(digest);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;
    use crate::id::AccountId;
    use crate::seal::RootKey;

    fn keys(root: u8) -> AccountKeys {
        let root = RootKey::from_octets([root; 32]);
        AccountKeys::derive(AccountId::new([1; 16]), 1, &root)
    }

    /// Collection, id, revision, fingerprint.
    type Made = (usize, u8, u64, u8);

    fn apply(digests: &mut Digests, made: Made, add: bool) {
        let (collection, id, revision, print) = made;
        let collection = Collection::ALL[collection];
        let at = (
            Revision::new(revision).unwrap(),
            [print; FINGERPRINT_OCTETS],
        );
        let id = DocId::new([id; 16]);
        if add {
            digests.add_document(&keys(1), collection, id, at);
        } else {
            digests.remove_document(&keys(1), collection, id, at);
        }
    }

    fn sum<'a>(all: impl IntoIterator<Item = &'a Made>) -> Digests {
        let mut digests = Digests::default();
        for made in all {
            apply(&mut digests, *made, true);
        }
        digests
    }

    fn sets() -> impl Strategy<Value = BTreeSet<Made>> {
        prop::collection::btree_set((0..COLLECTIONS, any::<u8>(), 1_u64..4, any::<u8>()), 0..20)
    }

    proptest! {
        #[test]
        fn order_does_not_matter_and_what_is_taken_out_is_gone(a in sets(), b in sets()) {
            let mut there_and_back = sum(a.iter().rev());
            prop_assert_eq!(there_and_back, sum(&a));
            for made in &b {
                apply(&mut there_and_back, *made, true);
            }
            for made in &b {
                apply(&mut there_and_back, *made, false);
            }
            prop_assert_eq!(there_and_back, sum(&a));
        }

        #[test]
        fn parts_add_up_and_other_sets_have_other_sums(a in sets(), b in sets()) {
            let mut parts = sum(&a);
            parts.add(&sum(&b));
            let mut rest = parts;
            rest.subtract(&sum(&a));
            prop_assert_eq!(rest, sum(&b));
            prop_assert_eq!(sum(&a) == sum(&b), a == b);
            let octets = parts.to_octets();
            prop_assert_eq!(Digests::read(&octets), Some((parts, &[][..])));
        }
    }

    #[test]
    fn a_collection_id_revision_and_key_make_a_sum_each() {
        let one = (1, 7, 1, 9);
        for other in [(2, 7, 1, 9), (1, 8, 1, 9), (1, 7, 2, 9), (1, 7, 1, 8)] {
            assert_ne!(sum([&one]), sum([&other]), "{other:?}");
        }
        let id = DocId::new([7; 16]);
        let hash = |keys: &AccountKeys| keys.revision_hash(Collection::Mail, id, 1, &[9; 16]);
        assert_ne!(hash(&keys(1)), hash(&keys(2)));
        assert_eq!(sum([&one]).get(Collection::Mail).count(), 1);
        assert_eq!(sum([&one]).without(Collection::Mail), Digests::default());
    }

    #[test]
    fn the_sum_stands() {
        // Part of the statements' version 1.
        let octets = sum([&(1, 7, 1, 9)]).get(Collection::Mail).to_octets();
        let hex = format!("{:02x?}", &octets[..16]);
        assert_eq!(
            hex,
            "[00, 00, 00, 00, 00, 00, 00, 01, 32, c7, d5, ca, cc, 78, 9c, 48]"
        );
    }
}

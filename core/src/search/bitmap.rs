//! Sets of documents by number. One bit a document: a hundred thousand are 12 KB, and "and",
//! "or", "not" cost microseconds. Rejected: sorted lists or compressed bitmaps; they save memory
//! that is not missed and cost branches.

/// A set of numbers below its size.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Bitmap {
    words: Vec<u64>,
    size: usize,
}

const BITS: usize = 64;

impl Bitmap {
    /// The empty set.
    pub(super) fn empty(size: usize) -> Self {
        Self {
            words: vec![0; size.div_ceil(BITS)],
            size,
        }
    }

    /// All numbers below `size`.
    pub(super) fn full(size: usize) -> Self {
        let mut words = vec![u64::MAX; size.div_ceil(BITS)];
        let over = size % BITS;
        if over != 0
            && let Some(last) = words.last_mut()
        {
            *last = (1 << over) - 1;
        }
        Self { words, size }
    }

    /// Adds a number; one beyond the size is ignored.
    pub(super) fn insert(&mut self, number: u32) {
        let number = number as usize;
        if number < self.size
            && let Some(word) = self.words.get_mut(number / BITS)
        {
            *word |= 1 << (number % BITS);
        }
    }

    pub(super) fn remove(&mut self, number: u32) {
        let number = number as usize;
        if let Some(word) = self.words.get_mut(number / BITS) {
            *word &= !(1 << (number % BITS));
        }
    }

    pub(super) fn contains(&self, number: u32) -> bool {
        let number = number as usize;
        self.words
            .get(number / BITS)
            .is_some_and(|word| word & (1 << (number % BITS)) != 0)
    }

    pub(super) fn union(&mut self, other: &Self) {
        for (word, other) in self.words.iter_mut().zip(&other.words) {
            *word |= other;
        }
    }

    pub(super) fn intersect(&mut self, other: &Self) {
        for (word, other) in self.words.iter_mut().zip(&other.words) {
            *word &= other;
        }
    }

    pub(super) fn subtract(&mut self, other: &Self) {
        for (word, other) in self.words.iter_mut().zip(&other.words) {
            *word &= !other;
        }
    }

    pub(super) fn count(&self) -> usize {
        self.words
            .iter()
            .map(|word| word.count_ones() as usize)
            .sum()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.words.iter().all(|word| *word == 0)
    }

    /// The numbers, ascending.
    pub(super) fn iter(&self) -> impl Iterator<Item = u32> + '_ {
        self.words.iter().enumerate().flat_map(|(at, word)| {
            let base = u32::try_from(at * BITS).unwrap_or(u32::MAX);
            let mut rest = *word;
            core::iter::from_fn(move || {
                let bit = rest.trailing_zeros();
                // Clears the lowest bit that is set.
                rest = (rest != 0).then(|| rest & rest.wrapping_sub(1))?;
                Some(base.saturating_add(bit))
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn of(numbers: &BTreeSet<u32>, size: usize) -> Bitmap {
        let mut bitmap = Bitmap::empty(size);
        for number in numbers {
            bitmap.insert(*number);
        }
        bitmap
    }

    fn set(bitmap: &Bitmap) -> BTreeSet<u32> {
        bitmap.iter().collect()
    }

    proptest! {
        #[test]
        fn agrees_with_a_set(
            a in proptest::collection::btree_set(0..300_u32, 0..40),
            b in proptest::collection::btree_set(0..300_u32, 0..40),
        ) {
            let (left, right) = (of(&a, 300), of(&b, 300));
            prop_assert_eq!(&set(&left), &a);
            prop_assert_eq!(left.count(), a.len());
            prop_assert_eq!(left.is_empty(), a.is_empty());
            let mut union = left.clone();
            union.union(&right);
            prop_assert_eq!(set(&union), a.union(&b).copied().collect::<BTreeSet<_>>());
            let mut both = left.clone();
            both.intersect(&right);
            prop_assert_eq!(set(&both), a.intersection(&b).copied().collect::<BTreeSet<_>>());
            let mut rest = Bitmap::full(300);
            rest.subtract(&left);
            prop_assert_eq!(rest.count(), 300 - a.len());
            for number in 0..310 {
                prop_assert_eq!(left.contains(number), a.contains(&number));
            }
        }
    }

    #[test]
    fn full_ends_where_it_ends() {
        for size in [0, 1, 63, 64, 65] {
            assert_eq!(Bitmap::full(size).count(), size);
        }
    }
}

//! Which documents have a word, and where in them.
//!
//! ```text
//! documents: (number - the one before) * 2 + (1 if the word is there once), [how often]
//! positions: for each document, each position - the one before
//! ```
//!
//! The two are apart, because most queries need the documents alone. Invariant: numbers ascend,
//! and positions of a document do. Rejected: blocks with skip entries; a list of the most frequent
//! word of a hundred thousand messages is read in a millisecond.

use crate::varint;

/// The list of one word.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct List {
    /// How many documents.
    pub(super) count: u32,
    pub(super) documents: Vec<u8>,
    /// Empty where positions are not kept.
    pub(super) positions: Vec<u8>,
}

impl List {
    pub(super) fn len(&self) -> usize {
        self.documents.len().saturating_add(self.positions.len())
    }

    /// Its documents and how often each has the word.
    pub(super) fn entries(&self) -> Entries<'_> {
        Entries {
            octets: &self.documents,
            left: self.count,
            last: 0,
        }
    }
}

/// Iterator of [`List::entries`]; ends early where the octets are damaged, and says so.
#[derive(Debug, Clone)]
pub(super) struct Entries<'a> {
    octets: &'a [u8],
    left: u32,
    last: u32,
}

impl Entries<'_> {
    /// Whether all were there.
    pub(super) const fn is_whole(&self) -> bool {
        self.left == 0 && self.octets.is_empty()
    }
}

impl Iterator for Entries<'_> {
    type Item = (u32, u32);

    fn next(&mut self) -> Option<(u32, u32)> {
        self.left.checked_sub(1)?;
        let word = varint::take(&mut self.octets)?;
        self.last = self.last.checked_add(word >> 1)?;
        let times = if word & 1 == 1 {
            1
        } else {
            varint::take(&mut self.octets)?
        };
        self.left = self.left.saturating_sub(1);
        Some((self.last, times))
    }
}

/// Passes over the documents of a list of `count`; gives how often the word is there in all.
pub(super) fn skip_documents(octets: &mut &[u8], count: u32) -> Option<u32> {
    let mut all = 0_u32;
    for _ in 0..count {
        let times = if varint::take(octets)? & 1 == 1 {
            1
        } else {
            varint::take(octets)?
        };
        all = all.checked_add(times)?;
    }
    Some(all)
}

/// Makes a list, document by document.
#[derive(Debug, Default)]
pub(super) struct Builder {
    list: List,
    last: u32,
}

impl Builder {
    /// Adds a document; its number is higher than the last, `positions` are `times` encoded
    /// differences.
    pub(super) fn push(&mut self, number: u32, times: u32, positions: &[u8]) {
        let delta = number.saturating_sub(self.last);
        self.last = number;
        self.list.count = self.list.count.saturating_add(1);
        if times == 1 {
            varint::put((delta << 1) | 1, &mut self.list.documents);
        } else {
            varint::put(delta << 1, &mut self.list.documents);
            varint::put(times, &mut self.list.documents);
        }
        self.list.positions.extend_from_slice(positions);
    }

    pub(super) fn finish(self) -> List {
        self.list
    }
}

/// A list read for phrases: documents, and the positions of each.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Occurrences {
    pub(super) documents: Vec<u32>,
    /// Where the positions of each document end.
    ends: Vec<usize>,
    positions: Vec<u32>,
}

impl Occurrences {
    /// Reads a list; `None` if it is damaged.
    pub(super) fn read(list: &List) -> Option<Self> {
        let mut out = Self::default();
        let mut octets = &list.positions[..];
        let mut entries = list.entries();
        for (number, times) in entries.by_ref() {
            let mut position = 0_u32;
            for _ in 0..times {
                position = position.checked_add(varint::take(&mut octets)?)?;
                out.positions.push(position);
            }
            out.documents.push(number);
            out.ends.push(out.positions.len());
        }
        (entries.is_whole() && octets.is_empty()).then_some(out)
    }

    /// What any of these have.
    pub(super) fn merged(all: Vec<Self>) -> Self {
        let mut all = all.into_iter();
        let Some(first) = all.next() else {
            return Self::default();
        };
        let mut rest = all.peekable();
        if rest.peek().is_none() {
            return first;
        }
        let mut pairs: Vec<(u32, u32)> = first.pairs().collect();
        rest.for_each(|other| pairs.extend(other.pairs()));
        pairs.sort_unstable();
        pairs.dedup();
        let mut out = Self::default();
        for (number, position) in pairs {
            if out.documents.last() != Some(&number) {
                out.documents.push(number);
                out.ends.push(out.positions.len());
            }
            out.positions.push(position);
            if let Some(end) = out.ends.last_mut() {
                *end = out.positions.len();
            }
        }
        out
    }

    fn pairs(&self) -> impl Iterator<Item = (u32, u32)> + '_ {
        self.documents.iter().enumerate().flat_map(|(nth, number)| {
            self.positions(nth)
                .iter()
                .map(|position| (*number, *position))
        })
    }

    /// The positions in the `nth` document.
    pub(super) fn positions(&self, nth: usize) -> &[u32] {
        let start = nth
            .checked_sub(1)
            .and_then(|before| self.ends.get(before))
            .copied()
            .unwrap_or(0);
        let end = self.ends.get(nth).copied().unwrap_or(start);
        self.positions.get(start..end).unwrap_or_default()
    }
}

/// The documents in which the words stand at these distances from the first.
pub(super) fn phrase(words: &[(u32, Occurrences)]) -> Vec<u32> {
    let Some(((_, first), rest)) = words.split_first() else {
        return Vec::new();
    };
    let mut at = vec![0_usize; rest.len()];
    let mut found = Vec::new();
    for (nth, number) in first.documents.iter().enumerate() {
        let everywhere = rest.iter().zip(&mut at).all(|((_, other), at)| {
            let behind = other.documents.get(*at..).unwrap_or_default();
            *at = at.saturating_add(behind.partition_point(|document| document < number));
            other.documents.get(*at) == Some(number)
        });
        let base = words.first().map_or(0, |(offset, _)| *offset);
        let beside = |position: &u32| {
            rest.iter().zip(&at).all(|((offset, other), at)| {
                let wanted = position.saturating_add(offset.saturating_sub(base));
                other.positions(*at).binary_search(&wanted).is_ok()
            })
        };
        if everywhere && first.positions(nth).iter().any(beside) {
            found.push(*number);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    use super::*;

    type Plain = BTreeMap<u32, std::collections::BTreeSet<u32>>;

    fn list(plain: &Plain) -> List {
        let mut builder = Builder::default();
        for (number, positions) in plain {
            let mut octets = Vec::new();
            let mut last = 0;
            for position in positions {
                varint::put(position - last, &mut octets);
                last = *position;
            }
            builder.push(*number, u32::try_from(positions.len()).unwrap(), &octets);
        }
        builder.finish()
    }

    fn any_plain() -> impl Strategy<Value = Plain> {
        let positions = proptest::collection::btree_set(0..20_u32, 1..5);
        proptest::collection::btree_map(0..30_u32, positions, 0..20)
    }

    proptest! {
        #[test]
        fn lists_go_both_ways(plain in any_plain()) {
            let read = Occurrences::read(&list(&plain)).unwrap();
            prop_assert_eq!(&read.documents, &plain.keys().copied().collect::<Vec<_>>());
            for (nth, positions) in plain.values().enumerate() {
                prop_assert_eq!(read.positions(nth), positions.iter().copied().collect::<Vec<_>>());
            }
        }

        #[test]
        fn phrases_are_found(a in any_plain(), b in any_plain(), c in any_plain()) {
            let words = [(0, &a), (1, &b), (3, &c)]
                .map(|(offset, plain)| (offset, Occurrences::read(&list(plain)).unwrap()));
            let expected: Vec<u32> = a.iter().filter(|(number, positions)| {
                let has = |plain: &Plain, at| plain.get(number).is_some_and(|p| p.contains(&at));
                positions.iter().any(|at| has(&b, at + 1) && has(&c, at + 3))
            }).map(|(number, _)| *number).collect();
            prop_assert_eq!(phrase(&words), expected);
        }

        #[test]
        fn several_lists_are_one(a in any_plain(), b in any_plain()) {
            let mut both = a.clone();
            for (number, positions) in &b {
                both.entry(*number).or_default().extend(positions);
            }
            let read = |plain| Occurrences::read(&list(plain)).unwrap();
            prop_assert_eq!(Occurrences::merged(vec![read(&a), read(&b)]), read(&both));
        }

        #[test]
        fn damage_is_seen(plain in any_plain(), cut in 0..100_usize) {
            let mut list = list(&plain);
            let at = cut % (list.documents.len() + 1);
            if at < list.documents.len() {
                list.documents.truncate(at);
                prop_assert_eq!(Occurrences::read(&list), None);
            }
        }
    }
}

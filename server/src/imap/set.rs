//! Sets of sequence numbers and of UIDs (RFC 3501 9 `sequence-set`).
//!
//! Invariant: the two are different types, so that a UID never stands where a position belongs.
//! Ranges are kept as written, because `*` has no value before the view is asked.

use super::command::Numbering;

/// Most ranges in one set; a longer one is refused with `BAD`.
pub const MAX_RANGES: usize = 20_000;

/// `seq-number`: a number or `*`, the largest in use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bound {
    /// A number, never 0.
    Number(u32),
    /// `*`.
    Last,
}

/// One number or range, ends in any order (RFC 3501 9 `seq-range`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Range {
    /// One end.
    pub from: Bound,
    /// The other.
    pub to: Bound,
}

impl Range {
    /// Lowest and highest number, with `*` standing for `last`.
    pub fn resolve(self, last: u32) -> (u32, u32) {
        let value = |bound| match bound {
            Bound::Number(number) => number,
            Bound::Last => last,
        };
        let (from, to) = (value(self.from), value(self.to));
        (from.min(to), from.max(to))
    }

    /// Whether `*` is one of its ends.
    pub fn has_last(self) -> bool {
        self.from == Bound::Last || self.to == Bound::Last
    }
}

/// A set of positions in a session's view.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SequenceSet(pub(super) Vec<Range>);

/// A set of UIDs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UidSet(pub(super) Vec<Range>);

impl UidSet {
    /// From ascending, disjoint ranges of numbers.
    pub fn from_spans(spans: &[(u32, u32)]) -> Self {
        let range = |(from, to): &(u32, u32)| Range {
            from: Bound::Number(*from),
            to: Bound::Number(*to),
        };
        Self(spans.iter().map(range).collect())
    }

    /// Its ranges with `*` as `last`, ascending and disjoint.
    pub fn spans(&self, last: u32) -> Vec<(u32, u32)> {
        let mut spans: Vec<_> = self.0.iter().map(|range| range.resolve(last)).collect();
        spans.sort_unstable();
        spans.dedup_by(|next, before| {
            let joined = next.0 <= before.1;
            if joined {
                before.1 = before.1.max(next.1);
            }
            joined
        });
        spans
    }
}

/// Whether one of ascending, disjoint ranges has a number in it.
pub fn within(spans: &[(u32, u32)], number: u32) -> bool {
    let after = spans.partition_point(|(from, _)| *from <= number);
    let last = after.checked_sub(1).and_then(|at| spans.get(at));
    last.is_some_and(|(_, to)| *to >= number)
}

/// The first argument of FETCH, STORE, COPY, MOVE and their UID forms.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MessageSet {
    /// Positions.
    Sequence(SequenceSet),
    /// UIDs.
    Uid(UidSet),
    /// `$`: what the last SEARCH saved (RFC 5182), for a command that counts in these.
    Saved(Numbering),
}

impl MessageSet {
    /// What the command counts in.
    pub fn numbering(&self) -> Numbering {
        match self {
            Self::Sequence(_) => Numbering::Sequence,
            Self::Uid(_) => Numbering::Uid,
            Self::Saved(by) => *by,
        }
    }
}

/// Puts numbers that follow on each other together as ranges; the order is kept.
pub fn spans_of(numbers: impl IntoIterator<Item = u32>) -> Vec<(u32, u32)> {
    let mut spans: Vec<(u32, u32)> = Vec::new();
    for number in numbers {
        match spans.last_mut() {
            Some((_, end)) if end.checked_add(1) == Some(number) => *end = number,
            _ => spans.push((number, number)),
        }
    }
    spans
}

/// Writes ascending numbers as the shortest set: `1:3,7`.
pub fn write_set(numbers: impl IntoIterator<Item = u32>) -> String {
    write_spans(&spans_of(numbers))
}

/// Writes ranges as a set.
pub fn write_spans(spans: &[(u32, u32)]) -> String {
    let texts: Vec<String> = spans
        .iter()
        .map(|(from, to)| {
            if from == to {
                from.to_string()
            } else {
                format!("{from}:{to}")
            }
        })
        .collect();
    texts.join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_are_written_short() {
        assert_eq!(write_set([1, 2, 3, 7]), "1:3,7");
        assert_eq!(write_set([]), "");
        assert_eq!(write_set([5, 6]), "5:6");
        // UIDPLUS wants the order of the copies kept (RFC 4315 3).
        assert_eq!(write_set([9, 3, 4]), "9,3:4");
    }

    #[test]
    fn numbers_are_found_in_ranges() {
        let range = |from, to| Range {
            from: Bound::Number(from),
            to,
        };
        let set = UidSet(vec![
            range(20, Bound::Last),
            range(1, Bound::Number(10)),
            range(2, Bound::Number(3)),
            range(10, Bound::Number(9)),
        ]);
        let spans = set.spans(20);
        assert_eq!(spans, [(1, 10), (20, 20)]);
        for (number, expected) in [(1, true), (7, true), (11, false), (20, true), (21, false)] {
            assert_eq!(within(&spans, number), expected, "{number}");
        }
        assert!(!within(&[], 1));
    }

    #[test]
    fn ranges_take_their_ends_in_any_order() {
        let range = Range {
            from: Bound::Last,
            to: Bound::Number(7),
        };
        assert_eq!(range.resolve(3), (3, 7));
        assert_eq!(range.resolve(9), (7, 9));
    }
}

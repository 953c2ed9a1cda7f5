//! Sets of sequence numbers and of UIDs (RFC 3501 9 `sequence-set`).
//!
//! Invariant: the two are different types, so that a UID never stands where a position belongs.
//! Ranges are kept as written, because `*` has no value before the view is asked.

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

/// The first argument of FETCH, STORE, COPY, MOVE and their UID forms.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MessageSet {
    /// Positions.
    Sequence(SequenceSet),
    /// UIDs.
    Uid(UidSet),
}

/// Writes ascending numbers as the shortest set: `1:3,7`.
pub fn write_set(numbers: impl IntoIterator<Item = u32>) -> String {
    let mut ranges: Vec<(u32, u32)> = Vec::new();
    for number in numbers {
        match ranges.last_mut() {
            Some((_, end)) if end.checked_add(1) == Some(number) => *end = number,
            _ => ranges.push((number, number)),
        }
    }
    let texts: Vec<String> = ranges
        .into_iter()
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
    fn ranges_take_their_ends_in_any_order() {
        let range = Range {
            from: Bound::Last,
            to: Bound::Number(7),
        };
        assert_eq!(range.resolve(3), (3, 7));
        assert_eq!(range.resolve(9), (7, 9));
    }
}

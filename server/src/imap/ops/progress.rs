//! How far an operation is (RFC 9585), for a client that waits.
//!
//! Invariant: what is told grows, and stays below a goal that does not change. Rejected: a
//! channel; nobody needs each step.

use std::sync::atomic::{AtomicU32, Ordering};

/// A goal that is never known.
const UNKNOWN: u32 = u32::MAX;

/// Counts what is done, of a number that may be known.
#[derive(Debug, Default)]
pub struct Progress {
    done: AtomicU32,
    /// 0 until it is set.
    goal: AtomicU32,
}

impl Progress {
    /// So many things are to be done; what was said first counts.
    pub(super) fn expect(&self, goal: usize) {
        let goal = u32::try_from(goal).unwrap_or(UNKNOWN);
        let (first, after) = (Ordering::Relaxed, Ordering::Relaxed);
        let _said_before = self.goal.compare_exchange(0, goal, first, after);
    }

    /// Several parts follow, and nobody knows how much they are together.
    pub(super) fn expect_more(&self) {
        self.expect(usize::MAX);
    }

    /// So many more are done.
    pub(super) fn step(&self, count: usize) {
        let count = u32::try_from(count).unwrap_or(UNKNOWN);
        self.done.fetch_add(count, Ordering::Relaxed);
    }

    /// What is done, and of how much.
    pub fn so_far(&self) -> Option<(u32, Option<u32>)> {
        let done = self.done.load(Ordering::Relaxed);
        match self.goal.load(Ordering::Relaxed) {
            0 => None,
            UNKNOWN => Some((done, None)),
            // Arranging what was found comes after the last.
            goal => Some((done.min(goal.saturating_sub(1)), Some(goal))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_grows_and_stays_below_its_goal() {
        let progress = Progress::default();
        assert_eq!(progress.so_far(), None);
        progress.expect(2);
        progress.expect(9);
        assert_eq!(progress.so_far(), Some((0, Some(2))));
        for expected in [1, 1, 1] {
            progress.step(1);
            assert_eq!(progress.so_far(), Some((expected, Some(2))));
        }
        let counting = Progress::default();
        counting.expect_more();
        counting.expect(3);
        counting.step(1);
        assert_eq!(counting.so_far(), Some((1, None)));
    }
}

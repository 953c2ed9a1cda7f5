//! Limits of log-ins by mail programs: somebody who guesses waits.
//!
//! App passwords cannot be guessed; what this ends is a program that tries an old one all day, and
//! noise from other machines. Invariant: failures of one peer at one account do not lock out
//! others. Counts are in memory: a restart forgives. Rejected: the provider's limits; there a
//! failure is found out by the device alone.

use std::collections::BTreeMap;
use std::net::IpAddr;

use letterlock_core::id::Timestamp;

/// Failures of a peer at an account in a window.
pub const MAX_FAILURES: u32 = 10;
/// Length of a window, in milliseconds.
pub const WINDOW_MS: i64 = 60 * 1000;
/// Most pairs of peer and user name that are counted at a time.
const MAX_COUNTED: usize = 10_000;
/// Longest user name that is counted by itself; longer ones are all one.
const MAX_NAME: usize = 320;

type Who = (Option<IpAddr>, String);

/// Failures by peer and user name.
#[derive(Debug, Default)]
pub struct Attempts {
    counts: BTreeMap<Who, Count>,
}

#[derive(Debug, Clone, Copy)]
struct Count {
    since: Timestamp,
    failures: u32,
}

impl Count {
    fn is_over(&self, now: Timestamp) -> bool {
        now.as_millis().saturating_sub(self.since.as_millis()) >= WINDOW_MS
    }
}

impl Attempts {
    /// Whether a log-in may be tried.
    pub fn allow(&self, peer: Option<IpAddr>, user: &str, now: Timestamp) -> bool {
        let count = self.counts.get(&who(peer, user));
        count.is_none_or(|count| count.is_over(now) || count.failures < MAX_FAILURES)
    }

    /// It failed.
    pub fn failed(&mut self, peer: Option<IpAddr>, user: &str, now: Timestamp) {
        if self.counts.len() >= MAX_COUNTED {
            self.counts.retain(|_, count| !count.is_over(now));
        }
        if self.counts.len() >= MAX_COUNTED {
            self.counts.pop_first();
        }
        let fresh = Count {
            since: now,
            failures: 0,
        };
        let count = self.counts.entry(who(peer, user)).or_insert(fresh);
        if count.is_over(now) {
            *count = fresh;
        }
        count.failures = count.failures.saturating_add(1);
    }

    /// It succeeded: what failed before is forgiven.
    pub fn succeeded(&mut self, peer: Option<IpAddr>, user: &str) {
        self.counts.remove(&who(peer, user));
    }
}

fn who(peer: Option<IpAddr>, user: &str) -> Who {
    let user = if user.len() > MAX_NAME { "" } else { user };
    (peer, user.to_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_fails_often_waits_and_nobody_else_does() {
        let mut attempts = Attempts::default();
        let start = Timestamp::from_secs(1_000_000);
        let elsewhere = Some(IpAddr::from([192, 0, 2, 1]));
        for _ in 0..MAX_FAILURES {
            assert!(attempts.allow(None, "Alice", start));
            attempts.failed(None, "Alice", start);
        }
        assert!(!attempts.allow(None, "alice", start));
        assert!(attempts.allow(elsewhere, "alice", start));
        assert!(attempts.allow(None, "bob", start));
        let later = Timestamp::from_millis(start.as_millis() + WINDOW_MS);
        assert!(attempts.allow(None, "alice", later));
        attempts.failed(None, "alice", later);
        assert!(attempts.allow(None, "alice", later), "a new window");
        attempts.succeeded(None, "alice");
        assert!(attempts.counts.is_empty());
    }

    #[test]
    fn names_without_end_do_not_fill_the_memory() {
        let mut attempts = Attempts::default();
        let now = Timestamp::from_secs(1);
        for number in 0..2 * MAX_COUNTED {
            attempts.failed(None, &number.to_string(), now);
        }
        attempts.failed(None, &"x".repeat(1_000_000), now);
        assert!(attempts.counts.len() <= MAX_COUNTED);
        assert!(
            attempts
                .counts
                .keys()
                .all(|(_, name)| name.len() <= MAX_NAME)
        );
    }
}

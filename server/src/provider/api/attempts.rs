//! Limits of log-in attempts, because guessing online must be slow, and of sign-ups.
//!
//! The provider does not hear of a wrong password: the device finds out alone and stops. So
//! every start counts as a failure until its finish succeeds.
//! Counts are in memory: a restart forgives.

use std::collections::BTreeMap;
use std::net::IpAddr;

use letterlock_core::id::{Address, Timestamp};

/// Failures of one mail address in a window.
pub(super) const MAX_FAILURES_PER_ADDRESS: u32 = 20;
/// Failures of one peer in a window; more, because an office or a proxy is one peer.
pub(super) const MAX_FAILURES_PER_PEER: u32 = 100;
/// Length of a window, in milliseconds: 10 minutes.
pub(super) const WINDOW_MS: i64 = 10 * 60 * 1000;
/// Length of a window for sign-ups, in milliseconds: an hour.
const SIGN_UP_WINDOW_MS: i64 = 60 * 60 * 1000;
/// Most addresses and peers that are counted at a time.
const MAX_COUNTED: usize = 100_000;

/// Failures by mail address and by peer.
#[derive(Debug, Default)]
pub(crate) struct Attempts {
    counts: BTreeMap<Who, Count>,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Who {
    Address(Address),
    Peer(IpAddr),
    SignUp(IpAddr),
}

impl Who {
    const fn window_ms(&self) -> i64 {
        match self {
            Self::Address(_) | Self::Peer(_) => WINDOW_MS,
            Self::SignUp(_) => SIGN_UP_WINDOW_MS,
        }
    }
}

#[derive(Debug, Clone, Copy)]
struct Count {
    since: Timestamp,
    failures: u32,
}

impl Attempts {
    /// Counts an attempt, or says after how many seconds one is possible again.
    pub(super) fn begin(
        &mut self,
        address: &Address,
        peer: Option<IpAddr>,
        now: Timestamp,
    ) -> Result<(), u64> {
        self.count(everyone(address, peer), now)
    }

    /// The same for a log-in that no guess can succeed with: counted for the peer alone.
    pub(super) fn begin_peer(&mut self, peer: IpAddr, now: Timestamp) -> Result<(), u64> {
        self.count(vec![(Who::Peer(peer), MAX_FAILURES_PER_PEER)], now)
    }

    /// Whether a sign-up of this peer would be refused; nothing is counted.
    pub(super) fn may_sign_up(&self, peer: IpAddr, limit: u32, now: Timestamp) -> Result<(), u64> {
        let wait = self.wait(&Who::SignUp(peer), limit, now);
        wait.map_or(Ok(()), |wait_ms| Err(seconds(wait_ms)))
    }

    /// Counts a sign-up, which counts whether it succeeds or not.
    pub(super) fn begin_sign_up(
        &mut self,
        peer: IpAddr,
        limit: u32,
        now: Timestamp,
    ) -> Result<(), u64> {
        self.count(vec![(Who::SignUp(peer), limit)], now)
    }

    fn count(&mut self, all: Vec<(Who, u32)>, now: Timestamp) -> Result<(), u64> {
        let wait = all
            .iter()
            .filter_map(|(who, limit)| self.wait(who, *limit, now))
            .max();
        if let Some(wait_ms) = wait {
            return Err(seconds(wait_ms));
        }
        if self.counts.len() >= MAX_COUNTED {
            self.counts
                .retain(|who, count| !count.is_over(who.window_ms(), now));
        }
        if self.counts.len() >= MAX_COUNTED {
            self.counts.pop_first();
        }
        for (who, _) in all {
            let fresh = Count {
                since: now,
                failures: 0,
            };
            let window_ms = who.window_ms();
            let count = self.counts.entry(who).or_insert(fresh);
            if count.is_over(window_ms, now) {
                *count = fresh;
            }
            count.failures = count.failures.saturating_add(1);
        }
        Ok(())
    }

    /// The attempt was no failure: the address is forgiven, the peer this one attempt.
    pub(super) fn succeed(&mut self, address: &Address, peer: Option<IpAddr>) {
        self.counts.remove(&Who::Address(address.canonical()));
        if let Some(peer) = peer {
            self.succeed_peer(peer);
        }
    }

    /// The peer's attempt was no failure; no address is forgiven by it.
    pub(super) fn succeed_peer(&mut self, peer: IpAddr) {
        if let Some(count) = self.counts.get_mut(&Who::Peer(peer)) {
            count.failures = count.failures.saturating_sub(1);
        }
    }

    fn wait(&self, who: &Who, limit: u32, now: Timestamp) -> Option<i64> {
        let count = self.counts.get(who)?;
        let window_ms = who.window_ms();
        let refused = !count.is_over(window_ms, now) && count.failures >= limit;
        refused.then(|| window_ms - (now.as_millis() - count.since.as_millis()))
    }
}

impl Count {
    fn is_over(self, window_ms: i64, now: Timestamp) -> bool {
        // A clock that was set back ends the window too.
        !(0..window_ms).contains(&(now.as_millis() - self.since.as_millis()))
    }
}

fn seconds(wait_ms: i64) -> u64 {
    u64::try_from(wait_ms).unwrap_or(0).div_ceil(1000).max(1)
}

fn everyone(address: &Address, peer: Option<IpAddr>) -> Vec<(Who, u32)> {
    let address = (Who::Address(address.canonical()), MAX_FAILURES_PER_ADDRESS);
    let peer = peer.map(|peer| (Who::Peer(peer), MAX_FAILURES_PER_PEER));
    std::iter::once(address).chain(peer).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: i64 = 1_000_000;

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_millis(START + millis)
    }

    #[test]
    fn failures_of_an_address_end_with_the_window() {
        let mut attempts = Attempts::default();
        let alice = Address::new("alice@x.example").unwrap();
        for _ in 0..MAX_FAILURES_PER_ADDRESS {
            attempts.begin(&alice, None, at(0)).unwrap();
        }
        let capital = Address::new("ALICE@x.example").unwrap();
        assert_eq!(attempts.begin(&capital, None, at(1000)), Err(599));
        assert_eq!(attempts.begin(&alice, None, at(WINDOW_MS)), Ok(()));
    }

    #[test]
    fn sign_ups_of_a_peer_are_counted_by_the_hour() {
        let mut attempts = Attempts::default();
        let peer: IpAddr = "192.0.2.1".parse().unwrap();
        for _ in 0..3 {
            attempts.may_sign_up(peer, 3, at(0)).unwrap();
            attempts.begin_sign_up(peer, 3, at(0)).unwrap();
        }
        assert_eq!(attempts.may_sign_up(peer, 3, at(WINDOW_MS)), Err(3000));
        assert_eq!(attempts.begin_sign_up(peer, 3, at(WINDOW_MS)), Err(3000));
        let other = "192.0.2.2".parse().unwrap();
        assert_eq!(attempts.begin_sign_up(other, 3, at(0)), Ok(()));
        assert_eq!(
            attempts.begin_sign_up(peer, 3, at(SIGN_UP_WINDOW_MS)),
            Ok(())
        );
        // A log-in from there is another matter.
        let alice = Address::new("alice@x.example").unwrap();
        assert_eq!(attempts.begin(&alice, Some(peer), at(0)), Ok(()));
    }

    #[test]
    fn a_success_forgives() {
        let mut attempts = Attempts::default();
        let peer: Option<IpAddr> = "192.0.2.1".parse().ok();
        for _ in 0..3 * MAX_FAILURES_PER_PEER {
            let alice = Address::new("alice@x.example").unwrap();
            attempts.begin(&alice, peer, at(0)).unwrap();
            attempts.succeed(&alice, peer);
        }
        for n in 0..MAX_FAILURES_PER_PEER {
            let address = Address::new(&format!("a{n}@x.example")).unwrap();
            attempts.begin(&address, peer, at(0)).unwrap();
        }
        let bob = Address::new("bob@x.example").unwrap();
        assert!(attempts.begin(&bob, peer, at(0)).is_err());
        // A device's log-in forgives the peer one attempt, and counts for no address.
        attempts.succeed_peer(peer.unwrap());
        attempts.begin_peer(peer.unwrap(), at(0)).unwrap();
        assert!(attempts.begin_peer(peer.unwrap(), at(0)).is_err());
        assert!(attempts.begin(&bob, None, at(0)).is_ok());
    }
}

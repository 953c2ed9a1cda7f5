//! What the provider keeps in memory between the calls of one exchange: log-ins, challenges,
//! changes of a password.
//!
//! Invariant: each is kept for a short time, in a bounded number, and taken once. A restart in
//! between makes the device begin again.

use std::collections::{BTreeMap, VecDeque};

use letterlock_core::id::Timestamp;
use rand::RngCore;
use rand::rngs::OsRng;

/// How long an exchange may take between two calls, in milliseconds: 2 minutes.
const PATIENCE_MS: i64 = 2 * 60 * 1000;
/// Most exchanges of a kind that wait for their next call; the oldest makes room.
const MAX_WAITING: usize = 10_000;

type Id = [u8; 16];

/// Exchanges of one kind between two calls.
pub(crate) struct Waiting<T> {
    waiting: BTreeMap<Id, T>,
    /// By age; ids that are gone may remain.
    order: VecDeque<(Timestamp, Id)>,
}

impl<T> Default for Waiting<T> {
    fn default() -> Self {
        Self {
            waiting: BTreeMap::new(),
            order: VecDeque::new(),
        }
    }
}

impl<T> Waiting<T> {
    /// Keeps one; the id names it in the next call.
    pub(super) fn put(&mut self, exchange: T, now: Timestamp) -> Vec<u8> {
        self.expire(now);
        while self.order.len() >= MAX_WAITING {
            if let Some((_, id)) = self.order.pop_front() {
                self.waiting.remove(&id);
            }
        }
        let mut id = Id::default();
        OsRng.fill_bytes(&mut id);
        self.waiting.insert(id, exchange);
        self.order.push_back((now, id));
        id.to_vec()
    }

    /// Takes one out, unless it took too long.
    pub(super) fn take(&mut self, id: &[u8], now: Timestamp) -> Option<T> {
        self.expire(now);
        self.waiting.remove(id)
    }

    fn expire(&mut self, now: Timestamp) {
        let limit = now.as_millis().saturating_sub(PATIENCE_MS);
        while let Some((_, id)) = self
            .order
            .pop_front_if(|(since, _)| since.as_millis() < limit)
        {
            self.waiting.remove(&id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_taken_once_and_in_time() {
        let at = Timestamp::from_millis;
        let mut waiting = Waiting::default();
        let (first, second) = (waiting.put("first", at(0)), waiting.put("second", at(1)));
        assert_eq!(waiting.take(&first, at(PATIENCE_MS)), Some("first"));
        assert_eq!(waiting.take(&first, at(PATIENCE_MS)), None);
        assert_eq!(waiting.take(&second, at(PATIENCE_MS + 2)), None);
        let oldest = waiting.put("oldest", at(0));
        for _ in 0..MAX_WAITING {
            waiting.put("another", at(0));
        }
        assert_eq!(waiting.take(&oldest, at(0)), None);
        assert_eq!(waiting.waiting.len(), MAX_WAITING);
    }
}

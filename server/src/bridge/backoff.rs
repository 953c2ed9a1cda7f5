//! How long to wait before the provider is called again.
//!
//! Doubles up to a minute, with jitter, so that a thousand bridges do not come back in the same
//! second after an outage. Invariant: a success starts from the beginning.

use std::time::Duration;

use rand::Rng;

/// The first wait.
const FIRST: Duration = Duration::from_millis(500);
/// The longest wait.
const LONGEST: Duration = Duration::from_mins(1);

/// Counts failures in a row.
#[derive(Debug, Default)]
pub struct Backoff {
    failures: u32,
}

impl Backoff {
    /// The wait after one more failure: between half and all of 0.5 s, 1 s, 2 s, … 60 s.
    pub fn next(&mut self, rng: &mut impl Rng) -> Duration {
        let factor = 2_u32.saturating_pow(self.failures);
        self.failures = self.failures.saturating_add(1);
        let full = FIRST.saturating_mul(factor).min(LONGEST);
        full.mul_f64(rng.gen_range(0.5..=1.0))
    }

    /// It worked.
    pub fn reset(&mut self) {
        self.failures = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_a_minute_and_start_anew() {
        let mut backoff = Backoff::default();
        let mut rng = rand::rngs::OsRng;
        let waits: Vec<_> = (0..40).map(|_| backoff.next(&mut rng)).collect();
        assert!(waits[0] <= FIRST && waits[0] >= FIRST / 2);
        assert!(waits[3] >= FIRST * 4 && waits[3] <= FIRST * 8);
        assert!(waits.iter().all(|wait| *wait <= LONGEST));
        assert!(waits[39] >= LONGEST / 2);
        backoff.reset();
        assert!(backoff.next(&mut rng) <= FIRST);
    }
}

//! How long an attempt may take, and how long to wait for the next.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use chrono::TimeDelta;
use rand::RngExt as _;

/// The lease of an attempt is so much longer than its hard limit: for the record, and for clocks that differ.
const MARGIN: Duration = Duration::from_secs(30);
/// The wait after the first failure.
const FIRST: Duration = Duration::from_secs(5);
/// The longest wait.
const LONGEST: Duration = Duration::from_secs(3600);

/// The times of sending. What a test shortens holds from the next attempt on.
#[derive(Debug)]
pub struct Pace {
    limit_millis: AtomicU64,
}

impl Default for Pace {
    fn default() -> Self {
        Self { limit_millis: AtomicU64::new(30_000) }
    }
}

impl Pace {
    /// The hard limit of an attempt, from the connection to the server's answer.
    pub(crate) fn limit(&self) -> Duration {
        Duration::from_millis(self.limit_millis.load(Ordering::Relaxed))
    }

    /// Sets the hard limit of an attempt.
    pub fn set_limit(&self, limit: Duration) {
        self.limit_millis.store(u64::try_from(limit.as_millis()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// How long an attempt keeps others away.
    pub(crate) fn lease(&self) -> TimeDelta {
        delta(self.limit() + MARGIN)
    }
}

/// The wait after the attempt of that number, from 1: three times as long each time, give or take a half.
pub(crate) fn wait(attempt: u32) -> TimeDelta {
    let factor = 3_u32.saturating_pow(attempt.saturating_sub(1).min(10));
    let wait = FIRST.saturating_mul(factor).min(LONGEST);
    delta(wait.mul_f64(rand::rng().random_range(0.5..1.5)))
}

fn delta(duration: Duration) -> TimeDelta {
    TimeDelta::from_std(duration).unwrap_or(TimeDelta::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_and_have_some_chance_in_them() {
        for (attempt, least, most) in [(1, 2, 8), (2, 7, 23), (4, 67, 203), (30, 1800, 5400)] {
            let seconds = wait(attempt).num_seconds();
            assert!((least..=most).contains(&seconds), "attempt {attempt}: {seconds}");
        }
        assert!((0..20).map(|_| wait(5)).collect::<std::collections::HashSet<_>>().len() > 1);
    }

    #[test]
    fn decision_14_an_attempt_ends_before_its_lease() {
        let pace = Pace::default();
        pace.set_limit(Duration::from_millis(200));
        assert!(pace.lease() > delta(pace.limit()));
    }
}

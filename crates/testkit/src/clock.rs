//! A clock that tests move.

use std::sync::atomic::{AtomicI64, Ordering};

use chrono::{DateTime, TimeDelta, Utc};
use concierge_runtime::clock::{Clock, SystemClock};

/// The machine's time, moved forwards (or back) by what a test says.
#[derive(Debug, Default)]
pub struct TestClock {
    moved: AtomicI64,
}

impl TestClock {
    /// Moves the time.
    pub fn advance(&self, by: TimeDelta) {
        self.moved.fetch_add(by.num_microseconds().unwrap_or(0), Ordering::SeqCst);
    }
}

impl Clock for TestClock {
    fn now(&self) -> DateTime<Utc> {
        SystemClock.now() + TimeDelta::microseconds(self.moved.load(Ordering::SeqCst))
    }
}

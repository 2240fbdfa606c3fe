//! How far behind a reader of a feed is, as a metric that grows also while nothing happens.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use chrono::{DateTime, Utc};
use metrics::Gauge;

use crate::clock::SharedClock;

/// How often the metric is brought up to date while nothing changes.
const TELL: Duration = Duration::from_secs(1);

/// Since when what is known of another service may be out of date.
pub(super) struct Lag {
    seconds: Gauge,
    clock: SharedClock,
    since: Mutex<Option<DateTime<Utc>>>,
}

impl Lag {
    pub(super) fn new(feed: &'static str, clock: SharedClock) -> Self {
        let lag = Self {
            seconds: metrics::gauge!("concierge_feed_lag_seconds", "feed" => feed),
            clock,
            since: Mutex::default(),
        };
        lag.tell();
        lag
    }

    /// All that was told is applied; or another replica reads, and tells of its own lag.
    pub(super) fn none(&self) {
        self.set(|_, _| None);
    }

    /// What happened at that time is still to be applied.
    pub(super) fn behind(&self, time: DateTime<Utc>) {
        self.set(|_, _| Some(time));
    }

    /// Nothing is heard from now on. Who was behind before still is.
    pub(super) fn deaf(&self) {
        self.set(|since, now| since.or(Some(now)));
    }

    fn set(&self, change: impl FnOnce(Option<DateTime<Utc>>, DateTime<Utc>) -> Option<DateTime<Utc>>) {
        let mut since = self.since.lock().unwrap_or_else(PoisonError::into_inner);
        *since = change(*since, self.clock.now());
        drop(since);
        self.tell();
    }

    /// The clock that the time was taken from may be a little ahead of ours.
    fn seconds(&self) -> f64 {
        let since = *self.since.lock().unwrap_or_else(PoisonError::into_inner);
        since.map_or(0.0, |since| (self.clock.now() - since).as_seconds_f64().max(0.0))
    }

    fn tell(&self) {
        self.seconds.set(self.seconds());
    }

    /// Keeps the metric up to date.
    pub(super) async fn run(&self) {
        loop {
            self.tell();
            tokio::time::sleep(TELL).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicI64, Ordering};

    use chrono::TimeDelta;

    use super::*;
    use crate::clock::Clock;

    #[derive(Debug, Default)]
    struct Seconds(AtomicI64);

    impl Clock for Seconds {
        fn now(&self) -> DateTime<Utc> {
            DateTime::UNIX_EPOCH + TimeDelta::seconds(self.0.load(Ordering::Relaxed))
        }
    }

    #[test]
    fn lag_grows_until_all_is_applied_and_again_while_nothing_is_heard() {
        let clock = Arc::new(Seconds::default());
        let lag = Lag::new("directory", Arc::<Seconds>::clone(&clock));
        let after = |seconds: i64| {
            clock.0.fetch_add(seconds, Ordering::Relaxed);
            lag.seconds()
        };
        let close = |a: f64, b: f64| (a - b).abs() < 1e-9;
        assert!(close(after(100), 0.0), "nothing is known to be missing");
        lag.behind(clock.now() - TimeDelta::seconds(40));
        assert!(close(after(0), 40.0) && close(after(2), 42.0), "an effect that is not done makes it grow");
        lag.deaf();
        assert!(close(after(1), 43.0), "it is as far behind as before");
        lag.none();
        assert!(close(after(60), 0.0), "nothing happens, and nothing is missed");
        lag.deaf();
        lag.deaf();
        assert!(close(after(5), 5.0));
        lag.behind(clock.now() + TimeDelta::seconds(3));
        assert!(close(after(0), 0.0), "another machine's clock");
    }
}

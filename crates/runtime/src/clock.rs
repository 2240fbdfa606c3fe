//! Time and ids, handed in so that tests own them.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use uuid::Uuid;

/// Where time and ids come from.
pub trait Clock: Send + Sync + std::fmt::Debug + 'static {
    /// The time now.
    fn now(&self) -> DateTime<Utc>;

    /// A new UUIDv7 whose time is [`Clock::now`].
    fn new_id(&self) -> Uuid {
        let now = self.now();
        let seconds = u64::try_from(now.timestamp()).unwrap_or(0);
        Uuid::new_v7(uuid::Timestamp::from_unix(uuid::NoContext, seconds, now.timestamp_subsec_nanos()))
    }
}

/// A clock that services share.
pub type SharedClock = Arc<dyn Clock>;

/// The machine's clock, cut to microseconds as the database keeps them.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[allow(clippy::disallowed_methods)]
    fn now(&self) -> DateTime<Utc> {
        let now = Utc::now();
        DateTime::from_timestamp_micros(now.timestamp_micros()).unwrap_or(now)
    }

    #[allow(clippy::disallowed_methods)]
    fn new_id(&self) -> Uuid {
        Uuid::now_v7()
    }
}

//! What tests share: a private Postgres, services in the test's own process, a clock that moves.

// Tests stop at the first thing that does not work.
#![allow(clippy::expect_used, clippy::unwrap_used)]

pub mod clock;
pub mod database;
pub mod smtp;
pub mod suite;
pub mod traces;

pub use clock::TestClock;
pub use database::TestDatabase;
pub use suite::{Api, Running, Suite, Who, request_id};

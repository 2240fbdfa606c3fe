//! What every service of Concierge has: configuration, telemetry, the server and its layers, authentication, errors and
//! statuses, the resource layer, transactions with idempotency, the outbox and the feed.

pub mod auth;
pub mod clock;
pub mod config;
pub mod query;
pub mod server;
pub mod telemetry;

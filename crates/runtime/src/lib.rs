//! What every service of Concierge has: configuration, telemetry, the server and its layers, authentication, errors and
//! statuses, the resource layer, transactions with idempotency, the outbox and the feed.

mod answers;
pub mod auth;
pub mod call;
pub mod clock;
pub mod config;
pub mod db;
pub mod error;
pub mod feed;
pub mod history;
pub mod housekeeping;
pub mod html;
pub mod layers;
mod outbox;
pub mod program;
pub mod query;
pub mod resource;
pub mod seal;
pub mod server;
pub mod service;
pub mod status;
pub mod telemetry;
pub mod tx;
pub mod upstream;

pub use call::Call;
pub use error::{Error, Failure, Gathered};
pub use outbox::type_url;
pub use resource::Resource;
pub use service::{Answer, Service, reply};
pub use tx::Tx;

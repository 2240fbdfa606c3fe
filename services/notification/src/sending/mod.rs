//! Sending what is due: deliveries by e-mail are taken in batches, tried, and recorded.
//!
//! An attempt is committed as STARTED before it begins and has a lease that outlives it. An attempt whose lease ends
//! without a record has an unknown outcome, and is repeated with the same `Message-ID`.

mod message;
mod pace;
mod queue;
mod smtp;
mod subject;
mod text;
mod worker;

pub(crate) use message::Email;
pub use pace::Pace;
pub(crate) use queue::{ATTEMPTS, PATIENCE, encode};
pub(crate) use smtp::{Connections, Outcome, are_certificates, send_within};
pub(crate) use worker::run;

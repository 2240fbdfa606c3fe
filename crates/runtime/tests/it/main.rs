//! What the runtime does around a service: feeds, keys, limits, its end. Against a real Postgres and real sockets.
#![allow(clippy::unwrap_used, missing_docs)]

mod consumer;
mod feed;
mod keys;
mod limits;
mod stop;
mod tokens;
mod world;

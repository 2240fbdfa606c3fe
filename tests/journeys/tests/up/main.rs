//! `concierge up` and the stand-alone programs as real processes: started, stopped, killed, refused.
#![allow(clippy::unwrap_used, clippy::print_stderr, missing_docs)]

mod alone;
mod commands;
mod fetched;
mod interrupted;
mod killed;
mod kit;
mod life;
mod program;
mod refused;
mod story;
mod tls;

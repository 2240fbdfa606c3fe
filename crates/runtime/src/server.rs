//! The server: transport, health, reflection, and a stop that loses no request.

mod tls;

pub use tls::{Tls, TlsError};

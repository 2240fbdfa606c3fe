//! What the services share about records: pure functions, no I/O.

pub mod criteria;

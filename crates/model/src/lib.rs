//! What the services share about records: pure functions, no I/O.

pub mod calendar;
pub mod criteria;
pub mod custom_field;
pub mod customer;
pub mod requester;
pub mod search;
pub mod site;
pub mod user;
pub mod user_role;

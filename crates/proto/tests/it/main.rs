//! The contract: what its build refuses, and what the validators made of it refuse.
#![allow(clippy::unwrap_used, clippy::write_with_newline, missing_docs)]

// The build's own modules, under the names by which they know each other.
#[path = "../../build/derive.rs"]
mod derive;
#[path = "../../build/methods.rs"]
mod methods;
#[path = "../../build/names.rs"]
mod names;
#[path = "../../build/options.rs"]
mod options;
#[path = "../../build/records.rs"]
mod records;
#[path = "../../build/rules.rs"]
mod rules;
#[path = "../../build/secrets.rs"]
mod secrets;

mod build;
mod defaults;
mod validators;

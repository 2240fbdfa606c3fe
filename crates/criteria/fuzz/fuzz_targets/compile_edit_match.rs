//! Schemas, rules, records and edits made of bytes: the index and the plain loop agree with the oracle of the tests.
#![no_main]
#![allow(dead_code)]

#[path = "../../tests/it/agree.rs"]
mod agree;
#[path = "../../tests/it/oracle.rs"]
mod oracle;
#[path = "../../tests/it/source.rs"]
mod source;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| agree::few(bytes));

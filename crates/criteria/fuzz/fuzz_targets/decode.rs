//! Bytes from anywhere, read as criteria of the contract.
#![no_main]

#[path = "../../../model/tests/decoding/any.rs"]
mod any;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| any::decode(bytes));

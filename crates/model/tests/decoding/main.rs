//! Criteria as they come over the wire.
#![allow(missing_docs, clippy::unwrap_used)]

mod any;

use std::path::Path;

/// What the fuzzer keeps: see `crates/criteria/fuzz`.
#[test]
fn nothing_that_the_fuzzer_found_breaks_decoding() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../criteria/fuzz/corpus/decode");
    let files: Vec<_> = std::fs::read_dir(corpus).unwrap().map(|file| file.unwrap().path()).collect();
    let taken = files.iter().filter(|file| any::decode(&std::fs::read(file).unwrap())).count();
    assert!(taken >= 10 && files.len() - taken >= 5, "{taken} of {}", files.len());
}

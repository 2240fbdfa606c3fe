//! Builds the contract: compiles `proto/` without any program from outside, generates messages, clients and servers,
//! and derives from the contract's own options what the servers enforce. Fails when a method does not say who may call it.

#![allow(clippy::write_with_newline, reason = "the text reads like the code that it becomes")]

#[path = "build/derive.rs"]
mod derive;
#[path = "build/methods.rs"]
mod methods;
#[path = "build/names.rs"]
mod names;
#[path = "build/options.rs"]
mod options;
#[path = "build/records.rs"]
mod records;
#[path = "build/rules.rs"]
mod rules;
#[path = "build/secrets.rs"]
mod secrets;

use std::path::{Path, PathBuf};
use std::{env, fs};

fn main() {
    let root = PathBuf::from(env::var("CARGO_MANIFEST_DIR").unwrap_or_default()).join("../../proto");
    println!("cargo::rerun-if-changed={}", root.display());
    println!("cargo::rerun-if-changed=build");
    if let Err(problem) = run(&root) {
        println!("cargo::error={}", problem.replace('\n', "\ncargo::error="));
    }
}

fn run(root: &Path) -> Result<(), String> {
    let out = PathBuf::from(env::var("OUT_DIR").map_err(|e| e.to_string())?);
    let mut files = Vec::new();
    find(root, root, &mut files).map_err(|e| e.to_string())?;
    files.sort();

    let mut compiler = protox::Compiler::new([root]).map_err(|e| e.to_string())?;
    compiler.include_imports(true).include_source_info(true);
    compiler.open_files(&files).map_err(|e| format!("{e:?}"))?;
    // The encoded form keeps our options; the decoded one may not.
    let encoded = compiler.encode_file_descriptor_set();
    let pool = prost_reflect::DescriptorPool::decode(encoded.as_slice()).map_err(|e| e.to_string())?;

    let mut messages = prost_build::Config::new();
    messages.enable_type_names();
    tonic_prost_build::configure()
        .codec_path("crate::codec::Codec")
        .include_file("modules.rs")
        .emit_rerun_if_changed(false)
        .compile_fds_with_config(compiler.file_descriptor_set(), messages)
        .map_err(|e| e.to_string())?;

    fs::write(out.join("descriptors.bin"), &encoded).map_err(|e| e.to_string())?;
    fs::write(out.join("derived.rs"), derive::derive(&pool)?).map_err(|e| e.to_string())
}

fn find(root: &Path, folder: &Path, files: &mut Vec<PathBuf>) -> std::io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            find(root, &path, files)?;
        } else if path.extension().is_some_and(|e| e == "proto")
            && let Ok(relative) = path.strip_prefix(root)
        {
            files.push(relative.to_owned());
        }
    }
    Ok(())
}

//! `concierge key create`: a key to sign tokens with.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::bail;
use clap::{Args, Subcommand};
use concierge_runtime::auth::Signer;
use secrecy::ExposeSecret as _;

use crate::files::write_private;

/// Make keys.
#[derive(Args, Debug)]
pub(crate) struct Key {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Write a new Ed25519 key, readable by its owner alone. All services of an installation share one.
    Create(Create),
}

#[derive(Args, Debug)]
#[command(after_help = "Example:\n  concierge key create signing.key")]
struct Create {
    /// Where to write it; a file that exists is left alone.
    file: PathBuf,
}

impl Key {
    pub(crate) fn run(self) -> anyhow::Result<ExitCode> {
        let Command::Create(Create { file }) = self.command;
        if file.exists() {
            bail!("{} exists: a key that signs is not overwritten", file.display());
        }
        write_private(&file, Signer::generate(rand::random()).expose_secret())?;
        println!("wrote {}", file.display());
        Ok(ExitCode::SUCCESS)
    }
}

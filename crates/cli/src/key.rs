//! `concierge key`: keys that sign tokens.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::bail;
use clap::{Args, Subcommand};
use concierge_runtime::auth::Signer;
use secrecy::ExposeSecret as _;

use crate::files::write_private;
use crate::token::signer;

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
    /// Print the public key of a private one, for the setting `public_key_files` of those who only check.
    Public(Public),
}

#[derive(Args, Debug)]
#[command(after_help = "Example:\n  concierge key create signing.key")]
struct Create {
    /// Where to write it; a file that exists is left alone.
    file: PathBuf,
}

#[derive(Args, Debug)]
#[command(after_help = "Example:\n  concierge key public signing.key > signing.pub")]
struct Public {
    /// The private key, in PEM.
    file: PathBuf,
}

impl Key {
    pub(crate) fn run(self) -> anyhow::Result<ExitCode> {
        match self.command {
            Command::Create(Create { file }) => {
                if file.exists() {
                    bail!("{} exists: a key that signs is not overwritten", file.display());
                }
                write_private(&file, Signer::generate(rand::random()).expose_secret())?;
                println!("wrote {}", file.display());
            }
            Command::Public(Public { file }) => print!("{}", signer(&file)?.public_pem()),
        }
        Ok(ExitCode::SUCCESS)
    }
}

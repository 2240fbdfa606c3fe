//! `concierge rules`: the rules of an installation, from the command line.

mod connection;
mod list;

use std::process::ExitCode;

use clap::{Args, Subcommand};

/// Look at the rules of an installation, and change them.
#[derive(Args, Debug)]
#[command(arg_required_else_help = true, after_help = EXAMPLES)]
pub(crate) struct Rules {
    #[command(subcommand)]
    command: Command,
}

const EXAMPLES: &str = "Examples:
  concierge rules list  the rules in the order in which they run";

#[derive(Debug, Subcommand)]
enum Command {
    /// List the rules in the order in which they run.
    List(list::List),
}

impl Rules {
    pub(crate) fn run(self) -> anyhow::Result<ExitCode> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(async {
            match self.command {
                Command::List(list) => list.run().await,
            }
        })
    }
}

//! Completion scripts.

use std::process::ExitCode;

use clap::{Args, CommandFactory};
use clap_complete::Shell;

/// Print a completion script for a shell.
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  concierge completion bash > ~/.local/share/bash-completion/completions/concierge")]
pub(crate) struct Completion {
    /// The shell.
    shell: Shell,
}

impl Completion {
    pub(crate) fn run<C: CommandFactory>(self) -> anyhow::Result<ExitCode> {
        clap_complete::generate(self.shell, &mut C::command(), "concierge", &mut std::io::stdout());
        Ok(ExitCode::SUCCESS)
    }
}

//! `concierge rules`: the rules of an installation, from the command line.

mod connection;
mod difference;
mod export;
mod file;
mod lint;
mod list;
mod plan;
mod reapply;
mod simulate;

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
  concierge rules list                 the rules in the order in which they run
  concierge rules export > rules.yaml  all of them as a file, to be changed
  concierge rules lint                 what is wrong with them, and what shows it
  concierge rules plan rules.yaml      what the file would change
  concierge rules simulate rules.yaml  what it would have done to past tickets
  concierge rules apply rules.yaml     make the rules what the file says
  concierge rules reapply --dry-run    what the rules would do to the tickets that are there";

#[derive(Debug, Subcommand)]
enum Command {
    /// List the rules in the order in which they run.
    List(list::List),
    /// Tell what is wrong with the rules.
    Lint(lint::Lint),
    /// Write all rules as YAML.
    Export(export::Export),
    /// Show what a file would change.
    Plan(plan::Plan),
    /// Show what a file would have done to past tickets.
    Simulate(simulate::Simulate),
    /// Make the rules what a file says.
    Apply(plan::Apply),
    /// Run rules again on tickets that are not closed.
    Reapply(reapply::Reapply),
}

impl Rules {
    pub(crate) fn run(self) -> anyhow::Result<ExitCode> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(async {
            match self.command {
                Command::List(list) => list.run().await,
                Command::Lint(lint) => lint.run().await,
                Command::Export(export) => export.run().await,
                Command::Plan(plan) => plan.run().await,
                Command::Simulate(simulate) => simulate.run().await,
                Command::Apply(apply) => apply.run().await,
                Command::Reapply(reapply) => reapply.run().await,
            }
        })
    }
}

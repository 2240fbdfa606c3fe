//! `concierge`: the whole suite in one program, and what operators do with it.
//!
//! A library, so that tests of other packages can be this program.

mod client;
mod completion;
mod demo;
mod files;
mod key;
mod migrate;
mod permissions;
mod replay;
mod rules;
mod serve;
mod token;
mod up;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// A directory of customers, sites and users that knows who is important, and the two services that act on it.
#[derive(Debug, Parser)]
#[command(name = "concierge", version, arg_required_else_help = true, after_help = EXAMPLES)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

const EXAMPLES: &str = "Examples:
  concierge up                         start everything on this machine, nothing to set up
  concierge up --demo                  the same, with a small invented world and its story
  concierge token create --kind agent  print a token for grpcurl
  concierge replay incidents.csv       log real incidents through the public API
  concierge rules list                 the rules, in the order in which they run";

#[derive(Debug, Subcommand)]
enum Command {
    /// Start all three services and a private Postgres, and keep them running until Ctrl-C.
    Up(up::Up),
    /// Run one service in the foreground.
    Serve(serve::Serve),
    /// Bring the schema of one service's database up to date.
    Migrate(migrate::Migrate),
    /// Make tokens, and list the permissions they can grant.
    Token(token::Token),
    /// Make keys that sign tokens, and print their public half.
    Key(key::Key),
    /// Log, update and close the tickets of an incident log through the public API.
    Replay(replay::Replay),
    /// Look at the rules of an installation, and change them.
    Rules(rules::Rules),
    /// Print a completion script for a shell.
    Completion(completion::Completion),
}

/// What the program does with its arguments.
pub fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let done = match arguments.command {
        Command::Up(up) => up.run(),
        Command::Serve(serve) => serve.run(),
        Command::Migrate(migrate) => migrate.run(),
        Command::Token(token) => token.run(),
        Command::Key(key) => key.run(),
        Command::Replay(replay) => replay.run(),
        Command::Rules(rules) => rules.run(),
        Command::Completion(completion) => completion.run::<Arguments>(),
    };
    match done {
        Ok(code) => code,
        Err(error) => {
            eprintln!("concierge: {error:#}");
            ExitCode::FAILURE
        }
    }
}

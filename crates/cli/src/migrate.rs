//! `concierge migrate`: brings the schema of a service's database up to date.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::bail;
use clap::Args;
use concierge_runtime::program;

/// Bring the schema of one service's database up to date. Old binaries keep working while it runs.
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  DATABASE_URL=postgres://concierge@db/directory concierge migrate directory")]
pub(crate) struct Migrate {
    /// Which one: directory, ticket-rule or notification.
    service: String,
    /// A configuration file; see the table of settings in the README.
    #[arg(long, env = "CONCIERGE_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
}

impl Migrate {
    pub(crate) fn run(self) -> anyhow::Result<ExitCode> {
        let config = self.config.as_deref();
        Ok(match self.service.as_str() {
            "directory" => program::migrate::<concierge_directory::Directory>(config),
            "ticket-rule" => program::migrate::<concierge_ticket_rule::TicketRule>(config),
            "notification" => program::migrate::<concierge_notification::Notification>(config),
            other => bail!("there is no service {other:?}: directory, ticket-rule or notification"),
        })
    }
}

//! `concierge serve`: one service in the foreground, the same as its own program.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::bail;
use clap::Args;
use concierge_runtime::program;

/// Run one service in the foreground.
#[derive(Args, Debug)]
#[command(after_help = "Example:
  DATABASE_URL=postgres://concierge@db/directory CONCIERGE_SIGNING_KEY_FILE=signing.key concierge serve directory")]
pub(crate) struct Serve {
    /// Which one: directory, ticket-rule or notification.
    service: String,
    /// A configuration file; see the table of settings in the README.
    #[arg(long, env = "CONCIERGE_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
}

impl Serve {
    pub(crate) fn run(self) -> anyhow::Result<ExitCode> {
        let config = self.config.as_deref();
        Ok(match self.service.as_str() {
            "directory" => program::serve::<concierge_directory::Directory>(config),
            "ticket-rule" => program::serve::<concierge_ticket_rule::TicketRule>(config),
            "notification" => program::serve::<concierge_notification::Notification>(config),
            other => bail!("there is no service {other:?}: directory, ticket-rule or notification"),
        })
    }
}

//! `concierge replay`: real incidents through the public API.

mod patience;
mod report;
mod rows;
mod run;
mod world;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use crate::client::Suite;
use crate::up::{SEATS, ports};

/// Log, update and close the tickets of an incident log through the public API.
#[derive(Args, Debug)]
#[command(after_long_help = "\
The file is a CSV of one row per change of an incident, in the format of the UCI data set \"Incident management process
enriched event log\" (number, incident_state, caller_id, opened_at, sys_updated_at, contact_type, location, category,
subcategory, u_symptom, impact, urgency, priority, assignment_group, closed_at, sys_mod_count; `?` is unknown).

What the rows become:
  location          a site; ten neighbouring numbers share a customer: `Location 143` belongs to `Customer 14`
  caller            a user of the site of the caller's first incident
  assignment group  a team
  first row         LogTicket at `opened_at`
  other rows        UpdateTicket at `sys_updated_at`, with an action that says what the row says
  state Closed      CloseTicket at `closed_at`

The file says nothing of importance, so it is derived from the numbers:
  every 20th caller is an important user, every 5th customer an important customer,
  every 7th customer has the relationship \"At risk\".
Three rules act on them: important users to the team \"VIP desk\" with the highest priority, important customers get the
tag `important-customer`, customers at risk the tag `retention`.

Every ticket carries the number of its incident as `external_id`, every action that of its row, so a second run changes
nothing. What is refused because a service is away or busy is asked again for half a minute. Rows that cannot be used are
told with line, column and reason, counted, and stop nothing.

Examples:
  concierge replay incidents.csv
  concierge replay incidents.csv --limit 50 --json")]
pub(crate) struct Replay {
    /// The incident log.
    file: PathBuf,
    /// The first of the three ports of `concierge up` on this machine.
    #[arg(long, default_value_t = SEATS[0].port, value_name = "PORT",
          value_parser = clap::value_parser!(u16).range(1..=i64::from(ports::HIGHEST)))]
    port: u16,
    /// Where the directory listens, when it is not at that port of this machine.
    #[arg(long, value_name = "URL")]
    directory: Option<String>,
    /// Where ticket-rule listens, when it is not one above.
    #[arg(long, value_name = "URL")]
    ticket_rule: Option<String>,
    /// Where notification listens, when it is not two above.
    #[arg(long, value_name = "URL")]
    notification: Option<String>,
    /// The file with an administrator's token; `concierge up` keeps it fresh.
    #[arg(long, value_name = "FILE")]
    token: Option<PathBuf>,
    /// Where `concierge up` keeps its token, when --token is not given.
    #[arg(long, env = "CONCIERGE_HOME", default_value = ".concierge", value_name = "FOLDER")]
    home: PathBuf,
    /// Only the first so many incidents.
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
    /// How many tickets are worked on at once; each ticket's rows stay in order.
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..=256))]
    lanes: u16,
    /// Print the result as JSON instead of tables.
    #[arg(long)]
    json: bool,
}

impl Replay {
    pub(crate) fn run(self) -> anyhow::Result<ExitCode> {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
        runtime.block_on(self.go())
    }

    async fn go(self) -> anyhow::Result<ExitCode> {
        let token = self.token.clone().unwrap_or_else(|| self.home.join("admin.token"));
        let at = |seat: u16, given: &Option<String>| {
            given.clone().unwrap_or_else(|| format!("http://127.0.0.1:{}", ports::grpc(self.port, seat)))
        };
        let suite = Suite::new(&at(0, &self.directory), &at(1, &self.ticket_rule), &at(2, &self.notification), token)?;
        let read = rows::read(&self.file, self.limit)?;
        for bad in &read.bad {
            eprintln!("{}: {bad}", self.file.display());
        }
        let world = world::build(&suite, &read.rows).await?;
        let done = run::run(&suite, &world, &read.rows, self.lanes).await?;
        if done.changed_something() {
            report::caught_up(&suite, done.started).await?;
        }
        let notifications = report::notifications(&suite, done.started).await?;
        report::print(&read, &world, &done, &notifications, self.json)?;
        Ok(if done.failures.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}

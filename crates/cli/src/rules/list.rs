//! `concierge rules list`: every rule in a line.

use std::process::ExitCode;

use clap::Args;
use comfy_table::Table;
use comfy_table::presets::UTF8_FULL_CONDENSED;
use concierge_proto::ticket_rule::{ListRulesRequest, Rule};
use serde::Serialize;

use super::connection::Connection;
use crate::client::explain;

/// List the rules in the order in which they run.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  concierge rules list
  concierge rules list --filter 'enabled = false' --json")]
pub(crate) struct List {
    /// Only these, such as `name : \"VIP\"`: an AIP-160 filter over the fields of a rule.
    #[arg(long, default_value = "", hide_default_value = true, value_name = "FILTER")]
    filter: String,
    /// Print JSON instead of a table.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connection: Connection,
}

#[derive(Serialize)]
struct Line<'a> {
    id: &'a str,
    name: &'a str,
    precedence: i32,
    enabled: bool,
    applies_to: &'a str,
    stop_on_match: bool,
}

impl List {
    pub(crate) async fn run(self) -> anyhow::Result<ExitCode> {
        let mut client = self.connection.rules()?;
        let mut rules: Vec<Rule> = Vec::new();
        let mut request = ListRulesRequest { page_size: 1_000, filter: self.filter, ..ListRulesRequest::default() };
        loop {
            let page = client.list_rules(request.clone()).await.map_err(|status| explain(&status))?.into_inner();
            rules.extend(page.rules);
            if page.next_page_token.is_empty() {
                break;
            }
            request.page_token = page.next_page_token;
        }
        let lines: Vec<Line<'_>> = rules.iter().map(line).collect();
        if self.json {
            println!("{}", serde_json::to_string_pretty(&lines)?);
            return Ok(ExitCode::SUCCESS);
        }
        let mut table = Table::new();
        table.load_preset(UTF8_FULL_CONDENSED).set_header(["precedence", "rule", "runs", "enabled", "stops", "id"]);
        let yes = |flag: bool| if flag { "yes" } else { "" };
        for line in &lines {
            let runs = line.applies_to.to_lowercase().replace('_', " ");
            let (enabled, stops) = (yes(line.enabled), yes(line.stop_on_match));
            table.add_row([&line.precedence.to_string(), line.name, &runs, enabled, stops, line.id]);
        }
        println!("{table}");
        Ok(ExitCode::SUCCESS)
    }
}

fn line(rule: &Rule) -> Line<'_> {
    Line {
        id: &rule.id,
        name: &rule.name,
        precedence: rule.precedence(),
        enabled: rule.enabled(),
        applies_to: rule.applies_to().as_str_name().trim_start_matches("RULE_APPLIES_TO_"),
        stop_on_match: rule.stop_on_match,
    }
}

//! `concierge rules simulate`: what a file would have done to past tickets.

use std::collections::HashMap;
use std::io::IsTerminal as _;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use comfy_table::presets::UTF8_FULL_CONDENSED;
use comfy_table::{ContentArrangement, Table};
use concierge_proto::common::criterion_value::Kind;
use concierge_proto::common::{CriterionValue, FieldChange};
use concierge_proto::record::datetime;
use concierge_proto::ticket_rule::rule_service_client::RuleServiceClient;
use concierge_proto::ticket_rule::{
    RuleSetChange, SimulateRulesRequest, SimulateRulesResponse, SimulationExample, SimulationResult,
};
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;

use super::connection::Connection;
use super::plan::Wanted;
use crate::client::{Api, explain};

/// Show what a file would have done to past tickets. Nothing is written. Exit status 0: nothing would have come out
/// differently; 3: something; 1: the file is wrong, or no answer came.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  concierge rules simulate rules.yaml
  concierge rules simulate rules.yaml --filter 'logged_time >= \"2026-10-01T00:00:00Z\"' --most 10000
  concierge rules simulate rules.yaml --json")]
pub(crate) struct Simulate {
    /// The rules as they would be.
    file: PathBuf,
    #[command(flatten)]
    which: Which,
    /// Print JSON instead of tables.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connection: Connection,
}

/// Which past evaluations, and how many examples.
#[derive(Args, Debug)]
pub(crate) struct Which {
    /// Only tickets such as `customer_important = true`: an AIP-160 filter over the fields of a ticket.
    #[arg(long, default_value = "", hide_default_value = true, value_name = "FILTER")]
    filter: String,
    /// At most so many evaluations, the newest.
    #[arg(long, default_value_t = 100_000, value_parser = clap::value_parser!(i32).range(1..=1_000_000))]
    most: i32,
    /// At most so many examples.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(i32).range(0..=100))]
    examples: i32,
}

impl Simulate {
    pub(crate) async fn run(self) -> anyhow::Result<ExitCode> {
        let mut client = self.connection.rules()?;
        let wanted = Wanted::read(&self.file)?;
        let change = wanted.change(&mut client).await?;
        let effect = simulate(&mut client, change, &self.which).await?;
        effect.print(self.json)?;
        Ok(if effect.differing == 0 { ExitCode::SUCCESS } else { ExitCode::from(super::plan::DIFFERS) })
    }
}

/// What a change would have done.
#[derive(Debug, Serialize)]
pub(crate) struct Effect {
    /// The revision of the rules that it was compared with.
    revision: i64,
    /// How many past evaluations were made again, how many come out differently, and of how many tickets these are.
    simulated: i64,
    pub(crate) differing: i64,
    differing_tickets: i64,
    /// In how many evaluations a field differs.
    fields: Vec<(String, i64)>,
    rules: Vec<Rule>,
    examples: Vec<Example>,
}

#[derive(Debug, Serialize)]
struct Rule {
    id: String,
    rule: String,
    newly_matched: i64,
    no_longer_matched: i64,
    newly_undecided: i64,
}

#[derive(Debug, Serialize)]
struct Example {
    ticket: i64,
    ticket_id: String,
    summary: String,
    time: String,
    evaluation_id: String,
    changes: Vec<Change>,
    newly_matched: Vec<String>,
    no_longer_matched: Vec<String>,
    newly_undecided: Vec<String>,
}

#[derive(Debug, Serialize)]
struct Change {
    field: String,
    from: Vec<String>,
    to: Vec<String>,
}

/// Simulates with a bar of progress.
pub(crate) async fn simulate(
    client: &mut RuleServiceClient<Api>,
    change: RuleSetChange,
    which: &Which,
) -> anyhow::Result<Effect> {
    let request = SimulateRulesRequest {
        change: Some(change),
        filter: which.filter.clone(),
        max_evaluations: which.most,
        max_examples: Some(which.examples),
    };
    let bar = if std::io::stderr().is_terminal() { ProgressBar::new(0) } else { ProgressBar::hidden() };
    bar.set_style(ProgressStyle::with_template("{wide_bar} {pos}/{len} evaluations  {msg}  {eta} left")?);
    let mut parts = client.simulate_rules(request).await.map_err(|status| explain(&status))?.into_inner();
    let mut last = SimulateRulesResponse::default();
    while let Some(part) = parts.message().await.map_err(|status| explain(&status))? {
        bar.set_length(part.total_count.unsigned_abs());
        bar.set_position(part.simulated_count.unsigned_abs());
        bar.set_message(format!("{} differ", part.differing_count));
        last = part;
    }
    bar.finish_and_clear();
    let Some(result) = last.result.take() else { anyhow::bail!("the simulation ended before it was done: try again") };
    Ok(Effect::new(&last, result))
}

impl Effect {
    fn new(last: &SimulateRulesResponse, result: SimulationResult) -> Self {
        let names: HashMap<&str, &str> =
            result.rules.iter().map(|rule| (rule.rule_id.as_str(), rule.rule_name.as_str())).collect();
        let named = |ids: &[String]| -> Vec<String> {
            ids.iter().map(|id| (*names.get(id.as_str()).unwrap_or(&id.as_str())).to_owned()).collect()
        };
        let examples = result.examples.iter().map(|example| {
            let SimulationExample {
                newly_matched_rule_ids, no_longer_matched_rule_ids, newly_undecided_rule_ids, ..
            } = example;
            Example {
                ticket: example.ticket_number,
                ticket_id: example.ticket_id.clone(),
                summary: example.ticket_summary.clone(),
                time: example.time.as_ref().and_then(datetime).map(|time| time.to_rfc3339()).unwrap_or_default(),
                evaluation_id: example.evaluation_id.clone(),
                changes: example.changes.iter().map(change).collect(),
                newly_matched: named(newly_matched_rule_ids),
                no_longer_matched: named(no_longer_matched_rule_ids),
                newly_undecided: named(newly_undecided_rule_ids),
            }
        });
        Self {
            revision: result.rule_set_revision,
            simulated: last.simulated_count,
            differing: last.differing_count,
            differing_tickets: result.differing_ticket_count,
            fields: result.fields.iter().map(|field| (field.field.clone(), field.count)).collect(),
            examples: examples.collect(),
            rules: result
                .rules
                .iter()
                .map(|rule| Rule {
                    id: rule.rule_id.clone(),
                    rule: rule.rule_name.clone(),
                    newly_matched: rule.newly_matched_count,
                    no_longer_matched: rule.no_longer_matched_count,
                    newly_undecided: rule.newly_undecided_count,
                })
                .collect(),
        }
    }

    pub(crate) fn print(&self, json: bool) -> anyhow::Result<()> {
        if json {
            println!("{}", serde_json::to_string_pretty(self)?);
            return Ok(());
        }
        println!(
            "Of {} past evaluations {} would have come out differently, of {} tickets.",
            self.simulated, self.differing, self.differing_tickets
        );
        if self.differing == 0 {
            return Ok(());
        }
        if !self.fields.is_empty() {
            let mut table = table(&["field", "evaluations"]);
            for (field, count) in &self.fields {
                table.add_row([field.as_str(), &count.to_string()]);
            }
            println!("{table}");
        }
        if !self.rules.is_empty() {
            let mut table = table(&["rule", "newly matches", "no longer matches", "newly undecided"]);
            for rule in &self.rules {
                let count = |count: i64| if count == 0 { String::new() } else { count.to_string() };
                let counts = [rule.newly_matched, rule.no_longer_matched, rule.newly_undecided].map(count);
                table.add_row([&rule.rule, &counts[0], &counts[1], &counts[2]]);
            }
            println!("{table}");
        }
        if !self.examples.is_empty() {
            let mut table = table(&["ticket", "summary", "what differs", "as it is", "as it would be"]);
            for example in &self.examples {
                let number = example.ticket.to_string();
                let mut rows: Vec<[String; 3]> = Vec::new();
                for change in &example.changes {
                    rows.push([change.field.clone(), change.from.join(", "), change.to.join(", ")]);
                }
                if rows.is_empty() {
                    let (before, after) = (example.no_longer_matched.join(", "), example.newly_matched.join(", "));
                    rows.push(["rules that match".to_owned(), before, after]);
                }
                for (place, [what, from, to]) in rows.iter().enumerate() {
                    let (number, summary) =
                        if place == 0 { (number.as_str(), example.summary.as_str()) } else { ("", "") };
                    table.add_row([number, summary, what, from, to]);
                }
            }
            println!("{table}");
        }
        Ok(())
    }
}

fn table(header: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_preset(UTF8_FULL_CONDENSED).set_content_arrangement(ContentArrangement::Dynamic).set_header(header);
    table
}

fn change(change: &FieldChange) -> Change {
    let texts = |values: &[CriterionValue]| values.iter().filter_map(|value| value.kind.as_ref()).map(text).collect();
    Change { field: change.field.clone(), from: texts(&change.from), to: texts(&change.to) }
}

fn text(kind: &Kind) -> String {
    match kind {
        Kind::Flag(flag) => flag.to_string(),
        Kind::Id(text) | Kind::Choice(text) | Kind::Text(text) => text.clone(),
        Kind::Number(number) => number.to_string(),
        Kind::Time(time) => datetime(time).map(|time| time.to_rfc3339()).unwrap_or_default(),
    }
}

//! `concierge rules reapply`: rules run again on tickets that are there already.

use std::process::ExitCode;

use anyhow::bail;
use clap::Args;
use comfy_table::Table;
use comfy_table::presets::UTF8_FULL_CONDENSED;
use concierge_proto::ticket_rule::{ReappliedTicket, ReapplyRulesRequest, ReapplyRulesResponse};
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;

use super::connection::Connection;
use super::export;
use crate::client::{explain, request_id};

/// Run rules again on tickets that are not closed, slowly; each ticket once, however often it is gone on with.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  concierge rules reapply --dry-run --filter 'customer_id = \"0195e0c4-7a1c-7d3e-9b0a-3f1f6f0c2a11\"'
  concierge rules reapply --rule 'Important users to first line' --per-second 50
  concierge rules reapply --request-id 0195e0c4-7a1c-4d3e-9b0a-3f1f6f0c2a11   go on with a batch that was stopped")]
pub(crate) struct Reapply {
    /// Which tickets: an AIP-160 filter as ListTickets takes it.
    #[arg(long, default_value = "", hide_default_value = true, value_name = "FILTER")]
    filter: String,
    /// Only this rule, by its name or id; may be given again. Without, all that run on existing tickets.
    #[arg(long = "rule", value_name = "RULE")]
    rules: Vec<String>,
    /// Only tell what would change.
    #[arg(long)]
    dry_run: bool,
    /// So many tickets a second at most.
    #[arg(long, default_value_t = 20, value_name = "N", value_parser = clap::value_parser!(i32).range(1..=1000))]
    per_second: i32,
    /// The id of a batch: the same one, with the same filter and rules, goes on where it was. A new one without.
    #[arg(long, value_name = "UUID")]
    request_id: Option<String>,
    /// Print the result as JSON instead of tables.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connection: Connection,
}

#[derive(Serialize)]
struct Report {
    request_id: String,
    dry_run: bool,
    tickets: i64,
    done: i64,
    changed: i64,
    skipped: i64,
    examples: Vec<Example>,
}

#[derive(Serialize)]
struct Example {
    ticket: i64,
    ticket_id: String,
    evaluation_id: String,
    rules: Vec<String>,
    fields: Vec<String>,
}

impl Reapply {
    pub(crate) async fn run(self) -> anyhow::Result<ExitCode> {
        let mut client = self.connection.rules()?;
        let mut rule_ids = Vec::with_capacity(self.rules.len());
        if !self.rules.is_empty() {
            let known = export::rules(&mut client).await?.rules;
            for wanted in &self.rules {
                let found = known.iter().find(|rule| rule.id == *wanted || rule.name.eq_ignore_ascii_case(wanted));
                match found {
                    Some(rule) => rule_ids.push(rule.id.clone()),
                    None => bail!("there is no live rule {wanted:?}: `concierge rules list` lists them"),
                }
            }
        }
        let request_id = self.request_id.clone().unwrap_or_else(request_id);
        let request = ReapplyRulesRequest {
            filter: self.filter.clone(),
            rule_ids,
            dry_run: self.dry_run,
            tickets_per_second: self.per_second,
            request_id: request_id.clone(),
        };
        let mut parts = client.reapply_rules(request).await.map_err(|status| explain(&status))?.into_inner();
        let bar = ProgressBar::new(0)
            .with_style(ProgressStyle::with_template("{wide_bar} {pos}/{len} tickets, {msg}, {eta} left")?);
        let mut last = ReapplyRulesResponse::default();
        let mut examples: Vec<ReappliedTicket> = Vec::new();
        let ended = loop {
            match parts.message().await {
                Ok(Some(mut part)) => {
                    examples.append(&mut part.examples);
                    bar.set_length(part.total_count.unsigned_abs());
                    bar.set_position(part.done_count.unsigned_abs());
                    bar.set_message(format!("{} changed", part.changed_count));
                    last = part;
                }
                Ok(None) => break None,
                Err(status) => break Some(explain(&status)),
            }
        };
        bar.finish_and_clear();
        self.report(&request_id, &last, examples)?;
        if last.finished {
            return Ok(ExitCode::SUCCESS);
        }
        let go_on = format!(
            "{} of {} tickets are done: go on with --request-id {request_id}",
            last.done_count, last.total_count
        );
        match ended {
            Some(error) if self.dry_run => Err(error),
            Some(error) => Err(error.context(go_on)),
            None => bail!(go_on),
        }
    }

    fn report(
        &self,
        request_id: &str,
        last: &ReapplyRulesResponse,
        examples: Vec<ReappliedTicket>,
    ) -> anyhow::Result<()> {
        let examples = examples.into_iter().map(|example| Example {
            ticket: example.ticket_number,
            ticket_id: example.ticket_id,
            evaluation_id: example.evaluation_id,
            rules: example.rule_names,
            fields: example.changes.into_iter().map(|change| change.field).collect(),
        });
        let report = Report {
            request_id: request_id.to_owned(),
            dry_run: self.dry_run,
            tickets: last.total_count,
            done: last.done_count,
            changed: last.changed_count,
            skipped: last.skipped_count,
            examples: examples.collect(),
        };
        if self.json {
            println!("{}", serde_json::to_string_pretty(&report)?);
            return Ok(());
        }
        let mut table = Table::new();
        table.load_preset(UTF8_FULL_CONDENSED).set_header(["ticket", "rules that matched", "changed"]);
        for example in &report.examples {
            table.add_row([example.ticket.to_string(), example.rules.join(", "), example.fields.join(", ")]);
        }
        if !report.examples.is_empty() {
            println!("{table}");
        }
        let would = if self.dry_run { "would be changed" } else { "changed" };
        println!(
            "{} of {} tickets done, {} {would}, {} skipped.",
            report.done, report.tickets, report.changed, report.skipped
        );
        Ok(())
    }
}

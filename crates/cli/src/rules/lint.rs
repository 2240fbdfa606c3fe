//! `concierge rules lint`: what is wrong with the rules, and what shows it.

use std::process::ExitCode;

use clap::{Args, ValueEnum};
use comfy_table::presets::UTF8_FULL_CONDENSED;
use comfy_table::{ContentArrangement, Table};
use concierge_proto::common::CriterionValue;
use concierge_proto::common::criterion_value::Kind as ValueKind;
use concierge_proto::ticket_rule::{
    LintRulesRequest, LintRulesResponse, RuleFinding, RuleFindingKind, RuleWitness, RuleWitnessField,
};
use serde::Serialize;

use super::connection::Connection;
use crate::client::explain;

/// Tell what is wrong with the rules.
///
/// Exit status: 0 when nothing is wrong, 1 when something is or the call failed. What could not be decided is told, and
/// is nothing wrong.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  concierge rules lint
  concierge rules lint --kind never-matches --kind shadowed
  concierge rules lint --unmatched-days 90 --json")]
pub(crate) struct Lint {
    /// Only findings of this kind; may be given several times.
    #[arg(long = "kind", value_name = "KIND")]
    kinds: Vec<Kind>,
    /// How many days back a rule must have matched a ticket.
    #[arg(long, default_value_t = 30, value_name = "DAYS", value_parser = clap::value_parser!(i32).range(1..=366))]
    unmatched_days: i32,
    /// Print JSON instead of a table.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connection: Connection,
}

/// What is wrong with a rule.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Kind {
    /// No ticket can meet its criteria.
    NeverMatches,
    /// A rule before it always ends the walk.
    Shadowed,
    /// Another rule of the same precedence sets a field differently.
    Conflict,
    /// A criterion holds for every ticket.
    AlwaysTrue,
    /// It names a record that is deleted or not active.
    Reference,
    /// It matched nothing of late.
    Unmatched,
    /// What of the above is not known.
    Undecided,
}

impl Kind {
    fn told(self) -> RuleFindingKind {
        match self {
            Self::NeverMatches => RuleFindingKind::NeverMatches,
            Self::Shadowed => RuleFindingKind::Shadowed,
            Self::Conflict => RuleFindingKind::Conflict,
            Self::AlwaysTrue => RuleFindingKind::AlwaysTrue,
            Self::Reference => RuleFindingKind::Reference,
            Self::Unmatched => RuleFindingKind::Unmatched,
            Self::Undecided => RuleFindingKind::Undecided,
        }
    }
}

/// A finding as programs read it.
#[derive(Serialize)]
struct Line<'a> {
    kind: &'a str,
    severity: &'a str,
    rule_id: &'a str,
    rule_name: &'a str,
    precedence: i32,
    description: &'a str,
    paths: &'a [String],
    other_rule_ids: Vec<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    undecided_kind: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    witness: Option<Shown<'a>>,
}

/// A made-up ticket that shows a finding.
#[derive(Serialize)]
struct Shown<'a> {
    occasion: &'a str,
    fields: Vec<Field<'a>>,
    changed_fields: &'a [String],
    matched_rule_ids: Vec<&'a str>,
}

#[derive(Serialize)]
struct Field<'a> {
    field: &'a str,
    values: Vec<String>,
    unknown: bool,
}

impl Lint {
    pub(crate) async fn run(self) -> anyhow::Result<ExitCode> {
        let mut client = self.connection.rules()?;
        let mut request = LintRulesRequest {
            kinds: self.kinds.iter().map(|kind| kind.told().into()).collect(),
            unmatched_days: self.unmatched_days,
            page_size: 1_000,
            ..LintRulesRequest::default()
        };
        let mut findings: Vec<RuleFinding> = Vec::new();
        let last = loop {
            let page = client.lint_rules(request.clone()).await.map_err(|status| explain(&status))?.into_inner();
            request.page_token.clone_from(&page.next_page_token);
            findings.extend(page.findings.iter().cloned());
            if page.next_page_token.is_empty() {
                break page;
            }
        };
        if self.json {
            let lines: Vec<Line<'_>> = findings.iter().map(line).collect();
            println!("{}", serde_json::to_string_pretty(&lines)?);
        } else {
            show(&findings, &last);
        }
        let wrong = findings.iter().any(|found| found.kind() != RuleFindingKind::Undecided);
        Ok(if wrong { ExitCode::FAILURE } else { ExitCode::SUCCESS })
    }
}

fn show(findings: &[RuleFinding], last: &LintRulesResponse) {
    if !findings.is_empty() {
        let mut table = Table::new();
        table.load_preset(UTF8_FULL_CONDENSED).set_content_arrangement(ContentArrangement::Dynamic);
        table.set_header(["severity", "rule", "finding", "shown by"]);
        for found in findings {
            let severity = found.severity().as_str_name().trim_start_matches("RULE_FINDING_SEVERITY_").to_lowercase();
            let shown = found.witness.as_ref().map_or_else(|| found.paths.join(", "), short);
            table.add_row([&severity, &found.rule_name, &found.description, &shown]);
        }
        println!("{table}");
    }
    let open = findings.iter().filter(|found| found.kind() == RuleFindingKind::Undecided).count();
    let (wrong, rules) = (findings.len() - open, last.rule_count);
    println!("{wrong} findings about {rules} rules, {open} questions left open.");
    if last.skipped_pair_count > 0 {
        println!("{} pairs of rules were not looked at for conflicts: there are too many.", last.skipped_pair_count);
    }
}

/// A made-up ticket in a line.
fn short(witness: &RuleWitness) -> String {
    let fields: Vec<String> = witness.fields.iter().map(field).collect();
    format!("a ticket with {}", fields.join(", "))
}

fn field(field: &RuleWitnessField) -> String {
    let values: Vec<String> = field.values.iter().map(value).collect();
    let values = match (field.unknown, values.is_empty()) {
        (true, _) => "unknown".to_owned(),
        (false, true) => "empty".to_owned(),
        _ => values.join(" and "),
    };
    format!("{} {values}", field.field)
}

fn value(value: &CriterionValue) -> String {
    match &value.kind {
        Some(ValueKind::Flag(flag)) => flag.to_string(),
        Some(ValueKind::Id(text) | ValueKind::Choice(text)) => text.clone(),
        Some(ValueKind::Text(text)) => format!("{text:?}"),
        Some(ValueKind::Number(number)) => number.to_string(),
        Some(ValueKind::Time(time)) => {
            concierge_proto::record::datetime(time).map(|time| time.to_rfc3339()).unwrap_or_default()
        }
        None => String::new(),
    }
}

fn line(found: &RuleFinding) -> Line<'_> {
    let kind = |kind: RuleFindingKind| kind.as_str_name().trim_start_matches("RULE_FINDING_KIND_");
    let undecided = found.undecided_kind();
    Line {
        kind: kind(found.kind()),
        severity: found.severity().as_str_name().trim_start_matches("RULE_FINDING_SEVERITY_"),
        rule_id: &found.rule_id,
        rule_name: &found.rule_name,
        precedence: found.precedence,
        description: &found.description,
        paths: &found.paths,
        other_rule_ids: found.other_rules.iter().map(|other| other.rule_id.as_str()).collect(),
        undecided_kind: (undecided != RuleFindingKind::Unspecified).then(|| kind(undecided)),
        witness: found.witness.as_ref().map(|witness| Shown {
            occasion: witness.occasion().as_str_name().trim_start_matches("RULE_OCCASION_"),
            fields: witness
                .fields
                .iter()
                .map(|field| Field {
                    field: &field.field,
                    values: field.values.iter().map(value).collect(),
                    unknown: field.unknown,
                })
                .collect(),
            changed_fields: &witness.changed_fields,
            matched_rule_ids: witness.matches.iter().map(|matched| matched.rule_id.as_str()).collect(),
        }),
    }
}

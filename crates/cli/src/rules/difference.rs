//! What a file changes, for eyes and for programs.

use std::collections::HashMap;

use comfy_table::presets::UTF8_FULL_CONDENSED;
use comfy_table::{ContentArrangement, Table};
use concierge_proto::ticket_rule::{ImportRulesResponse, Rule};
use serde::Serialize;

use super::file::node::Value;
use super::file::{RuleFile, rule_value};

/// What a file changes.
#[derive(Debug, Serialize)]
pub(crate) struct Difference {
    /// The revision that the rules have.
    pub(crate) revision: i64,
    /// The one that the file was made from, if it says so.
    file_revision: Option<i64>,
    changes: Vec<Change>,
}

/// What becomes of one rule.
#[derive(Debug, Serialize)]
struct Change {
    /// Such as `added`.
    kind: String,
    rule: String,
    /// Null for a rule that is new and that the file gives no id.
    id: Option<String>,
    /// The fields that differ; none for a rule that is added or removed.
    fields: Vec<Field>,
}

/// A field that differs, as files have it: null where they do not.
#[derive(Debug, Serialize)]
struct Field {
    /// Such as `outcomes.team`.
    field: String,
    old: Value,
    new: Value,
}

impl Difference {
    /// What the service told of a file that it compared with the current rules.
    pub(crate) fn new(current: &RuleFile, file: &RuleFile, told: ImportRulesResponse) -> Self {
        let (old_handles, new_handles) = (current.handles(), file.handles());
        let by_id: HashMap<&str, &Rule> = current.rules.iter().map(|rule| (rule.id.as_str(), rule)).collect();
        let changes = told.changes.into_iter().map(|change| {
            let old = by_id.get(change.rule_id.as_str()).map(|rule| rule_value(rule, &old_handles));
            let new = change.index.and_then(|index| file.rules.get(usize::try_from(index).ok()?));
            let new = new.map(|rule| rule_value(rule, &new_handles));
            let fields = change.changed_fields.iter().map(|field| {
                let field = field.trim_end_matches("_id").to_owned();
                Field { old: part(old.as_ref(), &field), new: part(new.as_ref(), &field), field }
            });
            Change {
                kind: change.kind().as_str_name().trim_start_matches("RULE_FILE_CHANGE_KIND_").to_lowercase(),
                fields: fields.collect(),
                rule: change.rule_name,
                id: Some(change.rule_id).filter(|id| !id.is_empty()),
            }
        });
        Self { revision: told.revision, file_revision: file.revision, changes: changes.collect() }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }

    /// Why `apply` refuses, if it does.
    pub(crate) fn stale(&self) -> Option<String> {
        let file = self.file_revision.filter(|file| *file != self.revision)?;
        Some(format!(
            "the rules are at revision {} and the file was made from {file}: export them again and repeat the change, or \
             give --base {} to take back what changed since",
            self.revision, self.revision
        ))
    }

    pub(crate) fn print(&self, json: bool) -> anyhow::Result<()> {
        if json {
            println!("{}", serde_json::to_string_pretty(self)?);
            return Ok(());
        }
        if self.is_empty() {
            println!("Nothing differs from the rules at revision {}.", self.revision);
            return Ok(());
        }
        let mut table = Table::new();
        table.load_preset(UTF8_FULL_CONDENSED).set_content_arrangement(ContentArrangement::Dynamic);
        table.set_header(["", "rule", "field", "old", "new"]);
        for change in &self.changes {
            let (kind, rule) = (change.kind.as_str(), change.rule.as_str());
            if change.fields.is_empty() {
                table.add_row([kind, rule, "", "", ""]);
            }
            for (index, field) in change.fields.iter().enumerate() {
                let (kind, rule) = if index == 0 { (kind, rule) } else { ("", "") };
                table.add_row([kind, rule, &field.field, &field.old.inline(), &field.new.inline()]);
            }
        }
        println!("{table}");
        println!("{} of the rules at revision {} differ.", self.changes.len(), self.revision);
        Ok(())
    }
}

/// A part of a rule, by its path; what files leave out as it is the default is told.
fn part(rule: Option<&Value>, path: &str) -> Value {
    let mut value = rule;
    for key in path.split('.') {
        value = match value {
            Some(Value::Map(entries)) => entries.iter().find(|(known, _)| known == key).map(|(_, node)| &node.value),
            _ => None,
        };
    }
    match (value, path) {
        (Some(value), _) => value.clone(),
        (None, "enabled") => Value::Bool(true),
        (None, "stop_on_match") => Value::Bool(false),
        (None, "applies_to") => Value::Text("new_and_existing".to_owned()),
        (None, _) => Value::Null,
    }
}

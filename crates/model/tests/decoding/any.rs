//! Bytes from anywhere, read as criteria of the contract. Here is no test: those beside it and the fuzzer call it.

use concierge_criteria::{Record, Schema, Trace, TraceNode, eval, explain};
use concierge_model::criteria::{compile, criterion, notification_schema, rule_schema};
use concierge_proto::common::CriteriaGroup;
use concierge_proto::ticket_rule::{CreateRuleRequest, Rule};
use concierge_proto::{Validate as _, Violations};
use prost::Message as _;

/// Criteria that are refused, each problem with its place; or that say what was asked, item for item, and can be asked.
/// True if both schemas took them.
pub(crate) fn decode(bytes: &[u8]) -> bool {
    let Ok(group) = CriteriaGroup::decode(bytes) else { return false };
    // As in every request, before anybody looks at it.
    let rule = Rule { criteria: Some(group.clone()), ..Rule::default() };
    let mut violations = Violations::default();
    CreateRuleRequest { rule: Some(rule), ..CreateRuleRequest::default() }.validate(&mut violations);
    if violations.iter().any(|violation| violation.field.starts_with("rule.criteria")) {
        return false;
    }
    let taken = [rule_schema(), notification_schema()].map(|schema| is_taken(schema, &group));
    taken == [true, true]
}

fn is_taken(schema: &Schema, group: &CriteriaGroup) -> bool {
    match compile(schema, Some(group), "rule") {
        Err(violations) => {
            assert!(!violations.is_empty());
            assert!(violations.iter().all(|violation| violation.field.starts_with("rule.criteria")));
            false
        }
        Ok(compiled) => {
            for record in [Record::new(schema), Record::empty(schema)] {
                let trace = explain(&compiled, &record);
                assert_eq!(trace.truth, eval(&compiled, &record));
                let mut asked = Vec::new();
                all(&trace, &mut asked);
                let mut written = Vec::new();
                criteria(group, &mut written);
                assert_eq!(asked, written);
            }
            true
        }
    }
}

/// A criterion: its field, operator, and how many values it has.
type Asked = (String, i32, usize);

fn all(trace: &Trace, found: &mut Vec<Asked>) {
    match &trace.node {
        TraceNode::Criterion(seen) => {
            let told = criterion(seen);
            found.push((told.field, told.operator, told.values.len()));
        }
        TraceNode::Group { items, .. } => items.iter().for_each(|item| all(item, found)),
    }
}

fn criteria(group: &CriteriaGroup, found: &mut Vec<Asked>) {
    found.extend(group.criteria.iter().map(|it| (it.field.clone(), it.operator, it.values.len())));
    group.groups.iter().for_each(|inner| criteria(inner, found));
}

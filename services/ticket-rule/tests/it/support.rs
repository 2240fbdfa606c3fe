//! Rules and refusals for tests.

use concierge_proto::common::criterion_value::Kind;
use concierge_proto::common::{CriteriaGroup, Criterion, CriterionValue, GroupKind, Operator};
use concierge_proto::ticket_rule::priority_service_client::PriorityServiceClient;
use concierge_proto::ticket_rule::{CreateRuleRequest, Rule, RuleOutcomes};
use concierge_testkit::{Api, request_id};
use prost_types::FieldMask;
use tonic::{Code, Status};

use crate::desk::{self, Desk};

impl Desk {
    pub(crate) fn priorities(&self) -> PriorityServiceClient<Api> {
        PriorityServiceClient::new(self.suite.admin("ticket-rule"))
    }

    pub(crate) async fn try_rule(&self, rule: Rule) -> Result<Rule, Status> {
        let request = CreateRuleRequest { rule: Some(rule), request_id: request_id() };
        Ok(self.rules().create_rule(request).await?.into_inner().rule.unwrap())
    }
}

/// A rule all of whose criteria must hold.
pub(crate) fn rule(name: &str, criteria: Vec<Criterion>, outcomes: RuleOutcomes) -> Rule {
    Rule { name: name.to_owned(), criteria: Some(all(criteria)), outcomes: Some(outcomes), ..Default::default() }
}

pub(crate) fn all(criteria: Vec<Criterion>) -> CriteriaGroup {
    CriteriaGroup { kind: GroupKind::All.into(), criteria, groups: Vec::new() }
}

pub(crate) fn criterion(field: &str, operator: Operator, values: impl IntoIterator<Item = Kind>) -> Criterion {
    let values = values.into_iter().map(|kind| CriterionValue { kind: Some(kind) }).collect();
    Criterion { field: field.to_owned(), operator: operator.into(), values, case_sensitive: false }
}

pub(crate) fn text(text: &str) -> Kind {
    Kind::Text(text.to_owned())
}

pub(crate) fn id_of(id: &str) -> Kind {
    Kind::Id(id.to_owned())
}

pub(crate) fn choice(name: &str) -> Kind {
    Kind::Choice(name.to_owned())
}

/// `ticket.summary` has this text in it.
pub(crate) fn about(word: &str) -> Criterion {
    criterion("ticket.summary", Operator::Contains, [text(word)])
}

/// The outcome that adds a tag: the plainest there is.
pub(crate) fn tag(tag: &str) -> RuleOutcomes {
    RuleOutcomes { add_tags: vec![tag.to_owned()], ..Default::default() }
}

pub(crate) fn mask(paths: &[&str]) -> Option<FieldMask> {
    Some(FieldMask { paths: paths.iter().map(|path| (*path).to_owned()).collect() })
}

/// The code and the reason of a refusal.
#[track_caller]
pub(crate) fn refused<T: std::fmt::Debug>(result: Result<T, Status>) -> (Code, String) {
    let status = result.unwrap_err();
    (status.code(), desk::reason(&status))
}

pub(crate) fn because(code: Code, reason: &str) -> (Code, String) {
    (code, reason.to_owned())
}

pub(crate) fn number(number: i64) -> Kind {
    Kind::Number(number)
}

//! Step 3: rules on importance and on relationships, with every operator that relationships have.

use anyhow::Context as _;
use concierge_proto::common::{CriteriaGroup, Criterion, CriterionValue, GroupKind, Operator, criterion_value::Kind};
use concierge_proto::ticket_rule::priority_service_client::PriorityServiceClient;
use concierge_proto::ticket_rule::rule_service_client::RuleServiceClient;
use concierge_proto::ticket_rule::sla_service_client::SlaServiceClient;
use concierge_proto::ticket_rule::status_service_client::StatusServiceClient;
use concierge_proto::ticket_rule::{
    CreateRuleRequest, CreateSlaRequest, ListPrioritiesRequest, ListStatusesRequest, Rule, RuleOutcomes, Sla,
    StatusCategory,
};

use super::{World, create, once_heard, said, told};
use crate::client::{Suite, request_id};

/// What the rules below give.
struct Wanted {
    priority_id: String,
    sla_id: String,
    open_id: String,
}

/// Writes the rules.
pub(super) async fn write(suite: &Suite, world: &World) -> anyhow::Result<()> {
    let wanted = wanted(suite).await?;
    let rules = RuleServiceClient::new(suite.ticket_rule.clone());
    for (precedence, (name, what, criteria, outcomes)) in (1..).zip(all(world, wanted)) {
        let rule = Rule {
            name: format!("{name} (demo)"),
            precedence: Some(precedence),
            criteria: Some(criteria),
            outcomes: Some(outcomes),
            ..Default::default()
        };
        let request = CreateRuleRequest { rule: Some(rule), request_id: request_id() };
        once_heard(|| {
            let (mut rules, request) = (rules.clone(), request.clone());
            async move { rules.create_rule(request).await }
        })
        .await?;
        said(&format!("{precedence} {name}: {what}"));
    }
    Ok(())
}

async fn wanted(suite: &Suite) -> anyhow::Result<Wanted> {
    let list = ListPrioritiesRequest { order_by: "rank".to_owned(), ..Default::default() };
    let priorities =
        PriorityServiceClient::new(suite.ticket_rule.clone()).list_priorities(list).await.map_err(told)?.into_inner();
    let list = ListStatusesRequest::default();
    let statuses =
        StatusServiceClient::new(suite.ticket_rule.clone()).list_statuses(list).await.map_err(told)?.into_inner();
    let open = statuses.statuses.into_iter().find(|status| status.category() == StatusCategory::Open);
    let mut slas = SlaServiceClient::new(suite.ticket_rule.clone());
    let gold = Sla { name: "Gold (demo)".to_owned(), ..Default::default() };
    Ok(Wanted {
        priority_id: priorities.priorities.into_iter().next().context("the priorities of a new desk")?.id,
        sla_id: create!(slas.create_sla(CreateSlaRequest { sla: gold })).id,
        open_id: open.context("the statuses of a new desk")?.id,
    })
}

/// Name, meaning, criteria, outcomes.
type Line = (&'static str, &'static str, CriteriaGroup, RuleOutcomes);

fn all(world: &World, wanted: Wanted) -> [Line; 5] {
    let is_true = |field| one(field, Operator::Is, vec![Kind::Flag(true)]);
    let related = |operator, values: &[&str]| {
        one("customer.relationships", operator, values.iter().map(|id| Kind::Id((*id).to_owned())).collect())
    };
    let (high_value, at_risk) = (world.high_value.id.as_str(), world.at_risk.id.as_str());
    let nothing_special =
        group(GroupKind::All, vec![is_true("customer.important"), related(Operator::HasNoValue, &[])], Vec::new());
    let tag = |tag: &str| RuleOutcomes { add_tags: vec![tag.to_owned()], ..Default::default() };
    [
        (
            "Important user",
            "team White glove, priority Critical, SLA Gold, a popup",
            group(GroupKind::All, vec![is_true("user.important")], Vec::new()),
            RuleOutcomes {
                team_id: world.white_glove.id.clone(),
                priority_id: wanted.priority_id,
                sla_id: wanted.sla_id,
                popup_html: "<p>Call back within <b>ten minutes</b>.</p>".to_owned(),
                ..Default::default()
            },
        ),
        (
            "Important customer",
            "ANY of important and NOT (ALL of important, no relationship): status Open",
            group(
                GroupKind::Any,
                vec![is_true("customer.important")],
                vec![group(GroupKind::Not, Vec::new(), vec![nothing_special])],
            ),
            RuleOutcomes { status_id: wanted.open_id, ..Default::default() },
        ),
        (
            "At risk",
            "relationships include At risk: team Retention",
            group(GroupKind::All, vec![related(Operator::Includes, &[at_risk])], Vec::new()),
            RuleOutcomes { team_id: world.retention.id.clone(), ..Default::default() },
        ),
        (
            "Both and no other",
            "relationships have a value, include all of both, equal both: tag both",
            group(
                GroupKind::All,
                vec![
                    related(Operator::HasValue, &[]),
                    related(Operator::IncludesAll, &[high_value, at_risk]),
                    related(Operator::Equals, &[high_value, at_risk]),
                ],
                Vec::new(),
            ),
            tag("both"),
        ),
        (
            "Not of high value",
            "relationships do not include High value: tag ordinary",
            group(GroupKind::All, vec![related(Operator::DoesNotInclude, &[high_value])], Vec::new()),
            tag("ordinary"),
        ),
    ]
}

fn one(field: &str, operator: Operator, values: Vec<Kind>) -> Criterion {
    Criterion {
        field: field.to_owned(),
        operator: operator.into(),
        values: values.into_iter().map(|kind| CriterionValue { kind: Some(kind) }).collect(),
        case_sensitive: false,
    }
}

fn group(kind: GroupKind, criteria: Vec<Criterion>, groups: Vec<CriteriaGroup>) -> CriteriaGroup {
    CriteriaGroup { kind: kind.into(), criteria, groups }
}

//! `RuleService`: rules as records, and their order.

use concierge_proto::common::{CriteriaGroup, GroupKind, Operator};
use concierge_proto::directory::department_service_client::DepartmentServiceClient;
use concierge_proto::directory::{CreateDepartmentRequest, Department};
use concierge_proto::ticket_rule::{
    DeleteRuleRequest, GetRuleRequest, ListRulesRequest, ReorderRulesRequest, Rule, RuleAppliesTo, RuleOutcomes,
    Ticket, UndeleteRuleRequest, UpdateRuleRequest,
};
use concierge_testkit::request_id;
use concierge_ticket_rule::TicketRule;
use tonic::Code;

use crate::desk::{Desk, LOW, fields, id, matched, reason, team};
use crate::support::{about, all, because, choice, criterion, id_of, mask, number, refused, rule, tag, text};

async fn update(desk: &Desk, rule: Rule, paths: &[&str]) -> Result<Rule, tonic::Status> {
    let request = UpdateRuleRequest { rule: Some(rule), update_mask: mask(paths), request_id: request_id() };
    Ok(desk.rules().update_rule(request).await?.into_inner().rule.unwrap())
}

async fn delete(desk: &Desk, id: &str) -> Result<Rule, tonic::Status> {
    let request = DeleteRuleRequest { id: id.to_owned(), etag: String::new(), request_id: request_id() };
    Ok(desk.rules().delete_rule(request).await?.into_inner().rule.unwrap())
}

async fn list(desk: &Desk) -> Vec<Rule> {
    desk.rules().list_rules(ListRulesRequest::default()).await.unwrap().into_inner().rules
}

async fn reorder(desk: &Desk, rule_ids: &[&str]) -> Result<i32, tonic::Status> {
    let rule_ids = rule_ids.iter().map(|id| (*id).to_owned()).collect();
    let request = ReorderRulesRequest { rule_ids, request_id: request_id() };
    Ok(desk.rules().reorder_rules(request).await?.into_inner().changed_count)
}

#[tokio::test]
async fn creates_reads_changes_deletes_and_brings_back() {
    let desk = Desk::alone().await;
    let created = desk.try_rule(rule("Printers", vec![about("printer")], tag("printer"))).await.unwrap();
    assert_eq!((created.enabled, created.precedence), (Some(true), Some(50)));
    assert_eq!(created.applies_to(), RuleAppliesTo::NewAndExisting);
    let got = desk.rules().get_rule(GetRuleRequest { id: created.id.clone() }).await.unwrap().into_inner().rule;
    assert_eq!(got.as_ref(), Some(&created));

    let changed = Rule { stop_on_match: true, enabled: Some(false), ..created.clone() };
    let changed = update(&desk, changed, &["stop_on_match", "enabled"]).await.unwrap();
    assert!(changed.stop_on_match && changed.enabled == Some(false) && changed.criteria == created.criteria);
    let stale = update(&desk, Rule { name: "Other".to_owned(), ..created.clone() }, &["name"]).await;
    assert_eq!(refused(stale), because(Code::Aborted, "STALE_ETAG"));

    delete(&desk, &created.id).await.unwrap();
    assert!(list(&desk).await.is_empty());
    let deleted = update(&desk, Rule { etag: String::new(), ..created.clone() }, &["name"]).await;
    assert_eq!(refused(deleted), because(Code::FailedPrecondition, "RECORD_DELETED"));
    let undelete = || UndeleteRuleRequest { id: created.id.clone(), request_id: request_id() };
    let back = desk.rules().undelete_rule(undelete()).await.unwrap().into_inner().rule.unwrap();
    assert_eq!((back.enabled, back.delete_time), (Some(false), None));
    let twice = desk.rules().undelete_rule(undelete()).await;
    assert_eq!(refused(twice), because(Code::FailedPrecondition, "RECORD_NOT_DELETED"));
    let unknown = desk.rules().get_rule(GetRuleRequest { id: id() }).await;
    assert_eq!(refused(unknown), because(Code::NotFound, "RECORD_NOT_FOUND"));
}

#[tokio::test]
async fn rejects_taken_name() {
    let desk = Desk::alone().await;
    desk.rule(rule("Printers", vec![], tag("a"))).await;
    let taken = desk.try_rule(rule("PRINTERS", vec![], tag("b"))).await;
    assert_eq!(refused(taken), because(Code::AlreadyExists, "NAME_TAKEN"));
}

#[tokio::test]
async fn names_the_place_of_every_problem_in_criteria() {
    let desk = Desk::alone().await;
    let inner = CriteriaGroup {
        kind: GroupKind::Not.into(),
        criteria: vec![
            criterion("ticket.tags", Operator::Is, [text("vpn")]),
            criterion("ticket.impact", Operator::Is, [choice("HUGE")]),
        ],
        groups: Vec::new(),
    };
    let criteria = CriteriaGroup {
        kind: GroupKind::Any.into(),
        criteria: vec![
            criterion("ticket.sumary", Operator::Is, [text("x")]),
            criterion("ticket.priority_rank", Operator::Between, [number(3), number(1)]),
            criterion("event.imported", Operator::Is, [concierge_proto::common::criterion_value::Kind::Flag(true)]),
        ],
        groups: vec![inner],
    };
    let status = desk.try_rule(Rule { criteria: Some(criteria), ..rule("Bad", vec![], tag("a")) }).await.unwrap_err();
    assert_eq!((status.code(), reason(&status).as_str()), (Code::InvalidArgument, "CRITERIA_INVALID"));
    assert_eq!(
        fields(&status),
        [
            "rule.criteria.criteria[0].field",
            "rule.criteria.criteria[1].values",
            "rule.criteria.criteria[2].field",
            "rule.criteria.groups[0]",
            "rule.criteria.groups[0].criteria[0].operator",
            "rule.criteria.groups[0].criteria[1].values[0]",
        ]
    );

    let mut deep = all(vec![about("x")]);
    for _ in 0..8 {
        deep = CriteriaGroup { kind: GroupKind::All.into(), criteria: Vec::new(), groups: vec![deep] };
    }
    let deep = desk.try_rule(Rule { criteria: Some(deep), ..rule("Deep", vec![], tag("a")) }).await;
    assert_eq!(refused(deep), because(Code::InvalidArgument, "CRITERIA_INVALID"));
    let empty = CriteriaGroup { kind: GroupKind::Any.into(), ..Default::default() };
    let empty = desk.try_rule(Rule { criteria: Some(empty), ..rule("Empty", vec![], tag("a")) }).await;
    assert_eq!(refused(empty), because(Code::InvalidArgument, "CRITERIA_INVALID"));
}

#[tokio::test]
async fn every_record_that_it_names_must_be_there() {
    let mut desk = Desk::alone().await;
    let mut gone = team("Second line");
    gone.delete_time = Some(prost_types::Timestamp { seconds: 1, nanos: 0 });
    desk.heard(&gone).await;
    let outcomes = RuleOutcomes {
        status_id: id(),
        priority_id: LOW.to_owned(),
        team_id: gone.id.clone(),
        // Directory does not answer, and nobody ever heard of it: believed.
        agent_id: id(),
        ..Default::default()
    };
    let criteria = vec![
        criterion("ticket.sla", Operator::AnyOf, [id_of(&id())]),
        criterion("ticket.team", Operator::IsNot, [id_of(&gone.id)]),
        criterion("customer.relationships", Operator::Includes, [id_of(&id())]),
    ];
    let status = desk.try_rule(rule("Lost", criteria.clone(), outcomes.clone())).await.unwrap_err();
    assert_eq!((status.code(), reason(&status).as_str()), (Code::InvalidArgument, "REFERENCE_NOT_FOUND"));
    let places = [
        "rule.criteria.criteria[0].values[0]",
        "rule.criteria.criteria[1].values[0]",
        "rule.outcomes.status_id",
        "rule.outcomes.team_id",
    ];
    assert_eq!(fields(&status), places);

    // A change is held to what it changes.
    let fine = desk.try_rule(rule("Fine", vec![about("x")], RuleOutcomes::default())).await.unwrap();
    let lost = Rule { outcomes: Some(outcomes), criteria: Some(all(criteria)), ..fine };
    let status = update(&desk, lost.clone(), &["outcomes"]).await.unwrap_err();
    assert_eq!(fields(&status), ["rule.outcomes.status_id", "rule.outcomes.team_id"]);
    update(&desk, Rule { name: "Fine still".to_owned(), ..lost }, &["name"]).await.unwrap();
}

#[tokio::test]
async fn what_was_never_heard_of_is_asked_of_directory() {
    let desk = Desk::with_directory().await;
    let outcomes = RuleOutcomes { team_id: id(), agent_id: id(), ..Default::default() };
    let criteria = vec![
        criterion("ticket.user", Operator::Is, [id_of(&id())]),
        criterion("ticket.site", Operator::Is, [id_of(&id())]),
        criterion("ticket.customer", Operator::NoneOf, [id_of(&id())]),
        criterion("user.roles", Operator::Includes, [id_of(&id())]),
        criterion("customer.relationships", Operator::Includes, [id_of(&id())]),
        criterion("user.department", Operator::Is, [id_of(&id())]),
    ];
    let status = desk.try_rule(rule("Lost", criteria, outcomes)).await.unwrap_err();
    assert_eq!((status.code(), reason(&status).as_str()), (Code::InvalidArgument, "REFERENCE_NOT_FOUND"));
    let mut places: Vec<String> = (0..6).map(|i| format!("rule.criteria.criteria[{i}].values[0]")).collect();
    places.extend(["rule.outcomes.team_id".to_owned(), "rule.outcomes.agent_id".to_owned()]);
    assert_eq!(fields(&status), places);
}

#[tokio::test]
async fn are_for_the_users_of_a_department() {
    let desk = Desk::with_directory().await;
    let department = Department { name: "Finance".to_owned(), ..Default::default() };
    let request = CreateDepartmentRequest { department: Some(department), request_id: request_id() };
    let mut departments = DepartmentServiceClient::new(desk.suite.admin("directory"));
    let finance = departments.create_department(request).await.unwrap().into_inner().department.unwrap();
    let of_finance = desk.create_with(|user| user.department_id.clone_from(&finance.id)).await;
    let of_none = desk.create_one().await;
    let criteria = vec![criterion("user.department", Operator::Is, [id_of(&finance.id)])];
    let rule = desk.try_rule(rule("Finance", criteria, tag("finance"))).await.unwrap();
    let logged = desk.log(of_finance.ticket("Invoice")).await.unwrap();
    assert_eq!(matched(&logged.evaluation), [rule.name]);
    let logged = desk.log(of_none.ticket("Invoice")).await.unwrap();
    assert_eq!(matched(&logged.evaluation), Vec::<String>::new());
}

#[tokio::test]
async fn more_users_than_directory_takes_at_once_are_asked_of_it_all_the_same() {
    let desk = Desk::with_directory().await;
    let one = desk.create_one().await;
    let named = |id: &str| rule("users", vec![criterion("ticket.user", Operator::AnyOf, [id_of(id)])], tag("a"));
    desk.try_rule(named(&one.user.id)).await.unwrap();
    let mut ids: Vec<String> = (0..501).map(|_| id()).collect();
    ids.push(one.user.id);
    let users = criterion("ticket.user", Operator::AnyOf, ids.iter().map(|id| id_of(id)));
    let refusal = refused(desk.try_rule(rule("many users", vec![users], tag("a"))).await);
    assert_eq!(refusal, because(Code::InvalidArgument, "REFERENCE_NOT_FOUND"));
}

#[tokio::test]
async fn a_team_that_left_keeps_its_rules_until_these_change() {
    let mut desk = Desk::alone().await;
    let mut first_line = team("First line");
    desk.heard(&first_line).await;
    let outcomes = RuleOutcomes { team_id: first_line.id.clone(), ..Default::default() };
    let sorted = desk.try_rule(rule("Sort", vec![about("x")], outcomes)).await.unwrap();
    first_line.delete_time = Some(prost_types::Timestamp { seconds: 1, nanos: 0 });
    first_line.etag = "2".to_owned();
    desk.heard(&first_line).await;
    let renamed = Rule { name: "Sort again".to_owned(), ..sorted.clone() };
    let renamed = update(&desk, renamed, &["name", "outcomes"]).await.unwrap();
    delete(&desk, &renamed.id).await.unwrap();
    let undelete = UndeleteRuleRequest { id: renamed.id, request_id: request_id() };
    let refusal = refused(desk.rules().undelete_rule(undelete).await);
    assert_eq!(refusal, because(Code::InvalidArgument, "REFERENCE_NOT_FOUND"));
}

#[tokio::test]
async fn what_a_popup_may_not_show_is_taken_out_when_it_is_written_and_when_it_is_read() {
    let mut desk = Desk::alone().await;
    let one = desk.heard_of_one().await;
    let html = "<p onclick=\"x()\">Call <b>Ann</b></p><script>x()</script><img src=\"https://example.com/a.png\">";
    let outcomes = RuleOutcomes { popup_html: html.to_owned(), ..Default::default() };
    let created = desk.try_rule(rule("Call", vec![about("printer")], outcomes)).await.unwrap();
    let clean = "<p>Call <b>Ann</b></p>";
    assert_eq!(created.outcomes.unwrap().popup_html, clean);

    let nothing = RuleOutcomes { popup_html: "<script>x()</script>".to_owned(), ..Default::default() };
    let refused = desk.try_rule(rule("Nothing", vec![about("printer")], nothing)).await.unwrap_err();
    assert_eq!(fields(&refused), ["rule.outcomes.popup_html"]);

    // Stored before what is safe was known as well as now.
    let unclean = RuleOutcomes { popup_html: html.to_owned(), ..Default::default() };
    let bytes = prost::Message::encode_to_vec(&unclean);
    sqlx::query("update rules set outcomes = $1").bind(&bytes).execute(&desk.pool()).await.unwrap();
    let got = desk.rules().get_rule(GetRuleRequest { id: created.id }).await.unwrap().into_inner().rule.unwrap();
    assert_eq!(got.outcomes.unwrap().popup_html, clean);
    assert_eq!(list(&desk).await[0].outcomes.as_ref().unwrap().popup_html, clean);
    let evaluation = desk.log(one.ticket("Printer")).await.unwrap().evaluation.unwrap();
    assert_eq!(evaluation.matches[0].popup_html, clean);
}

#[tokio::test]
async fn are_listed_and_run_by_precedence_then_by_age() {
    let mut desk = Desk::alone().await;
    let one = desk.heard_of_one().await;
    for (name, precedence) in [("c", 50), ("d", 50), ("b", 2), ("a", 1)] {
        desk.rule(Rule { precedence: Some(precedence), ..rule(name, vec![about("x")], tag(name)) }).await;
    }
    let names: Vec<String> = list(&desk).await.into_iter().map(|rule| rule.name).collect();
    assert_eq!(names, ["a", "b", "c", "d"]);
    let logged = desk.log(one.ticket("x")).await.unwrap();
    assert_eq!(matched(&logged.evaluation), ["a", "b", "c", "d"]);
    assert_eq!(logged.ticket.unwrap().tags, ["a", "b", "c", "d"]);
}

#[tokio::test]
async fn a_new_order_names_every_live_rule_once() {
    let desk = Desk::alone().await;
    let mut ids = Vec::new();
    for name in ["a", "b", "c"] {
        ids.push(desk.rule(rule(name, vec![about("x")], tag(name))).await);
    }
    let (a, b, c) = (ids[0].as_str(), ids[1].as_str(), ids[2].as_str());
    let other = id();
    let incomplete = because(Code::FailedPrecondition, "RULE_ORDER_INCOMPLETE");
    assert_eq!(refused(reorder(&desk, &[a, b]).await), incomplete);
    assert_eq!(refused(reorder(&desk, &[a, b, c, &other]).await), incomplete);
    assert_eq!(refused(reorder(&desk, &[a, b, c, c]).await).0, Code::InvalidArgument);
    assert_eq!(refused(reorder(&desk, &[]).await).0, Code::InvalidArgument);

    assert_eq!(reorder(&desk, &[c, a, b]).await.unwrap(), 3);
    let order: Vec<_> = list(&desk).await.into_iter().map(|rule| (rule.name.clone(), rule.precedence())).collect();
    assert_eq!(order, [("c".to_owned(), 10), ("a".to_owned(), 20), ("b".to_owned(), 30)]);
    assert_eq!(reorder(&desk, &[c, b, a]).await.unwrap(), 2);
    assert_eq!(reorder(&desk, &[c, b, a]).await.unwrap(), 0);
    delete(&desk, b).await.unwrap();
    assert_eq!(reorder(&desk, &[c, a]).await.unwrap(), 1);
}

#[tokio::test]
async fn a_new_order_is_told_rule_by_rule_and_makes_one_revision() {
    let mut desk = Desk::alone().await;
    let one = desk.heard_of_one().await;
    let mut ids = Vec::new();
    for name in ["a", "b", "c"] {
        ids.push(desk.rule(rule(name, vec![about("x")], tag(name))).await);
    }
    let first = desk.log(one.ticket("x")).await.unwrap().evaluation.unwrap();
    reorder(&desk, &[&ids[2], &ids[1], &ids[0]]).await.unwrap();
    let second = desk.log(one.ticket("x")).await.unwrap().evaluation.unwrap();
    assert_eq!(matched(&Some(first.clone())), ["a", "b", "c"]);
    assert_eq!(matched(&Some(second.clone())), ["c", "b", "a"]);
    assert_eq!(second.rule_set_revision, first.rule_set_revision + 1);
    let pool = desk.pool();
    let told: Vec<(String, String)> = sqlx::query_as(
        "select o.type, r.name from outbox o join changes c on c.id = o.id join rules r on r.id = c.record_id
         where c.version = 2 and c.fields = '{precedence}' order by o.seq",
    )
    .fetch_all(&pool)
    .await
    .unwrap();
    let expected: Vec<_> = ["c", "b", "a"].map(|name| ("rule.updated".to_owned(), name.to_owned())).into();
    assert_eq!(told, expected);
    let got = desk.rules().get_rule(GetRuleRequest { id: ids[0].clone() }).await.unwrap().into_inner().rule.unwrap();
    assert_eq!((got.precedence(), got.etag.as_str()), (30, "2"));
}

#[tokio::test]
async fn every_replica_uses_a_changed_rule_for_the_next_ticket() {
    let mut desk = Desk::alone().await;
    let one = desk.heard_of_one().await;
    let replica = desk.suite.replica::<TicketRule>().await;
    let channel =
        tonic::transport::Endpoint::from_shared(format!("http://{}", replica.address)).unwrap().connect_lazy();
    let token = desk.suite.token("ticket-rule", &concierge_testkit::Who::agent(uuid::Uuid::from_u128(0xad)));
    let bearer: tonic::metadata::MetadataValue<_> = format!("Bearer {token}").parse().unwrap();
    let mut there = concierge_proto::ticket_rule::ticket_service_client::TicketServiceClient::with_interceptor(
        channel,
        move |mut request: tonic::Request<()>| {
            request.metadata_mut().insert("authorization", bearer.clone());
            Ok(request)
        },
    );
    let mut log_there = async |ticket: Ticket| {
        let request = concierge_proto::ticket_rule::LogTicketRequest { ticket: Some(ticket), request_id: request_id() };
        there.log_ticket(request).await.unwrap().into_inner().ticket.unwrap().tags
    };
    assert!(log_there(one.ticket("x")).await.is_empty());
    let mut current = desk.try_rule(rule("a", vec![about("x")], tag("first"))).await.unwrap();
    for round in 0..10 {
        let tag_now = format!("round {round}");
        current = update(&desk, Rule { outcomes: Some(tag(&tag_now)), ..current }, &["outcomes"]).await.unwrap();
        assert_eq!(log_there(one.ticket("x")).await, [tag_now.as_str()]);
        assert_eq!(desk.log(one.ticket("x")).await.unwrap().ticket.unwrap().tags, [tag_now]);
    }
}

#[tokio::test]
async fn match_patterns_and_times_by_how_far_off_they_are() {
    let mut desk = Desk::alone().await;
    let one = desk.heard_of_one().await;
    let matches = |pattern: &str| criterion("ticket.summary", Operator::Matches, [text(pattern)]);
    let status = desk.try_rule(rule("Asset", vec![matches("(unclosed")], tag("asset"))).await.unwrap_err();
    assert_eq!(fields(&status), ["rule.criteria.criteria[0].values[0]"]);
    assert_eq!(refused::<()>(Err(status)), because(Code::InvalidArgument, "CRITERIA_INVALID"));
    desk.rule(rule("Asset", vec![matches(r"\basset-[0-9]{4}\b")], tag("asset"))).await;
    let this_week = criterion("ticket.logged_time", Operator::WithinLast, [number(7 * 24 * 3_600)]);
    desk.rule(rule("This week", vec![this_week], tag("this week"))).await;

    let logged = desk.log(one.ticket("Broken: ASSET-0042")).await.unwrap().ticket.unwrap();
    assert_eq!(logged.tags, ["asset", "this week"]);
    let old = prost_types::Timestamp { seconds: 1_700_000_000, nanos: 0 };
    let imported = Ticket { logged_time: Some(old), ..one.ticket("Broken: asset-00421") };
    let imported = desk.log(imported).await.unwrap().ticket.unwrap();
    // Its rules ran as of its own time.
    assert_eq!(imported.tags, ["this week"]);
    let day = criterion("ticket.logged_time", Operator::WithinLast, [number(24 * 3_600)]);
    let today =
        Rule { applies_to: RuleAppliesTo::Existing.into(), ..rule("Today", vec![day, about("day")], tag("day")) };
    desk.rule(today).await;
    for (id, expected) in [(&logged.id, true), (&imported.id, false)] {
        let renamed = Ticket { id: id.clone(), summary: "Another day".to_owned(), ..Default::default() };
        let renamed = desk.update(renamed, &["summary"]).await.unwrap().ticket.unwrap();
        assert_eq!(renamed.tags.contains(&"day".to_owned()), expected, "{renamed:?}");
    }

    let many = (0..21).map(|n| matches(&format!("a{n}"))).collect();
    let status = desk.try_rule(rule("Many", many, tag("many"))).await.unwrap_err();
    assert_eq!(fields(&status), ["rule.criteria"]);
}

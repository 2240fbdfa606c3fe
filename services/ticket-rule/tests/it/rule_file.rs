//! ExportRules and ImportRules: all rules at once, with names for ids.

use concierge_proto::common::Operator;
use concierge_proto::common::criterion_value::Kind;
use concierge_proto::directory::team_service_client::TeamServiceClient;
use concierge_proto::directory::{CreateTeamRequest, Team};
use concierge_proto::ticket_rule::rule_reference::Handle;
use concierge_proto::ticket_rule::rule_service_client::RuleServiceClient;
use concierge_proto::ticket_rule::{
    ExportRulesRequest, ExportRulesResponse, GetRuleRequest, ImportRulesRequest, ImportRulesResponse, Rule,
    RuleFileChangeKind, RuleOutcomes, RuleReference,
};
use concierge_testkit::{Who, request_id};
use tonic::{Code, Status};

use crate::desk::{Desk, LOW, OPEN, Requester, fields, id};
use crate::support::{about, because, criterion, id_of, refused, rule, tag, text};

async fn export(desk: &Desk) -> ExportRulesResponse {
    gathered(desk.rules().export_rules(ExportRulesRequest {}).await.unwrap().into_inner()).await
}

async fn gathered(mut parts: tonic::Streaming<ExportRulesResponse>) -> ExportRulesResponse {
    let mut whole = ExportRulesResponse::default();
    while let Some(part) = parts.message().await.unwrap() {
        whole.revision = part.revision;
        whole.rules.extend(part.rules);
        whole.references.extend(part.references);
    }
    whole
}

fn file(from: &ExportRulesResponse) -> ImportRulesRequest {
    ImportRulesRequest {
        rules: from.rules.clone(),
        references: from.references.clone(),
        base_revision: from.revision,
        validate_only: false,
        request_id: request_id(),
    }
}

async fn import(desk: &Desk, request: ImportRulesRequest) -> Result<ImportRulesResponse, Status> {
    Ok(desk.rules().import_rules(request).await?.into_inner())
}

/// What changed: the kind without its prefix, the name, the fields.
fn told(done: &ImportRulesResponse) -> Vec<(&'static str, &str, Vec<&str>)> {
    let line = |change: &concierge_proto::ticket_rule::RuleFileChange| change.kind().as_str_name();
    let changes = done.changes.iter();
    changes
        .map(|change| {
            let fields = change.changed_fields.iter().map(String::as_str).collect();
            (line(change).trim_start_matches("RULE_FILE_CHANGE_KIND_"), change.rule_name.as_str(), fields)
        })
        .collect()
}

async fn made(desk: &Desk, rule: Rule) -> Rule {
    desk.try_rule(rule).await.unwrap()
}

fn ranked(precedence: i32, rule: Rule) -> Rule {
    Rule { precedence: Some(precedence), ..rule }
}

#[tokio::test]
async fn an_import_makes_the_rules_what_the_file_says() {
    let desk = Desk::alone().await;
    let first = made(&desk, ranked(10, rule("First", vec![about("a")], tag("a")))).await;
    let second = made(&desk, ranked(20, rule("Second", vec![about("b")], tag("b")))).await;
    let third = made(&desk, ranked(30, rule("Third", vec![about("c")], tag("c")))).await;
    let gone = made(&desk, ranked(40, rule("Gone", vec![], tag("d")))).await;
    let before = export(&desk).await;
    assert_eq!(before.rules, [&first, &second, &third, &gone].map(Clone::clone));

    let same = import(&desk, file(&before)).await.unwrap();
    assert_eq!((same.changes.len(), same.revision), (0, before.revision));

    let mut wanted = file(&before);
    wanted.rules.pop();
    // Two rules swap their names.
    wanted.rules[0].name = "Second".to_owned();
    wanted.rules[1].name = "First".to_owned();
    wanted.rules[1].outcomes = Some(RuleOutcomes { priority_id: LOW.to_owned(), ..tag("b") });
    wanted.rules[2].precedence = Some(5);
    wanted.rules.push(ranked(50, rule("New", vec![about("e")], tag("e"))));
    let trial = import(&desk, ImportRulesRequest { validate_only: true, ..wanted.clone() }).await.unwrap();
    assert_eq!(export(&desk).await, before);
    let wanted = ImportRulesRequest { request_id: request_id(), ..wanted };
    let done = import(&desk, wanted.clone()).await.unwrap();
    let expected = vec![
        ("REMOVED", "Gone", vec![]),
        ("CHANGED", "Second", vec!["name"]),
        ("CHANGED", "First", vec!["name", "outcomes.priority_id"]),
        ("REORDERED", "Third", vec!["precedence"]),
        ("ADDED", "New", vec![]),
    ];
    assert_eq!((told(&trial), told(&done)), (expected.clone(), expected));
    assert_eq!(trial.revision, before.revision);

    let after = export(&desk).await;
    let names: Vec<&str> = after.rules.iter().map(|rule| rule.name.as_str()).collect();
    assert_eq!(names, ["Third", "Second", "First", "New"]);
    assert_eq!((after.rules[1].id.as_str(), after.revision), (first.id.as_str(), done.revision));
    let deleted = desk.rules().get_rule(GetRuleRequest { id: gone.id.clone() }).await.unwrap().into_inner();
    assert!(deleted.rule.unwrap().delete_time.is_some());
    // They run as they are now.
    let logged = desk.log(Requester::new().ticket("e")).await.unwrap();
    assert!(logged.ticket.unwrap().tags.contains(&"e".to_owned()));

    // A repeat gets the first answer; the same file again is of another time.
    assert_eq!(import(&desk, wanted.clone()).await.unwrap(), done);
    let stale = import(&desk, ImportRulesRequest { request_id: request_id(), ..wanted }).await;
    assert_eq!(refused(stale), because(Code::Aborted, "RULE_SET_STALE"));

    // What was removed comes back as the rule it was.
    let back = import(&desk, ImportRulesRequest { base_revision: 0, ..file(&before) }).await.unwrap();
    assert!(told(&back).contains(&("ADDED", "Gone", vec![])), "{back:?}");
    let told: Vec<(String, String)> = export(&desk).await.rules.into_iter().map(|rule| (rule.id, rule.name)).collect();
    assert_eq!(told, before.rules.iter().map(|rule| (rule.id.clone(), rule.name.clone())).collect::<Vec<_>>());
}

#[tokio::test]
async fn rules_move_to_another_installation_by_the_names_of_what_they_name() {
    let mut here = Desk::with_directory().await;
    let mut there = Desk::with_directory().await;
    let mut teams = Vec::new();
    for desk in [&here, &there] {
        let team = Team { name: "VIP desk".to_owned(), ..Team::default() };
        let request = CreateTeamRequest { team: Some(team), request_id: request_id() };
        let mut client = TeamServiceClient::new(desk.suite.admin("directory"));
        teams.push(client.create_team(request).await.unwrap().into_inner().team.unwrap().id);
    }
    let customers = [here.create_one().await.customer.id, there.create_one().await.customer.id];
    here.caught_up().await;
    there.caught_up().await;
    let outcomes = RuleOutcomes { team_id: teams[0].clone(), status_id: OPEN.to_owned(), ..Default::default() };
    let criteria = vec![criterion("ticket.customer", Operator::AnyOf, [id_of(&customers[0])])];
    here.rule(rule("VIP", criteria, outcomes)).await;

    let exported = export(&here).await;
    let handles: Vec<_> = exported.references.iter().map(|r| (r.record_type.as_str(), r.handle.clone())).collect();
    let name = |name: &str| Some(Handle::Name(name.to_owned()));
    assert_eq!(handles, [("customer", name("Example Ltd")), ("status", name("Open")), ("team", name("VIP desk"))]);
    let done = import(&there, ImportRulesRequest { base_revision: 0, ..file(&exported) }).await.unwrap();
    assert_eq!(told(&done), [("ADDED", "VIP", vec![])]);
    let arrived = export(&there).await;
    assert_eq!(arrived.rules[0].id, exported.rules[0].id);
    assert_eq!(arrived.rules[0].outcomes.as_ref().unwrap().team_id, teams[1]);
    let criteria = arrived.rules[0].criteria.as_ref().unwrap();
    assert_eq!(criteria.criteria[0].values[0].kind, Some(id_of(&customers[1])));

    // A second customer of that name: the name says nothing any more, so the id is told, and taken.
    there.create_one().await;
    there.caught_up().await;
    let ambiguous = export(&there).await;
    assert!(ambiguous.references.iter().all(|reference| reference.record_type != "customer"));
    assert!(import(&there, file(&ambiguous)).await.unwrap().changes.is_empty());
    let twice = import(&there, ImportRulesRequest { base_revision: 0, ..file(&exported) }).await.unwrap_err();
    assert_eq!(fields(&twice), ["rules[0].criteria.criteria[0].values[0]"]);
    assert!(twice.message().contains("there are 2 live records of type customer"), "{twice:?}");

    // Who may not read customers is not told their names, and cannot find out which there are.
    let scope = ["rules.read", "rules.write", "configuration.read"].map(str::to_owned).to_vec();
    let blind = Who { scope, ..Who::agent(id().parse().unwrap()) };
    let mut client = RuleServiceClient::new(here.suite.api("ticket-rule", &blind));
    let told = gathered(client.export_rules(ExportRulesRequest {}).await.unwrap().into_inner()).await;
    assert!(told.references.iter().all(|reference| reference.record_type != "customer"));
    let asked = client.import_rules(ImportRulesRequest { validate_only: true, ..file(&exported) }).await;
    assert_eq!(refused(asked), because(Code::PermissionDenied, "PERMISSION_MISSING"));
}

#[tokio::test]
async fn tells_everything_that_is_wrong_with_a_file_at_once() {
    let desk = Desk::alone().await;
    let (team, status) = (id(), id());
    let outcomes = RuleOutcomes { team_id: team.clone(), status_id: status.clone(), ..Default::default() };
    let rules = vec![
        rule("Same", vec![criterion("ticket.sumary", Operator::Is, [text("x")])], tag("a")),
        rule("SAME", vec![about("x")], outcomes),
        Rule { id: "x".to_owned(), ..rule("Other", vec![], tag("b")) },
        rule("Html", vec![], RuleOutcomes { popup_html: "<script>1</script>".to_owned(), ..Default::default() }),
    ];
    let reference = |id: &str, name: &str| RuleReference {
        id: id.to_owned(),
        handle: Some(Handle::Name(name.to_owned())),
        ..Default::default()
    };
    let request = ImportRulesRequest {
        rules,
        references: vec![reference(&team, "VIP desk"), reference(&status, "Opne"), reference(&team, "twice")],
        base_revision: 0,
        validate_only: false,
        request_id: request_id(),
    };
    let refusal = import(&desk, request).await.unwrap_err();
    let mut bad = fields(&refusal);
    bad.sort();
    assert_eq!(
        bad,
        [
            "references[2].id",
            "rules[0].criteria.criteria[0].field",
            "rules[1].name",
            "rules[1].outcomes.status_id",
            "rules[1].outcomes.team_id",
            "rules[2].id",
            "rules[3].outcomes.popup_html",
        ]
    );
    assert_eq!(refused::<()>(Err(refusal)), because(Code::InvalidArgument, "CRITERIA_INVALID"));
    assert!(export(&desk).await.rules.is_empty());
}

#[tokio::test]
async fn thousands_of_rules_come_in_one_transaction() {
    let desk = Desk::alone().await;
    let long = "A rule with a name of some length, so that all of them together are more than a message usually has";
    let rules: Vec<Rule> = (0..5_000)
        .map(|number| {
            let criteria =
                (0..6).map(|n| about(&format!("word {number} {n} that nobody writes in a summary, with so much beside it that all of them together are a lot"))).collect();
            ranked(number + 1, rule(&format!("{long} {number:05}"), criteria, tag("t")))
        })
        .collect();
    let request = ImportRulesRequest { rules, request_id: request_id(), ..Default::default() };
    assert!(prost::Message::encoded_len(&request) > 4 << 20);
    let done = import(&desk, request).await.unwrap();
    assert_eq!(done.changes.len(), 5_000);
    assert!(done.changes.iter().all(|change| change.kind() == RuleFileChangeKind::Added && !change.rule_id.is_empty()));
    let exported = export(&desk).await;
    assert_eq!(exported.rules.len(), 5_000);
    let emptied =
        ImportRulesRequest { base_revision: exported.revision, request_id: request_id(), ..Default::default() };
    assert_eq!(import(&desk, emptied).await.unwrap().changes.len(), 5_000);
    assert!(export(&desk).await.rules.is_empty());
}

/// Export, import, export: over random rule sets, each taking the place of the one before it.
#[tokio::test]
async fn what_was_exported_changes_nothing_and_is_exported_again_the_same() {
    let desk = Desk::alone().await;
    let mut dice = fastrand();
    for _ in 0..12 {
        let rules = (0..dice(30)).map(|number| random_rule(number, &mut dice)).collect();
        import(&desk, ImportRulesRequest { rules, request_id: request_id(), ..Default::default() }).await.unwrap();
        let exported = export(&desk).await;
        assert!(import(&desk, file(&exported)).await.unwrap().changes.is_empty());
        assert_eq!(export(&desk).await, exported);
    }
}

/// Numbers below one that is given; the same in every run.
fn fastrand() -> impl FnMut(u64) -> u64 {
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    move |below| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state % below
    }
}

fn random_rule(number: u64, dice: &mut impl FnMut(u64) -> u64) -> Rule {
    let mut criteria = Vec::new();
    for _ in 0..dice(4) {
        criteria.push(match dice(5) {
            0 => about(&format!("word {}", dice(9))),
            1 => criterion("ticket.status", Operator::AnyOf, [id_of(OPEN)]),
            2 => criterion("user.important", Operator::Is, [Kind::Flag(dice(2) == 0)]),
            3 => criterion("ticket.age_minutes", Operator::Greater, [Kind::Number(dice(1_000).cast_signed())]),
            _ => criterion("ticket.tags", Operator::Includes, [text("a"), text("b")]),
        });
    }
    let popup =
        ["", "<p>Call <b>now</b> &amp; then</p>", "<p onclick='x'>two<br>lines</p>"][usize::try_from(dice(3)).unwrap()];
    let outcomes = RuleOutcomes { popup_html: popup.to_owned(), priority_id: LOW.to_owned(), ..tag("a") };
    let applies_to = i32::try_from(dice(5)).unwrap();
    Rule {
        enabled: Some(dice(4) > 0),
        applies_to,
        stop_on_match: dice(3) == 0,
        outcomes: (dice(3) > 0).then_some(outcomes),
        precedence: (dice(2) == 0).then(|| i32::try_from(dice(20) + 1).unwrap()),
        ..rule(&format!("Rule {} {number}", dice(100)), criteria, RuleOutcomes::default())
    }
}

//! ExplainTicket: why rules did what they did, from what was stored.

use concierge_proto::common::Operator;
use concierge_proto::common::criterion_value::Kind;
use concierge_proto::directory::Customer;
use concierge_proto::ticket_rule::rule_service_client::RuleServiceClient;
use concierge_proto::ticket_rule::{
    ApplyRuleRequest, DeleteRuleRequest, EvaluateRulesRequest, EvaluationCause, ExplainTicketRequest,
    ExplainTicketResponse, GetTicketMatchesRequest, NotConsideredReason, Rule, RuleAppliesTo, RuleOutcomes, RuleTrace,
    RuleVerdict, Ticket, TicketDraft, Truth, UpdatePriorityRequest, UpdateRuleRequest,
};
use concierge_testkit::{Who, request_id};
use tonic::Code;

use crate::desk::{CLOSED, Desk, LOW, fields, id, matched};
use crate::support::{about, because, criterion, id_of, mask, number, refused, rule, tag, text};

async fn explain(desk: &Desk, request: ExplainTicketRequest) -> Result<ExplainTicketResponse, tonic::Status> {
    Ok(desk.rules().explain_ticket(request).await?.into_inner())
}

fn of(ticket_id: &str) -> ExplainTicketRequest {
    ExplainTicketRequest { ticket_id: ticket_id.to_owned(), ..Default::default() }
}

async fn change(desk: &Desk, rule: Rule, paths: &[&str]) {
    let request = UpdateRuleRequest { rule: Some(rule), update_mask: mask(paths), request_id: request_id() };
    desk.rules().update_rule(request).await.unwrap();
}

fn names(traces: &[RuleTrace]) -> Vec<&str> {
    traces.iter().map(|trace| trace.rule_name.as_str()).collect()
}

#[tokio::test]
async fn decision_4_a_trial_the_real_thing_and_its_explanation_agree() {
    let mut desk = Desk::alone().await;
    let one = desk.heard_of_one().await;
    let relationship = id();
    let risky = Customer { relationship_ids: vec![relationship.clone()], etag: "2".to_owned(), ..one.customer.clone() };
    desk.heard(&risky).await;
    let rules = [
        rule(
            "at risk",
            vec![criterion("customer.relationships", Operator::Includes, [id_of(&relationship)])],
            tag("risk"),
        ),
        rule("chained", vec![criterion("ticket.tags", Operator::Includes, [text("risk")])], tag("chained")),
        rule("other", vec![about("screen")], tag("screen")),
    ];
    for each in rules {
        desk.rule(each).await;
    }
    desk.rule(Rule { stop_on_match: true, ..rule("stop", vec![about("printer")], tag("stop")) }).await;
    desk.rule(rule("late", vec![], tag("late"))).await;

    let draft = TicketDraft { user_id: one.user.id.clone(), summary: "Printer".to_owned(), ..Default::default() };
    let verdicts = (1..=4).collect();
    let request = EvaluateRulesRequest { draft: Some(draft), verdicts, ..Default::default() };
    let trial = desk.rules().evaluate_rules(request).await.unwrap().into_inner();
    let logged = desk.log(one.ticket("Printer")).await.unwrap();
    let ticket = logged.ticket.unwrap();
    let explained = explain(&desk, of(&ticket.id)).await.unwrap();

    let (tried, done) = (trial.evaluation.unwrap(), logged.evaluation.unwrap());
    assert_eq!((&tried.matches, &tried.undecided_rules), (&done.matches, &done.undecided_rules));
    assert_eq!(trial.traces, explained.traces);
    let wanted = trial.ticket.unwrap();
    assert_eq!((&wanted.tags, &wanted.status_id, wanted.r#use), (&ticket.tags, &ticket.status_id, ticket.r#use));
    assert_eq!(ticket.tags, ["risk", "chained", "stop"]);

    let evaluation = explained.evaluation.unwrap();
    assert_eq!((&evaluation.id, &evaluation.ticket_id), (&done.evaluation_id, &ticket.id));
    assert_eq!((evaluation.cause(), evaluation.stale), (EvaluationCause::Logged, true));
    assert_eq!(evaluation.rule_set_revision, done.rule_set_revision);
    let before = evaluation.ticket_before.unwrap();
    assert_eq!((before.summary.as_str(), before.tags.len(), before.number), ("Printer", 0, ticket.number));
    assert_eq!((evaluation.previous_evaluation_id, evaluation.changed_fields), (String::new(), Vec::new()));
    let late = explained.traces.last().unwrap();
    assert_eq!(late.not_considered_reason(), NotConsideredReason::Stopped);
    let stop = explained.traces.iter().find(|trace| trace.rule_name == "stop").unwrap();
    assert_eq!((late.stopped_by_rule_id.as_str(), late.criteria.len()), (stop.rule_id.as_str(), 0));
}

#[tokio::test]
async fn tells_of_rules_facts_and_configuration_as_they_were() {
    let mut desk = Desk::alone().await;
    let one = desk.heard_of_one().await;
    let urgent = criterion("ticket.priority_rank", Operator::Less, [number(5)]);
    let named = criterion("customer.name", Operator::Is, [text("Example Ltd")]);
    let first = desk.try_rule(rule("first name", vec![urgent, named], tag("a"))).await.unwrap();
    let gone = desk.rule(rule("gone", vec![about("screen")], tag("b"))).await;
    let ticket =
        desk.log(Ticket { priority_id: LOW.to_owned(), ..one.ticket("Printer") }).await.unwrap().ticket.unwrap();
    let then = explain(&desk, of(&ticket.id)).await.unwrap();
    assert_eq!(names(&then.traces), ["first name", "gone"]);

    // Everything becomes another thing.
    change(
        &desk,
        Rule { name: "second name".to_owned(), criteria: None, precedence: Some(60), ..first },
        &["name", "criteria", "precedence"],
    )
    .await;
    let delete = DeleteRuleRequest { id: gone, etag: String::new(), request_id: request_id() };
    desk.rules().delete_rule(delete).await.unwrap();
    desk.rule(rule("new", vec![], tag("c"))).await;
    let priority = concierge_proto::ticket_rule::Priority { id: LOW.to_owned(), rank: Some(900), ..Default::default() };
    let request =
        UpdatePriorityRequest { priority: Some(priority), update_mask: mask(&["rank"]), request_id: request_id() };
    desk.priorities().update_priority(request).await.unwrap();
    let renamed = Customer { name: "Sample Ltd".to_owned(), etag: "2".to_owned(), ..one.customer.clone() };
    desk.heard(&renamed).await;
    let update = desk.update(Ticket { summary: "Screen".to_owned(), ..ticket.clone() }, &["summary"]).await.unwrap();

    let first_id = then.evaluation.as_ref().unwrap().id.clone();
    let again =
        explain(&desk, ExplainTicketRequest { evaluation_id: first_id.clone(), ..of(&ticket.id) }).await.unwrap();
    assert_eq!(again, then);
    // Also by a service that was started since, and knows nothing of it.
    desk.suite.restart::<concierge_ticket_rule::TicketRule>().await;
    let again = explain(&desk, ExplainTicketRequest { evaluation_id: first_id.clone(), ..of(&ticket.id) }).await;
    assert_eq!(again.unwrap(), then);

    let now = explain(&desk, of(&ticket.id)).await.unwrap();
    assert_eq!(names(&now.traces), ["new", "second name"]);
    let evaluation = now.evaluation.unwrap();
    assert_eq!(evaluation.id, update.evaluation.unwrap().evaluation_id);
    assert_eq!(
        (evaluation.cause(), evaluation.previous_evaluation_id.as_str()),
        (EvaluationCause::Updated, first_id.as_str())
    );
    assert_eq!(evaluation.changed_fields, ["ticket.summary"]);
    assert_eq!(evaluation.ticket_before.unwrap().summary, "Screen");
}

#[tokio::test]
async fn tells_why_not_with_the_value_that_was_seen() {
    let mut desk = Desk::alone().await;
    let one = desk.heard_of_one().await;
    desk.rule(rule("not", vec![about("screen"), criterion("ticket.agent", Operator::HasValue, [])], tag("a"))).await;
    let unheard = id();
    desk.rule(rule("undecided", vec![criterion("user.name", Operator::Is, [text("Bo")])], tag("b"))).await;
    for (name, applies_to) in [("existing", RuleAppliesTo::Existing), ("manual", RuleAppliesTo::Manual)] {
        desk.rule(Rule { applies_to: applies_to.into(), ..rule(name, vec![], tag("c")) }).await;
    }
    desk.rule(Rule { enabled: Some(false), ..rule("off", vec![], tag("d")) }).await;

    let ticket = Ticket { user_id: unheard, customer_id: one.customer.id.clone(), ..one.ticket("Printer") };
    let ticket = desk.log(Ticket { site_id: one.site.id.clone(), ..ticket }).await.unwrap().ticket.unwrap();
    let traces = explain(&desk, of(&ticket.id)).await.unwrap().traces;
    let told: Vec<_> = traces.iter().map(|t| (t.rule_name.as_str(), t.verdict(), t.not_considered_reason())).collect();
    use {NotConsideredReason as Reason, RuleVerdict as Verdict};
    assert_eq!(
        told,
        [
            ("not", Verdict::NotMatched, Reason::Unspecified),
            ("undecided", Verdict::Undecided, Reason::Unspecified),
            ("existing", Verdict::NotConsidered, Reason::OtherUse),
            ("manual", Verdict::NotConsidered, Reason::OtherUse),
            ("off", Verdict::NotConsidered, Reason::Disabled),
        ]
    );
    let [summary, agent] = traces[0].criteria.as_slice() else { panic!("two criteria") };
    assert_eq!((summary.path.as_str(), summary.truth()), ("criteria[0]", Truth::Fails));
    assert_eq!(summary.seen[0].kind, Some(text("Printer")));
    // Empty: nothing was seen.
    assert_eq!((agent.path.as_str(), agent.truth(), agent.seen.len()), ("criteria[1]", Truth::Fails, 0));
    let unknown = &traces[1];
    assert_eq!((unknown.criteria[0].truth(), unknown.criteria[0].seen.len()), (Truth::Unknown, 0));
    assert_eq!(unknown.unknown_fields, ["user.name"]);

    let update = desk.update(Ticket { details: "x".to_owned(), ..ticket }, &["details"]).await.unwrap();
    let traces = explain(&desk, of(&update.ticket.unwrap().id)).await.unwrap().traces;
    assert!(traces.iter().take(2).all(|trace| trace.not_considered_reason() == Reason::NoChangedField));
}

#[tokio::test]
async fn tells_page_by_page_of_one_evaluation_and_the_verdicts_that_are_wanted() {
    let mut desk = Desk::alone().await;
    let one = desk.heard_of_one().await;
    for index in 0..25 {
        let word = if index % 5 == 0 { "printer" } else { "screen" };
        let used = rule(&format!("rule {index}"), vec![about(word)], tag("a"));
        desk.rule(Rule { precedence: Some(index + 1), ..used }).await;
    }
    let ticket = desk.log(one.ticket("Printer")).await.unwrap().ticket.unwrap();
    let all = async |request: ExplainTicketRequest| {
        let (mut seen, mut request) = (Vec::new(), request);
        loop {
            let page = explain(&desk, request.clone()).await.unwrap();
            assert!(page.traces.len() <= 4);
            seen.extend(page.traces.into_iter().map(|trace| trace.rule_name));
            if page.next_page_token.is_empty() {
                return seen;
            }
            request.page_token = page.next_page_token;
        }
    };
    let paged = ExplainTicketRequest { page_size: 4, ..of(&ticket.id) };
    let expected: Vec<String> = (0..25).map(|index| format!("rule {index}")).collect();
    assert_eq!(all(paged.clone()).await, expected);
    let matched = vec![RuleVerdict::Matched.into()];
    let expected = ["rule 0", "rule 5", "rule 10", "rule 15", "rule 20"];
    assert_eq!(all(ExplainTicketRequest { verdicts: matched.clone(), ..paged.clone() }).await, expected);
    let exactly = ExplainTicketRequest { verdicts: matched, page_size: 5, ..of(&ticket.id) };
    assert_eq!(explain(&desk, exactly).await.unwrap().next_page_token, "");

    // A later evaluation does not mix in.
    let first = explain(&desk, paged.clone()).await.unwrap();
    desk.update(Ticket { summary: "Screen".to_owned(), ..ticket.clone() }, &["summary"]).await.unwrap();
    let next = ExplainTicketRequest { page_token: first.next_page_token.clone(), ..paged.clone() };
    let second = explain(&desk, next.clone()).await.unwrap();
    assert_eq!(second.evaluation.as_ref().unwrap().id, first.evaluation.unwrap().id);
    assert_eq!(second.traces[0].rule_name, "rule 4");

    let other = ExplainTicketRequest { verdicts: vec![RuleVerdict::Matched.into()], ..next.clone() };
    assert_eq!(refused(explain(&desk, other).await), because(Code::InvalidArgument, "PAGE_TOKEN_INVALID"));
    let damaged = ExplainTicketRequest { page_token: "x".to_owned(), ..next };
    let status = explain(&desk, damaged).await.unwrap_err();
    assert_eq!(fields(&status), ["page_token"]);
}

#[tokio::test]
async fn refuses_what_is_not_there() {
    let mut desk = Desk::alone().await;
    let one = desk.heard_of_one().await;
    let absent = because(Code::NotFound, "RECORD_NOT_FOUND");
    assert_eq!(refused(explain(&desk, of(&id())).await), absent);
    let first = desk.log(one.ticket("Printer")).await.unwrap();
    let second = desk.log(one.ticket("Screen")).await.unwrap().ticket.unwrap();
    let of_other = first.evaluation.unwrap().evaluation_id;
    for evaluation_id in [of_other, id()] {
        let request = ExplainTicketRequest { evaluation_id, ..of(&second.id) };
        assert_eq!(refused(explain(&desk, request).await), absent);
    }
    // Closed from the beginning: no rule was ever asked.
    let closed = desk.log(Ticket { status_id: CLOSED.to_owned(), ..one.ticket("Lost key") }).await.unwrap();
    assert_eq!(matched(&closed.evaluation), Vec::<String>::new());
    let refusal = refused(explain(&desk, of(&closed.ticket.unwrap().id)).await);
    assert_eq!(refusal, because(Code::FailedPrecondition, "TICKET_NOT_EVALUATED"));
}

#[tokio::test]
async fn what_is_known_of_a_requester_is_kept_once() {
    let mut desk = Desk::alone().await;
    let one = desk.heard_of_one().await;
    for _ in 0..3 {
        desk.log(one.ticket("Printer")).await.unwrap();
    }
    let important = Customer { important: true, etag: "2".to_owned(), ..one.customer.clone() };
    desk.heard(&important).await;
    desk.log(one.ticket("Printer")).await.unwrap();
    let pool = desk.pool();
    let kept: (i64, i64) = sqlx::query_as("select (select count(*) from facts), (select count(*) from evaluations)")
        .fetch_one(&pool)
        .await
        .unwrap();
    assert_eq!(kept, (2, 4));
}

#[tokio::test]
async fn tells_of_every_rule_that_matched_once_where_it_matched_last() {
    let mut desk = Desk::alone().await;
    let one = desk.heard_of_one().await;
    let matches = async |ticket_id: &str| {
        let request = GetTicketMatchesRequest { ticket_id: ticket_id.to_owned() };
        Ok::<_, tonic::Status>(desk.rules().get_ticket_matches(request).await?.into_inner().matches)
    };
    assert_eq!(refused(matches(&id()).await), because(Code::NotFound, "RECORD_NOT_FOUND"));
    let popup = |html: &str| RuleOutcomes { popup_html: html.to_owned(), ..Default::default() };
    let printer = desk.rule(rule("printer", vec![about("printer")], popup("<b>Floor?</b>"))).await;
    let mail = desk.rule(rule("mail", vec![about("mail")], popup("Address?"))).await;
    let closed = desk.log(Ticket { status_id: CLOSED.to_owned(), ..one.ticket("Printer") }).await.unwrap();
    assert!(matches(&closed.ticket.unwrap().id).await.unwrap().is_empty());

    let ticket = desk.log(one.ticket("Printer")).await.unwrap().ticket.unwrap();
    let mut last = Vec::new();
    for summary in ["Printer and mail", "Mail"] {
        let change = Ticket { summary: summary.to_owned(), etag: String::new(), ..ticket.clone() };
        last.push(desk.update(change, &["summary"]).await.unwrap().evaluation.unwrap().evaluation_id);
    }
    let told: Vec<_> = matches(&ticket.id)
        .await
        .unwrap()
        .into_iter()
        .map(|m| {
            let rule = m.r#match.unwrap();
            (rule.rule_id, rule.popup_html, m.evaluation_id, m.cause, m.corrected_evaluation_id)
        })
        .collect();
    let updated = i32::from(EvaluationCause::Updated);
    assert_eq!(
        told,
        [
            (printer, "<b>Floor?</b>".to_owned(), last[0].clone(), updated, String::new()),
            (mail, "Address?".to_owned(), last[1].clone(), updated, String::new()),
        ]
    );
}

#[tokio::test]
async fn who_may_not_read_importance_is_told_the_verdict_and_not_the_value() {
    let mut desk = Desk::alone().await;
    let one = desk.heard_of_one().await;
    let flag = |field: &str, wanted| criterion(field, Operator::Is, [Kind::Flag(wanted)]);
    let criteria = vec![flag("user.important", false), flag("customer.important", false), flag("user.active", true)];
    let checked = desk.rule(rule("checked", criteria, tag("a"))).await;
    let ticket = desk.log(one.ticket("Printer")).await.unwrap().ticket.unwrap();
    let scope = ["rules.read", "rules.evaluate", "tickets.read", "tickets.write"];
    let seen = |traces: &[RuleTrace]| {
        let [trace] = traces else { panic!("one rule") };
        assert_eq!(trace.verdict(), RuleVerdict::Matched);
        assert!(trace.criteria.iter().all(|c| c.truth() == Truth::Holds && c.criterion.is_some()));
        trace.criteria.iter().map(|c| c.seen.len()).collect::<Vec<_>>()
    };
    for (may_read, expected) in [(false, [0, 0, 1]), (true, [1, 1, 1])] {
        let scope = scope.into_iter().chain(may_read.then_some("importance.read")).collect::<Vec<_>>();
        let who = Who::agent(uuid::Uuid::from_u128(7)).with_scope(&scope);
        let mut rules = RuleServiceClient::new(desk.suite.api("ticket-rule", &who));
        assert_eq!(seen(&rules.explain_ticket(of(&ticket.id)).await.unwrap().into_inner().traces), expected);
        let draft = TicketDraft { user_id: one.user.id.clone(), ..Default::default() };
        let request = EvaluateRulesRequest { draft: Some(draft), ..Default::default() };
        assert_eq!(seen(&rules.evaluate_rules(request).await.unwrap().into_inner().traces), expected);
        let request = ApplyRuleRequest {
            rule_id: checked.clone(),
            ticket_id: ticket.id.clone(),
            request_id: request_id(),
            ..Default::default()
        };
        assert_eq!(seen(&[rules.apply_rule(request).await.unwrap().into_inner().trace.unwrap()]), expected);
    }
}

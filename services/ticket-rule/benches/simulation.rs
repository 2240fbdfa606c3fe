//! `cargo bench -p concierge-ticket-rule --bench simulation [-- --short]`: how many past evaluations SimulateRules goes
//! through in a second, and how many of them the engine alone, once they are read. The goals are 10,000 and 50,000.
#![allow(clippy::unwrap_used, missing_docs)]

use std::sync::Arc;
use std::time::Instant;

use concierge_directory::Directory;
use concierge_proto::common::{CriteriaGroup, Criterion, CriterionValue, GroupKind, Operator, criterion_value::Kind};
use concierge_proto::directory::customer_service_client::CustomerServiceClient;
use concierge_proto::directory::{CreateCustomerRequest, Customer, Site, User};
use concierge_proto::ticket_rule::rule_service_client::RuleServiceClient;
use concierge_proto::ticket_rule::ticket_service_client::TicketServiceClient;
use concierge_proto::ticket_rule::{
    CreateRuleRequest, LogTicketRequest, Rule, RuleOutcomes, RuleSetChange, SimulateRulesRequest, Ticket,
};
use concierge_testkit::{Suite, request_id};
use concierge_ticket_rule::TicketRule;
use concierge_ticket_rule::evaluation::{Inputs, Pair, RuleSet, RuleSets};
use sqlx::PgPool;

/// Words of which tickets are made and rules ask.
const WORDS: [&str; 20] = [
    "printer",
    "mail",
    "screen",
    "network",
    "phone",
    "login",
    "slow",
    "vpn",
    "keyboard",
    "invoice",
    "access",
    "backup",
    "mouse",
    "update",
    "licence",
    "projector",
    "door",
    "badge",
    "server",
    "disk",
];

/// How much is made and how often it is measured.
struct Effort {
    rules: usize,
    tickets: usize,
    /// Every evaluation is there so many times.
    copies: i32,
    rounds: usize,
}

fn main() {
    let short = std::env::args().any(|argument| argument == "--short");
    let effort = if short {
        Effort { rules: 20, tickets: 20, copies: 5, rounds: 1 }
    } else {
        Effort { rules: 500, tickets: 500, copies: 200, rounds: 5 }
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    runtime.block_on(measure(&effort));
}

async fn measure(effort: &Effort) {
    let mut suite = Suite::new();
    suite.start::<Directory>().await;
    suite.start::<TicketRule>().await;
    fill(&suite, effort).await;
    let service = suite.service("ticket-rule").host.service.clone();
    let evaluations = copy(service.pool(), effort.copies).await;
    println!("{} rules, {evaluations} past evaluations, one rule changed", effort.rules);

    let set = RuleSets::new(&service).newest().await.unwrap();
    let changed = changed(&set);
    let then = Arc::new(set.changed(vec![changed.clone()], &[]));
    let mut inputs = Inputs::new(service.pool().clone(), None, 20_000);
    let mut read = Vec::new();
    loop {
        let batch = inputs.next().await.unwrap();
        if batch.is_empty() {
            break;
        }
        read.extend(batch);
    }
    let mut engine = Vec::new();
    let mut whole = Vec::new();
    for _ in 0..effort.rounds {
        let mut pair = Pair::new(Arc::clone(&set), Arc::clone(&then));
        let started = Instant::now();
        let differing = read.iter().filter(|stored| pair.differ(&stored.input()).is_some()).count();
        engine.push(rate(read.len(), started));
        assert!(differing > 0 && differing < read.len(), "{differing} of {} differ", read.len());

        let change = RuleSetChange { rules: vec![changed.clone()], ..Default::default() };
        let max_evaluations = i32::try_from(evaluations).unwrap();
        let request = SimulateRulesRequest { change: Some(change), max_evaluations, ..Default::default() };
        let started = Instant::now();
        let mut parts = RuleServiceClient::new(suite.admin("ticket-rule")).simulate_rules(request).await.unwrap();
        let parts = parts.get_mut();
        let mut simulated = 0;
        while let Some(part) = parts.message().await.unwrap() {
            simulated = usize::try_from(part.simulated_count).unwrap();
        }
        assert_eq!(simulated, usize::try_from(evaluations).unwrap());
        whole.push(rate(simulated, started));
    }
    report("the engine, inputs decoded", engine, 50_000.0);
    report("SimulateRules, Postgres and all", whole, 10_000.0);
}

#[allow(clippy::cast_precision_loss)]
fn rate(count: usize, started: Instant) -> f64 {
    count as f64 / started.elapsed().as_secs_f64()
}

fn report(what: &str, mut rates: Vec<f64>, goal: f64) {
    rates.sort_by(f64::total_cmp);
    let (least, median, most) = (rates[0], rates[rates.len() / 2], rates[rates.len() - 1]);
    let reached = if median >= goal { "reached" } else { "missed" };
    println!("{what}: {median:.0} a second ({least:.0} to {most:.0}), goal {goal:.0}: {reached}");
}

/// Customers, rules and tickets, through the API.
async fn fill(suite: &Suite, effort: &Effort) {
    let mut users = Vec::new();
    for number in 0..20 {
        let request = CreateCustomerRequest {
            customer: Some(Customer { name: format!("Customer {number}"), ..Default::default() }),
            main_site: Some(Site { name: "Main".to_owned(), ..Default::default() }),
            main_contact: Some(User {
                name: format!("User {number}"),
                important: number % 5 == 0,
                ..Default::default()
            }),
            request_id: request_id(),
        };
        let mut client = CustomerServiceClient::new(suite.admin("directory"));
        users.push(client.create_customer(request).await.unwrap().into_inner().main_contact.unwrap().id);
    }
    let mut rules = RuleServiceClient::new(suite.admin("ticket-rule"));
    for number in 0..effort.rules {
        let request = CreateRuleRequest { rule: Some(rule(number)), request_id: request_id() };
        rules.create_rule(request).await.unwrap();
    }
    let mut tickets = TicketServiceClient::new(suite.admin("ticket-rule"));
    for number in 0..effort.tickets {
        let ticket = Ticket {
            summary: format!("{} and {}", WORDS[number % 20], WORDS[number / 20 % 20]),
            details: "Since this morning nothing works any more as it did yesterday. ".repeat(4),
            user_id: users[number * 7 % users.len()].clone(),
            ..Default::default()
        };
        let request = LogTicketRequest { ticket: Some(ticket), request_id: request_id() };
        tickets.log_ticket(request).await.unwrap();
    }
}

/// Important users, and two words of the summary.
fn rule(number: usize) -> Rule {
    let contains = |word: &str| criterion("ticket.summary", Operator::Contains, Kind::Text(word.to_owned()));
    let mut criteria = vec![contains(WORDS[number % 20]), contains(WORDS[number / 20 % 20])];
    if number.is_multiple_of(2) {
        criteria.push(criterion("user.important", Operator::Is, Kind::Flag(true)));
    }
    Rule {
        name: format!("Rule {number}"),
        criteria: Some(CriteriaGroup { kind: GroupKind::All.into(), criteria, groups: Vec::new() }),
        outcomes: Some(RuleOutcomes { add_tags: vec![format!("tag {}", number % 40)], ..Default::default() }),
        ..Default::default()
    }
}

fn criterion(field: &str, operator: Operator, value: Kind) -> Criterion {
    let values = vec![CriterionValue { kind: Some(value) }];
    Criterion { field: field.to_owned(), operator: operator.into(), values, case_sensitive: false }
}

/// One of the rules, for every twentieth ticket.
fn changed(set: &RuleSet) -> Rule {
    let mut rule = set.rules().find(|rule| rule.name == "Rule 0").unwrap().clone();
    let mail = criterion("ticket.summary", Operator::StartsWith, Kind::Text("mail".to_owned()));
    rule.criteria.as_mut().unwrap().criteria = vec![mail];
    rule
}

/// Has every evaluation many times; answers how many there are then.
async fn copy(pool: &PgPool, copies: i32) -> i64 {
    sqlx::query(
        "insert into evaluations (id, ticket_id, number, cause, occasion, time, revision, ticket, action, changed_fields,
             rule_ids, facts_hash, stale, undecided, outcome, withheld)
         select gen_random_uuid(), ticket_id, number + copy, cause, occasion, time, revision, ticket, action,
             changed_fields, rule_ids, facts_hash, stale, undecided, outcome, withheld
         from evaluations, generate_series(1, $1) copy",
    )
    .bind(copies - 1)
    .execute(pool)
    .await
    .unwrap();
    sqlx::query("analyze").execute(pool).await.unwrap();
    sqlx::query_scalar("select count(*) from evaluations").fetch_one(pool).await.unwrap()
}

//! Facts about requesters: asked of directory, shared in batches, derived from its feed when it is away.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use concierge_directory::Directory;
use concierge_proto::common::Operator;
use concierge_proto::common::criterion_value::Kind;
use concierge_proto::directory::requester_service_server::{RequesterService, RequesterServiceServer};
use concierge_proto::directory::user_role_service_client::UserRoleServiceClient;
use concierge_proto::directory::user_service_client::UserServiceClient;
use concierge_proto::directory::{
    AssignUserRoleRequest, BatchGetRequesterFactsRequest, BatchGetRequesterFactsResponse, CreateUserRoleRequest,
    GetRequesterFactsRequest, GetRequesterFactsResponse, RequesterFacts, RequesterFactsResult, UpdateUserRequest, User,
    UserFacts, UserRole,
};
use concierge_proto::ticket_rule::{RuleOutcomes, Ticket};
use concierge_runtime::program::{Host, Program, Task};
use concierge_runtime::{Answer, served};
use concierge_testkit::{Suite, request_id};
use concierge_ticket_rule::TicketRule;
use concierge_ticket_rule::facts::{Requester as Asked, Source};
use prost_types::FieldMask;
use sqlx::migrate::Migrator;
use tonic::{Code, Request, Response};

use crate::desk::*;

fn important_is_critical() -> concierge_proto::ticket_rule::Rule {
    let urgent = RuleOutcomes { priority_id: CRITICAL.to_owned(), ..Default::default() };
    rule_on("Important users", "user.important", Operator::Is, Some(Kind::Flag(true)), urgent)
}

#[tokio::test]
async fn a_user_marked_important_a_moment_ago_is_important() {
    let desk = Desk::with_directory().await;
    desk.rule(important_is_critical()).await;
    let one = desk.create_one().await;
    let before = desk.log(one.ticket("Before")).await.unwrap();
    assert!(!before.evaluation.as_ref().unwrap().stale && matched(&before.evaluation).is_empty());
    let ticket = before.ticket.unwrap();
    assert_eq!((&ticket.site_id, &ticket.customer_id), (&one.site.id, &one.customer.id));
    assert_eq!((ticket.user_important, ticket.customer_important), (Some(false), Some(false)));

    let mark = UpdateUserRequest {
        user: Some(User { important: true, ..one.user.clone() }),
        update_mask: Some(FieldMask { paths: vec!["important".to_owned()] }),
        request_id: request_id(),
    };
    UserServiceClient::new(desk.suite.admin("directory")).update_user(mark).await.unwrap();
    let after = desk.log(one.ticket("After")).await.unwrap();
    assert_eq!(matched(&after.evaluation), ["Important users"]);
    let after = after.ticket.unwrap();
    assert_eq!((after.user_important, after.priority_id.as_str()), (Some(true), CRITICAL));
    let by_customer = Ticket { user_id: String::new(), customer_id: one.customer.id.clone(), ..one.ticket("Customer") };
    let by_customer = desk.log(by_customer).await.unwrap().ticket.unwrap();
    assert_eq!((&by_customer.site_id, by_customer.user_important), (&one.site.id, None));
}

#[tokio::test]
async fn an_id_that_directory_does_not_know_is_refused() {
    let desk = Desk::with_directory().await;
    let ticket = Ticket {
        summary: "Whose?".to_owned(),
        user_id: id(),
        site_id: id(),
        customer_id: id(),
        team_id: id(),
        agent_id: id(),
        follower_user_ids: vec![id()],
        ..Default::default()
    };
    let refused = desk.log(ticket).await.unwrap_err();
    assert_eq!((refused.code(), reason(&refused)), (Code::InvalidArgument, "REFERENCE_NOT_FOUND".to_owned()));
    assert_eq!(
        fields(&refused),
        [
            "ticket.user_id",
            "ticket.site_id",
            "ticket.customer_id",
            "ticket.team_id",
            "ticket.agent_id",
            "ticket.follower_user_ids[0]"
        ]
    );
    let one = desk.create_one().await;
    let ticket = desk.log(one.ticket("Ours")).await.unwrap().ticket.unwrap();
    let moved = Ticket { user_id: id(), ..ticket };
    let refused = desk.update(moved, &["user_id"]).await.unwrap_err();
    assert_eq!(
        (reason(&refused), fields(&refused)),
        ("REFERENCE_NOT_FOUND".to_owned(), vec!["ticket.user_id".to_owned()])
    );
}

#[tokio::test]
async fn without_directory_facts_are_those_last_heard_of_and_marked_so() {
    let mut desk = Desk::with_directory().await;
    desk.rule(important_is_critical()).await;
    let one = desk.create_one().await;
    let api = desk.suite.admin("directory");
    let role = UserRole { name: "Key contact".to_owned(), important: true, ..Default::default() };
    let request = CreateUserRoleRequest { user_role: Some(role), request_id: request_id() };
    let role = UserRoleServiceClient::new(api.clone()).create_user_role(request).await.unwrap().into_inner();
    let assign = AssignUserRoleRequest {
        user_id: one.user.id.clone(),
        role_id: role.user_role.unwrap().id,
        request_id: request_id(),
        ..Default::default()
    };
    UserRoleServiceClient::new(api).assign_user_role(assign).await.unwrap();

    // What is derived from the feed is what directory itself tells.
    let source = Source::new(&desk.suite.service("ticket-rule").host);
    let asked = Asked::user(&one.user.id);
    let told = source.ask_directory(asked.clone()).await.unwrap().known;
    assert!(told.user.as_ref().unwrap().importance.as_ref().unwrap().value);
    desk.caught_up().await;
    desk.suite.kill("directory");
    tokio::time::sleep(Duration::from_millis(200)).await;
    let heard = source.ask(asked).await.unwrap();
    assert!(heard.stale);
    assert_eq!(heard.known, RequesterFacts { read_time: None, ..told });

    let logged = desk.log(one.ticket("Away")).await.unwrap();
    assert!(logged.evaluation.as_ref().unwrap().stale);
    assert_eq!(matched(&logged.evaluation), ["Important users"]);
    assert_eq!(logged.ticket.unwrap().user_important, Some(true));
}

#[tokio::test]
async fn a_fact_that_nobody_knows_leaves_its_rules_undecided() {
    let desk = Desk::alone().await;
    desk.rule(important_is_critical()).await;
    let low = RuleOutcomes { priority_id: LOW.to_owned(), ..Default::default() };
    let known = rule_on("Everybody", "ticket.user", Operator::HasValue, None, low);
    desk.rule(known).await;
    let ticket = Ticket { summary: "Who?".to_owned(), user_id: id(), ..Default::default() };
    let logged = desk.log(ticket).await.unwrap();
    let evaluation = logged.evaluation.clone().unwrap();
    assert!(evaluation.stale);
    assert_eq!(matched(&logged.evaluation), ["Everybody"]);
    assert_eq!(evaluation.undecided_rules.len(), 1);
    assert_eq!(evaluation.undecided_rules[0].rule_name, "Important users");
    assert_eq!(evaluation.undecided_rules[0].unknown_fields, ["user.important"]);
}

/// Directory as far as batches are concerned: it takes its time, and counts.
#[derive(Clone)]
struct Slow {
    batches: Arc<Mutex<Vec<usize>>>,
}

impl Program for Slow {
    const NAME: &'static str = "directory";

    fn migrations() -> &'static Migrator {
        Directory::migrations()
    }

    fn routes(host: &Host) -> tonic::service::Routes {
        let slow = Self { batches: host.service.shared() };
        tonic::service::Routes::new(served!(RequesterServiceServer::new(slow)))
    }

    fn tasks(_: &Host) -> Vec<Task> {
        Vec::new()
    }
}

#[tonic::async_trait]
impl RequesterService for Slow {
    async fn get_requester_facts(&self, _: Request<GetRequesterFactsRequest>) -> Answer<GetRequesterFactsResponse> {
        Ok(Response::new(GetRequesterFactsResponse::default()))
    }

    async fn batch_get_requester_facts(
        &self,
        request: Request<BatchGetRequesterFactsRequest>,
    ) -> Answer<BatchGetRequesterFactsResponse> {
        let requests = request.into_inner().requests;
        self.batches.lock().unwrap().push(requests.len());
        tokio::time::sleep(Duration::from_millis(25)).await;
        let results = requests.into_iter().map(|asked| RequesterFactsResult {
            facts: Some(RequesterFacts {
                user: Some(UserFacts { user_id: asked.user_id, ..Default::default() }),
                ..Default::default()
            }),
            not_found: Vec::new(),
        });
        Ok(Response::new(BatchGetRequesterFactsResponse { results: results.collect() }))
    }
}

#[tokio::test]
async fn concurrent_calls_share_batches_and_join_only_those_not_yet_sent() {
    let mut suite = Suite::new();
    let counted: Arc<Mutex<Vec<usize>>> = suite.start::<Slow>().await.host.service.shared();
    let source = Source::new(&suite.start::<TicketRule>().await.host);
    // The connection is made.
    source.ask(Asked::user(&id())).await.unwrap();
    counted.lock().unwrap().clear();
    let asks = (0..200).map(|_| {
        let (source, user) = (source.clone(), id());
        async move {
            let facts = source.ask(Asked::user(&user)).await.unwrap();
            (facts.stale, facts.known.user.unwrap().user_id == user)
        }
    });
    for answer in futures::future::join_all(asks).await {
        assert_eq!(answer, (false, true));
    }
    let batches = counted.lock().unwrap().clone();
    assert_eq!(batches.iter().sum::<usize>(), 200);
    assert!(batches.len() <= 8, "{batches:?}");

    // One that comes while another is being answered is not answered with it.
    counted.lock().unwrap().clear();
    let first = tokio::spawn({
        let source = source.clone();
        async move { source.ask(Asked::user(&id())).await.unwrap() }
    });
    tokio::time::sleep(Duration::from_millis(10)).await;
    assert!(!source.ask(Asked::user(&id())).await.unwrap().stale);
    assert!(!first.await.unwrap().stale);
    assert_eq!(*counted.lock().unwrap(), [1, 1]);
}

#[tokio::test]
async fn a_directory_that_takes_its_time_is_not_waited_for() {
    let mut suite = Suite::new();
    suite.start::<Slow>().await;
    let mut host = suite.start::<TicketRule>().await.host.clone();
    host.directory = host.directory.map(|directory| directory.with_patience(Duration::from_millis(5)));
    let facts = Source::new(&host).ask(Asked::user(&id())).await.unwrap();
    assert!(facts.stale && facts.known.user.is_none());
}

//! ReapplyRules: rules run again, each ticket once, whoever is stopped in between.

use concierge_proto::ticket_rule::rule_service_client::RuleServiceClient;
use concierge_proto::ticket_rule::{
    EvaluationCause, ExplainTicketRequest, ReapplyRulesRequest, ReapplyRulesResponse, Ticket,
};
use concierge_testkit::{Api, Running, Who, request_id};
use concierge_ticket_rule::TicketRule;
use tonic::{Code, Status};
use uuid::Uuid;

use crate::desk::{Desk, Requester};
use crate::support::{about, because, refused, rule, tag};

fn all() -> ReapplyRulesRequest {
    ReapplyRulesRequest { tickets_per_second: 1_000, request_id: request_id(), ..Default::default() }
}

/// The last part, and the numbers of the examples in all of them.
async fn reapply(desk: &Desk, request: ReapplyRulesRequest) -> Result<(ReapplyRulesResponse, Vec<i64>), Status> {
    followed(&mut desk.rules(), request).await
}

async fn followed(
    client: &mut RuleServiceClient<Api>,
    request: ReapplyRulesRequest,
) -> Result<(ReapplyRulesResponse, Vec<i64>), Status> {
    let mut parts = client.reapply_rules(request).await?.into_inner();
    let (mut last, mut examples) = (ReapplyRulesResponse::default(), Vec::new());
    while let Some(part) = parts.message().await? {
        examples.extend(part.examples.iter().map(|example| example.ticket_number));
        last = part;
    }
    Ok((last, examples))
}

/// One replica, asked by the same caller as all of them.
fn at(desk: &Desk, replica: &Running) -> RuleServiceClient<Api> {
    RuleServiceClient::new(desk.suite.api_of(replica, &Who::agent(Uuid::from_u128(0xad))))
}

async fn tickets(desk: &Desk, count: usize) -> Vec<Ticket> {
    let requester = Requester::new();
    let mut tickets = Vec::new();
    for number in 0..count {
        let summary = if number % 2 == 0 { "printer" } else { "phone" };
        tickets.push(desk.log(requester.ticket(summary)).await.unwrap().ticket.unwrap());
    }
    tickets
}

/// How many evaluations of this cause a ticket has.
async fn evaluations(desk: &mut Desk, cause: EvaluationCause) -> Vec<(String, i64)> {
    sqlx::query_as("select ticket_id::text, count(*) from evaluations where cause = $1 group by 1")
        .bind(i32::from(cause))
        .fetch_all(&desk.pool())
        .await
        .unwrap()
}

#[tokio::test]
async fn rules_run_again_on_tickets_that_are_not_closed() {
    let mut desk = Desk::alone().await;
    let logged = tickets(&desk, 6).await;
    desk.close(&logged[4].id).await.unwrap();
    desk.rule(rule("Printers", vec![about("printer")], tag("printer"))).await;

    let (dry, would) = reapply(&desk, ReapplyRulesRequest { dry_run: true, ..all() }).await.unwrap();
    assert_eq!((dry.total_count, dry.done_count, dry.changed_count, dry.finished), (5, 5, 2, true));
    assert_eq!(would, [logged[0].number, logged[2].number]);
    assert!(desk.get(&logged[0].id).await.tags.is_empty());
    assert!(evaluations(&mut desk, EvaluationCause::Reapplied).await.is_empty());

    let request = ReapplyRulesRequest { filter: format!("number <= {}", logged[2].number), ..all() };
    let (done, changed) = reapply(&desk, request.clone()).await.unwrap();
    assert_eq!((done.total_count, done.changed_count, done.skipped_count, done.finished), (3, 2, 0, true));
    assert_eq!(changed, would);
    assert_eq!(desk.get(&logged[2].id).await.tags, ["printer"]);
    let asked = ExplainTicketRequest { ticket_id: logged[2].id.clone(), ..Default::default() };
    let told = desk.rules().explain_ticket(asked).await.unwrap().into_inner();
    assert_eq!(told.evaluation.unwrap().cause(), EvaluationCause::Reapplied);
    assert_eq!(told.traces[0].rule_name, "Printers");

    // Again, under the same id: it is done.
    let (again, examples) = reapply(&desk, request.clone()).await.unwrap();
    assert_eq!((again.done_count, again.changed_count, again.finished, examples.len()), (3, 2, true, 0));
    let other = reapply(&desk, ReapplyRulesRequest { filter: String::new(), ..request }).await;
    assert_eq!(refused(other), because(Code::InvalidArgument, "REQUEST_ID_REUSED"));
    let wrong = reapply(&desk, ReapplyRulesRequest { filter: "colour = 1".to_owned(), ..all() }).await;
    assert_eq!(refused(wrong).0, Code::InvalidArgument);
}

#[tokio::test]
async fn a_batch_that_was_stopped_goes_on_and_does_no_ticket_twice() {
    let mut desk = Desk::alone().await;
    let logged = tickets(&desk, 40).await;
    desk.rule(rule("Printers", vec![about("printer")], tag("printer"))).await;
    let request = ReapplyRulesRequest { tickets_per_second: 10, ..all() };
    let mut killed = desk.suite.replica::<TicketRule>().await;
    let other = desk.suite.replica::<TicketRule>().await;
    let mut parts = at(&desk, &killed).reapply_rules(request.clone()).await.unwrap().into_inner();
    let first = parts.message().await.unwrap().unwrap();
    assert!(!first.finished && (1..40).contains(&first.done_count), "{first:?}");
    killed.kill();
    drop(parts);

    // Both that are left, at once and faster: they share what is left.
    let faster = ReapplyRulesRequest { tickets_per_second: 1_000, ..request };
    let mut second = at(&desk, &other);
    let (one, two) = tokio::join!(reapply(&desk, faster.clone()), followed(&mut second, faster.clone()));
    assert!(one.unwrap().0.finished && two.unwrap().0.finished);
    let (last, _) = reapply(&desk, faster).await.unwrap();
    assert_eq!((last.done_count, last.changed_count, last.finished), (40, 20, true));
    let evaluated = evaluations(&mut desk, EvaluationCause::Reapplied).await;
    assert_eq!(evaluated.len(), logged.len());
    assert!(evaluated.iter().all(|(_, count)| *count == 1), "{evaluated:?}");
}

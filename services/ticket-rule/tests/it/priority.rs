//! `PriorityService`.

use concierge_proto::common::Operator;
use concierge_proto::ticket_rule::{
    CreatePriorityRequest, CreateSlaRequest, DeletePriorityRequest, DeleteSlaRequest, ListPrioritiesRequest, Priority,
    Sla, SlaTarget, Ticket, UpdatePriorityRequest,
};
use concierge_testkit::request_id;
use tonic::Code;

use crate::desk::{CRITICAL, Desk, LOW};
use crate::support::{because, criterion, id_of, mask, refused, rule, tag};

async fn create(desk: &Desk, priority: Priority) -> Result<Priority, tonic::Status> {
    let request = CreatePriorityRequest { priority: Some(priority), request_id: request_id() };
    Ok(desk.priorities().create_priority(request).await?.into_inner().priority.unwrap())
}

async fn delete(desk: &Desk, id: &str) -> Result<Priority, tonic::Status> {
    let request = DeletePriorityRequest { id: id.to_owned(), etag: String::new(), request_id: request_id() };
    Ok(desk.priorities().delete_priority(request).await?.into_inner().priority.unwrap())
}

#[tokio::test]
async fn a_new_installation_has_four_of_rank_one_to_four() {
    let desk = Desk::alone().await;
    let listed = desk.priorities().list_priorities(ListPrioritiesRequest::default()).await.unwrap().into_inner();
    let found: Vec<_> = listed.priorities.iter().map(|p| (p.name.as_str(), p.rank())).collect();
    assert_eq!(found, [("Critical", 1), ("High", 2), ("Medium", 3), ("Low", 4)]);
}

#[tokio::test]
async fn has_a_rank_of_its_own_and_a_name_that_nobody_else_has() {
    let desk = Desk::alone().await;
    let urgent = create(&desk, Priority { name: "Urgent".to_owned(), ..Default::default() }).await.unwrap();
    assert_eq!((urgent.rank, urgent.active), (Some(100), Some(true)));
    let taken = create(&desk, Priority { name: "URGENT".to_owned(), ..Default::default() }).await;
    assert_eq!(refused(taken), because(Code::AlreadyExists, "NAME_TAKEN"));
    let request = UpdatePriorityRequest {
        priority: Some(Priority { id: urgent.id.clone(), rank: Some(1_001), ..Default::default() }),
        update_mask: mask(&["rank"]),
        request_id: request_id(),
    };
    let refusal = refused(desk.priorities().update_priority(request).await);
    assert_eq!(refusal, because(Code::InvalidArgument, "INVALID_FIELD"));
}

#[tokio::test]
async fn stays_while_an_open_ticket_a_target_or_a_criterion_names_it() {
    let mut desk = Desk::alone().await;
    let in_use = because(Code::FailedPrecondition, "RECORD_IN_USE");
    let one = desk.heard_of_one().await;
    let logged = desk.log(Ticket { priority_id: LOW.to_owned(), ..one.ticket("Printer") }).await.unwrap();
    assert_eq!(refused(delete(&desk, LOW).await), in_use);
    desk.close(&logged.ticket.unwrap().id).await.unwrap();

    let targets = vec![SlaTarget { priority_id: LOW.to_owned(), ..Default::default() }];
    let sla = Sla { name: "Gold".to_owned(), targets, ..Default::default() };
    let request = CreateSlaRequest { sla: Some(sla), request_id: request_id() };
    let sla = desk.slas().create_sla(request).await.unwrap().into_inner().sla.unwrap();
    assert_eq!(refused(delete(&desk, LOW).await), in_use);
    let request = DeleteSlaRequest { id: sla.id, etag: String::new(), request_id: request_id() };
    desk.slas().delete_sla(request).await.unwrap();

    let on_low = criterion("ticket.priority", Operator::AnyOf, [id_of(CRITICAL), id_of(LOW)]);
    desk.rule(rule("Sort", vec![on_low], tag("sorted"))).await;
    assert_eq!(refused(delete(&desk, LOW).await), in_use);
}

#[tokio::test]
async fn a_rule_sees_a_rank_as_soon_as_it_is_another_one() {
    let mut desk = Desk::alone().await;
    let one = desk.heard_of_one().await;
    let urgent = criterion("ticket.priority_rank", Operator::LessOrEqual, [crate::support::number(2)]);
    desk.rule(rule("Urgent", vec![urgent], tag("urgent"))).await;
    let low = Ticket { priority_id: LOW.to_owned(), ..one.ticket("Printer") };
    assert!(desk.log(low.clone()).await.unwrap().ticket.unwrap().tags.is_empty());
    let request = UpdatePriorityRequest {
        priority: Some(Priority { id: LOW.to_owned(), rank: Some(2), ..Default::default() }),
        update_mask: mask(&["rank"]),
        request_id: request_id(),
    };
    desk.priorities().update_priority(request).await.unwrap();
    assert_eq!(desk.log(low).await.unwrap().ticket.unwrap().tags, ["urgent"]);
}

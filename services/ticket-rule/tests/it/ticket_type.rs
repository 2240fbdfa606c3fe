//! `TicketTypeService`.

use concierge_proto::directory::Team;
use concierge_proto::ticket_rule::{
    CreateTicketTypeRequest, DeleteTicketTypeRequest, EvaluateRulesRequest, ListTicketTypesRequest, RuleOutcomes,
    Ticket, TicketDraft, TicketType, TicketTypeUse, UpdateTicketTypeRequest,
};
use concierge_testkit::request_id;
use tonic::Code;

use crate::desk::{Desk, INCIDENT, LOW, OPEN, OPPORTUNITY, fields, id, team};
use crate::support::{about, because, mask, refused, rule};

async fn create(desk: &Desk, ticket_type: TicketType) -> Result<TicketType, tonic::Status> {
    let request = CreateTicketTypeRequest { ticket_type: Some(ticket_type), request_id: request_id() };
    Ok(desk.types().create_ticket_type(request).await?.into_inner().ticket_type.unwrap())
}

#[tokio::test]
async fn a_new_installation_has_two_for_support_and_one_for_sales() {
    let desk = Desk::alone().await;
    let listed = desk.types().list_ticket_types(ListTicketTypesRequest::default()).await.unwrap().into_inner();
    let found: Vec<_> = listed.ticket_types.iter().map(|t| (t.name.as_str(), t.r#use())).collect();
    assert_eq!(
        found,
        [
            ("Incident", TicketTypeUse::Support),
            ("Service request", TicketTypeUse::Support),
            ("Opportunity", TicketTypeUse::Sales),
        ]
    );
}

#[tokio::test]
async fn gives_its_tickets_what_they_begin_with() {
    let mut desk = Desk::alone().await;
    let (one, first_line) = (desk.heard_of_one().await, team("First line"));
    desk.heard(&first_line).await;
    let change = TicketType {
        name: "Change".to_owned(),
        default_status_id: OPEN.to_owned(),
        default_priority_id: LOW.to_owned(),
        default_team_id: first_line.id.clone(),
        ..Default::default()
    };
    let change = create(&desk, change).await.unwrap();
    assert_eq!((change.r#use(), change.active, change.position), (TicketTypeUse::Support, Some(true), Some(1_000)));
    let ticket = desk.log(Ticket { type_id: change.id, ..one.ticket("New printer") }).await.unwrap().ticket.unwrap();
    assert_eq!((ticket.status_id.as_str(), ticket.priority_id.as_str()), (OPEN, LOW));
    assert_eq!(ticket.team_id, first_line.id);
}

#[tokio::test]
async fn rejects_a_taken_name_another_use_and_every_default_that_is_not_there() {
    let desk = Desk::alone().await;
    let taken = create(&desk, TicketType { name: "incident".to_owned(), ..Default::default() }).await;
    assert_eq!(refused(taken), because(Code::AlreadyExists, "NAME_TAKEN"));

    let request = UpdateTicketTypeRequest {
        ticket_type: Some(TicketType {
            id: INCIDENT.to_owned(),
            r#use: TicketTypeUse::Sales.into(),
            ..Default::default()
        }),
        update_mask: mask(&["use"]),
        request_id: request_id(),
    };
    let refusal = refused(desk.types().update_ticket_type(request).await);
    assert_eq!(refusal, because(Code::InvalidArgument, "INVALID_FIELD"));

    let lost = TicketType {
        name: "Change".to_owned(),
        default_status_id: id(),
        default_priority_id: id(),
        default_sla_id: id(),
        // Directory does not answer: believed.
        default_team_id: id(),
        ..Default::default()
    };
    let status = create(&desk, lost).await.unwrap_err();
    assert_eq!(
        fields(&status),
        ["ticket_type.default_status_id", "ticket_type.default_priority_id", "ticket_type.default_sla_id"]
    );
    assert_eq!(refused::<()>(Err(status)), because(Code::InvalidArgument, "REFERENCE_NOT_FOUND"));
}

#[tokio::test]
async fn rejects_a_team_that_was_deleted() {
    let mut desk = Desk::alone().await;
    let mut gone = team("First line");
    gone.delete_time = Some(prost_types::Timestamp { seconds: 1, nanos: 0 });
    desk.heard(&gone).await;
    let change = TicketType { name: "Change".to_owned(), default_team_id: gone.id, ..Default::default() };
    let status = create(&desk, change).await.unwrap_err();
    assert_eq!(fields(&status), ["ticket_type.default_team_id"]);
    assert_eq!(refused::<()>(Err(status)), because(Code::InvalidArgument, "REFERENCE_NOT_FOUND"));
}

#[tokio::test]
async fn a_default_team_that_is_gone_is_given_to_no_ticket() {
    let mut desk = Desk::alone().await;
    let (one, first_line) = (desk.heard_of_one().await, team("First line"));
    desk.heard(&first_line).await;
    let change = TicketType { name: "Change".into(), default_team_id: first_line.id.clone(), ..Default::default() };
    let change = create(&desk, change).await.unwrap();
    let inactive = Team { active: Some(false), etag: "2".to_owned(), ..first_line.clone() };
    let deleted_at = Some(prost_types::Timestamp { seconds: 1, nanos: 0 });
    let deleted = Team { delete_time: deleted_at, etag: "3".to_owned(), ..first_line };
    for gone in [inactive, deleted] {
        desk.heard(&gone).await;
        let ticket = Ticket { type_id: change.id.clone(), ..one.ticket("New printer") };
        assert_eq!(desk.log(ticket).await.unwrap().ticket.unwrap().team_id, "");
        let draft = TicketDraft { type_id: change.id.clone(), ..Default::default() };
        let request = EvaluateRulesRequest { draft: Some(draft), ..Default::default() };
        let tried = desk.rules().evaluate_rules(request).await.unwrap().into_inner();
        assert_eq!(tried.ticket.unwrap().team_id, "");
    }
}

#[tokio::test]
async fn stays_while_an_open_ticket_or_a_rule_names_it() {
    let mut desk = Desk::alone().await;
    let delete =
        |id: &str| DeleteTicketTypeRequest { id: id.to_owned(), etag: String::new(), request_id: request_id() };
    let in_use = because(Code::FailedPrecondition, "RECORD_IN_USE");
    let one = desk.heard_of_one().await;
    desk.log(Ticket { type_id: INCIDENT.to_owned(), ..one.ticket("Printer") }).await.unwrap();
    assert_eq!(refused(desk.types().delete_ticket_type(delete(INCIDENT)).await), in_use);
    let outcomes = RuleOutcomes { type_id: OPPORTUNITY.to_owned(), ..Default::default() };
    desk.rule(rule("Sell", vec![about("buy")], outcomes)).await;
    assert_eq!(refused(desk.types().delete_ticket_type(delete(OPPORTUNITY)).await), in_use);
}

//! `StatusService`.

use concierge_proto::ticket_rule::{
    CreateStatusRequest, CreateTicketTypeRequest, DeleteRuleRequest, DeleteStatusRequest, DeleteTicketTypeRequest,
    GetStatusRequest, ListStatusesRequest, RuleOutcomes, Status, StatusCategory, Ticket, TicketType,
    UndeleteRuleRequest, UndeleteStatusRequest, UpdateStatusRequest,
};
use concierge_testkit::request_id;
use tonic::Code;

use crate::desk::{CLOSED, Desk, NEW, RESOLVED};
use crate::support::{about, because, mask, refused, rule};

async fn create(desk: &Desk, name: &str, category: StatusCategory) -> Result<Status, tonic::Status> {
    let status = Status { name: name.to_owned(), category: category.into(), ..Default::default() };
    let request = CreateStatusRequest { status: Some(status), request_id: request_id() };
    Ok(desk.statuses().create_status(request).await?.into_inner().status.unwrap())
}

async fn update(desk: &Desk, status: Status, paths: &[&str]) -> Result<Status, tonic::Status> {
    let request = UpdateStatusRequest { status: Some(status), update_mask: mask(paths), request_id: request_id() };
    Ok(desk.statuses().update_status(request).await?.into_inner().status.unwrap())
}

async fn delete(desk: &Desk, id: &str) -> Result<Status, tonic::Status> {
    let request = DeleteStatusRequest { id: id.to_owned(), etag: String::new(), request_id: request_id() };
    Ok(desk.statuses().delete_status(request).await?.into_inner().status.unwrap())
}

#[tokio::test]
async fn a_new_installation_has_one_of_each_category() {
    let desk = Desk::alone().await;
    let listed = desk.statuses().list_statuses(ListStatusesRequest::default()).await.unwrap().into_inner().statuses;
    let found: Vec<_> = listed.iter().map(|s| (s.name.as_str(), s.category(), s.active())).collect();
    assert_eq!(
        found,
        [
            ("New", StatusCategory::New, true),
            ("Open", StatusCategory::Open, true),
            ("On hold", StatusCategory::OnHold, true),
            ("Resolved", StatusCategory::Resolved, true),
            ("Closed", StatusCategory::Closed, true),
        ]
    );
}

#[tokio::test]
async fn creates_reads_changes_deletes_and_brings_back() {
    let desk = Desk::alone().await;
    let created = create(&desk, "Waiting for parts", StatusCategory::OnHold).await.unwrap();
    assert_eq!((created.active, created.position), (Some(true), Some(1_000)));
    let got = desk.statuses().get_status(GetStatusRequest { id: created.id.clone() }).await.unwrap().into_inner();
    assert_eq!(got.status.as_ref(), Some(&created));

    let renamed = Status { name: "Waiting".to_owned(), color: "#00ff7f".to_owned(), ..created.clone() };
    let updated = update(&desk, renamed.clone(), &["name", "color"]).await.unwrap();
    assert_eq!((updated.name.as_str(), updated.color.as_str()), ("Waiting", "#00ff7f"));
    assert_eq!(refused(update(&desk, renamed, &["name"]).await), because(Code::Aborted, "STALE_ETAG"));
    let other = Status { category: StatusCategory::New.into(), etag: String::new(), ..created.clone() };
    assert_eq!(refused(update(&desk, other, &["category"]).await), because(Code::InvalidArgument, "INVALID_FIELD"));

    assert!(delete(&desk, &created.id).await.unwrap().delete_time.is_some());
    let again = Status { etag: String::new(), ..created.clone() };
    let change = update(&desk, again, &["name"]).await;
    assert_eq!(refused(change), because(Code::FailedPrecondition, "RECORD_DELETED"));
    let undelete = || UndeleteStatusRequest { id: created.id.clone(), request_id: request_id() };
    let back = desk.statuses().undelete_status(undelete()).await.unwrap().into_inner().status.unwrap();
    assert!(back.delete_time.is_none());
    let twice = desk.statuses().undelete_status(undelete()).await;
    assert_eq!(refused(twice), because(Code::FailedPrecondition, "RECORD_NOT_DELETED"));
}

#[tokio::test]
async fn rejects_taken_name_also_of_one_that_comes_back() {
    let desk = Desk::alone().await;
    let taken = because(Code::AlreadyExists, "NAME_TAKEN");
    assert_eq!(refused(create(&desk, "on HOLD", StatusCategory::OnHold).await), taken);
    let first = create(&desk, "Waiting", StatusCategory::OnHold).await.unwrap();
    delete(&desk, &first.id).await.unwrap();
    create(&desk, "waiting", StatusCategory::OnHold).await.unwrap();
    let undelete = UndeleteStatusRequest { id: first.id, request_id: request_id() };
    assert_eq!(refused(desk.statuses().undelete_status(undelete).await), taken);
}

#[tokio::test]
async fn keeps_an_active_one_to_begin_with_and_one_to_close_with() {
    let desk = Desk::alone().await;
    let last = because(Code::FailedPrecondition, "LAST_STATUS_OF_CATEGORY");
    for (id, category) in [(NEW, StatusCategory::New), (CLOSED, StatusCategory::Closed)] {
        assert_eq!(refused(delete(&desk, id).await), last);
        let inactive = Status { id: id.to_owned(), active: Some(false), ..Default::default() };
        assert_eq!(refused(update(&desk, inactive.clone(), &["active"]).await), last);

        let other = create(&desk, &format!("Other {}", category.as_str_name()), category).await.unwrap();
        update(&desk, inactive, &["active"]).await.unwrap();
        // Now the other one is the last.
        assert_eq!(refused(delete(&desk, &other.id).await), last);
        delete(&desk, id).await.unwrap();
    }
    // Of the others there need be none.
    delete(&desk, RESOLVED).await.unwrap();
}

#[tokio::test]
async fn of_two_that_leave_at_once_one_stays() {
    let desk = Desk::alone().await;
    let mut first = NEW.to_owned();
    for round in 0..10 {
        let second = create(&desk, &format!("Unread {round}"), StatusCategory::New).await.unwrap().id;
        let (one, other) = tokio::join!(delete(&desk, &first), delete(&desk, &second));
        assert!(one.is_ok() != other.is_ok(), "{one:?} {other:?}");
        let (failed, left) = if one.is_ok() { (other, second) } else { (one, first) };
        assert_eq!(refused(failed), because(Code::FailedPrecondition, "LAST_STATUS_OF_CATEGORY"));
        first = left;
    }
}

#[tokio::test]
async fn stays_while_an_open_ticket_a_type_or_a_rule_names_it() {
    let mut desk = Desk::alone().await;
    let in_use = because(Code::FailedPrecondition, "RECORD_IN_USE");
    let status = create(&desk, "Triage", StatusCategory::New).await.unwrap().id;

    let one = desk.heard_of_one().await;
    let logged = desk.log(Ticket { status_id: status.clone(), ..one.ticket("Printer") }).await.unwrap();
    assert_eq!(refused(delete(&desk, &status).await), in_use);
    desk.close(&logged.ticket.unwrap().id).await.unwrap();

    let of_type = TicketType { name: "Change".to_owned(), default_status_id: status.clone(), ..Default::default() };
    let request = CreateTicketTypeRequest { ticket_type: Some(of_type), request_id: request_id() };
    let of_type = desk.types().create_ticket_type(request).await.unwrap().into_inner().ticket_type.unwrap();
    assert_eq!(refused(delete(&desk, &status).await), in_use);
    let request = DeleteTicketTypeRequest { id: of_type.id, etag: String::new(), request_id: request_id() };
    desk.types().delete_ticket_type(request).await.unwrap();

    let outcomes = RuleOutcomes { status_id: status.clone(), ..Default::default() };
    let named = desk.rule(rule("Sort", vec![about("printer")], outcomes)).await;
    assert_eq!(refused(delete(&desk, &status).await), in_use);
    let request = DeleteRuleRequest { id: named.clone(), etag: String::new(), request_id: request_id() };
    desk.rules().delete_rule(request).await.unwrap();
    delete(&desk, &status).await.unwrap();

    // The rule cannot come back without its status.
    let undelete = UndeleteRuleRequest { id: named, request_id: request_id() };
    let refusal = refused(desk.rules().undelete_rule(undelete).await);
    assert_eq!(refusal, because(Code::InvalidArgument, "REFERENCE_NOT_FOUND"));
}

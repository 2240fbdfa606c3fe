//! `SlaService`.

use concierge_proto::ticket_rule::{
    CreateSlaRequest, DeleteSlaRequest, GetSlaRequest, ListSlasRequest, Sla, SlaTarget, Ticket, UndeleteSlaRequest,
    UpdateSlaRequest,
};
use concierge_testkit::request_id;
use prost_types::Duration;
use tonic::Code;

use crate::desk::{CRITICAL, Desk, LOW, fields, id};
use crate::support::{because, mask, refused};

fn hours(hours: i64) -> Option<Duration> {
    Some(Duration { seconds: hours * 3_600, nanos: 0 })
}

fn target(priority: &str, response: i64, resolution: i64) -> SlaTarget {
    SlaTarget { priority_id: priority.to_owned(), response: hours(response), resolution: hours(resolution) }
}

async fn create(desk: &Desk, targets: Vec<SlaTarget>) -> Result<Sla, tonic::Status> {
    let sla = Sla { name: "Gold".to_owned(), targets, ..Default::default() };
    let request = CreateSlaRequest { sla: Some(sla), request_id: request_id() };
    Ok(desk.slas().create_sla(request).await?.into_inner().sla.unwrap())
}

#[tokio::test]
async fn a_new_installation_has_none_and_keeps_what_it_is_given() {
    let desk = Desk::alone().await;
    assert!(desk.slas().list_slas(ListSlasRequest::default()).await.unwrap().into_inner().slas.is_empty());
    let sla = create(&desk, vec![target(CRITICAL, 1, 4), target("", 8, 72)]).await.unwrap();
    let got = desk.slas().get_sla(GetSlaRequest { id: sla.id.clone() }).await.unwrap().into_inner().sla;
    assert_eq!(got, Some(sla));
}

#[tokio::test]
async fn has_one_target_for_each_priority_there_is() {
    let desk = Desk::alone().await;
    let status = create(&desk, vec![target(LOW, 1, 4), target("", 8, 8), target(LOW, 8, 72), target("", 1, 1)]).await;
    let status = status.unwrap_err();
    assert_eq!(fields(&status), ["sla.targets[2].priority_id", "sla.targets[3].priority_id"]);
    assert_eq!(refused::<()>(Err(status)), because(Code::InvalidArgument, "INVALID_FIELD"));

    let status = create(&desk, vec![target(LOW, 1, 4), target(&id(), 8, 8)]).await.unwrap_err();
    assert_eq!(fields(&status), ["sla.targets[1].priority_id"]);
    assert_eq!(refused::<()>(Err(status)), because(Code::InvalidArgument, "REFERENCE_NOT_FOUND"));

    let short = SlaTarget { response: Some(Duration { seconds: 59, nanos: 0 }), ..Default::default() };
    let refusal = refused(create(&desk, vec![short]).await);
    assert_eq!(refusal, because(Code::InvalidArgument, "INVALID_FIELD"));

    let sla = create(&desk, vec![target(LOW, 1, 4)]).await.unwrap();
    let request = UpdateSlaRequest {
        sla: Some(Sla { id: sla.id, targets: vec![target(&id(), 8, 8)], ..Default::default() }),
        update_mask: mask(&["targets"]),
        request_id: request_id(),
    };
    let refusal = refused(desk.slas().update_sla(request).await);
    assert_eq!(refusal, because(Code::InvalidArgument, "REFERENCE_NOT_FOUND"));
}

#[tokio::test]
async fn stays_while_an_open_ticket_names_it() {
    let mut desk = Desk::alone().await;
    let one = desk.heard_of_one().await;
    let sla = create(&desk, vec![target("", 8, 72)]).await.unwrap();
    let logged = desk.log(Ticket { sla_id: sla.id.clone(), ..one.ticket("Printer") }).await.unwrap().ticket.unwrap();
    let due = |time: Option<prost_types::Timestamp>| time.unwrap().seconds - logged.logged_time.unwrap().seconds;
    assert_eq!((due(logged.response_due_time), due(logged.resolution_due_time)), (8 * 3_600, 72 * 3_600));

    let delete = || DeleteSlaRequest { id: sla.id.clone(), etag: String::new(), request_id: request_id() };
    let refusal = refused(desk.slas().delete_sla(delete()).await);
    assert_eq!(refusal, because(Code::FailedPrecondition, "RECORD_IN_USE"));
    desk.close(&logged.id).await.unwrap();
    desk.slas().delete_sla(delete()).await.unwrap();
    let undelete = UndeleteSlaRequest { id: sla.id.clone(), request_id: request_id() };
    assert!(desk.slas().undelete_sla(undelete).await.unwrap().into_inner().sla.unwrap().delete_time.is_none());
}

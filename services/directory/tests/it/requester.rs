//! `RequesterService`: the facts of tickets, in one read.

use concierge_proto::directory::requester_service_client::RequesterServiceClient;
use concierge_proto::directory::{
    BatchGetRequesterFactsRequest, GetRequesterFactsRequest, GetRequesterFactsResponse, UserRole,
};
use tonic::{Code, Status};

use crate::desk::{Desk, fields, reason};

const UNKNOWN: &str = "0190a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b";

fn ask(user: &str, site: &str, customer: &str) -> GetRequesterFactsRequest {
    GetRequesterFactsRequest { user_id: user.to_owned(), site_id: site.to_owned(), customer_id: customer.to_owned() }
}

async fn get(desk: &Desk, request: GetRequesterFactsRequest) -> Result<GetRequesterFactsResponse, Status> {
    let mut client = RequesterServiceClient::new(desk.suite.api("directory", &desk.who));
    Ok(client.get_requester_facts(request).await?.into_inner())
}

#[tokio::test]
async fn facts_are_of_the_tickets_user_and_the_tickets_customer_each_by_itself() {
    let desk = Desk::open().await;
    let (own, site) = desk.customer("Own").await;
    let (other, elsewhere) = desk.customer("Other").await;
    let board = UserRole { name: "Board".to_owned(), important: true, ..Default::default() };
    let board = desk.user_role(board).await;
    let ann = desk.user_with(&site, "Ann Lee", |u| u.role_ids = vec![board.id.clone()]).await;
    let facts = get(&desk, ask(&ann.id, "", "")).await.unwrap().facts.unwrap();
    assert_eq!((&facts.site.unwrap().site_id, &facts.customer.unwrap().customer_id), (&site.id, &own.id));
    let user = facts.user.unwrap();
    let importance = user.importance.unwrap();
    assert_eq!((importance.value, importance.own, importance.role_ids), (true, false, vec![board.id]));
    assert_eq!(user.primary_email, ann.emails[0]);
    assert_eq!(facts.record_versions.len(), 4);
    let facts = get(&desk, ask(&ann.id, &elsewhere.id, "")).await.unwrap().facts.unwrap();
    assert_eq!(facts.customer.unwrap().customer_id, other.id);
}

#[tokio::test]
async fn a_batch_answers_in_order_and_reports_unknown_ids_in_their_entries() {
    let desk = Desk::open().await;
    let (customer, site) = desk.customer("Acme").await;
    let ann = desk.user(&site, "Ann Lee").await;
    let requests = vec![ask(UNKNOWN, "", ""), ask(&ann.id, "", ""), ask("", "", &customer.id), ask(&ann.id, "", "")];
    let mut client = RequesterServiceClient::new(desk.suite.api("directory", &desk.who));
    let results = client
        .batch_get_requester_facts(BatchGetRequesterFactsRequest { requests })
        .await
        .unwrap()
        .into_inner()
        .results;
    assert_eq!(results.len(), 4);
    assert_eq!((results[0].not_found[0].field.as_str(), results[0].not_found[0].id.as_str()), ("user_id", UNKNOWN));
    assert!(results[1..].iter().all(|r| r.not_found.is_empty()));
    assert_eq!(results[1].facts, results[3].facts);
    assert!(results[2].facts.as_ref().unwrap().user.is_none());
}

#[tokio::test]
async fn an_unknown_id_and_no_id_are_told_apart() {
    let desk = Desk::open().await;
    let status = get(&desk, ask("", UNKNOWN, "")).await.unwrap_err();
    assert_eq!((status.code(), reason(&status).as_str()), (Code::NotFound, "RECORD_NOT_FOUND"));
    let status = get(&desk, ask("", "", "")).await.unwrap_err();
    assert_eq!((status.code(), reason(&status).as_str()), (Code::InvalidArgument, "INVALID_FIELD"));
    assert_eq!(fields(&status), ["user_id"]);
}

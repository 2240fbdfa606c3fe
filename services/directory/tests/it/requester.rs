//! `RequesterService`: the facts of tickets, in one read.

use concierge_proto::directory::requester_service_client::RequesterServiceClient;
use concierge_proto::directory::{
    BatchGetRequesterFactsRequest, Customer, DeleteUserRequest, GetRequesterFactsRequest, GetRequesterFactsResponse,
    InactivityCause, UpdateCustomerRequest, User, UserRole,
};
use concierge_testkit::{Who, request_id};
use tonic::{Code, Status};

use crate::desk::{Desk, fields, mask, reason};

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

#[tokio::test]
async fn facts_name_what_was_read_as_it_is_now() {
    let desk = Desk::open().await;
    let (customer, site) = desk.customer("Acme").await;
    let ann = desk.user(&site, "Ann Lee").await;
    let changed =
        desk.change_user(User { name: "Ann Ray".into(), important: true, ..ann.clone() }, &["name", "important"]);
    changed.await;
    let facts = get(&desk, ask(&ann.id, "", "")).await.unwrap().facts.unwrap();
    let read: Vec<(&str, &str, i64)> =
        facts.record_versions.iter().map(|v| (v.record_type.as_str(), v.record_id.as_str(), v.version)).collect();
    assert_eq!(read, [("user", ann.id.as_str(), 2), ("site", &site.id, 1), ("customer", &customer.id, 1)]);
    assert_eq!(facts.time_zone, "UTC");
    assert!(facts.read_time.is_some());
    let user = facts.user.unwrap();
    assert_eq!((user.name.as_str(), user.importance.unwrap().own), ("Ann Ray", true));
}

#[tokio::test]
async fn decision_6_facts_tell_deleted_and_inactive_people_from_active_ones() {
    let desk = Desk::open().await;
    let (customer, site) = desk.customer("Acme").await;
    let (ann, bob) = (desk.user(&site, "Ann Lee").await, desk.user(&site, "Bob Ray").await);
    let request = DeleteUserRequest { id: bob.id.clone(), etag: String::new(), request_id: request_id() };
    desk.users().delete_user(request).await.unwrap();
    let request = UpdateCustomerRequest {
        customer: Some(Customer { id: customer.id, active: Some(false), ..Default::default() }),
        update_mask: Some(mask(&["active"])),
        request_id: request_id(),
    };
    desk.customers().update_customer(request).await.unwrap();
    let causes = async |id: &str| {
        let facts = get(&desk, ask(id, "", "")).await.unwrap().facts.unwrap();
        facts.user.unwrap().activity.unwrap().causes().collect::<Vec<_>>()
    };
    assert_eq!(causes(&ann.id).await, [InactivityCause::CustomerInactive]);
    assert_eq!(causes(&bob.id).await, [InactivityCause::UserDeleted, InactivityCause::CustomerInactive]);
}

#[tokio::test]
async fn five_hundred_tickets_are_answered_at_once_and_no_more() {
    let desk = Desk::open().await;
    let (_, site) = desk.customer("Acme").await;
    let ann = desk.user(&site, "Ann Lee").await;
    let mut client = RequesterServiceClient::new(desk.suite.api("directory", &desk.who));
    let of = |count: usize| BatchGetRequesterFactsRequest { requests: vec![ask(&ann.id, "", ""); count] };
    let results = client.batch_get_requester_facts(of(500)).await.unwrap().into_inner().results;
    assert!(results.len() == 500 && results.iter().all(|r| r.facts.as_ref().unwrap().user.is_some()));
    let status = client.batch_get_requester_facts(of(501)).await.unwrap_err();
    assert_eq!((status.code(), fields(&status)), (Code::InvalidArgument, vec!["requests".to_owned()]));
    let empty = BatchGetRequesterFactsRequest { requests: vec![ask(&ann.id, "", ""), ask("", "", "")] };
    let status = client.batch_get_requester_facts(empty).await.unwrap_err();
    assert_eq!((reason(&status).as_str(), fields(&status)), ("INVALID_FIELD", vec!["requests[1].user_id".to_owned()]));
}

#[tokio::test]
async fn facts_are_for_programs_that_decide() {
    let mut desk = Desk::open().await;
    let (customer, site) = desk.customer("Acme").await;
    let ann = desk.user(&site, "Ann Lee").await;
    desk.limit(&["users.read", "customers.read", "importance.read"]);
    assert_eq!(reason(&get(&desk, ask(&ann.id, "", "")).await.unwrap_err()), "PERMISSION_MISSING");
    desk.who = Who::service("ticket-rule");
    assert!(get(&desk, ask(&ann.id, "", "")).await.is_ok());
    desk.who = Who::user(&ann.id, &customer.id, &site.id);
    assert_eq!(reason(&get(&desk, ask(&ann.id, "", "")).await.unwrap_err()), "CALLER_KIND_REFUSED");
}

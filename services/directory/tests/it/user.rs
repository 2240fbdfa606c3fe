//! `UserService`: addresses that are nobody else's, moves, importance and activity, search.

use concierge_proto::directory::{
    BatchGetUsersRequest, CreateUserRequest, Customer, GetEffectiveUserRequest, GetUserOverviewRequest,
    MoveUserRequest, SearchUsersRequest, Site, UpdateCustomerRequest, User, UserRole,
};
use concierge_testkit::request_id;
use futures::future::join_all;
use tonic::Code;

use crate::desk::{Desk, mask, reason};

fn named(site: &Site, name: &str, email: &str) -> CreateUserRequest {
    let user =
        User { site_id: site.id.clone(), name: name.to_owned(), emails: vec![email.to_owned()], ..Default::default() };
    CreateUserRequest { user: Some(user), request_id: request_id() }
}

#[tokio::test]
async fn rejects_taken_email() {
    let desk = Desk::open().await;
    let (_, site) = desk.customer("Acme").await;
    desk.users().create_user(named(&site, "Ann", "ann@example.com")).await.unwrap();
    let status = desk.users().create_user(named(&site, "Other", "Ann@Example.com")).await.unwrap_err();
    assert_eq!((status.code(), reason(&status).as_str()), (Code::AlreadyExists, "EMAIL_TAKEN"));
}

#[tokio::test]
async fn of_many_who_want_one_address_at_once_one_gets_it() {
    let desk = Desk::open().await;
    let (_, site) = desk.customer("Acme").await;
    let tries = (0..16).map(|n| {
        let (mut users, request) = (desk.users(), named(&site, &format!("User {n}"), "one@example.com"));
        async move { users.create_user(request).await }
    });
    let answers = join_all(tries).await;
    assert_eq!(answers.iter().filter(|a| a.is_ok()).count(), 1);
    assert!(answers.iter().filter_map(|a| a.as_ref().err()).all(|s| reason(s) == "EMAIL_TAKEN"));
}

#[tokio::test]
async fn decision_6_reactivating_the_customer_revives_only_those_not_disabled_themselves() {
    let desk = Desk::open().await;
    let (customer, site) = desk.customer("Acme").await;
    let (ann, bob) = (desk.user(&site, "Ann Lee").await, desk.user(&site, "Bob Ray").await);
    desk.change_user(User { active: Some(false), ..bob.clone() }, &["active"]).await;
    let active = async |user: &User| {
        let request = GetEffectiveUserRequest { id: user.id.clone() };
        let effective = desk.users().get_effective_user(request).await.unwrap().into_inner().effective_user.unwrap();
        effective.activity.unwrap().active
    };
    for on in [false, true] {
        let customer = Customer { id: customer.id.clone(), active: Some(on), ..Default::default() };
        let request = UpdateCustomerRequest {
            customer: Some(customer),
            update_mask: Some(mask(&["active"])),
            request_id: request_id(),
        };
        desk.customers().update_customer(request).await.unwrap();
        assert_eq!((active(&ann).await, active(&bob).await), (on, false));
    }
}

#[tokio::test]
async fn decision_5_importance_says_where_it_comes_from() {
    let desk = Desk::open().await;
    let (_, site) = desk.customer("Acme").await;
    let board = UserRole { name: "Board".to_owned(), important: true, ..Default::default() };
    let board = desk.user_role(board).await;
    let ann = desk.user_with(&site, "Ann Lee", |u| u.role_ids = vec![board.id.clone()]).await;
    let request = GetEffectiveUserRequest { id: ann.id.clone() };
    let effective = desk.users().get_effective_user(request).await.unwrap().into_inner().effective_user.unwrap();
    let importance = effective.importance.unwrap();
    assert_eq!((importance.value, importance.own, importance.role_ids), (true, false, vec![board.id]));
    assert!(effective.can_log_in);
}

#[tokio::test]
async fn moves_to_another_site_and_customer() {
    let desk = Desk::open().await;
    let (_, site) = desk.customer("Acme").await;
    let (other, elsewhere) = desk.customer("Other").await;
    let ann = desk.user(&site, "Ann Lee").await;
    let request = MoveUserRequest {
        id: ann.id.clone(),
        site_id: elsewhere.id.clone(),
        request_id: request_id(),
        ..Default::default()
    };
    let moved = desk.users().move_user(request).await.unwrap().into_inner().user.unwrap();
    assert_eq!((moved.site_id, moved.customer_id), (elsewhere.id, other.id));
    let nowhere = MoveUserRequest {
        id: ann.id.clone(),
        site_id: "0190a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b".to_owned(),
        request_id: request_id(),
        ..Default::default()
    };
    let status = desk.users().move_user(nowhere).await.unwrap_err();
    assert_eq!((status.code(), reason(&status).as_str()), (Code::InvalidArgument, "REFERENCE_NOT_FOUND"));
    let overview = desk.users().get_user_overview(GetUserOverviewRequest { id: ann.id }).await.unwrap().into_inner();
    assert_eq!(overview.overview.unwrap().open_ticket_count, 0);
}

#[tokio::test]
async fn a_batch_reports_unknown_ids() {
    let desk = Desk::open().await;
    let (_, site) = desk.customer("Acme").await;
    let ann = desk.user(&site, "Ann Lee").await;
    let unknown = "0190a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b".to_owned();
    let request = BatchGetUsersRequest { ids: vec![unknown.clone(), ann.id.clone()] };
    let got = desk.users().batch_get_users(request).await.unwrap().into_inner();
    assert_eq!((got.users.len(), got.not_found_ids), (1, vec![unknown]));
}

#[tokio::test]
async fn search_lists_important_users_first_among_equals_and_pages_without_gaps() {
    let desk = Desk::open().await;
    let (_, site) = desk.customer("Acme").await;
    desk.user(&site, "Ines Aal").await;
    desk.user_with(&site, "Ines Zorn", |u| u.important = true).await;
    desk.user(&site, "Ines Berg").await;
    desk.user(&site, "Tom Berg").await;
    let mut names = Vec::new();
    let mut page_token = String::new();
    loop {
        let request = SearchUsersRequest { query: "ines".to_owned(), page_size: 1, page_token, ..Default::default() };
        let page = desk.users().search_users(request).await.unwrap().into_inner();
        names.extend(page.results.into_iter().map(|r| r.user.unwrap().name));
        page_token = page.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    assert_eq!(names, ["Ines Zorn", "Ines Aal", "Ines Berg"]);
}

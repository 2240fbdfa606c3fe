//! `UserService`: addresses that are nobody else's, moves, importance and activity, search.

use concierge_proto::directory::relationship_service_client::RelationshipServiceClient;
use concierge_proto::directory::{
    AccessLevel, AssignSiteContactRequest, BatchGetUsersRequest, CreateRelationshipRequest, CreateUserRequest,
    Customer, DeleteSiteRequest, DeleteUserRequest, GetEffectiveUserRequest, GetUserOverviewRequest, GetUserRequest,
    ListSiteContactsRequest, ListUsersRequest, MoveUserRequest, Relationship, RelationshipEntity, SearchUsersRequest,
    Site, UndeleteSiteRequest, UndeleteUserRequest, UpdateCustomerRequest, UpdateUserRequest, UpdateUserRoleRequest,
    User, UserRole,
};
use concierge_testkit::{Who, request_id};
use futures::future::join_all;
use tonic::{Code, Status};

use crate::desk::{Desk, fields, mask, metadata, nobody, reason};

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

async fn create(desk: &Desk, user: User) -> Result<User, Status> {
    let request = CreateUserRequest { user: Some(user), request_id: request_id() };
    Ok(desk.users().create_user(request).await?.into_inner().user.unwrap())
}

async fn update(desk: &Desk, user: User, paths: &[&str]) -> Result<User, Status> {
    let request = UpdateUserRequest { user: Some(user), update_mask: Some(mask(paths)), request_id: request_id() };
    Ok(desk.users().update_user(request).await?.into_inner().user.unwrap())
}

async fn remove(desk: &Desk, user: &User) -> User {
    let request = DeleteUserRequest { id: user.id.clone(), etag: String::new(), request_id: request_id() };
    desk.users().delete_user(request).await.unwrap().into_inner().user.unwrap()
}

async fn restore(desk: &Desk, user: &User) -> Result<User, Status> {
    let request = UndeleteUserRequest { id: user.id.clone(), request_id: request_id() };
    Ok(desk.users().undelete_user(request).await?.into_inner().user.unwrap())
}

async fn move_to(desk: &Desk, user: &User, site_id: &str, etag: &str) -> Result<User, Status> {
    let request = MoveUserRequest {
        id: user.id.clone(),
        site_id: site_id.to_owned(),
        etag: etag.to_owned(),
        request_id: request_id(),
    };
    Ok(desk.users().move_user(request).await?.into_inner().user.unwrap())
}

/// A user as it is changed: without the etag that was read.
fn of(user: &User) -> User {
    User { etag: String::new(), ..user.clone() }
}

fn at(site: &Site, name: &str) -> User {
    User { site_id: site.id.clone(), name: name.to_owned(), ..Default::default() }
}

fn told(status: &Status) -> (Code, String) {
    (status.code(), reason(status))
}

#[tokio::test]
async fn says_which_address_is_taken_and_refuses_one_twice() {
    let desk = Desk::open().await;
    let (_, site) = desk.customer("Acme").await;
    let mails = |list: &[&str]| list.iter().map(|m| (*m).to_owned()).collect::<Vec<_>>();
    let ann = User { emails: mails(&["ann@example.com", "Lee@example.com"]), ..at(&site, "Ann Lee") };
    create(&desk, ann).await.unwrap();
    let bob = User { emails: mails(&["bob@example.com", "lee@EXAMPLE.com"]), ..at(&site, "Bob Lee") };
    let status = create(&desk, bob).await.unwrap_err();
    assert_eq!(told(&status), (Code::AlreadyExists, "EMAIL_TAKEN".to_owned()));
    assert_eq!(fields(&status), ["user.emails[1]"]);
    // Nothing of the refused user stays.
    let bob = User { emails: mails(&["bob@example.com"]), ..at(&site, "Bob Lee") };
    let bob = create(&desk, bob).await.unwrap();
    let twice = User { emails: mails(&["bob@example.com", "x@example.com", "BOB@example.com"]), ..of(&bob) };
    let status = update(&desk, twice, &["emails"]).await.unwrap_err();
    assert_eq!((reason(&status).as_str(), fields(&status)), ("INVALID_FIELD", vec!["user.emails[2]".to_owned()]));
}

#[tokio::test]
async fn what_a_user_gives_up_others_can_take_until_it_wants_it_back() {
    let desk = Desk::open().await;
    let (_, site) = desk.customer("Acme").await;
    let keyed = |name: &str| User {
        emails: vec!["one@example.com".into()],
        login_name: "One".into(),
        external_id: "1".into(),
        ..at(&site, name)
    };
    let first = create(&desk, keyed("First")).await.unwrap();
    remove(&desk, &first).await;
    assert_eq!(reason(&update(&desk, of(&first), &["name"]).await.unwrap_err()), "RECORD_DELETED");
    for (paths, why, field) in [
        (User { emails: vec!["ONE@example.com".into()], ..at(&site, "Second") }, "EMAIL_TAKEN", "user.emails[0]"),
        (User { login_name: "one".into(), ..at(&site, "Second") }, "LOGIN_NAME_TAKEN", "user.login_name"),
        (User { external_id: "1".into(), ..at(&site, "Second") }, "EXTERNAL_ID_TAKEN", "user.external_id"),
    ] {
        let second = create(&desk, paths).await.unwrap();
        let status = restore(&desk, &first).await.unwrap_err();
        assert_eq!(told(&status), (Code::AlreadyExists, why.to_owned()));
        assert_eq!(fields(&status), [field]);
        remove(&desk, &second).await;
    }
    let back = restore(&desk, &first).await.unwrap();
    assert!(back.delete_time.is_none());
    assert_eq!(reason(&restore(&desk, &first).await.unwrap_err()), "RECORD_NOT_DELETED");
    assert_eq!(reason(&create(&desk, keyed("Third")).await.unwrap_err()), "LOGIN_NAME_TAKEN");
    let changed = update(&desk, User { emails: vec![], ..of(&back) }, &["emails"]).await.unwrap();
    assert!(changed.emails.is_empty());
    create(&desk, User { emails: vec!["one@example.com".into()], ..at(&site, "Fourth") }).await.unwrap();
}

#[tokio::test]
async fn what_is_typed_to_log_in_names_one_user() {
    let desk = Desk::open().await;
    let (_, site) = desk.customer("Acme").await;
    let ann = desk.user(&site, "Ann Lee").await;
    let bob =
        User { login_name: "Bob@Portal.example".into(), emails: vec!["bob@example.com".into()], ..at(&site, "Bob") };
    let bob = create(&desk, bob).await.unwrap();
    let taken = |status: Status, why: &str, field: &str| {
        assert_eq!(told(&status), (Code::AlreadyExists, why.to_owned()));
        assert_eq!(fields(&status), [field]);
    };
    let thief = User { login_name: "ANN.lee@example.com".into(), ..at(&site, "Eve") };
    taken(create(&desk, thief.clone()).await.unwrap_err(), "LOGIN_NAME_TAKEN", "user.login_name");
    let renamed = User { login_name: thief.login_name.clone(), ..of(&bob) };
    taken(update(&desk, renamed, &["login_name"]).await.unwrap_err(), "LOGIN_NAME_TAKEN", "user.login_name");
    let mails = vec!["eve@example.com".to_owned(), "bob@portal.EXAMPLE".to_owned()];
    let other = User { emails: mails.clone(), ..at(&site, "Eve") };
    taken(create(&desk, other).await.unwrap_err(), "EMAIL_TAKEN", "user.emails[1]");
    let more = User { emails: mails, ..of(&ann) };
    taken(update(&desk, more, &["emails"]).await.unwrap_err(), "EMAIL_TAKEN", "user.emails[1]");

    // One's own address does as a login name, also when it is no address of one's own any more.
    let own = User { login_name: "Ann.Lee@example.com".into(), ..of(&ann) };
    let own = update(&desk, own, &["login_name"]).await.unwrap();
    let moved = User { emails: vec!["ann@example.com".into()], ..of(&own) };
    let moved = update(&desk, moved, &["emails"]).await.unwrap();
    let heir = User { emails: vec!["ann.lee@example.com".into()], ..at(&site, "Heir") };
    taken(create(&desk, heir.clone()).await.unwrap_err(), "EMAIL_TAKEN", "user.emails[0]");
    // Whoever is deleted gives it up, and does not get it back while somebody else has it.
    remove(&desk, &moved).await;
    let heir = create(&desk, heir).await.unwrap();
    taken(restore(&desk, &moved).await.unwrap_err(), "LOGIN_NAME_TAKEN", "user.login_name");
    remove(&desk, &heir).await;
    restore(&desk, &moved).await.unwrap();
}

#[tokio::test]
async fn of_two_who_want_an_address_and_a_login_name_at_once_one_gets_it() {
    let desk = Desk::open().await;
    let (_, site) = desk.customer("Acme").await;
    for round in 0..20 {
        let name = format!("one{round}@example.com");
        let by_email = User { emails: vec![name.clone()], ..at(&site, "Ann") };
        let by_login = User { login_name: name, ..at(&site, "Bob") };
        let (one, two) = tokio::join!(create(&desk, by_email), create(&desk, by_login));
        match (one, two) {
            (Ok(_), Err(status)) => assert_eq!(reason(&status), "LOGIN_NAME_TAKEN"),
            (Err(status), Ok(_)) => assert_eq!(reason(&status), "EMAIL_TAKEN"),
            both => panic!("{both:?}"),
        }
    }
}

#[tokio::test]
async fn two_who_swap_addresses_at_once_are_answered_and_each_address_stays_with_one() {
    let desk = Desk::open().await;
    let (_, site) = desk.customer("Acme").await;
    for n in 0..6 {
        let (a, b) = (format!("a{n}@example.com"), format!("b{n}@example.com"));
        let ann = desk.user_with(&site, &format!("Ann {n}"), |u| u.emails = vec![a.clone()]).await;
        let bob = desk.user_with(&site, &format!("Bob {n}"), |u| u.emails = vec![b.clone()]).await;
        let (first, second) = tokio::join!(
            update(&desk, User { emails: vec![b.clone(), a.clone()], ..of(&ann) }, &["emails"]),
            update(&desk, User { emails: vec![a.clone(), b.clone()], ..of(&bob) }, &["emails"])
        );
        for answer in [first, second] {
            assert!(answer.is_err_and(|s| reason(&s) == "EMAIL_TAKEN"));
        }
    }
}

#[tokio::test]
async fn everything_that_is_not_there_is_named_at_once() {
    let desk = Desk::open().await;
    let (_, site) = desk.customer("Acme").await;
    let status = create(&desk, User { name: "Ann".into(), ..Default::default() }).await.unwrap_err();
    assert_eq!((reason(&status).as_str(), fields(&status)), ("INVALID_FIELD", vec!["user.site_id".to_owned()]));
    let lost = User {
        site_id: nobody(),
        role_ids: vec![nobody()],
        relationship_ids: vec![nobody()],
        linked_agent_id: nobody(),
        ..at(&site, "Ann Lee")
    };
    let status = create(&desk, lost).await.unwrap_err();
    assert_eq!(told(&status), (Code::InvalidArgument, "REFERENCE_NOT_FOUND".to_owned()));
    let all = ["user.site_id", "user.role_ids[0]", "user.relationship_ids[0]", "user.linked_agent_id"];
    assert_eq!(fields(&status), all);
}

#[tokio::test]
async fn rejects_a_relationship_of_customers() {
    let desk = Desk::open().await;
    let (_, site) = desk.customer("Acme").await;
    let mut relationships = RelationshipServiceClient::new(desk.suite.admin("directory"));
    let mut make = async |entity: RelationshipEntity| {
        let record = Relationship { name: "At risk".into(), entity: entity.into(), ..Default::default() };
        let request = CreateRelationshipRequest { relationship: Some(record), request_id: request_id() };
        relationships.create_relationship(request).await.unwrap().into_inner().relationship.unwrap().id
    };
    let (own, other) = (make(RelationshipEntity::User).await, make(RelationshipEntity::Customer).await);
    let ann = create(&desk, User { relationship_ids: vec![own.clone()], ..at(&site, "Ann") }).await.unwrap();
    let changed = User { relationship_ids: vec![own, other], ..of(&ann) };
    let status = update(&desk, changed, &["relationship_ids"]).await.unwrap_err();
    assert_eq!(told(&status), (Code::InvalidArgument, "RELATIONSHIP_OF_OTHER_ENTITY".to_owned()));
    assert_eq!(fields(&status), ["user.relationship_ids[1]"]);
}

#[tokio::test]
async fn an_important_role_is_given_only_by_who_may_give_importance() {
    let mut desk = Desk::open().await;
    let (_, site) = desk.customer("Acme").await;
    let board = desk.user_role(UserRole { name: "Board".into(), important: true, ..Default::default() }).await;
    let plain = desk.user_role(UserRole { name: "Plain".into(), ..Default::default() }).await;
    let ann = desk.user_with(&site, "Ann Lee", |u| u.role_ids = vec![board.id.clone()]).await;
    let bob = desk.user(&site, "Bob Ray").await;
    desk.limit(&["users.write", "users.roles.write", "users.read"]);
    let with =
        |user: &User, roles: &[&UserRole]| User { role_ids: roles.iter().map(|r| r.id.clone()).collect(), ..of(user) };
    let status = update(&desk, with(&bob, &[&board]), &["role_ids"]).await.unwrap_err();
    assert_eq!(told(&status), (Code::PermissionDenied, "GRANT_NOT_HELD".to_owned()));
    let status = create(&desk, User { role_ids: vec![board.id.clone()], ..at(&site, "Eve") }).await.unwrap_err();
    assert_eq!(reason(&status), "GRANT_NOT_HELD");
    // Who has it keeps it, and other roles are free.
    let kept = update(&desk, with(&ann, &[&plain, &board]), &["role_ids"]).await.unwrap();
    assert_eq!(kept.role_ids.len(), 2);
    update(&desk, with(&bob, &[&plain]), &["role_ids"]).await.unwrap();
    let status = update(&desk, with(&ann, &[&plain]), &["role_ids"]).await.unwrap_err();
    assert_eq!(told(&status), (Code::PermissionDenied, "GRANT_NOT_HELD".to_owned()));
    desk.limit(&["users.write"]);
    let status = update(&desk, with(&bob, &[]), &["role_ids"]).await.unwrap_err();
    assert_eq!(told(&status), (Code::PermissionDenied, "PERMISSION_MISSING".to_owned()));
    assert_eq!(metadata(&status, "permission"), "users.roles.write");
}

#[tokio::test]
async fn what_is_taken_from_a_user_is_taken_from_its_tokens() {
    let mut desk = Desk::open().await;
    let (customer, main) = desk.customer("Acme").await;
    let plant = desk.site(&customer, "Plant").await;
    let opening = UserRole { name: "Opening".into(), web_access_level: AccessLevel::Own.into(), ..Default::default() };
    let opening = desk.user_role(opening).await;
    let ann = desk.user_with(&main, "Ann Lee", |u| u.role_ids = vec![opening.id.clone()]).await;
    let bob = desk.user(&main, "Bob Ray").await;
    desk.revoked().await;
    let (anns, bobs) = (vec![format!("subject/{}", ann.id)], vec![format!("subject/{}", bob.id)]);
    let none = AccessLevel::None.into();

    // The role still lets Ann in; nothing does Bob.
    update(&desk, User { web_access_level: none, ..of(&ann) }, &["web_access_level"]).await.unwrap();
    assert!(desk.revoked().await.is_empty());
    update(&desk, User { web_access_level: none, ..of(&bob) }, &["web_access_level"]).await.unwrap();
    assert_eq!(desk.revoked().await, bobs);
    update(&desk, User { role_ids: vec![], ..of(&ann) }, &["role_ids"]).await.unwrap();
    assert_eq!(desk.revoked().await, anns);
    update(&desk, User { active: Some(false), ..of(&ann) }, &["active"]).await.unwrap();
    assert_eq!(desk.revoked().await, anns);
    update(&desk, User { name: "Ann Ray".into(), active: Some(true), ..of(&ann) }, &["name", "active"]).await.unwrap();
    assert!(desk.revoked().await.is_empty());
    move_to(&desk, &ann, &plant.id, "").await.unwrap();
    assert_eq!(desk.revoked().await, anns);
    move_to(&desk, &ann, &plant.id, "").await.unwrap();
    assert!(desk.revoked().await.is_empty());
    remove(&desk, &ann).await;
    assert_eq!(desk.revoked().await, anns);
    restore(&desk, &ann).await.unwrap();
    assert!(desk.revoked().await.is_empty());
}

#[tokio::test]
async fn linked_to_an_agent_with_other_users_it_needs_a_login_name() {
    let desk = Desk::open().await;
    let (_, site) = desk.customer("Acme").await;
    let agent = desk.agent("Ann Lee", &[]).await;
    let link =
        |user: &User, login: &str| User { linked_agent_id: agent.id.clone(), login_name: login.to_owned(), ..of(user) };
    let (one, two) = (desk.user(&site, "One").await, desk.user(&site, "Two").await);
    let paths = ["linked_agent_id", "login_name"];
    update(&desk, link(&one, ""), &paths).await.unwrap();
    let status = update(&desk, link(&two, "two"), &paths).await.unwrap_err();
    assert_eq!(told(&status), (Code::FailedPrecondition, "LOGIN_NAME_REQUIRED".to_owned()));
    assert_eq!(metadata(&status, "id"), one.id);
    update(&desk, link(&one, "one"), &paths).await.unwrap();
    assert_eq!(metadata(&update(&desk, link(&two, ""), &paths).await.unwrap_err(), "id"), two.id);
    update(&desk, link(&two, "two"), &paths).await.unwrap();
    assert_eq!(reason(&update(&desk, link(&two, ""), &paths).await.unwrap_err()), "LOGIN_NAME_REQUIRED");
}

#[tokio::test]
async fn comes_back_only_to_a_live_site() {
    let desk = Desk::open().await;
    let (customer, _) = desk.customer("Acme").await;
    let plant = desk.site(&customer, "Plant").await;
    let ann = desk.user(&plant, "Ann Lee").await;
    remove(&desk, &ann).await;
    let request = DeleteSiteRequest { id: plant.id.clone(), etag: String::new(), request_id: request_id() };
    desk.sites().delete_site(request).await.unwrap();
    let status = restore(&desk, &ann).await.unwrap_err();
    assert_eq!(told(&status), (Code::FailedPrecondition, "PARENT_DELETED".to_owned()));
    let request = UndeleteSiteRequest { id: plant.id, request_id: request_id() };
    desk.sites().undelete_site(request).await.unwrap();
    restore(&desk, &ann).await.unwrap();
}

#[tokio::test]
async fn a_move_ends_contacts_of_the_old_customer_only_and_refuses_what_is_stale_or_gone() {
    let desk = Desk::open().await;
    let (customer, main) = desk.customer("Acme").await;
    let plant = desk.site(&customer, "Plant").await;
    let (_, elsewhere) = desk.customer("Other").await;
    let ann = desk.user(&main, "Ann Lee").await;
    let request = AssignSiteContactRequest {
        site_id: main.id.clone(),
        user_id: ann.id.clone(),
        request_id: request_id(),
        ..Default::default()
    };
    desk.site_contacts().assign_site_contact(request).await.unwrap();
    let contacts = async || {
        let request = ListSiteContactsRequest::default();
        desk.site_contacts().list_site_contacts(request).await.unwrap().into_inner().site_contacts.len()
    };
    let moved = move_to(&desk, &ann, &plant.id, &ann.etag).await.unwrap();
    assert_eq!((moved.customer_id.as_str(), contacts().await), (customer.id.as_str(), 1));
    assert_eq!(reason(&move_to(&desk, &ann, &elsewhere.id, &ann.etag).await.unwrap_err()), "STALE_ETAG");
    move_to(&desk, &ann, &elsewhere.id, "").await.unwrap();
    assert_eq!(contacts().await, 0);
    let status = move_to(&desk, &ann, &nobody(), "").await.unwrap_err();
    assert_eq!((reason(&status).as_str(), fields(&status)), ("REFERENCE_NOT_FOUND", vec!["site_id".to_owned()]));
    let unknown = User { id: nobody(), ..ann.clone() };
    assert_eq!(
        told(&move_to(&desk, &unknown, &main.id, "").await.unwrap_err()),
        (Code::NotFound, "RECORD_NOT_FOUND".into())
    );
    remove(&desk, &ann).await;
    assert_eq!(reason(&move_to(&desk, &ann, &main.id, "").await.unwrap_err()), "RECORD_DELETED");
    let moved = UpdateUserRequest {
        user: Some(User { site_id: main.id, customer_id: customer.id, ..of(&ann) }),
        update_mask: Some(mask(&["site_id", "customer_id"])),
        request_id: request_id(),
    };
    assert_eq!(reason(&desk.users().update_user(moved).await.unwrap_err()), "INVALID_FIELD");
}

#[tokio::test]
async fn somebody_in_the_portal_sees_itself_only() {
    let mut desk = Desk::open().await;
    let (customer, site) = desk.customer("Acme").await;
    let ann = desk.user_with(&site, "Ann Lee", |u| u.notes = "pays late".into()).await;
    let bob = desk.user(&site, "Bob Ray").await;
    desk.who = Who::user(&ann.id, &customer.id, &site.id).with_scope(&["users.read"]);
    let get = async |id: &str| desk.users().get_user(GetUserRequest { id: id.to_owned() }).await;
    let own = get(&ann.id).await.unwrap().into_inner().user.unwrap();
    assert_eq!((own.name.as_str(), own.notes.as_str()), ("Ann Lee", ""));
    let (theirs, nobodys) = (get(&bob.id).await.unwrap_err(), get(&nobody()).await.unwrap_err());
    assert_eq!(told(&theirs), (Code::NotFound, "RECORD_NOT_FOUND".to_owned()));
    assert_eq!(theirs.message().replace(&bob.id, ""), nobodys.message().replace(&nobody(), ""));
    let listed = desk.users().list_users(ListUsersRequest::default()).await.unwrap_err();
    assert_eq!(reason(&listed), "CALLER_KIND_REFUSED");
}

#[tokio::test]
async fn decision_5_the_highest_grant_counts_and_says_who_gives_it() {
    let desk = Desk::open().await;
    let (customer, site) = desk.customer("Acme").await;
    let update_customer = UpdateCustomerRequest {
        customer: Some(Customer { id: customer.id, important: true, ..Default::default() }),
        update_mask: Some(mask(&["important"])),
        request_id: request_id(),
    };
    desk.customers().update_customer(update_customer).await.unwrap();
    let role = |name: &str, web: AccessLevel, service: u32| UserRole {
        name: name.to_owned(),
        web_access_level: web.into(),
        service_access_level: service,
        ..Default::default()
    };
    let wide = desk.user_role(UserRole { approver: true, ..role("Wide", AccessLevel::Customer, 3) }).await;
    let high = desk.user_role(UserRole { never_send_emails: true, ..role("High", AccessLevel::Own, 9) }).await;
    let ann = desk.user_with(&site, "Ann Lee", |u| {
        (u.role_ids, u.service_access_level) = (vec![high.id.clone(), wide.id.clone()], 5);
    });
    let ann = ann.await;
    let effective = async |id: &str| {
        let request = GetEffectiveUserRequest { id: id.to_owned() };
        Ok::<_, Status>(desk.users().get_effective_user(request).await?.into_inner().effective_user.unwrap())
    };
    let all = effective(&ann.id).await.unwrap();
    // An important customer does not make its users important.
    assert!(!all.importance.unwrap().value);
    let web = all.web_access.unwrap();
    assert_eq!(
        (web.level(), web.own(), web.role_ids),
        (AccessLevel::Customer, AccessLevel::Own, vec![wide.id.clone()])
    );
    assert_eq!(all.asset_access.unwrap().level(), AccessLevel::None);
    let service = all.service_access.unwrap();
    assert_eq!((service.level, service.own, service.role_ids), (9, 5, vec![high.id.clone()]));
    assert_eq!(all.approver.unwrap().role_ids, std::slice::from_ref(&wide.id));
    assert_eq!(all.never_send_emails.unwrap().role_ids, [high.id]);
    assert_eq!(all.roles.iter().map(|r| r.name.as_str()).collect::<Vec<_>>(), ["Wide", "High"]);

    remove(&desk, &ann).await;
    let all = effective(&ann.id).await.unwrap();
    assert!(!all.activity.as_ref().unwrap().active && !all.can_log_in);
    assert_eq!(told(&effective(&nobody()).await.unwrap_err()), (Code::NotFound, "RECORD_NOT_FOUND".into()));
}

#[tokio::test]
async fn comes_back_to_an_agent_with_another_user_only_with_a_login_name() {
    let desk = Desk::open().await;
    let (_, site) = desk.customer("Acme").await;
    let agent = desk.agent("Ann Lee", &[]).await;
    let (one, two) = (desk.user(&site, "One").await, desk.user(&site, "Two").await);
    let linked = |user: &User| User { linked_agent_id: agent.id.clone(), ..of(user) };
    update(&desk, linked(&one), &["linked_agent_id"]).await.unwrap();
    remove(&desk, &one).await;
    let two = update(&desk, linked(&two), &["linked_agent_id"]).await.unwrap();
    assert_eq!(reason(&restore(&desk, &one).await.unwrap_err()), "LOGIN_NAME_REQUIRED");
    remove(&desk, &two).await;
    restore(&desk, &one).await.unwrap();
}

#[tokio::test]
async fn a_lowered_role_takes_the_tokens_of_all_who_have_no_other_access_at_once() {
    let mut desk = Desk::open().await;
    let (_, site) = desk.customer("Acme").await;
    let role = UserRole { name: "Portal".into(), web_access_level: AccessLevel::Site.into(), ..Default::default() };
    let role = desk.user_role(role).await;
    let mut expected = Vec::new();
    for number in 0..5 {
        let only_by_role = |u: &mut User| {
            (u.web_access_level, u.role_ids) = (AccessLevel::None.into(), vec![role.id.clone()]);
        };
        let user = desk.user_with(&site, &format!("User {number}"), only_by_role).await;
        expected.push(format!("subject/{}", user.id));
    }
    desk.user_with(&site, "Other", |u| u.role_ids = vec![role.id.clone()]).await;
    expected.sort();
    desk.revoked().await;
    let request = UpdateUserRoleRequest {
        user_role: Some(UserRole { id: role.id, web_access_level: AccessLevel::None.into(), ..Default::default() }),
        update_mask: Some(mask(&["web_access_level"])),
        request_id: request_id(),
    };
    desk.user_roles().update_user_role(request).await.unwrap();
    assert_eq!(desk.revoked().await, expected);
}

#[tokio::test]
async fn one_answer_names_every_bad_field_whatever_finds_it() {
    let desk = Desk::open().await;
    let (_, site) = desk.customer("Acme").await;
    let create = async |user: User, request_id: String| {
        desk.users().create_user(CreateUserRequest { user: Some(user), request_id }).await.map(drop).unwrap_err()
    };
    let twice = || vec!["ann@example.com".to_owned(), "ANN@example.com".to_owned()];
    // Rules of the contract, no site, an address twice, a role that there is not.
    let user =
        User { phones: vec!["call me".to_owned()], emails: twice(), role_ids: vec![nobody()], ..Default::default() };
    let status = create(user, "no uuid".to_owned()).await;
    assert_eq!((status.code(), reason(&status).as_str()), (Code::InvalidArgument, "INVALID_FIELD"));
    let mut named = fields(&status);
    named.sort_unstable();
    let expected = ["request_id", "user.emails[1]", "user.name", "user.phones[0]", "user.role_ids[0]", "user.site_id"];
    assert_eq!(named, expected);

    // What the contract's rules let through: references, and what is wrong beside them.
    let user = User {
        name: "Ann".to_owned(),
        site_id: nobody(),
        emails: twice(),
        linked_agent_id: nobody(),
        ..Default::default()
    };
    let status = create(user.clone(), request_id()).await;
    assert_eq!(reason(&status), "INVALID_FIELD");
    assert_eq!(fields(&status), ["user.site_id", "user.linked_agent_id", "user.emails[1]"]);
    // References alone keep their own reason.
    let status = create(User { emails: Vec::new(), ..user.clone() }, request_id()).await;
    assert_eq!(reason(&status), "REFERENCE_NOT_FOUND");
    assert_eq!(fields(&status), ["user.site_id", "user.linked_agent_id"]);
    // An id that is none hides no other.
    let user = User { site_id: "no-id".to_owned(), emails: Vec::new(), ..user };
    assert_eq!(fields(&create(user, request_id()).await), ["user.site_id", "user.linked_agent_id"]);

    // Updates too; and nothing of any of it was stored.
    let ann = desk.user(&site, "Ann Lee").await;
    let bad =
        User { phones: vec!["call me".to_owned()], role_ids: vec![nobody()], name: "Other".to_owned(), ..ann.clone() };
    let update = UpdateUserRequest {
        user: Some(bad),
        update_mask: Some(mask(&["name", "phones", "role_ids"])),
        request_id: request_id(),
    };
    let status = desk.users().update_user(update).await.unwrap_err();
    assert_eq!(fields(&status), ["user.phones[0]", "user.role_ids[0]"]);
    let listed = desk.users().list_users(ListUsersRequest::default()).await.unwrap().into_inner().users;
    assert_eq!(listed, [ann]);
}

#[tokio::test]
async fn a_request_that_breaks_rules_stores_nothing_though_nothing_else_is_wrong_with_it() {
    let mut desk = Desk::open().await;
    let (_, site) = desk.customer("Acme").await;
    let ann = desk.user(&site, "Ann Lee").await;
    let request_id = request_id();
    let update = |phone: &str| UpdateUserRequest {
        user: Some(User { phones: vec![phone.to_owned()], name: "Other".to_owned(), ..ann.clone() }),
        update_mask: Some(mask(&["name", "phones"])),
        request_id: request_id.clone(),
    };
    let status = desk.users().update_user(update("call me")).await.unwrap_err();
    assert_eq!((reason(&status).as_str(), fields(&status)), ("INVALID_FIELD", vec!["user.phones[0]".to_owned()]));
    let pool = &desk.suite.service("directory").database.pool;
    let kept: i64 = sqlx::query_scalar("select count(*) from answers where request_id = $1::uuid")
        .bind(&request_id)
        .fetch_one(pool)
        .await
        .unwrap();
    assert_eq!(kept, 0);
    // The same `request_id`, put right.
    let changed = desk.users().update_user(update("+49 30 1234567")).await.unwrap().into_inner().user.unwrap();
    assert_eq!((changed.name.as_str(), changed.etag.as_str()), ("Other", "2"));
}

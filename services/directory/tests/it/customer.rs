//! `CustomerService`: a customer with its site and contact, its going and coming back, its search.

use concierge_proto::directory::relationship_service_client::RelationshipServiceClient;
use concierge_proto::directory::{
    CreateCustomerRequest, CreateCustomerResponse, CreateRelationshipRequest, CreateSiteRequest, CreateUserRequest,
    Customer, DeleteCustomerRequest, DeleteRelationshipRequest, DeleteUserRequest, GetCustomerOverviewRequest,
    GetCustomerRequest, ListCustomersRequest, Relationship, RelationshipEntity, SearchCustomersRequest, Site,
    UndeleteCustomerRequest, UpdateCustomerRequest, UpdateSiteRequest, User, UserRole,
};
use concierge_testkit::{Who, request_id};
use tonic::{Code, Status};
use uuid::Uuid;

use crate::desk::{Desk, fields, mask, metadata, nobody, reason};

fn wanted(name: &str) -> CreateCustomerRequest {
    CreateCustomerRequest {
        customer: Some(Customer { name: name.to_owned(), ..Default::default() }),
        main_site: Some(Site { name: "Head office".to_owned(), ..Default::default() }),
        main_contact: Some(User {
            name: "Ann Lee".to_owned(),
            emails: vec![format!("ann@{}.example", name.to_lowercase())],
            ..Default::default()
        }),
        request_id: request_id(),
    }
}

#[tokio::test]
async fn comes_with_its_main_site_and_contact_or_not_at_all() {
    let desk = Desk::open().await;
    let made = desk.customers().create_customer(wanted("Acme")).await.unwrap().into_inner();
    let (customer, site, contact) = (made.customer.unwrap(), made.main_site.unwrap(), made.main_contact.unwrap());
    assert_eq!((customer.etag.as_str(), &customer.main_site_id), ("1", &site.id));
    assert_eq!((&site.customer_id, &contact.site_id, &contact.customer_id), (&customer.id, &site.id, &customer.id));

    // The contact's address is taken: neither customer nor site stay.
    let mut again = wanted("Other");
    again.main_contact.as_mut().unwrap().emails = contact.emails.clone();
    let status = desk.customers().create_customer(again).await.unwrap_err();
    assert_eq!((status.code(), reason(&status).as_str()), (Code::AlreadyExists, "EMAIL_TAKEN"));
    assert!(status.message().starts_with("main_contact.emails[0]"), "{}", status.message());
    let listed = desk.customers().list_customers(concierge_proto::directory::ListCustomersRequest::default()).await;
    assert_eq!(listed.unwrap().into_inner().customers.len(), 1);
}

#[tokio::test]
async fn takes_its_main_site_with_it_and_brings_it_back() {
    let desk = Desk::open().await;
    let (customer, main) = desk.customer("Acme").await;
    let plant = desk.site(&customer, "Plant").await;
    let delete = || DeleteCustomerRequest { id: customer.id.clone(), etag: String::new(), request_id: request_id() };
    let status = desk.customers().delete_customer(delete()).await.unwrap_err();
    assert_eq!((status.code(), reason(&status).as_str()), (Code::FailedPrecondition, "RECORD_IN_USE"));
    let request =
        concierge_proto::directory::DeleteSiteRequest { id: plant.id, etag: String::new(), request_id: request_id() };
    desk.sites().delete_site(request).await.unwrap();
    desk.customers().delete_customer(delete()).await.unwrap();
    let site = || concierge_proto::directory::GetSiteRequest { id: main.id.clone() };
    let gone = desk.sites().get_site(site()).await.unwrap().into_inner().site.unwrap();
    assert!(gone.delete_time.is_some());
    let back = UndeleteCustomerRequest { id: customer.id.clone(), request_id: request_id() };
    desk.customers().undelete_customer(back).await.unwrap();
    let back = desk.sites().get_site(site()).await.unwrap().into_inner().site.unwrap();
    assert!(back.delete_time.is_none());
}

#[tokio::test]
async fn of_another_customer_looks_like_none_to_a_user_in_the_portal() {
    let mut desk = Desk::open().await;
    let (own, site) = desk.customer("Own").await;
    let (other, _) = desk.customer("Other").await;
    let ann = desk.user(&site, "Ann Lee").await;
    desk.who = Who::user(&ann.id, &own.id, &site.id);
    let get = |id: &str| GetCustomerRequest { id: id.to_owned() };
    assert!(desk.customers().get_customer(get(&own.id)).await.is_ok());
    let theirs = desk.customers().get_customer(get(&other.id)).await.unwrap_err();
    let nobodys = desk.customers().get_customer(get("0190a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b")).await.unwrap_err();
    assert_eq!((theirs.code(), reason(&theirs)), (nobodys.code(), reason(&nobodys)));
    assert_eq!(
        theirs.message().replace(&other.id, "ID"),
        nobodys.message().replace("0190a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b", "ID")
    );
}

#[tokio::test]
async fn importance_is_written_and_read_only_with_its_permission() {
    let mut desk = Desk::open().await;
    let (customer, _) = desk.customer("Acme").await;
    let update = |important| UpdateCustomerRequest {
        customer: Some(Customer { id: customer.id.clone(), important, ..Default::default() }),
        update_mask: Some(mask(&["important"])),
        request_id: request_id(),
    };
    desk.customers().update_customer(update(true)).await.unwrap();
    desk.limit(&["customers.read", "customers.write"]);
    let seen = desk.customers().get_customer(GetCustomerRequest { id: customer.id.clone() }).await.unwrap();
    assert!(!seen.into_inner().customer.unwrap().important);
    let status = desk.customers().update_customer(update(false)).await.unwrap_err();
    assert_eq!((status.code(), reason(&status).as_str()), (Code::PermissionDenied, "PERMISSION_MISSING"));
}

#[tokio::test]
async fn is_found_by_its_name_and_by_the_address_of_a_site() {
    let desk = Desk::open().await;
    let mut request = wanted("Harbour");
    request.main_site.as_mut().unwrap().address = Some(concierge_proto::common::Address {
        lines: vec!["1 Quay Street".to_owned()],
        city: "Bremen".to_owned(),
        ..Default::default()
    });
    desk.customers().create_customer(request).await.unwrap();
    desk.customer("Bakery").await;
    let find = async |query: &str| -> Vec<String> {
        let request = SearchCustomersRequest { query: query.to_owned(), ..Default::default() };
        let found = desk.customers().search_customers(request).await.unwrap().into_inner().results;
        found.into_iter().map(|r| r.customer.unwrap().name).collect()
    };
    assert_eq!(find("harb").await, ["Harbour"]);
    assert_eq!(find("quay bremen").await, ["Harbour"]);
    assert_eq!(find("harbour quay").await, ["Harbour"]);
    assert!(find("quay bakery").await.is_empty());
}

async fn create(desk: &Desk, request: CreateCustomerRequest) -> Result<CreateCustomerResponse, Status> {
    Ok(desk.customers().create_customer(request).await?.into_inner())
}

async fn update(desk: &Desk, customer: Customer, paths: &[&str]) -> Result<Customer, Status> {
    let request =
        UpdateCustomerRequest { customer: Some(customer), update_mask: Some(mask(paths)), request_id: request_id() };
    Ok(desk.customers().update_customer(request).await?.into_inner().customer.unwrap())
}

async fn remove(desk: &Desk, id: &str) -> Result<Customer, Status> {
    let request = DeleteCustomerRequest { id: id.to_owned(), etag: String::new(), request_id: request_id() };
    Ok(desk.customers().delete_customer(request).await?.into_inner().customer.unwrap())
}

async fn restore(desk: &Desk, id: &str) -> Result<Customer, Status> {
    let request = UndeleteCustomerRequest { id: id.to_owned(), request_id: request_id() };
    Ok(desk.customers().undelete_customer(request).await?.into_inner().customer.unwrap())
}

async fn find(desk: &Desk, query: &str) -> Vec<(String, f64)> {
    let request = SearchCustomersRequest { query: query.to_owned(), ..Default::default() };
    let found = desk.customers().search_customers(request).await.unwrap().into_inner().results;
    found.into_iter().map(|r| (r.customer.unwrap().name, r.relevance)).collect()
}

async fn found(desk: &Desk, query: &str) -> Vec<String> {
    find(desk, query).await.into_iter().map(|(name, _)| name).collect()
}

async fn relationship(desk: &Desk, name: &str, entity: RelationshipEntity) -> Relationship {
    let record = Relationship { name: name.to_owned(), entity: entity.into(), ..Default::default() };
    let request = CreateRelationshipRequest { relationship: Some(record), request_id: request_id() };
    let mut client = RelationshipServiceClient::new(desk.suite.admin("directory"));
    client.create_relationship(request).await.unwrap().into_inner().relationship.unwrap()
}

fn told(status: &Status) -> (Code, String) {
    (status.code(), reason(status))
}

#[tokio::test]
async fn every_bad_field_of_all_three_is_named_at_once() {
    let desk = Desk::open().await;
    let mut request = wanted("Acme");
    request.customer.as_mut().unwrap().domains = vec!["not a domain".to_owned()];
    request.main_site.as_mut().unwrap().time_zone = "Mars/Olympus".to_owned();
    let contact = request.main_contact.as_mut().unwrap();
    (contact.name, contact.emails) = (String::new(), vec!["nobody".to_owned()]);
    let status = create(&desk, request).await.unwrap_err();
    assert_eq!(told(&status), (Code::InvalidArgument, "INVALID_FIELD".to_owned()));
    assert_eq!(
        fields(&status),
        ["customer.domains[0]", "main_site.time_zone", "main_contact.name", "main_contact.emails[0]"]
    );
}

#[tokio::test]
async fn everything_that_is_not_there_is_named_at_once() {
    let desk = Desk::open().await;
    let mut request = wanted("Acme");
    let customer = request.customer.as_mut().unwrap();
    (customer.relationship_ids, customer.account_manager_agent_id) = (vec![nobody()], nobody());
    let contact = request.main_contact.as_mut().unwrap();
    (contact.role_ids, contact.linked_agent_id) = (vec![nobody()], nobody());
    let status = create(&desk, request).await.unwrap_err();
    assert_eq!(told(&status), (Code::InvalidArgument, "REFERENCE_NOT_FOUND".to_owned()));
    assert_eq!(
        fields(&status),
        [
            "customer.relationship_ids[0]",
            "customer.account_manager_agent_id",
            "main_contact.role_ids[0]",
            "main_contact.linked_agent_id"
        ]
    );
}

#[tokio::test]
async fn the_places_of_site_and_contact_are_not_the_callers_to_choose() {
    let desk = Desk::open().await;
    let mut request = wanted("Acme");
    request.main_site.as_mut().unwrap().customer_id = nobody();
    request.main_contact.as_mut().unwrap().site_id = nobody();
    request.customer.as_mut().unwrap().main_site_id = nobody();
    let made = create(&desk, request.clone()).await.unwrap();
    let (customer, site) = (made.customer.clone().unwrap(), made.main_site.clone().unwrap());
    assert_eq!((&site.customer_id, &customer.main_site_id), (&customer.id, &site.id));
    assert_eq!(made.main_contact.clone().unwrap().site_id, site.id);
    assert_eq!(create(&desk, request).await.unwrap(), made);
}

#[tokio::test]
async fn rejects_a_relationship_of_users() {
    let desk = Desk::open().await;
    let own = relationship(&desk, "At risk", RelationshipEntity::Customer).await;
    let other = relationship(&desk, "Difficult", RelationshipEntity::User).await;
    let mut request = wanted("Acme");
    request.customer.as_mut().unwrap().relationship_ids = vec![own.id.clone(), other.id.clone()];
    let status = create(&desk, request.clone()).await.unwrap_err();
    assert_eq!(told(&status), (Code::InvalidArgument, "RELATIONSHIP_OF_OTHER_ENTITY".to_owned()));
    assert_eq!(fields(&status), ["customer.relationship_ids[1]"]);

    request.customer.as_mut().unwrap().relationship_ids = vec![own.id.clone()];
    request.main_contact.as_mut().unwrap().relationship_ids = vec![own.id];
    request.request_id = request_id();
    let status = create(&desk, request).await.unwrap_err();
    assert_eq!(fields(&status), ["main_contact.relationship_ids[0]"]);
}

#[tokio::test]
async fn rejects_taken_external_ids_wherever_they_stand() {
    let desk = Desk::open().await;
    let with = |customer: &str, site: &str, contact: &str, source: &str| {
        let mut request = wanted("Acme");
        let contact_of = request.main_contact.as_mut().unwrap();
        contact_of.emails.clear();
        (contact_of.external_id, contact_of.external_source) = (contact.to_owned(), source.to_owned());
        let record = request.customer.as_mut().unwrap();
        (record.external_id, record.external_source) = (customer.to_owned(), source.to_owned());
        let record = request.main_site.as_mut().unwrap();
        (record.external_id, record.external_source) = (site.to_owned(), source.to_owned());
        request
    };
    create(&desk, with("1", "1", "1", "crm")).await.unwrap();
    for (request, field) in [
        (with("1", "2", "2", "crm"), "customer.external_id"),
        (with("2", "1", "2", "crm"), "main_site.external_id"),
        (with("2", "2", "1", "crm"), "main_contact.external_id"),
    ] {
        let status = create(&desk, request).await.unwrap_err();
        assert_eq!(told(&status), (Code::AlreadyExists, "EXTERNAL_ID_TAKEN".to_owned()));
        assert_eq!(fields(&status), [field]);
    }
    // Another source, or none, has keys of its own; and no key is nobody's.
    create(&desk, with("1", "1", "1", "erp")).await.unwrap();
    create(&desk, with("1", "1", "1", "")).await.unwrap();
    create(&desk, with("", "", "", "crm")).await.unwrap();
    create(&desk, with("", "", "", "crm")).await.unwrap();
}

#[tokio::test]
async fn a_contact_and_its_importance_need_their_own_permissions() {
    let mut desk = Desk::open().await;
    let board = desk.user_role(UserRole { name: "Board".to_owned(), important: true, ..Default::default() }).await;
    desk.limit(&["customers.write"]);
    let status = create(&desk, wanted("Acme")).await.unwrap_err();
    assert_eq!(told(&status), (Code::PermissionDenied, "PERMISSION_MISSING".to_owned()));
    assert_eq!(
        (metadata(&status, "permission"), metadata(&status, "field")),
        ("users.write".into(), "main_contact".into())
    );

    desk.limit(&["customers.write", "users.write", "users.roles.write"]);
    let mut request = wanted("Acme");
    request.main_contact.as_mut().unwrap().role_ids = vec![board.id];
    let status = create(&desk, request.clone()).await.unwrap_err();
    assert_eq!(told(&status), (Code::PermissionDenied, "GRANT_NOT_HELD".to_owned()));
    assert_eq!(metadata(&status, "permission"), "importance.write");
    request.main_contact.as_mut().unwrap().role_ids.clear();
    create(&desk, request).await.unwrap();
}

#[tokio::test]
async fn an_inactive_customers_tokens_are_revoked_once() {
    let mut desk = Desk::open().await;
    let (customer, _) = desk.customer("Acme").await;
    desk.revoked().await;
    let off = Customer { id: customer.id.clone(), active: Some(false), ..Default::default() };
    update(&desk, off.clone(), &["active"]).await.unwrap();
    assert_eq!(desk.revoked().await, [format!("customer/{}", customer.id)]);
    update(&desk, Customer { name: "Other".into(), ..off.clone() }, &["name", "active"]).await.unwrap();
    update(&desk, Customer { active: Some(true), ..off }, &["active"]).await.unwrap();
    assert!(desk.revoked().await.is_empty());
}

#[tokio::test]
async fn a_stale_or_deleted_customer_is_not_changed() {
    let desk = Desk::open().await;
    let (customer, _) = desk.customer("Acme").await;
    let changed = update(&desk, Customer { name: "New".into(), ..customer.clone() }, &["name"]).await.unwrap();
    assert_eq!((changed.name.as_str(), changed.etag.as_str()), ("New", "2"));
    let status = update(&desk, customer.clone(), &["name"]).await.unwrap_err();
    assert_eq!(told(&status), (Code::Aborted, "STALE_ETAG".to_owned()));
    assert_eq!(
        told(&restore(&desk, &customer.id).await.unwrap_err()),
        (Code::FailedPrecondition, "RECORD_NOT_DELETED".into())
    );
    let gone = remove(&desk, &customer.id).await.unwrap();
    let status = update(&desk, Customer { name: "Newer".into(), ..gone.clone() }, &["name"]).await.unwrap_err();
    assert_eq!(told(&status), (Code::FailedPrecondition, "RECORD_DELETED".to_owned()));
    assert_eq!(
        told(&remove(&desk, &customer.id).await.unwrap_err()),
        (Code::FailedPrecondition, "RECORD_DELETED".into())
    );
    let read = desk.customers().get_customer(GetCustomerRequest { id: customer.id }).await.unwrap().into_inner();
    assert_eq!(read.customer.unwrap(), gone);
    let status = desk.customers().get_customer(GetCustomerRequest { id: nobody() }).await.unwrap_err();
    assert_eq!(told(&status), (Code::NotFound, "RECORD_NOT_FOUND".to_owned()));
}

#[tokio::test]
async fn stays_while_anybody_is_there() {
    let desk = Desk::open().await;
    let (customer, main) = desk.customer("Acme").await;
    let ann = desk.user(&main, "Ann Lee").await;
    let status = remove(&desk, &customer.id).await.unwrap_err();
    assert_eq!(told(&status), (Code::FailedPrecondition, "RECORD_IN_USE".to_owned()));
    assert_eq!((metadata(&status, "used_by"), metadata(&status, "count")), ("user".to_owned(), "1".to_owned()));
    let request = DeleteUserRequest { id: ann.id, etag: String::new(), request_id: request_id() };
    desk.users().delete_user(request).await.unwrap();
    remove(&desk, &customer.id).await.unwrap();
}

#[tokio::test]
async fn does_not_come_back_over_somebody_elses_external_id() {
    let desk = Desk::open().await;
    let keyed = |customer: &str, site: &str| {
        let mut request = wanted("Acme");
        request.main_contact = None;
        request.customer.as_mut().unwrap().external_id = customer.to_owned();
        request.main_site.as_mut().unwrap().external_id = site.to_owned();
        request
    };
    for (taken, field) in [(keyed("c", "other"), "customer.external_id"), (keyed("other", "s"), "site.external_id")] {
        let old = create(&desk, keyed("c", "s")).await.unwrap().customer.unwrap();
        remove(&desk, &old.id).await.unwrap();
        let new = create(&desk, taken).await.unwrap().customer.unwrap();
        let status = restore(&desk, &old.id).await.unwrap_err();
        assert_eq!(told(&status), (Code::AlreadyExists, "EXTERNAL_ID_TAKEN".to_owned()));
        assert_eq!(metadata(&status, "field"), field);
        remove(&desk, &new.id).await.unwrap();
    }
}

#[tokio::test]
async fn comes_back_though_what_it_referred_to_is_gone() {
    let desk = Desk::open().await;
    let risk = relationship(&desk, "At risk", RelationshipEntity::Customer).await;
    let mut request = wanted("Acme");
    request.main_contact = None;
    request.customer.as_mut().unwrap().relationship_ids = vec![risk.id.clone()];
    let customer = create(&desk, request).await.unwrap().customer.unwrap();
    remove(&desk, &customer.id).await.unwrap();
    let request = DeleteRelationshipRequest { id: risk.id, etag: String::new(), request_id: request_id() };
    let mut relationships = RelationshipServiceClient::new(desk.suite.admin("directory"));
    relationships.delete_relationship(request).await.unwrap();
    restore(&desk, &customer.id).await.unwrap();
}

#[tokio::test]
async fn nobody_is_left_at_a_customer_that_is_deleted_meanwhile() {
    let desk = Desk::open().await;
    for n in 0..8 {
        let (customer, main) = desk.customer(&format!("Acme {n}")).await;
        let user = User { site_id: main.id.clone(), name: "Ann Lee".to_owned(), ..Default::default() };
        let add = CreateUserRequest { user: Some(user), request_id: request_id() };
        let place = Site { customer_id: customer.id.clone(), name: "Plant".to_owned(), ..Default::default() };
        let place = CreateSiteRequest { site: Some(place), request_id: request_id() };
        let (mut users, mut sites) = (desk.users(), desk.sites());
        let (deleted, added, placed) =
            tokio::join!(remove(&desk, &customer.id), users.create_user(add), sites.create_site(place));
        assert!(!(deleted.is_ok() && (added.is_ok() || placed.is_ok())), "{deleted:?} {added:?} {placed:?}");
        for status in [deleted.err(), added.err(), placed.err()].into_iter().flatten() {
            assert!(["RECORD_IN_USE", "REFERENCE_NOT_FOUND"].contains(&reason(&status).as_str()), "{status:?}");
        }
    }
}

#[tokio::test]
async fn important_customers_come_first_among_equals_for_those_who_may_know() {
    let mut desk = Desk::open().await;
    for (name, important) in [("Acme East", false), ("Acme West", true), ("Acme", false), ("Great Acme", true)] {
        let customer = Customer { name: name.to_owned(), important, ..Default::default() };
        create(&desk, CreateCustomerRequest { customer: Some(customer), main_contact: None, ..wanted("x") })
            .await
            .unwrap();
    }
    let all = find(&desk, "acme").await;
    let names: Vec<&str> = all.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["Acme", "Acme West", "Great Acme", "Acme East"]);
    assert!(all[0].1 > all[1].1 && all[1].1.total_cmp(&all[3].1).is_eq());
    desk.limit(&["customers.read"]);
    assert_eq!(found(&desk, "acme").await, ["Acme", "Acme East", "Acme West", "Great Acme"]);
}

#[tokio::test]
async fn is_found_by_what_people_know_of_it() {
    let desk = Desk::open().await;
    let mut request = wanted("Zürich Çelik");
    let customer = request.customer.as_mut().unwrap();
    customer.domains = vec!["steel.example".to_owned()];
    customer.phone = "+41 44 7654321".to_owned();
    customer.external_id = "C-1042".to_owned();
    let site = request.main_site.as_mut().unwrap();
    (site.name, site.email_domain, site.phone) = ("Nordwerk".into(), "plant.example".into(), "+41 61 1112222".into());
    request.main_contact = None;
    let made = create(&desk, request).await.unwrap();
    desk.customer("Other").await;
    for query in [
        "zurich",
        "CELIK zür",
        "steel.example",
        "steel",
        "044 7654321",
        "+41447654321",
        "C-1042",
        "plant.example",
        "061 111 2222",
        "celik plant",
    ] {
        assert_eq!(found(&desk, query).await, ["Zürich Çelik"], "{query}");
    }
    for query in ["nordwerk", "celik nordwerk", "ürich", "---", "steelworks"] {
        assert!(found(&desk, query).await.is_empty(), "{query}");
    }
    remove(&desk, &made.customer.unwrap().id).await.unwrap();
    assert!(found(&desk, "zurich").await.is_empty());
}

#[tokio::test]
async fn pages_of_a_search_neither_skip_nor_repeat_and_filters_narrow_it() {
    let desk = Desk::open().await;
    for n in 0..7 {
        let customer = Customer { name: format!("Acme {n}"), active: Some(n % 2 == 0), ..Default::default() };
        create(&desk, CreateCustomerRequest { customer: Some(customer), main_contact: None, ..wanted("x") })
            .await
            .unwrap();
    }
    let page = async |filter: &str, page_token: &str| {
        let request = SearchCustomersRequest {
            query: "acme".into(),
            page_size: 2,
            page_token: page_token.to_owned(),
            filter: filter.to_owned(),
        };
        Ok::<_, Status>(desk.customers().search_customers(request).await?.into_inner())
    };
    let (mut names, mut token) = (Vec::new(), String::new());
    loop {
        let next = page("active = true", &token).await.unwrap();
        names.extend(next.results.into_iter().map(|r| r.customer.unwrap().name));
        token = next.next_page_token;
        if token.is_empty() {
            break;
        }
    }
    assert_eq!(names, ["Acme 0", "Acme 2", "Acme 4", "Acme 6"]);
    let token = page("active = true", "").await.unwrap().next_page_token;
    assert_eq!(reason(&page("", &token).await.unwrap_err()), "PAGE_TOKEN_INVALID");
    assert_eq!(reason(&page("colour = 1", "").await.unwrap_err()), "FILTER_INVALID");
}

#[tokio::test]
async fn an_overview_counts_and_shows_what_happened_to_those_who_may_see_tickets() {
    let mut desk = Desk::open().await;
    let (customer, main) = desk.customer("Acme").await;
    let plant = desk.site(&customer, "Plant").await;
    desk.user(&main, "Ann Lee").await;
    desk.user(&plant, "Bob Ray").await;
    let request = UpdateSiteRequest {
        site: Some(Site { id: plant.id.clone(), active: Some(false), ..Default::default() }),
        update_mask: Some(mask(&["active"])),
        request_id: request_id(),
    };
    desk.sites().update_site(request).await.unwrap();
    let pool = desk.suite.service("directory").database.pool.clone();
    let id: Uuid = customer.id.parse().unwrap();
    for (n, open) in [(1_i64, true), (2, true), (3, false)] {
        sqlx::query(
            "with t as (insert into ticket_projection (ticket_id, number, summary, customer_id, open, version, update_time)
                 values (gen_random_uuid(), $1, 'now', $2, $3, 1, to_timestamp($1)) returning ticket_id)
             insert into activity (event_id, seq, time, kind, ticket_id, customer_id, text, actor_id)
             select gen_random_uuid(), 1, to_timestamp($1), 1, ticket_id, $2, 'then', 'agent' from t",
        )
        .bind(n)
        .bind(id)
        .bind(open)
        .execute(&pool)
        .await
        .unwrap();
    }
    let get = async |desk: &Desk, id: &str| {
        let request = GetCustomerOverviewRequest { id: id.to_owned() };
        Ok::<_, Status>(desk.customers().get_customer_overview(request).await?.into_inner().overview.unwrap())
    };
    let overview = get(&desk, &customer.id).await.unwrap();
    assert_eq!((overview.site_count, overview.active_site_count), (2, 1));
    assert_eq!((overview.user_count, overview.active_user_count, overview.open_ticket_count), (2, 1, 2));
    let numbers: Vec<i64> = overview.recent_activity.iter().map(|a| a.ticket_number).collect();
    assert_eq!((numbers, overview.as_of.unwrap().seconds), (vec![3, 2, 1], 3));
    assert_eq!(overview.recent_activity[0].ticket_summary, "then");

    let off = Customer { id: customer.id.clone(), active: Some(false), ..Default::default() };
    update(&desk, off, &["active"]).await.unwrap();
    desk.limit(&["customers.read"]);
    let overview = get(&desk, &customer.id).await.unwrap();
    assert_eq!((overview.active_site_count, overview.active_user_count), (0, 0));
    assert_eq!((overview.recent_activity.len(), overview.open_ticket_count), (0, 2));
    assert_eq!(reason(&get(&desk, &nobody()).await.unwrap_err()), "RECORD_NOT_FOUND");
}

#[tokio::test]
async fn lists_by_relationship_and_hides_notes_from_who_may_not_read_them() {
    let mut desk = Desk::open().await;
    let risk = relationship(&desk, "At risk", RelationshipEntity::Customer).await;
    for (name, relationship_ids) in [("Acme", vec![risk.id.clone()]), ("Other", vec![])] {
        let customer =
            Customer { name: name.into(), notes: "pays late".into(), relationship_ids, ..Default::default() };
        create(&desk, CreateCustomerRequest { customer: Some(customer), main_contact: None, ..wanted("x") })
            .await
            .unwrap();
    }
    desk.limit(&["customers.read"]);
    let request = ListCustomersRequest { filter: format!("relationship_ids : \"{}\"", risk.id), ..Default::default() };
    let listed = desk.customers().list_customers(request).await.unwrap().into_inner().customers;
    assert_eq!(listed.iter().map(|c| (c.name.as_str(), c.notes.as_str())).collect::<Vec<_>>(), [("Acme", "")]);
}

#[tokio::test]
async fn a_long_mask_does_not_get_past_what_the_server_sets() {
    let desk = Desk::open().await;
    let (customer, _) = desk.customer("Acme").await;
    let mut paths = vec!["name"; 100];
    paths.push("delete_time");
    let gone = Customer {
        id: customer.id.clone(),
        name: "Acme".into(),
        delete_time: Some(prost_types::Timestamp::default()),
        ..Default::default()
    };
    let status = update(&desk, gone.clone(), &paths).await.unwrap_err();
    assert_eq!(
        (told(&status), fields(&status)),
        ((Code::InvalidArgument, "INVALID_FIELD".into()), vec!["update_mask".into()])
    );
    let status = update(&desk, gone, &["name", "name", "delete_time"]).await.unwrap_err();
    assert_eq!(fields(&status), ["update_mask"]);
}

#[tokio::test]
async fn importance_cannot_be_guessed_by_writing_it() {
    let mut desk = Desk::open().await;
    let (customer, _) = desk.customer("Acme").await;
    desk.limit(&["customers.read", "customers.write"]);
    for important in [true, false] {
        let same = Customer { id: customer.id.clone(), important, ..Default::default() };
        let status = update(&desk, same, &["important"]).await.unwrap_err();
        assert_eq!(told(&status), (Code::PermissionDenied, "PERMISSION_MISSING".to_owned()), "{important}");
    }
}

//! `CustomFieldService`, and the values that customers, sites and users have.

use concierge_directory::Directory;
use concierge_proto::common::custom_field_value::Kind;
use concierge_proto::common::{CustomFieldChoice, CustomFieldChoices, CustomFieldType, CustomFieldValue};
use concierge_proto::directory::custom_field_service_client::CustomFieldServiceClient;
use concierge_proto::directory::requester_service_client::RequesterServiceClient;
use concierge_proto::directory::user_service_client::UserServiceClient;
use concierge_proto::directory::{
    CreateCustomFieldRequest, CreateCustomerRequest, CreateUserRequest, CustomField, CustomFieldEntity, Customer,
    DeleteCustomFieldRequest, GetRequesterFactsRequest, GetUserRequest, ListChangesRequest, Site,
    UndeleteCustomFieldRequest, UpdateCustomFieldRequest, UpdateCustomerRequest, UpdateSiteRequest, UpdateUserRequest,
    User,
};
use concierge_testkit::{Who, request_id};
use prost_types::Timestamp;
use tonic::{Code, Status};
use uuid::Uuid;

use crate::desk::{Desk, fields, mask, reason};

fn field(entity: CustomFieldEntity, key: &str, kind: CustomFieldType) -> CustomField {
    CustomField {
        entity: entity.into(),
        key: key.to_owned(),
        name: format!("The {key}"),
        r#type: kind.into(),
        ..Default::default()
    }
}

fn choosing(entity: CustomFieldEntity, key: &str, kind: CustomFieldType, names: &[&str]) -> CustomField {
    let choices = names.iter().map(|name| CustomFieldChoice { name: (*name).to_owned(), label: name.to_lowercase() });
    CustomField { choices: choices.collect(), ..field(entity, key, kind) }
}

async fn create(desk: &Desk, custom_field: CustomField) -> Result<CustomField, Status> {
    let request = CreateCustomFieldRequest { custom_field: Some(custom_field), request_id: request_id() };
    Ok(desk.custom_fields().create_custom_field(request).await?.into_inner().custom_field.unwrap())
}

async fn change(desk: &Desk, custom_field: CustomField, paths: &[&str]) -> Result<CustomField, Status> {
    let request = UpdateCustomFieldRequest {
        custom_field: Some(custom_field),
        update_mask: Some(mask(paths)),
        request_id: request_id(),
    };
    Ok(desk.custom_fields().update_custom_field(request).await?.into_inner().custom_field.unwrap())
}

fn value(key: &str, kind: impl Into<Option<Kind>>) -> CustomFieldValue {
    CustomFieldValue { key: key.to_owned(), kind: kind.into() }
}

fn text(text: &str) -> Kind {
    Kind::Text(text.to_owned())
}

fn choices(names: &[&str]) -> Kind {
    Kind::Choices(CustomFieldChoices { names: names.iter().map(|name| (*name).to_owned()).collect() })
}

async fn try_user(desk: &Desk, site: &Site, custom_fields: Vec<CustomFieldValue>) -> Result<User, Status> {
    let user = User { site_id: site.id.clone(), name: "Ann Lee".to_owned(), custom_fields, ..Default::default() };
    let request = CreateUserRequest { user: Some(user), request_id: request_id() };
    Ok(desk.users().create_user(request).await?.into_inner().user.unwrap())
}

async fn set(desk: &Desk, id: &str, custom_fields: Vec<CustomFieldValue>) -> Result<User, Status> {
    let request = UpdateUserRequest {
        user: Some(User { id: id.to_owned(), custom_fields, ..Default::default() }),
        update_mask: Some(mask(&["custom_fields"])),
        request_id: request_id(),
    };
    Ok(desk.users().update_user(request).await?.into_inner().user.unwrap())
}

use CustomFieldEntity as Of;
use CustomFieldType as Type;

#[tokio::test]
async fn a_definition_keeps_its_key_also_while_it_is_deleted() {
    let desk = Desk::open().await;
    let level = create(&desk, field(Of::User, "level", Type::Text)).await.unwrap();
    // Of other records it is another field.
    create(&desk, field(Of::Customer, "level", Type::Number)).await.unwrap();
    let again = || field(Of::User, "level", Type::Number);
    let status = create(&desk, again()).await.unwrap_err();
    assert_eq!((status.code(), reason(&status).as_str()), (Code::AlreadyExists, "KEY_TAKEN"));
    let request = DeleteCustomFieldRequest { id: level.id.clone(), request_id: request_id(), ..Default::default() };
    desk.custom_fields().delete_custom_field(request).await.unwrap();
    assert_eq!(reason(&create(&desk, again()).await.unwrap_err()), "KEY_TAKEN");
    let request = UndeleteCustomFieldRequest { id: level.id.clone(), request_id: request_id() };
    desk.custom_fields().undelete_custom_field(request).await.unwrap();

    for path in ["key", "type", "entity"] {
        let status = change(&desk, CustomField { etag: String::new(), ..level.clone() }, &[path]).await.unwrap_err();
        assert_eq!(status.code(), Code::InvalidArgument, "{path}");
    }
    let bad = CustomField { key: "No key".to_owned(), ..choosing(Of::Site, "x", Type::Text, &["A"]) };
    let status = create(&desk, bad).await.unwrap_err();
    assert_eq!(fields(&status), ["custom_field.key", "custom_field.choices"]);
    let status = create(&desk, choosing(Of::Site, "x", Type::Choice, &["A", "A"])).await.unwrap_err();
    assert_eq!(fields(&status), ["custom_field.choices[1].name"]);
}

#[tokio::test]
async fn values_of_every_type_are_kept_changed_one_by_one_and_read_back() {
    let desk = Desk::open().await;
    let (customer, site) = desk.customer("Acme").await;
    for custom_field in [
        field(Of::User, "badge", Type::Text),
        field(Of::User, "floor", Type::Number),
        field(Of::User, "remote", Type::Flag),
        field(Of::User, "since", Type::Time),
        choosing(Of::User, "device", Type::Choice, &["LAPTOP", "PHONE"]),
        choosing(Of::User, "skills", Type::ChoiceSet, &["SQL", "RUST"]),
        field(Of::Customer, "tier", Type::Text),
        field(Of::Site, "rooms", Type::Number),
    ] {
        create(&desk, custom_field).await.unwrap();
    }
    let sent = vec![
        value("badge", text("B-7")),
        value("device", Kind::Choice("PHONE".to_owned())),
        value("floor", Kind::Number(-2)),
        value("remote", Kind::Flag(false)),
        value("since", Kind::Time(Timestamp { seconds: 1_700_000_000, nanos: 0 })),
        value("skills", choices(&["SQL", "RUST"])),
    ];
    let ann = try_user(&desk, &site, sent.iter().rev().cloned().collect()).await.unwrap();
    let mut stored = sent;
    stored[5] = value("skills", choices(&["RUST", "SQL"]));
    assert_eq!(ann.custom_fields, stored);
    let got = desk.users().get_user(GetUserRequest { id: ann.id.clone() }).await.unwrap().into_inner().user.unwrap();
    assert_eq!(got, ann);

    // What a change does not name stays.
    let changed = set(&desk, &ann.id, vec![value("floor", Kind::Number(3)), value("badge", None)]).await.unwrap();
    stored.remove(0);
    stored[1] = value("floor", Kind::Number(3));
    assert_eq!((&changed.custom_fields, changed.etag.as_str()), (&stored, "2"));
    let same = set(&desk, &ann.id, vec![value("floor", Kind::Number(3))]).await.unwrap();
    assert_eq!(same, changed, "nothing differs, nothing is written");
    let renamed = desk.change_user(User { name: "Ann Ray".to_owned(), ..changed }, &["name"]).await;
    assert_eq!(renamed.custom_fields, stored);
    let request =
        ListChangesRequest { record_id: ann.id.clone(), record_type: "user".to_owned(), ..Default::default() };
    let changes = desk.history().list_changes(request).await.unwrap().into_inner();
    assert!(format!("{changes:?}").contains("custom_fields"));

    let tier = vec![value("tier", text("gold"))];
    let request = UpdateCustomerRequest {
        customer: Some(Customer { id: customer.id, custom_fields: tier.clone(), ..Default::default() }),
        update_mask: Some(mask(&["custom_fields"])),
        request_id: request_id(),
    };
    desk.customers().update_customer(request).await.unwrap();
    let rooms = vec![value("rooms", Kind::Number(12))];
    let request = UpdateSiteRequest {
        site: Some(Site { id: site.id, custom_fields: rooms.clone(), ..Default::default() }),
        update_mask: Some(mask(&["custom_fields"])),
        request_id: request_id(),
    };
    desk.sites().update_site(request).await.unwrap();
    let mut requester = RequesterServiceClient::new(desk.suite.api("directory", &desk.who));
    let request = GetRequesterFactsRequest { user_id: ann.id, ..Default::default() };
    let facts = requester.get_requester_facts(request).await.unwrap().into_inner().facts.unwrap();
    assert_eq!(facts.user.unwrap().custom_fields, stored);
    assert_eq!(facts.site.unwrap().custom_fields, rooms);
    assert_eq!(facts.customer.unwrap().custom_fields, tier);
}

#[tokio::test]
async fn every_bad_value_is_told_at_once_with_whatever_else_is_wrong() {
    let desk = Desk::open().await;
    let (_, site) = desk.customer("Acme").await;
    create(&desk, CustomField { required: true, ..field(Of::User, "badge", Type::Text) }).await.unwrap();
    create(&desk, choosing(Of::User, "device", Type::Choice, &["LAPTOP", "PHONE"])).await.unwrap();
    create(&desk, field(Of::Customer, "tier", Type::Text)).await.unwrap();
    let user = User {
        site_id: site.id.clone(),
        name: "Ann Lee".to_owned(),
        emails: vec!["ann@example.com".to_owned(), "ANN@example.com".to_owned()],
        custom_fields: vec![
            value("device", Kind::Choice("FAX".to_owned())),
            // Customers have it, users do not.
            value("tier", text("gold")),
        ],
        ..Default::default()
    };
    let request = CreateUserRequest { user: Some(user), request_id: request_id() };
    let status = desk.users().create_user(request).await.unwrap_err();
    assert_eq!((status.code(), reason(&status).as_str()), (Code::InvalidArgument, "INVALID_FIELD"));
    assert_eq!(
        fields(&status),
        ["user.emails[1]", "user.custom_fields[0].choice", "user.custom_fields[1].key", "user.custom_fields"]
    );

    let ann = try_user(&desk, &site, vec![value("badge", text("B-7"))]).await.unwrap();
    let status = set(&desk, &ann.id, vec![value("badge", text("")), value("device", text("PHONE"))]).await.unwrap_err();
    assert_eq!(fields(&status), ["user.custom_fields[1]", "user.custom_fields"]);
}

#[tokio::test]
async fn of_a_customer_created_with_its_site_and_contact_every_bad_value_is_told() {
    let desk = Desk::open().await;
    create(&desk, CustomField { required: true, ..field(Of::Site, "rooms", Type::Number) }).await.unwrap();
    create(&desk, field(Of::User, "badge", Type::Text)).await.unwrap();
    let request = |rooms: Vec<CustomFieldValue>, badge: Kind| CreateCustomerRequest {
        customer: Some(Customer { name: "Acme".to_owned(), ..Default::default() }),
        main_site: Some(Site { name: "Berlin".to_owned(), custom_fields: rooms, ..Default::default() }),
        main_contact: Some(User {
            name: "Ann Lee".to_owned(),
            custom_fields: vec![value("badge", badge)],
            ..Default::default()
        }),
        request_id: request_id(),
    };
    let status = desk.customers().create_customer(request(Vec::new(), Kind::Number(7))).await.unwrap_err();
    assert_eq!(fields(&status), ["main_site.custom_fields", "main_contact.custom_fields[0]"]);
    let rooms = vec![value("rooms", Kind::Number(12))];
    let made = desk.customers().create_customer(request(rooms.clone(), text("B-7"))).await.unwrap().into_inner();
    assert_eq!(made.main_site.unwrap().custom_fields, rooms);
    assert_eq!(made.main_contact.unwrap().custom_fields, [value("badge", text("B-7"))]);
}

#[tokio::test]
async fn what_a_deleted_definition_left_behind_stays_and_can_only_be_emptied() {
    let desk = Desk::open().await;
    let (_, site) = desk.customer("Acme").await;
    let badge = CustomField { required: true, ..field(Of::User, "badge", Type::Text) };
    let badge = create(&desk, badge).await.unwrap();
    let device = create(&desk, choosing(Of::User, "device", Type::Choice, &["LAPTOP", "PHONE"])).await.unwrap();
    let both = vec![value("badge", text("B-7")), value("device", Kind::Choice("PHONE".to_owned()))];
    let ann = try_user(&desk, &site, both.clone()).await.unwrap();

    let request = DeleteCustomFieldRequest { id: badge.id.clone(), request_id: request_id(), ..Default::default() };
    desk.custom_fields().delete_custom_field(request).await.unwrap();
    let no_phones = CustomField { choices: device.choices[..1].to_vec(), etag: String::new(), ..device };
    change(&desk, no_phones, &["choices"]).await.unwrap();
    // Nobody needs a badge any more.
    try_user(&desk, &site, Vec::new()).await.unwrap();
    let status = try_user(&desk, &site, both.clone()).await.unwrap_err();
    assert_eq!(fields(&status), ["user.custom_fields[0].key", "user.custom_fields[1].choice"]);
    let kept = desk.change_user(User { name: "Ann Ray".to_owned(), ..ann }, &["name", "custom_fields"]).await;
    assert_eq!(kept.custom_fields, both);
    let status = set(&desk, &kept.id, vec![value("badge", text("B-8"))]).await.unwrap_err();
    assert_eq!(fields(&status), ["user.custom_fields[0].key"]);
    let emptied = set(&desk, &kept.id, vec![value("badge", None)]).await.unwrap();
    assert_eq!(emptied.custom_fields, both[1..]);
}

#[tokio::test]
async fn are_for_those_who_may_read_them_and_never_for_the_portal() {
    let mut desk = Desk::open().await;
    let (customer, site) = desk.customer("Acme").await;
    create(&desk, field(Of::User, "rating", Type::Number)).await.unwrap();
    let ann = try_user(&desk, &site, vec![value("rating", Kind::Number(1))]).await.unwrap();
    let of = async |who: &Who| {
        let mut users = UserServiceClient::new(desk.suite.api("directory", who));
        users.get_user(GetUserRequest { id: ann.id.clone() }).await.unwrap().into_inner().user.unwrap().custom_fields
    };
    assert_eq!(of(&desk.who).await, ann.custom_fields);
    assert_eq!(of(&Who::user(&ann.id, &customer.id, &site.id).with_scope(&["users.read"])).await, []);
    assert_eq!(of(&Who::agent(Uuid::from_u128(1)).with_scope(&["users.read"])).await, []);

    desk.limit(&["configuration.read", "users.write", "users.read"]);
    let status = create(&desk, field(Of::User, "x", Type::Text)).await.unwrap_err();
    assert_eq!(reason(&status), "PERMISSION_MISSING");
    assert_eq!(desk.change_user(User { name: "Ann Ray".to_owned(), ..ann.clone() }, &["name"]).await.custom_fields, []);
}

#[tokio::test]
async fn of_two_replicas_that_change_different_fields_at_once_both_changes_stay() {
    let mut desk = Desk::open().await;
    let (_, site) = desk.customer("Acme").await;
    for number in 0..8 {
        create(&desk, field(Of::User, &format!("field_{number}"), Type::Number)).await.unwrap();
    }
    let ann = try_user(&desk, &site, Vec::new()).await.unwrap();
    let replica = desk.suite.replica::<Directory>().await;
    let clients = [desk.users(), UserServiceClient::new(desk.suite.api_of(&replica, &desk.who))];
    let calls = (0..8_i64).map(|number| {
        let mut client = clients[usize::try_from(number).unwrap() % 2].clone();
        let custom_fields = vec![value(&format!("field_{number}"), Kind::Number(number))];
        let request = UpdateUserRequest {
            user: Some(User { id: ann.id.clone(), custom_fields, ..Default::default() }),
            update_mask: Some(mask(&["custom_fields"])),
            request_id: request_id(),
        };
        async move { client.update_user(request).await.unwrap() }
    });
    futures::future::join_all(calls).await;
    let got = desk.users().get_user(GetUserRequest { id: ann.id }).await.unwrap().into_inner().user.unwrap();
    let expected: Vec<CustomFieldValue> =
        (0..8).map(|number| value(&format!("field_{number}"), Kind::Number(number))).collect();
    assert_eq!((got.custom_fields, got.etag.as_str()), (expected, "9"));

    // The same key at once: one of them gets it.
    let other = CustomFieldServiceClient::new(desk.suite.api_of(&replica, &desk.who));
    let clients = [desk.custom_fields(), other];
    let calls = clients.map(|mut client| async move {
        let custom_field = Some(field(Of::Site, "same", Type::Text));
        client.create_custom_field(CreateCustomFieldRequest { custom_field, request_id: request_id() }).await
    });
    let made = futures::future::join_all(calls).await;
    let refusals: Vec<String> = made.iter().filter_map(|made| made.as_ref().err()).map(reason).collect();
    assert_eq!(refusals, ["KEY_TAKEN"]);
}

//! Every kind of rule that a field of the contract can have, broken at one field: where it is told, and how. The rules
//! are generated from the contract alike for every field, so that one row a kind and a place stands for all.

use std::collections::BTreeSet;

use concierge_proto::common::criterion_value::Kind;
use concierge_proto::common::{Address, CriteriaGroup, Criterion, CriterionValue, GroupKind, Operator};
use concierge_proto::directory::{
    BatchGetRequesterFactsRequest, BatchGetUsersRequest, CreateCustomerRequest, CreateRelationshipRequest,
    CreateUserRequest, Customer, GetCustomerRequest, GetRecordAtRequest, ListCustomersRequest, Relationship, Site,
    UpdateCustomerRequest, UpdateUserRequest, User,
};
use concierge_proto::notification::{
    Channel, CreateEmailSenderRequest, CreateNotificationDefinitionRequest, CreatePopupNoteRequest, EmailSender,
    EventType, NotificationDefinition, NotificationRecipients, PopupNote, WatchInboxRequest,
};
use concierge_proto::ticket_rule::SlaTarget;
use concierge_proto::ticket_rule::{CreatePriorityRequest, CreateRuleRequest, CreateSlaRequest, Priority, Rule, Sla};
use concierge_proto::{Validate, Violations};
use prost_reflect::{DescriptorPool, DynamicMessage, ReflectMessage as _, Value};
use prost_types::{Duration, FieldMask, Timestamp};

const ID: &str = "0190a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b";
const UUID: &str = "must be a UUID such as 0190a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b, in lower case";
const TWICE: &str = "stands in the list more than once";

/// A request that breaks rules: the kind of rule, the request, and every violation with its field.
type Row = (&'static str, Box<dyn Validate>, Vec<(&'static str, String)>);

fn row(kind: &'static str, request: impl Validate + 'static, field: &'static str, told: impl Into<String>) -> Row {
    (kind, Box::new(request), vec![(field, told.into())])
}

fn id() -> String {
    ID.to_owned()
}

fn customer(spoil: impl FnOnce(&mut Customer)) -> CreateCustomerRequest {
    let mut customer = Customer { name: "Acme".to_owned(), ..Default::default() };
    spoil(&mut customer);
    let main_site = Some(Site { name: "Head office".to_owned(), ..Default::default() });
    CreateCustomerRequest { customer: Some(customer), main_site, request_id: id(), ..Default::default() }
}

fn site(spoil: impl FnOnce(&mut Site)) -> CreateCustomerRequest {
    let mut request = customer(|_| {});
    spoil(request.main_site.as_mut().unwrap());
    request
}

fn user(spoil: impl FnOnce(&mut User)) -> CreateUserRequest {
    let mut user = User { name: "Ann".to_owned(), site_id: id(), ..Default::default() };
    spoil(&mut user);
    CreateUserRequest { user: Some(user), request_id: id() }
}

fn sender(spoil: impl FnOnce(&mut EmailSender)) -> CreateEmailSenderRequest {
    let mut sender = EmailSender {
        name: "Desk".to_owned(),
        host: "mail.example".to_owned(),
        from_address: "desk@desk.example".to_owned(),
        ..Default::default()
    };
    spoil(&mut sender);
    CreateEmailSenderRequest { email_sender: Some(sender), request_id: id() }
}

fn definition(channels: &[i32]) -> CreateNotificationDefinitionRequest {
    let definition = NotificationDefinition {
        name: "Logged".to_owned(),
        event_type: EventType::TicketLogged.into(),
        recipients: Some(NotificationRecipients::default()),
        channels: channels.to_vec(),
        subject_template: "Logged".to_owned(),
        body_html_template: "<p>Logged</p>".to_owned(),
        ..Default::default()
    };
    CreateNotificationDefinitionRequest { notification_definition: Some(definition), request_id: id() }
}

fn rule(value: Kind) -> CreateRuleRequest {
    let criterion = Criterion {
        field: "ticket.summary".to_owned(),
        operator: Operator::Is.into(),
        values: vec![CriterionValue { kind: Some(value) }],
        ..Default::default()
    };
    let inner = CriteriaGroup { kind: GroupKind::All.into(), criteria: vec![criterion], ..Default::default() };
    let outer = CriteriaGroup { kind: GroupKind::Not.into(), groups: vec![inner], ..Default::default() };
    let rule = Rule { name: "R".to_owned(), criteria: Some(outer), ..Default::default() };
    CreateRuleRequest { rule: Some(rule), request_id: id() }
}

fn sla(response: Duration) -> CreateSlaRequest {
    let target = SlaTarget { priority_id: id(), response: Some(response), ..Default::default() };
    let sla = Sla { name: "Gold".to_owned(), targets: vec![target], ..Default::default() };
    CreateSlaRequest { sla: Some(sla), request_id: id() }
}

fn seconds(seconds: i64) -> Duration {
    Duration { seconds, nanos: 0 }
}

fn relationship(entity: i32) -> CreateRelationshipRequest {
    let relationship = Relationship { name: "At risk".to_owned(), entity, ..Default::default() };
    CreateRelationshipRequest { relationship: Some(relationship), request_id: id() }
}

fn color(color: &str) -> CreatePriorityRequest {
    let priority = Priority { name: "High".to_owned(), color: color.to_owned(), ..Default::default() };
    CreatePriorityRequest { priority: Some(priority), request_id: id() }
}

fn note(from_date: &str) -> CreatePopupNoteRequest {
    let note = PopupNote { text_html: "Hello".to_owned(), from_date: from_date.to_owned(), ..Default::default() };
    CreatePopupNoteRequest { popup_note: Some(note), request_id: id() }
}

fn record_at(time: Option<Timestamp>) -> GetRecordAtRequest {
    GetRecordAtRequest { record_type: "customer".to_owned(), record_id: id(), time }
}

fn update(paths: &[&str], customer: Customer) -> UpdateCustomerRequest {
    let paths = paths.iter().map(|path| (*path).to_owned()).collect();
    UpdateCustomerRequest {
        customer: Some(Customer { id: id(), ..customer }),
        update_mask: Some(FieldMask { paths }),
        request_id: id(),
    }
}

fn move_by_update() -> UpdateUserRequest {
    let user = User { id: id(), site_id: id(), ..Default::default() };
    let update_mask = Some(FieldMask { paths: vec!["site_id".to_owned()] });
    UpdateUserRequest { user: Some(user), update_mask, request_id: id() }
}

fn presence_rows() -> Vec<Row> {
    let whole = CreateCustomerRequest::default();
    vec![
        (
            "required",
            Box::new(whole),
            vec![
                ("customer", "must be given".to_owned()),
                ("request_id", "must not be empty".to_owned()),
                ("main_site", "must be given".to_owned()),
            ],
        ),
        row("required", customer(|c| c.name = " \t".to_owned()), "customer.name", "must not be empty"),
        row("required", site(|s| s.name.clear()), "main_site.name", "must not be empty"),
        row("required", definition(&[]), "notification_definition.channels", "must have at least one item"),
        row("required", relationship(0), "relationship.entity", "must be one of CUSTOMER, USER"),
        row("required", record_at(None), "time", "must be given"),
        row("required", BatchGetUsersRequest::default(), "ids", "must have at least one item"),
        row("an item is given", user(|u| u.emails = vec![String::new()]), "user.emails[0]", "must not be empty"),
        row("an enum is known", relationship(99), "relationship.entity", "must be one of CUSTOMER, USER"),
        row(
            "an enum is known",
            definition(&[Channel::Inbox.into(), 0]),
            "notification_definition.channels[1]",
            "must be one of EMAIL, INBOX",
        ),
    ]
}

fn text_rows() -> Vec<Row> {
    let long = |n: usize| "é".repeat(n);
    let (name, notes) = (long(201), long(20_001));
    vec![
        row("max_length", customer(|c| c.name = name), "customer.name", "must have at most 200 characters, has 201"),
        row(
            "max_length",
            customer(|c| c.notes = notes),
            "customer.notes",
            "must have at most 20000 characters, has 20001",
        ),
        row(
            "max_length",
            rule(Kind::Text(long(1001))),
            "rule.criteria.groups[0].criteria[0].values[0].text",
            "must have at most 1000 characters, has 1001",
        ),
        row("pattern", note("1.1.2026"), "popup_note.from_date", "must match ^(?:[0-9]{4}-[0-9]{2}-[0-9]{2})$"),
        row(
            "pattern",
            site(|s| s.address = Some(Address { country_code: "DEU".to_owned(), ..Default::default() })),
            "main_site.address.country_code",
            "must match ^(?:[A-Z]{2})$",
        ),
        row(
            "pattern",
            sender(|s| s.host = "mail.example/x".to_owned()),
            "email_sender.host",
            "must match ^(?:[A-Za-z0-9.:-]+)$",
        ),
        row(
            "FORMAT_UNSPECIFIED",
            customer(|c| c.notes = "bell \u{7}".to_owned()),
            "customer.notes",
            "must not contain control characters other than line feed and tab",
        ),
        row("FORMAT_ID", GetCustomerRequest { id: "7".to_owned() }, "id", UUID),
        row("FORMAT_ID", GetCustomerRequest { id: ID.to_uppercase() }, "id", UUID),
        row(
            "FORMAT_ID",
            customer(|c| c.account_manager_agent_id = "x".to_owned()),
            "customer.account_manager_agent_id",
            UUID,
        ),
        row("FORMAT_ID", user(|u| u.role_ids = vec![id(), "x".to_owned()]), "user.role_ids[1]", UUID),
        row("FORMAT_ID", rule(Kind::Id("x".to_owned())), "rule.criteria.groups[0].criteria[0].values[0].id", UUID),
        row(
            "FORMAT_EMAIL",
            user(|u| u.emails = vec!["ann@example.com".to_owned(), "ann@example".to_owned()]),
            "user.emails[1]",
            "must be an e-mail address such as ann@example.com",
        ),
        row(
            "FORMAT_PHONE",
            customer(|c| c.phone = "call me".to_owned()),
            "customer.phone",
            "must be a telephone number such as +49 30 1234567",
        ),
        row(
            "FORMAT_DOMAIN",
            customer(|c| c.domains = vec!["Example.com".to_owned()]),
            "customer.domains[0]",
            "must be a host name such as example.com, in lower case",
        ),
        row(
            "FORMAT_TIME_ZONE",
            customer(|c| c.time_zone = "Berlin".to_owned()),
            "customer.time_zone",
            "must be a time zone of the IANA database such as Europe/Berlin",
        ),
        row(
            "FORMAT_CURRENCY",
            customer(|c| c.currency = "EURO".to_owned()),
            "customer.currency",
            "must be an ISO 4217 code such as EUR",
        ),
        row(
            "FORMAT_URL",
            customer(|c| c.website = "javascript:alert(1)".to_owned()),
            "customer.website",
            "must be an absolute URL such as https://example.com/path",
        ),
        row(
            "FORMAT_LINE",
            customer(|c| c.name = "two\nlines".to_owned()),
            "customer.name",
            "must be one line without control characters",
        ),
        row("FORMAT_COLOR", color("red"), "priority.color", "must be a colour such as #00ff7f, in lower case"),
    ]
}

fn number_rows() -> Vec<Row> {
    let port = |port: i32| sender(|s| s.port = Some(port));
    let lengthy = "must be a duration of less than 10,000 years, with seconds and nanos of the same sign";
    let between = "must be between 60 s and 316224000 s";
    let response = "sla.targets[0].response";
    let year_10_000 = Timestamp { seconds: 253_402_300_800, nanos: 0 };
    vec![
        row("minimum", port(0), "email_sender.port", "must be between 1 and 65535, is 0"),
        row("maximum", port(65_536), "email_sender.port", "must be between 1 and 65535, is 65536"),
        row(
            "minimum",
            ListCustomersRequest { page_size: -1, ..Default::default() },
            "page_size",
            "must be at least 0, is -1",
        ),
        row("minimum", WatchInboxRequest { after_position: -1 }, "after_position", "must be at least 0, is -1"),
        row(
            "maximum",
            user(|u| u.service_access_level = 1001),
            "user.service_access_level",
            "must be at most 1000, is 1001",
        ),
        row("minimum", sla(seconds(59)), response, between),
        row("maximum", sla(Duration { seconds: 316_224_000, nanos: 1 }), response, between),
        row("a duration is one", sla(Duration { seconds: 90, nanos: -1 }), response, lengthy),
        row("a duration is one", sla(seconds(i64::MIN)), response, lengthy),
        row("a time is one", record_at(Some(year_10_000)), "time", "must be a time between 0001-01-01 and 9999-12-31"),
        row(
            "a time is one",
            rule(Kind::Time(Timestamp { seconds: 0, nanos: -1 })),
            "rule.criteria.groups[0].criteria[0].values[0].time",
            "must be a time between 0001-01-01 and 9999-12-31",
        ),
    ]
}

fn list_rows() -> Vec<Row> {
    let many = |n: u32| (0..n).map(|i| format!("a{i}.example")).collect::<Vec<_>>();
    let facts = BatchGetRequesterFactsRequest { requests: vec![Default::default(); 501] };
    vec![
        row(
            "max_items",
            customer(|c| c.domains = many(101)),
            "customer.domains",
            "must have at most 100 items, has 101",
        ),
        row("max_items", facts, "requests", "must have at most 500 items, has 501"),
        row(
            "max_items",
            definition(&[1, 2, 1]),
            "notification_definition.channels",
            "must have at most 2 items, has 3",
        ),
        row(
            "unique_items",
            customer(|c| c.domains = vec!["a.example".to_owned(), "b.example".to_owned(), "a.example".to_owned()]),
            "customer.domains[2]",
            TWICE,
        ),
        row("unique_items", BatchGetUsersRequest { ids: vec![id(), id()] }, "ids[1]", TWICE),
        row("unique_items", definition(&[1, 1]), "notification_definition.channels[1]", TWICE),
    ]
}

fn mask_rows() -> Vec<Row> {
    let named = Customer { name: "Acme".to_owned(), ..Default::default() };
    let nameless = || Customer { phone: "call me".to_owned(), ..Default::default() };
    let absent = UpdateCustomerRequest { update_mask: None, ..update(&["name"], named.clone()) };
    let of_nobody = UpdateCustomerRequest { customer: Some(named.clone()), ..update(&["name"], Customer::default()) };
    vec![
        row("a mask is given", absent, "update_mask", "must be given"),
        row("a mask is given", update(&[], named.clone()), "update_mask", "must name at least one field"),
        row(
            "the mask names fields",
            update(&["main_site_id"], named.clone()),
            "update_mask",
            "\"main_site_id\" is set by the server",
        ),
        row(
            "output_only",
            update(&["create_time"], named.clone()),
            "update_mask",
            "\"create_time\" is set by the server",
        ),
        row("immutable", move_by_update(), "update_mask", "\"site_id\" is fixed once the record exists"),
        row("required", of_nobody, "customer.id", "must not be empty"),
        // What the mask names is checked, and only that.
        row("required", update(&["name"], nameless()), "customer.name", "must not be empty"),
        row(
            "FORMAT_PHONE",
            update(&["phone"], nameless()),
            "customer.phone",
            "must be a telephone number such as +49 30 1234567",
        ),
    ]
}

fn rows() -> Vec<Row> {
    [presence_rows(), text_rows(), number_rows(), list_rows(), mask_rows()].into_iter().flatten().collect()
}

fn violations(request: &dyn Validate) -> Vec<(String, String)> {
    let mut violations = Violations::default();
    request.validate(&mut violations);
    violations.into_iter().map(|v| (v.field, v.description)).collect()
}

#[test]
fn every_kind_of_rule_is_told_with_its_field() {
    for (kind, request, expected) in rows() {
        let expected: Vec<(String, String)> = expected.into_iter().map(|(f, why)| (f.to_owned(), why)).collect();
        assert_eq!(violations(request.as_ref()), expected, "{kind}");
    }
}

#[test]
fn what_keeps_the_rules_passes() {
    let sound: Vec<Box<dyn Validate>> = vec![
        Box::new(customer(|c| {
            *c = Customer {
                // Two hundred characters, of two bytes each.
                name: "é".repeat(200),
                notes: "one\n\ttwo".to_owned(),
                time_zone: "America/Argentina/Buenos_Aires".to_owned(),
                currency: "EUR".to_owned(),
                phone: "+49 (30) 123-456.7 x12".to_owned(),
                website: "https://example.com/a?b#c".to_owned(),
                domains: vec!["xn--bcher-kva.example".to_owned()],
                account_manager_agent_id: id(),
                // Set by the server: what a request says is not looked at.
                id: "not an id".to_owned(),
                main_site_id: "not an id".to_owned(),
                create_time: Some(Timestamp { seconds: i64::MAX, nanos: -1 }),
                ..Default::default()
            }
        })),
        Box::new(user(|u| u.emails = vec!["o'neil+tag@mail.example.com".to_owned()])),
        Box::new(user(|u| u.service_access_level = 1000)),
        Box::new(sender(|s| s.port = Some(65_535))),
        Box::new(definition(&[1, 2])),
        Box::new(rule(Kind::Number(i64::MIN))),
        Box::new(sla(seconds(60))),
        Box::new(sla(seconds(316_224_000))),
        Box::new(color("#00ff7f")),
        Box::new(note("2026-01-01")),
        Box::new(record_at(Some(Timestamp { seconds: 253_402_300_799, nanos: 999_999_999 }))),
        // The mask names the name alone: what is wrong with the telephone does not matter.
        Box::new(update(
            &["name"],
            Customer { name: "Acme".to_owned(), phone: "call me".to_owned(), ..Default::default() },
        )),
    ];
    for (index, request) in sound.iter().enumerate() {
        assert_eq!(violations(request.as_ref()), [], "request {index}");
    }
}

#[test]
fn an_unknown_path_of_a_mask_is_told_with_those_that_there_are() {
    let told = violations(&update(&["nam", "what"], Customer::default()));
    let (first, second) = (&told[0].1, &told[1].1);
    assert!(first.starts_with("\"nam\" is not a field; the fields are name, important, active,"), "{first}");
    assert!(!first.contains("create_time") && !first.contains("main_site_id"), "{first}");
    assert_eq!(second, "\"what\" is not a field");
    assert!(told.iter().all(|(field, _)| field == "update_mask"));
}

#[test]
fn more_violations_than_an_answer_has_room_for_are_counted() {
    let mut violations = Violations::default();
    BatchGetUsersRequest { ids: vec!["x".to_owned(); 500] }.validate(&mut violations);
    let told = violations.iter().count();
    assert!((10..200).contains(&told), "{told}");
    assert_eq!(violations.count(), 999, "500 are no ids, 499 stand there again");
}

/// The options of a field that are set, by name; of `format` its value.
fn stated(options: &DynamicMessage, pool: &DescriptorPool) -> Vec<String> {
    let Some(extension) = pool.get_extension_by_name("concierge.options.v1.field") else { return Vec::new() };
    let Value::Message(stated) = options.get_extension(&extension).into_owned() else { return Vec::new() };
    let set = stated.descriptor().fields().filter(|f| stated.has_field(f)).collect::<Vec<_>>();
    let name = |field: &prost_reflect::FieldDescriptor| {
        let number = stated.get_field(field).as_enum_number();
        let formats = pool.get_enum_by_name("concierge.options.v1.Format").unwrap();
        number.and_then(|n| formats.get_value(n)).map_or(field.name().to_owned(), |v| v.name().to_owned())
    };
    set.iter().map(name).collect()
}

#[test]
fn the_table_has_every_kind_that_the_contract_uses() {
    // Not rules of a value: what they do is tested where it is done.
    const ELSEWHERE: [&str; 5] = ["secret", "write_permission", "read_permission", "references", "default_value"];
    let pool = DescriptorPool::decode(concierge_proto::DESCRIPTOR_SET).unwrap();
    let mut used = BTreeSet::new();
    for message in pool.all_messages() {
        for field in message.fields() {
            used.extend(stated(&field.options(), &pool));
        }
    }
    assert!(used.len() > 15, "{used:?}");
    let tested: BTreeSet<&str> = rows().iter().map(|(kind, ..)| *kind).collect();
    let missing: Vec<&String> =
        used.iter().filter(|kind| !tested.contains(kind.as_str()) && !ELSEWHERE.contains(&kind.as_str())).collect();
    assert_eq!(missing, Vec::<&String>::new(), "kinds of rules that no row of the table breaks");
}

#[test]
fn every_pattern_of_the_contract_is_one() {
    let pool = DescriptorPool::decode(concierge_proto::DESCRIPTOR_SET).unwrap();
    let mut patterns = 0;
    for message in pool.all_messages() {
        for field in message.fields() {
            let pattern = crate::options::field(&pool, &field).pattern;
            if !pattern.is_empty() {
                regex::Regex::new(&format!("^(?:{pattern})$")).unwrap();
                patterns += 1;
            }
        }
    }
    assert!(patterns > 5, "{patterns}");
}

//! `TicketFieldService`, and the custom fields of tickets.

use concierge_proto::common::custom_field_value::Kind as Of;
use concierge_proto::common::{CustomFieldChoice, CustomFieldChoices, CustomFieldType, CustomFieldValue, Operator};
use concierge_proto::ticket_rule::ticket_field_service_client::TicketFieldServiceClient;
use concierge_proto::ticket_rule::{
    CreateTicketFieldRequest, DeleteRuleRequest, DeleteTicketFieldRequest, EvaluateRulesRequest, ExplainTicketRequest,
    LogTicketRequest, RuleOutcomes, Ticket, TicketDraft, TicketField, UndeleteTicketFieldRequest,
    UpdateTicketFieldRequest,
};
use concierge_testkit::{Api, request_id};
use tonic::{Code, Status};

use crate::desk::{self, Desk};
use crate::support::{about, because, choice, criterion, mask, number, refused, rule, tag, text};

fn fields(desk: &Desk) -> TicketFieldServiceClient<Api> {
    TicketFieldServiceClient::new(desk.suite.admin("ticket-rule"))
}

fn field(key: &str, kind: CustomFieldType) -> TicketField {
    let offered = ["LAPTOP", "PHONE"].map(|name| CustomFieldChoice { name: name.into(), label: name.to_lowercase() });
    let chooses = matches!(kind, CustomFieldType::Choice | CustomFieldType::ChoiceSet);
    TicketField {
        key: key.to_owned(),
        name: key.to_uppercase(),
        r#type: kind.into(),
        choices: if chooses { offered.into() } else { Vec::new() },
        ..Default::default()
    }
}

async fn create(desk: &Desk, field: TicketField) -> Result<TicketField, Status> {
    let request = CreateTicketFieldRequest { ticket_field: Some(field), request_id: request_id() };
    Ok(fields(desk).create_ticket_field(request).await?.into_inner().ticket_field.unwrap())
}

async fn update(desk: &Desk, field: TicketField, path: &str) -> Result<TicketField, Status> {
    let request =
        UpdateTicketFieldRequest { ticket_field: Some(field), update_mask: mask(&[path]), request_id: request_id() };
    Ok(fields(desk).update_ticket_field(request).await?.into_inner().ticket_field.unwrap())
}

async fn delete(desk: &Desk, id: &str) -> Result<TicketField, Status> {
    let request = DeleteTicketFieldRequest { id: id.to_owned(), etag: String::new(), request_id: request_id() };
    Ok(fields(desk).delete_ticket_field(request).await?.into_inner().ticket_field.unwrap())
}

fn value(key: &str, kind: impl Into<Option<Of>>) -> CustomFieldValue {
    CustomFieldValue { key: key.to_owned(), kind: kind.into() }
}

fn chosen(names: &[&str]) -> Of {
    Of::Choices(CustomFieldChoices { names: names.iter().map(|name| (*name).to_owned()).collect() })
}

fn places(status: &Status) -> Vec<String> {
    use tonic_types::StatusExt as _;
    let broken = status.get_details_bad_request().map(|bad| bad.field_violations).unwrap_or_default();
    broken.into_iter().map(|violation| violation.field).collect()
}

#[tokio::test]
async fn has_a_key_for_ever_and_choices_only_when_it_chooses() {
    let desk = Desk::alone().await;
    let device = create(&desk, field("device", CustomFieldType::Choice)).await.unwrap();
    assert_eq!((device.position, device.required), (Some(100), false));
    let invalid = because(Code::InvalidArgument, "INVALID_FIELD");
    for wrong in ["Serial", "1st", "a-b", ""] {
        assert_eq!(refused(create(&desk, field(wrong, CustomFieldType::Text)).await), invalid, "{wrong}");
    }
    let none = TicketField { choices: Vec::new(), ..field("other", CustomFieldType::Choice) };
    assert_eq!(places(&create(&desk, none).await.unwrap_err()), ["ticket_field.choices"]);
    let surplus = TicketField { r#type: CustomFieldType::Text.into(), ..field("other", CustomFieldType::Choice) };
    assert_eq!(places(&create(&desk, surplus).await.unwrap_err()), ["ticket_field.choices"]);
    for path in ["key", "type"] {
        let other = TicketField { id: device.id.clone(), ..field("gadget", CustomFieldType::Text) };
        assert_eq!(refused(update(&desk, other, path).await), invalid);
    }
    // Tickets may still have values under the key.
    delete(&desk, &device.id).await.unwrap();
    let again = create(&desk, field("device", CustomFieldType::Number)).await;
    assert_eq!(refused(again), because(Code::AlreadyExists, "KEY_TAKEN"));
    let request = UndeleteTicketFieldRequest { id: device.id, request_id: request_id() };
    fields(&desk).undelete_ticket_field(request).await.unwrap();
}

#[tokio::test]
async fn a_ticket_has_values_as_the_definitions_say_and_keeps_them() {
    let mut desk = Desk::alone().await;
    let one = desk.heard_of_one().await;
    let serial = create(&desk, field("serial", CustomFieldType::Text)).await.unwrap();
    create(&desk, field("devices", CustomFieldType::ChoiceSet)).await.unwrap();
    let seats = TicketField { required: true, ..field("seats", CustomFieldType::Number) };
    create(&desk, seats).await.unwrap();

    let wrong = vec![
        value("colour", Of::Text("red".into())),
        value("serial", Of::Flag(true)),
        value("devices", chosen(&["FAX"])),
    ];
    let refusal = desk.log(Ticket { custom_fields: wrong, ..one.ticket("Printer") }).await.unwrap_err();
    assert_eq!((refusal.code(), desk::reason(&refusal).as_str()), (Code::InvalidArgument, "INVALID_FIELD"));
    let expected = ["[0].key", "[1]", "[2].choices.names[0]", ""].map(|place| format!("ticket.custom_fields{place}"));
    assert_eq!(places(&refusal), expected);
    assert!(refusal.message().contains("seats"), "{}", refusal.message());

    let given = vec![
        value("serial", Of::Text("C02X".into())),
        value("seats", Of::Number(3)),
        value("devices", chosen(&["PHONE", "LAPTOP"])),
    ];
    let logged = desk.log(Ticket { custom_fields: given, ..one.ticket("Printer") }).await.unwrap().ticket.unwrap();
    let devices = value("devices", chosen(&["LAPTOP", "PHONE"]));
    let all = [devices.clone(), value("seats", Of::Number(3)), value("serial", Of::Text("C02X".into()))];
    assert_eq!(logged.custom_fields, all);
    assert_eq!(desk.get(&logged.id).await.custom_fields, all);

    // A portal user is asked for none, and sets none.
    let mut portal = desk.tickets_of(&one.who());
    let request = |ticket| LogTicketRequest { ticket: Some(ticket), request_id: request_id() };
    let mine = Ticket { summary: "Mine".to_owned(), ..Default::default() };
    portal.log_ticket(request(mine.clone())).await.unwrap();
    let theirs = Ticket { custom_fields: vec![value("seats", Of::Number(1))], ..mine };
    let refusal = refused(portal.log_ticket(request(theirs)).await);
    assert_eq!(refusal, because(Code::PermissionDenied, "FIELD_NOT_FOR_CALLER"));

    // An update leaves what it does not name, and what is required cannot be emptied.
    let change = |values| Ticket { id: logged.id.clone(), custom_fields: values, ..Default::default() };
    let changed = desk.update(change(vec![value("devices", None)]), &["custom_fields"]).await.unwrap().ticket.unwrap();
    assert_eq!(changed.custom_fields, all[1..]);
    let emptied = desk.update(change(vec![value("seats", None)]), &["custom_fields"]).await.unwrap_err();
    assert_eq!(places(&emptied), ["ticket.custom_fields"]);

    // What a deleted definition leaves stays, until somebody takes it away; nobody can change it.
    delete(&desk, &serial.id).await.unwrap();
    let changed = desk.update(change(vec![value("seats", Of::Number(4))]), &["custom_fields"]).await.unwrap();
    assert_eq!(changed.ticket.unwrap().custom_fields, [value("seats", Of::Number(4)), all[2].clone()]);
    let refusal = desk.update(change(vec![value("serial", Of::Text("X".into()))]), &["custom_fields"]).await;
    assert_eq!(places(&refusal.unwrap_err()), ["ticket.custom_fields[0].key"]);
    let taken = desk.update(change(vec![value("serial", None)]), &["custom_fields"]).await.unwrap();
    assert_eq!(taken.ticket.unwrap().custom_fields, [value("seats", Of::Number(4))]);
    let events = desk.events(5).await;
    let told: Vec<_> = events[2..].iter().map(|(_, event)| event.changed_fields.clone()).collect();
    // Of the deleted one there is no criterion any more.
    assert_eq!(told, [vec!["ticket.custom.devices".to_owned()], vec!["ticket.custom.seats".to_owned()], Vec::new()]);
}

#[tokio::test]
async fn rules_test_and_set_them_and_are_explained_with_those_of_their_time() {
    let mut desk = Desk::alone().await;
    let one = desk.heard_of_one().await;
    let device = create(&desk, field("device", CustomFieldType::Choice)).await.unwrap();
    create(&desk, field("parts", CustomFieldType::ChoiceSet)).await.unwrap();
    create(&desk, field("seats", CustomFieldType::Number)).await.unwrap();

    let many = criterion("ticket.custom.seats", Operator::Greater, [number(5)]);
    let outcomes = RuleOutcomes {
        custom_fields: vec![value("device", Of::Choice("LAPTOP".into())), value("parts", chosen(&["PHONE"]))],
        ..Default::default()
    };
    let sets = desk.rule(rule("Many", vec![many], outcomes)).await;
    // A later rule sees what the first one set.
    let on_laptop = criterion("ticket.custom.device", Operator::Is, [choice("LAPTOP")]);
    let with_phone = criterion("ticket.custom.parts", Operator::Includes, [text("PHONE")]);
    let tests = desk.rule(rule("Laptop", vec![on_laptop, with_phone], tag("laptop"))).await;
    let ticket = Ticket { custom_fields: vec![value("seats", Of::Number(6))], ..one.ticket("Office") };
    let logged = desk.log(ticket).await.unwrap().ticket.unwrap();
    let device_is = value("device", Of::Choice("LAPTOP".into()));
    assert_eq!(
        logged.custom_fields,
        [device_is.clone(), value("parts", chosen(&["PHONE"])), value("seats", Of::Number(6))]
    );
    assert_eq!(logged.tags, ["laptop"]);
    let few = Ticket { custom_fields: vec![value("seats", Of::Number(5))], ..one.ticket("Office") };
    let few = desk.log(few).await.unwrap().ticket.unwrap();
    assert!(few.tags.is_empty() && few.custom_fields.len() == 1);
    // Existing tickets, when the field changes.
    let more = Ticket { id: few.id, custom_fields: vec![value("seats", Of::Number(9))], ..Default::default() };
    assert_eq!(desk.update(more, &["custom_fields"]).await.unwrap().ticket.unwrap().tags, ["laptop"]);

    let draft = TicketDraft { custom_fields: vec![value("seats", Of::Number(7))], ..Default::default() };
    let tried = desk.rules().evaluate_rules(EvaluateRulesRequest { draft: Some(draft), ..Default::default() }).await;
    assert_eq!(tried.unwrap().into_inner().ticket.unwrap().tags, ["laptop"]);

    // What is no field, no choice, or no value of it.
    let bad = |field: &str, name: &str| rule("Bad", vec![criterion(field, Operator::Is, [choice(name)])], tag("x"));
    let invalid = because(Code::InvalidArgument, "CRITERIA_INVALID");
    assert_eq!(refused(desk.try_rule(bad("ticket.custom.colour", "RED")).await), invalid);
    assert_eq!(refused(desk.try_rule(bad("ticket.custom.device", "FAX")).await), invalid);
    let fax = criterion("ticket.custom.parts", Operator::Includes, [text("FAX")]);
    assert_eq!(refused(desk.try_rule(rule("Bad", vec![fax], tag("x"))).await), invalid);
    let none =
        RuleOutcomes { custom_fields: vec![value("seats", None), value("x", Of::Number(1))], ..Default::default() };
    let refusal = desk.try_rule(rule("Bad", vec![about("x")], none)).await.unwrap_err();
    let expected = ["[1].key", "[0]"].map(|place| format!("rule.outcomes.custom_fields{place}"));
    assert_eq!(places(&refusal), expected);

    // Neither the field nor its choice goes while a rule names it.
    let in_use = because(Code::FailedPrecondition, "RECORD_IN_USE");
    assert_eq!(refused(delete(&desk, &device.id).await), in_use);
    let phone = device.choices[1].clone();
    let less = TicketField { id: device.id.clone(), choices: vec![phone], ..Default::default() };
    assert_eq!(refused(update(&desk, less, "choices").await), in_use);
    let less = TicketField { id: device.id.clone(), choices: vec![device.choices[0].clone()], ..Default::default() };
    update(&desk, less, "choices").await.unwrap();

    // A field that comes before the others moves them; what was is explained as it was.
    create(&desk, field("a_first", CustomFieldType::Text)).await.unwrap();
    for id in [sets, tests] {
        let request = DeleteRuleRequest { id, etag: String::new(), request_id: request_id() };
        desk.rules().delete_rule(request).await.unwrap();
    }
    delete(&desk, &device.id).await.unwrap();
    let request = ExplainTicketRequest { ticket_id: logged.id, ..Default::default() };
    let explained = desk.rules().explain_ticket(request).await.unwrap().into_inner();
    let changes: Vec<&str> = explained.traces[0].changes.iter().map(|change| change.field.as_str()).collect();
    assert_eq!(changes, ["ticket.custom.device", "ticket.custom.parts"]);
    let seen = &explained.traces[1].criteria[0];
    assert_eq!(seen.criterion.as_ref().unwrap().field, "ticket.custom.device");
    assert_eq!(seen.seen[0].kind, Some(choice("LAPTOP")));
}

//! The custom fields of a ticket's user, site and customer, which directory defines, in rules.

use concierge_proto::common::{CustomFieldType, CustomFieldValue, Operator, custom_field_value};
use concierge_proto::directory::custom_field_service_client::CustomFieldServiceClient;
use concierge_proto::directory::user_service_client::UserServiceClient;
use concierge_proto::directory::{
    CreateCustomFieldRequest, CustomField, CustomFieldEntity, DeleteCustomFieldRequest, UpdateUserRequest, User,
};
use concierge_proto::ticket_rule::{ExplainTicketRequest, RuleVerdict};
use concierge_testkit::{Api, request_id};

use crate::desk::{Desk, matched, reason};
use crate::support::{criterion, rule, tag, text};

/// Directory's clients of custom fields and users.
fn custom_fields(desk: &Desk) -> (CustomFieldServiceClient<Api>, UserServiceClient<Api>) {
    let (fields, users) = (desk.suite.admin("directory"), desk.suite.admin("directory"));
    (CustomFieldServiceClient::new(fields), UserServiceClient::new(users))
}

#[tokio::test]
async fn rules_test_the_custom_fields_of_requesters_and_explain_with_those_of_the_time() {
    let mut desk = Desk::with_directory().await;
    let (mut fields, mut users) = custom_fields(&desk);
    let badge = CustomField {
        entity: CustomFieldEntity::User.into(),
        key: "badge".to_owned(),
        name: "Badge".to_owned(),
        r#type: CustomFieldType::Text.into(),
        ..Default::default()
    };
    let request = CreateCustomFieldRequest { custom_field: Some(badge), request_id: request_id() };
    let badge = fields.create_custom_field(request).await.unwrap().into_inner().custom_field.unwrap();
    desk.caught_up().await;
    let criteria = vec![criterion("user.custom.badge", Operator::Is, [text("B-7")])];
    let wanted = desk.try_rule(rule("Badge", criteria, tag("badge"))).await.unwrap();
    let unknown = vec![criterion("user.custom.shoe", Operator::Is, [text("B-7")])];
    let status = desk.try_rule(rule("Shoe", unknown, tag("shoe"))).await.unwrap_err();
    assert_eq!(reason(&status), "CRITERIA_INVALID");

    let ann = desk.create_one().await;
    let set = |text: &str| {
        let kind = Some(custom_field_value::Kind::Text(text.to_owned()));
        let custom_fields = vec![CustomFieldValue { key: "badge".to_owned(), kind }];
        UpdateUserRequest {
            user: Some(User { id: ann.user.id.clone(), custom_fields, ..Default::default() }),
            update_mask: Some(prost_types::FieldMask { paths: vec!["custom_fields".to_owned()] }),
            request_id: request_id(),
        }
    };
    let before = desk.log(ann.ticket("Door")).await.unwrap();
    assert_eq!(matched(&before.evaluation), Vec::<String>::new());
    // As directory has it now, not as it was heard of.
    users.update_user(set("B-7")).await.unwrap();
    let logged = desk.log(ann.ticket("Door")).await.unwrap();
    assert_eq!(matched(&logged.evaluation), std::slice::from_ref(&wanted.name));

    // The definition goes; what it left on the user stays, and so does the rule.
    let request = DeleteCustomFieldRequest { id: badge.id, request_id: request_id(), ..Default::default() };
    fields.delete_custom_field(request).await.unwrap();
    desk.caught_up().await;
    let again = desk.log(ann.ticket("Door")).await.unwrap();
    assert_eq!(matched(&again.evaluation), std::slice::from_ref(&wanted.name));
    let explain = |ticket_id: String| ExplainTicketRequest { ticket_id, ..Default::default() };
    for (ticket, verdict) in [(before.ticket, RuleVerdict::NotMatched), (logged.ticket, RuleVerdict::Matched)] {
        let explained = desk.rules().explain_ticket(explain(ticket.unwrap().id)).await.unwrap().into_inner();
        let of = explained.traces.iter().find(|trace| trace.rule_id == wanted.id).unwrap();
        assert_eq!(of.verdict(), verdict);
    }
}

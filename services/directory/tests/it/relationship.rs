//! `RelationshipService`, and through it what every record has.

use concierge_directory::Directory;
use concierge_proto::directory::relationship_service_client::RelationshipServiceClient;
use concierge_proto::directory::{
    CreateRelationshipRequest, DeleteRelationshipRequest, GetRelationshipRequest, ListRelationshipsRequest,
    Relationship, RelationshipEntity, UndeleteRelationshipRequest, UpdateRelationshipRequest,
};
use concierge_testkit::{Api, Suite, Who, request_id};
use tonic::Code;
use tonic_types::StatusExt as _;
use uuid::Uuid;

use crate::desk::reason;

fn named(name: &str) -> CreateRelationshipRequest {
    CreateRelationshipRequest {
        relationship: Some(Relationship {
            name: name.to_owned(),
            entity: RelationshipEntity::Customer.into(),
            ..Default::default()
        }),
        request_id: request_id(),
    }
}

async fn start() -> (Suite, RelationshipServiceClient<Api>) {
    let mut suite = Suite::new();
    suite.start::<Directory>().await;
    let client = RelationshipServiceClient::new(suite.admin("directory"));
    (suite, client)
}

#[tokio::test]
async fn creates_reads_changes_deletes_and_brings_back() {
    let (_suite, mut client) = start().await;
    let created = client.create_relationship(named("At risk")).await.unwrap().into_inner().relationship.unwrap();
    assert_eq!((created.active, created.etag.as_str()), (Some(true), "1"));
    let got = client.get_relationship(GetRelationshipRequest { id: created.id.clone() }).await.unwrap().into_inner();
    assert_eq!(got.relationship.as_ref(), Some(&created));

    let update = UpdateRelationshipRequest {
        relationship: Some(Relationship { name: "Retention".to_owned(), ..created.clone() }),
        update_mask: Some(prost_types::FieldMask { paths: vec!["name".to_owned()] }),
        request_id: request_id(),
    };
    let updated = client.update_relationship(update.clone()).await.unwrap().into_inner().relationship.unwrap();
    assert_eq!((updated.name.as_str(), updated.etag.as_str()), ("Retention", "2"));
    let stale = UpdateRelationshipRequest { request_id: request_id(), ..update };
    assert_eq!(client.update_relationship(stale).await.unwrap_err().code(), Code::Aborted);

    let id = created.id.clone();
    let delete = DeleteRelationshipRequest { id: id.clone(), etag: String::new(), request_id: request_id() };
    assert!(client.delete_relationship(delete).await.unwrap().into_inner().relationship.unwrap().delete_time.is_some());
    let listed = client.list_relationships(ListRelationshipsRequest::default()).await.unwrap().into_inner();
    assert!(listed.relationships.is_empty());
    let undelete = UndeleteRelationshipRequest { id, request_id: request_id() };
    let back = client.undelete_relationship(undelete.clone()).await.unwrap().into_inner().relationship.unwrap();
    assert!(back.delete_time.is_none());
    let again = UndeleteRelationshipRequest { request_id: request_id(), ..undelete };
    assert_eq!(client.undelete_relationship(again).await.unwrap_err().code(), Code::FailedPrecondition);
}

#[tokio::test]
async fn names_every_bad_field_at_once() {
    let (_suite, mut client) = start().await;
    let request = CreateRelationshipRequest {
        relationship: Some(Relationship { description: "x".repeat(2001), ..Default::default() }),
        request_id: "no uuid".to_owned(),
    };
    let status = client.create_relationship(request).await.unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument);
    let details = status.get_error_details();
    let info = details.error_info().unwrap();
    assert_eq!((info.reason.as_str(), info.domain.as_str()), ("INVALID_FIELD", "concierge.directory.v1"));
    assert!(info.metadata.contains_key("request_id"));
    let fields: Vec<&str> = details.bad_request().unwrap().field_violations.iter().map(|v| v.field.as_str()).collect();
    assert_eq!(fields, ["relationship.name", "relationship.entity", "relationship.description", "request_id"]);
}

#[tokio::test]
async fn rejects_taken_name() {
    let (_suite, mut client) = start().await;
    client.create_relationship(named("At risk")).await.unwrap();
    let status = client.create_relationship(named("AT RISK")).await.unwrap_err();
    assert_eq!(status.code(), Code::AlreadyExists);
    assert_eq!(status.get_error_details().error_info().unwrap().reason, "NAME_TAKEN");
}

#[tokio::test]
async fn a_repeated_request_gets_the_first_answer_also_64_at_once_over_two_replicas() {
    let (mut suite, client) = start().await;
    let replica = suite.replica::<Directory>().await;
    let other = RelationshipServiceClient::new(suite.api_of(&replica, &Who::agent(Uuid::from_u128(0xad))));
    let request = named("High value");
    let calls = (0..64).map(|number| {
        let (mut client, request) = ([&client, &other][number % 2].clone(), request.clone());
        async move { client.create_relationship(request).await.unwrap().into_inner() }
    });
    let answers = futures::future::join_all(calls).await;
    assert!(answers.iter().all(|a| a == &answers[0]));
    let listed = client.clone().list_relationships(ListRelationshipsRequest::default()).await.unwrap().into_inner();
    assert_eq!(listed.relationships.len(), 1);
    let mut other = named("Other");
    other.request_id = request.request_id;
    let status = client.clone().create_relationship(other).await.unwrap_err();
    assert_eq!(status.get_error_details().error_info().unwrap().reason, "REQUEST_ID_REUSED");
}

async fn delete(client: &mut RelationshipServiceClient<Api>, id: &str, request_id: &str) {
    let request =
        DeleteRelationshipRequest { id: id.to_owned(), etag: String::new(), request_id: request_id.to_owned() };
    client.delete_relationship(request).await.unwrap();
}

#[tokio::test]
async fn a_request_id_is_its_callers_and_its_methods() {
    let (suite, mut ann) = start().await;
    let mut bob = RelationshipServiceClient::new(suite.api("directory", &Who::agent(Uuid::from_u128(0xb0b))));
    let request = named("At risk");
    let of_ann = ann.create_relationship(request.clone()).await.unwrap().into_inner().relationship.unwrap();
    // Another caller's, with another body and with the same one.
    let other = CreateRelationshipRequest { request_id: request.request_id.clone(), ..named("High value") };
    let of_bob = bob.create_relationship(other).await.unwrap().into_inner().relationship.unwrap();
    assert_ne!(of_ann.id, of_bob.id);
    let status = bob.create_relationship(request.clone()).await.unwrap_err();
    assert_eq!(reason(&status), "REQUEST_ID_REUSED", "not ann's answer");
    // Another method's.
    delete(&mut ann, &of_ann.id, &request.request_id).await;
    let again = ann.create_relationship(request).await.unwrap().into_inner().relationship.unwrap();
    assert_eq!(again, of_ann, "as it was then");
}

#[tokio::test]
async fn an_answer_is_kept_for_a_day_and_shown_to_whom_it_may_be_shown_still() {
    let (mut suite, mut client) = start().await;
    let service = suite.service("directory").host.service.clone();
    let request = named("At risk");
    let first = client.create_relationship(request.clone()).await.unwrap().into_inner();

    // Without the permission by now.
    let who = Who::agent(Uuid::from_u128(0xad)).with_scope(&["relationships.read"]);
    let mut less = RelationshipServiceClient::new(suite.api("directory", &who));
    let status = less.create_relationship(request.clone()).await.unwrap_err();
    assert_eq!((status.code(), reason(&status).as_str()), (Code::PermissionDenied, "PERMISSION_MISSING"));

    for (hours, expected) in [(23, Ok(first)), (2, Err("NAME_TAKEN".to_owned()))] {
        suite.clock.advance(chrono::TimeDelta::hours(hours));
        concierge_runtime::housekeeping::once(&service).await.unwrap();
        let mut client = RelationshipServiceClient::new(suite.admin("directory"));
        let answer = client.create_relationship(request.clone()).await;
        assert_eq!(answer.map(|a| a.into_inner()).map_err(|status| reason(&status)), expected);
    }
}

#[tokio::test]
async fn a_failure_is_not_kept_the_same_request_may_succeed_later() {
    let (_suite, mut client) = start().await;
    let taken = client.create_relationship(named("At risk")).await.unwrap().into_inner().relationship.unwrap();
    let request = named("At risk");
    assert_eq!(reason(&client.create_relationship(request.clone()).await.unwrap_err()), "NAME_TAKEN");
    delete(&mut client, &taken.id, &request_id()).await;
    let made = client.create_relationship(request.clone()).await.unwrap().into_inner();
    assert_ne!(made.relationship.as_ref().unwrap().id, taken.id);
    assert_eq!(client.create_relationship(request).await.unwrap().into_inner(), made);
}

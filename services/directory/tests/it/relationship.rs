//! `RelationshipService`, and through it what every record has.

use concierge_directory::Directory;
use concierge_proto::directory::relationship_service_client::RelationshipServiceClient;
use concierge_proto::directory::{
    CreateRelationshipRequest, DeleteRelationshipRequest, GetRelationshipRequest, ListRelationshipsRequest,
    Relationship, RelationshipEntity, UndeleteRelationshipRequest, UpdateRelationshipRequest,
};
use concierge_testkit::{Api, Suite, request_id};
use tonic::Code;
use tonic_types::StatusExt as _;

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
async fn a_repeated_request_gets_the_first_answer_also_64_at_once() {
    let (_suite, client) = start().await;
    let request = named("High value");
    let calls = (0..64).map(|_| {
        let (mut client, request) = (client.clone(), request.clone());
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

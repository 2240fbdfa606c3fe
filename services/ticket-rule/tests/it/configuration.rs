//! What rule sets are made of: seeds, revisions, and changes while tickets are written.

use concierge_proto::Record;
use concierge_proto::event::RecordChanged;
use concierge_proto::ticket_rule::{
    CreateStatusRequest, DeleteStatusRequest, ListPrioritiesRequest, ListStatusesRequest, ListTicketTypesRequest, Rule,
    Status, StatusCategory, Ticket, UpdateRuleRequest,
};
use concierge_testkit::request_id;
use prost::Message as _;
use sqlx::PgPool;
use uuid::Uuid;

use crate::desk::{Desk, reason};
use crate::support::{about, mask, rule, tag};

/// The record as history, the feed and the rule set have it.
async fn kept<R: Record>(pool: &PgPool, record: &R) -> [R; 3] {
    let id: Uuid = record.id().parse().unwrap();
    let history: Vec<u8> = sqlx::query_scalar("select record from changes where record_id = $1 and version = 1")
        .bind(id)
        .fetch_one(pool)
        .await
        .unwrap();
    let told: Vec<u8> = sqlx::query_scalar("select payload from outbox where subject = $1 and type = $2")
        .bind(format!("{}/{id}", R::TYPE))
        .bind(format!("{}.created", R::TYPE))
        .fetch_one(pool)
        .await
        .unwrap();
    let used: Vec<u8> = sqlx::query_scalar("select record from configuration_versions where record_id = $1")
        .bind(id)
        .fetch_one(pool)
        .await
        .unwrap();
    let told = RecordChanged::decode(told.as_slice()).unwrap();
    assert_eq!((told.record_type.as_str(), told.record_id.as_str(), told.version), (R::TYPE, record.id(), 1));
    let any = told.record.unwrap();
    assert_eq!(any.type_url, concierge_runtime::type_url(R::FULL_NAME));
    [history, any.value, used].map(|bytes| R::decode(bytes.as_slice()).unwrap())
}

#[tokio::test]
async fn seeds_have_history_and_events_like_records_that_somebody_created() {
    let mut desk = Desk::alone().await;
    let pool = desk.pool();
    let statuses = desk.statuses().list_statuses(ListStatusesRequest::default()).await.unwrap().into_inner().statuses;
    for status in &statuses {
        assert!(kept(&pool, status).await.iter().all(|kept| kept == status), "{status:?}");
    }
    let priorities = desk.priorities().list_priorities(ListPrioritiesRequest::default()).await.unwrap().into_inner();
    for priority in &priorities.priorities {
        assert!(kept(&pool, priority).await.iter().all(|kept| kept == priority), "{priority:?}");
    }
    let types = desk.types().list_ticket_types(ListTicketTypesRequest::default()).await.unwrap().into_inner();
    for ticket_type in &types.ticket_types {
        assert!(kept(&pool, ticket_type).await.iter().all(|kept| kept == ticket_type), "{ticket_type:?}");
    }
    // The sequencer gives them their places in the feed like any other.
    for _ in 0..100 {
        let waiting: i64 =
            sqlx::query_scalar("select count(*) from outbox where position is null").fetch_one(&pool).await.unwrap();
        if waiting == 0 {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    panic!("events without a place");
}

#[tokio::test]
async fn every_change_makes_a_revision_and_writes_one_version_of_one_record() {
    let mut desk = Desk::alone().await;
    let one = desk.heard_of_one().await;
    let pool = desk.pool();
    let revision = async || desk.log(one.ticket("x")).await.unwrap().evaluation.unwrap().rule_set_revision;
    let versions = async || -> i64 {
        sqlx::query_scalar("select count(*) from configuration_versions").fetch_one(&pool).await.unwrap()
    };
    let (first, kept) = (revision().await, versions().await);
    let created = desk.try_rule(rule("a", vec![about("x")], tag("a"))).await.unwrap();
    assert_eq!((revision().await, versions().await), (first + 1, kept + 1));
    let request = |rule: Rule| UpdateRuleRequest {
        rule: Some(rule),
        update_mask: mask(&["description"]),
        request_id: request_id(),
    };
    let described = Rule { description: "for x".to_owned(), ..created };
    let described = desk.rules().update_rule(request(described)).await.unwrap().into_inner().rule.unwrap();
    assert_eq!((revision().await, versions().await), (first + 2, kept + 2));
    // A change that changes nothing.
    desk.rules().update_rule(request(described)).await.unwrap();
    assert_eq!((revision().await, versions().await), (first + 2, kept + 2));
}

#[tokio::test]
async fn every_column_that_is_looked_at_before_a_deletion_has_an_index_of_open_tickets() {
    let mut desk = Desk::alone().await;
    let indexes: Vec<String> = sqlx::query_scalar("select indexdef from pg_indexes where tablename = 'tickets'")
        .fetch_all(&desk.pool())
        .await
        .unwrap();
    for column in ["type_id", "status_id", "priority_id", "sla_id"] {
        let serves = |index: &&String| index.contains(&format!("({column})")) && index.contains("status_category");
        assert!(indexes.iter().any(|index| serves(&index)), "{column}: {indexes:?}");
    }
}

#[tokio::test]
async fn no_ticket_gets_a_status_that_is_deleted_meanwhile() {
    let mut desk = Desk::alone().await;
    let one = desk.heard_of_one().await;
    for round in 0..8 {
        let status =
            Status { name: format!("Triage {round}"), category: StatusCategory::New.into(), ..Default::default() };
        let request = CreateStatusRequest { status: Some(status), request_id: request_id() };
        let status = desk.statuses().create_status(request).await.unwrap().into_inner().status.unwrap();
        let log = (0..4).map(|_| desk.log(Ticket { status_id: status.id.clone(), ..one.ticket("x") }));
        let delete = async {
            let request = DeleteStatusRequest { id: status.id.clone(), etag: String::new(), request_id: request_id() };
            desk.statuses().delete_status(request).await
        };
        let (logged, gone) = tokio::join!(futures::future::join_all(log), delete);
        let named = logged.iter().filter(|logged| logged.is_ok()).count();
        for refused in logged.iter().filter_map(|logged| logged.as_ref().err()) {
            assert_eq!(reason(refused), "REFERENCE_NOT_FOUND");
        }
        match gone {
            Ok(_) => assert_eq!(named, 0, "round {round}"),
            Err(refused) => {
                assert_eq!(reason(&refused), "RECORD_IN_USE");
                assert!(named > 0, "round {round}");
            }
        }
    }
}

//! What transactions leave behind when callers go away or meet.

use std::time::Duration;

use concierge_directory::Directory;
use concierge_proto::directory::{ListChangesRequest, UpdateUserRequest, User};
use concierge_proto::record::datetime;
use concierge_testkit::request_id;
use futures::future::join_all;

use crate::desk::{Desk, mask};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_goes_away_while_a_transaction_begins_leaves_no_connection_in_it() {
    let mut desk = Desk::open().await;
    let running = desk.suite.service("directory");
    let (service, pool) = (running.host.service.clone(), running.database.pool.clone());
    for round in 0..40_u64 {
        // Gone before, in the middle of and after the one round trip.
        let gone = (0..16_u64).map(|n| {
            let service = service.clone();
            async move {
                let left = Duration::from_micros((round * 16 + n) % 640);
                let _ = tokio::time::timeout(left, service.begin()).await;
            }
        });
        join_all(gone).await;
    }
    // Who only reads is not in a transaction that somebody else began.
    let reads = (0..64).map(|_| async {
        let left: String =
            sqlx::query_scalar("select set_config('concierge.left', 'here', true)").fetch_one(&pool).await?;
        sqlx::query_scalar::<_, Option<String>>("select nullif(current_setting('concierge.left', true), '')")
            .fetch_one(&pool)
            .await
            .map(|seen| (left, seen))
    });
    for read in join_all(reads).await {
        let (_, seen) = read.unwrap();
        assert_eq!(seen, None, "a setting of one statement outlived it: the connection is in a transaction");
    }
    let idle: i64 = sqlx::query_scalar(
        "select count(*) from pg_stat_activity where datname = current_database() and state like 'idle in transaction%'",
    )
    .fetch_one(&pool)
    .await
    .unwrap();
    assert_eq!(idle, 0);
}

#[tokio::test]
async fn times_and_versions_of_one_record_go_forward_together_however_many_write_it() {
    let mut desk = Desk::open().await;
    let other = desk.suite.replica::<Directory>().await;
    let (_, site) = desk.customer("Acme").await;
    let ann = desk.user(&site, "Ann Lee").await;
    let write = |number: usize| {
        let mut users = desk.users();
        let user = User { id: ann.id.clone(), name: format!("Ann {number}"), ..Default::default() };
        async move {
            let request =
                UpdateUserRequest { user: Some(user), update_mask: Some(mask(&["name"])), request_id: request_id() };
            users.update_user(request).await.unwrap();
        }
    };
    join_all((0..40).map(write)).await;
    drop(other);
    let request = ListChangesRequest {
        record_type: "user".to_owned(),
        record_id: ann.id.clone(),
        page_size: 100,
        ..Default::default()
    };
    let changes = desk.history().list_changes(request).await.unwrap().into_inner().changes;
    let versions: Vec<i64> = changes.iter().map(|change| change.version).collect();
    assert_eq!(versions, (1..=41).rev().collect::<Vec<i64>>());
    let times: Vec<_> = changes.iter().map(|c| c.change_time.as_ref().and_then(datetime).unwrap()).collect();
    assert!(times.is_sorted_by(|a, b| a >= b), "{times:?}");
}

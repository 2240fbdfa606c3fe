//! A database that is busy, and one that is away. A file of its own: whether the database answers is known to a process.
#![allow(clippy::unwrap_used, missing_docs)]

use std::sync::Arc;
use std::sync::LazyLock;
use std::time::Duration;

use concierge_postgres::{Options, Server};
use concierge_runtime::clock::SystemClock;
use concierge_runtime::feed::sequencer;
use concierge_runtime::{Failure as _, Service, db};
use sqlx::migrate::Migrator;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

static NONE: LazyLock<Migrator> = LazyLock::new(|| Migrator::with_migrations(Vec::new()));

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_is_busy_is_told_from_one_that_is_away() {
    let server = tokio::task::spawn_blocking(|| Server::start(Options::temporary()).unwrap()).await.unwrap();
    let url = server.url("postgres").into();
    let pool = |size| db::pool(&url, size, Duration::from_secs(30), "test").unwrap();
    let (requests, background) = (pool(2), pool(db::BACKGROUND));
    db::migrate(&requests, "directory", &NONE).await.unwrap();
    let service = Service::new("directory", requests.clone(), background, Arc::new(SystemClock));
    let stop = CancellationToken::new();
    let (head, _) = watch::channel(0);
    let sequencing = tokio::spawn(sequencer::run(service.clone(), head, stop.clone()));

    // Others have all connections of requests; the service's own work goes on.
    let held = [requests.acquire().await.unwrap(), requests.acquire().await.unwrap()];
    let busy = service.begin().await.unwrap_err();
    assert_eq!((busy.code(), busy.reason().as_str_name()), (Code::ResourceExhausted, "REASON_OVERLOADED"));
    sequencer::number(service.background()).await.unwrap();

    drop(held);
    drop(service.begin().await.unwrap());
    tokio::task::spawn_blocking(move || drop(server)).await.unwrap();
    // First connections break, then none can be made.
    for _ in 0..4 {
        let away = service.begin().await.unwrap_err();
        assert_eq!((away.code(), away.reason().as_str_name()), (Code::Unavailable, "REASON_DATABASE_UNAVAILABLE"));
        let retry = Status::from(away).get_details_retry_info().and_then(|retry| retry.retry_delay);
        assert!(retry.is_some_and(|delay| !delay.is_zero()));
    }
    stop.cancel();
    sequencing.await.unwrap();
}

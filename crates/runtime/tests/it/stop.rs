//! The end of a process.

use std::sync::LazyLock;
use std::time::{Duration, Instant};

use concierge_proto::event::Revocation;
use concierge_runtime::auth::Signer;
use concierge_runtime::config::Config;
use concierge_runtime::program::{Host, Program, Task, serve_until};
use concierge_testkit::TestDatabase;
use secrecy::ExposeSecret as _;
use sqlx::migrate::Migrator;
use tokio_util::sync::CancellationToken;

use crate::world::{NONE, until};

/// What the tasks of [`Odd`] do, by the name of the database that they run on.
static TOLD: LazyLock<std::sync::Mutex<Vec<(String, Doing)>>> = LazyLock::new(std::sync::Mutex::default);

#[derive(Clone, Copy, Debug, PartialEq)]
enum Doing {
    Panic,
    CommitLate,
}

struct Odd;

impl Program for Odd {
    const NAME: &'static str = "directory";

    fn migrations() -> &'static Migrator {
        &NONE
    }

    fn routes(_: &Host) -> tonic::service::Routes {
        tonic::service::Routes::default()
    }

    fn tasks(host: &Host) -> Vec<Task> {
        let host = host.clone();
        vec![Box::pin(async move {
            let name: String =
                sqlx::query_scalar("select current_database()::text").fetch_one(host.service.pool()).await.unwrap();
            let told = TOLD.lock().unwrap().clone();
            let doing = told.iter().find(|(at, _)| *at == name).unwrap().1;
            assert_ne!(doing, Doing::Panic, "as asked");
            host.stop.cancelled().await;
            tokio::time::sleep(Duration::from_millis(700)).await;
            let mut tx = host.service.begin().await.unwrap();
            tx.emit("late.told", "late/1", &Revocation::default()).await.unwrap();
            host.service.commit(tx).await.unwrap();
        })]
    }
}

/// Serves on a fresh database until told to stop, or until a task ends.
async fn serve(doing: Doing, stop: CancellationToken) -> (anyhow::Result<()>, TestDatabase) {
    let database = TestDatabase::new("directory", &NONE).await;
    let name: String = sqlx::query_scalar("select current_database()::text").fetch_one(&database.pool).await.unwrap();
    TOLD.lock().unwrap().push((name, doing));
    let key = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(key.path(), Signer::generate([4; 32]).expose_secret()).unwrap();
    std::fs::set_permissions(key.path(), std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    let variables = [
        ("DATABASE_URL", database.url.as_str()),
        ("CONCIERGE_SIGNING_KEY_FILE", key.path().to_str().unwrap()),
        ("CONCIERGE_LISTEN", "127.0.0.1:0"),
        ("CONCIERGE_GRACE", "60s"),
    ];
    let variables = variables.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let config = Config::read("directory", None, variables).unwrap();
    let metrics = metrics_exporter_prometheus::PrometheusBuilder::new().build_recorder().handle();
    let served = serve_until::<Odd>(config, metrics, stop).await;
    (served, database)
}

#[tokio::test]
async fn a_task_that_panics_ends_the_process_with_an_error() {
    let (served, _) = serve(Doing::Panic, CancellationToken::new()).await;
    let error = served.unwrap_err().to_string();
    assert!(error.contains("a background task ended") && error.contains("as asked"), "{error}");
}

#[tokio::test]
async fn tasks_have_the_grace_to_end_and_what_they_commit_is_numbered() {
    let stop = CancellationToken::new();
    let told = stop.clone();
    let serving = tokio::spawn(serve(Doing::CommitLate, told));
    until("it serves", async || !TOLD.lock().unwrap().is_empty()).await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    let began = Instant::now();
    stop.cancel();
    let (served, database) = serving.await.unwrap();
    served.unwrap();
    assert!(began.elapsed() < Duration::from_secs(30), "no longer than it takes");
    let positions: Vec<Option<i64>> =
        sqlx::query_scalar("select position from outbox").fetch_all(&database.pool).await.unwrap();
    assert_eq!(positions, [Some(1)]);
}

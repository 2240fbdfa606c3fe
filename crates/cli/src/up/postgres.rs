//! The private Postgres of `up`.

use std::time::Duration;

use anyhow::Context as _;
use concierge_postgres::{Options, Progress, Server};
use concierge_runtime::db;
use sqlx::{Connection as _, PgConnection};

use super::home::Home;
use super::{SEATS, Steps, migrations};

/// Starts the server on the data in the home folder; fetches its programs when the machine has none.
pub(crate) fn start(home: &Home, steps: &Steps) -> anyhow::Result<Server> {
    let progress = steps.clone();
    let options = Options::persistent(home.folder().join("postgres"))
        .fetch_into(home.folder().join("programs"))
        .setting("max_connections", 100)
        .progress(move |step| progress.at(&words(step)));
    Server::start(options).context("cannot start the private Postgres")
}

/// Creates the databases that are missing and brings their schemas up to date.
pub(crate) async fn prepare(server: &Server) -> anyhow::Result<()> {
    let mut connection = PgConnection::connect(&server.url("postgres")).await?;
    let there: Vec<String> =
        sqlx::query_scalar("select datname::text from pg_database").fetch_all(&mut connection).await?;
    for seat in &SEATS {
        if !there.iter().any(|name| name == seat.database) {
            // A name of our own.
            let create = format!("create database {}", seat.database);
            sqlx::raw_sql(sqlx::AssertSqlSafe(create)).execute(&mut connection).await?;
        }
        let pool = db::pool(&server.url(seat.database).into(), 1, Duration::from_secs(600), "concierge up")?;
        let migrations = migrations(seat.name).context("a service of the suite")?;
        db::migrate(&pool, seat.name, migrations).await.with_context(|| format!("cannot migrate {}", seat.database))?;
        pool.close().await;
    }
    connection.close().await?;
    Ok(())
}

/// What the start is busy with, in words.
fn words(step: Progress) -> String {
    match step {
        Progress::Fetching { received, .. } => match step.percent() {
            Some(percent) => format!("fetching Postgres: {percent} %"),
            None => format!("fetching Postgres: {} MiB", received >> 20),
        },
        Progress::Unpacking => "unpacking Postgres".to_owned(),
        Progress::EndingStale => "ending the Postgres of a run that was killed".to_owned(),
        Progress::Initializing => "making the database cluster".to_owned(),
        _ => "starting Postgres".to_owned(),
    }
}

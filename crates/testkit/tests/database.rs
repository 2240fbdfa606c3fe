//! Each test's database is its own, and goes when the test does.

#![allow(clippy::unwrap_used, missing_docs)]

use concierge_proto::error::Reason;
use concierge_runtime::{Error, Failure as _, db};
use concierge_testkit::TestDatabase;
use concierge_testkit::database::server;
use sqlx::migrate::{Migration, MigrationType, Migrator};
use sqlx::{AssertSqlSafe, Connection as _, PgConnection, PgPool, SqlSafeStr as _};
use std::time::{Duration, Instant};

fn migrations(table: &str) -> Migrator {
    let sql = AssertSqlSafe(format!("CREATE TABLE {table} (id int PRIMARY KEY)")).into_sql_str();
    Migrator::with_migrations(vec![Migration::new(1, "create".into(), MigrationType::Simple, sql, false)])
}

async fn count(pool: &PgPool) -> i64 {
    sqlx::query_scalar("SELECT count(*) FROM note").fetch_one(pool).await.unwrap()
}

async fn databases() -> Vec<String> {
    let mut connection = PgConnection::connect(&server().url("postgres")).await.unwrap();
    sqlx::query_scalar("SELECT datname FROM pg_database").fetch_all(&mut connection).await.unwrap()
}

#[tokio::test]
async fn tests_do_not_see_each_other() {
    let migrations = migrations("note");
    let (one, two) =
        tokio::join!(TestDatabase::new("apart-service", &migrations), TestDatabase::new("apart-service", &migrations));
    assert_ne!(one.url, two.url);
    sqlx::query("INSERT INTO note VALUES (1)").execute(&one.pool).await.unwrap();
    assert_eq!((count(&one.pool).await, count(&two.pool).await), (1, 0));
    assert_eq!(count(&one.share().pool).await, 1);
}

#[tokio::test]
async fn services_have_schemas_of_their_own() {
    let one = TestDatabase::new("one", &migrations("note")).await;
    let two = TestDatabase::new("two", &migrations("other")).await;
    assert_eq!(count(&one.pool).await, 0);
    sqlx::query("SELECT count(*) FROM note").fetch_one(&two.pool).await.unwrap_err();
}

#[tokio::test]
async fn no_service_gets_the_database_of_another() {
    let one = TestDatabase::new("owner", &migrations("note")).await;
    let refused = db::migrate(&one.pool, "stranger", &migrations("other")).await.unwrap_err();
    assert_eq!(refused.to_string(), "this is the database of owner: give stranger one of its own");
    sqlx::query("SELECT count(*) FROM other").fetch_one(&one.pool).await.unwrap_err();
    db::migrate(&one.pool, "owner", &migrations("note")).await.unwrap();
}

#[tokio::test]
async fn a_schema_that_is_missing_is_told_as_a_database_that_is_away() {
    let one = TestDatabase::new("bare", &migrations("note")).await;
    let error: Error = sqlx::query("SELECT 1 FROM nothing").fetch_one(&one.pool).await.unwrap_err().into();
    assert_eq!(error.reason(), Reason::DatabaseUnavailable);
}

#[tokio::test]
async fn database_goes_with_the_last_that_share_it() {
    let database = TestDatabase::new("going", &migrations("note")).await;
    let shared = database.share();
    let name: String = sqlx::query_scalar("SELECT current_database()").fetch_one(&shared.pool).await.unwrap();
    drop(database);
    assert_eq!(count(&shared.pool).await, 0);
    drop(shared);
    let until = Instant::now() + Duration::from_secs(30);
    while databases().await.contains(&name) {
        assert!(Instant::now() < until, "{name} is still there");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

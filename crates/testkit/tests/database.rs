//! Each test's database is its own, and goes when the test does.

#![allow(clippy::unwrap_used, missing_docs)]

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

//! A table with a column for every kind of field, on a real server.

use std::sync::LazyLock;

use chrono::{DateTime, Utc};
use concierge_postgres::{Options, Server};
use concierge_proto::{Kind, Value};
use sqlx::postgres::PgRow;
use sqlx::{Connection as _, PgConnection, Row as _};
use uuid::Uuid;

use super::FIELDS;

/// One server for all tests. It ends with this process.
static SERVER: LazyLock<Server> = LazyLock::new(|| Server::start(Options::temporary()).unwrap());

/// A connection with an empty table `things` of its own.
pub(super) async fn connect() -> PgConnection {
    let url = tokio::task::spawn_blocking(|| SERVER.url("postgres")).await.unwrap();
    let mut connection = PgConnection::connect(&url).await.unwrap();
    let create = "CREATE TEMPORARY TABLE things (
        id uuid PRIMARY KEY,
        name text NOT NULL,
        active boolean NOT NULL,
        count bigint NOT NULL,
        level bigint,
        score double precision NOT NULL,
        mood integer NOT NULL,
        due_time timestamptz,
        wait bigint,
        site_id uuid,
        domains text[] NOT NULL,
        role_ids uuid[] NOT NULL,
        moods integer[] NOT NULL,
        important boolean NOT NULL,
        create_time timestamptz NOT NULL
    )";
    sqlx::query(create).execute(&mut connection).await.unwrap();
    connection
}

/// A row of the table.
#[derive(Clone, Debug, Default)]
pub(super) struct Thing {
    pub(super) id: u128,
    pub(super) name: String,
    pub(super) active: bool,
    pub(super) count: i64,
    pub(super) level: Option<i64>,
    pub(super) score: f64,
    pub(super) mood: i32,
    pub(super) due_time: Option<DateTime<Utc>>,
    pub(super) wait: Option<i64>,
    pub(super) site_id: Option<Uuid>,
    pub(super) domains: Vec<String>,
    pub(super) role_ids: Vec<Uuid>,
    pub(super) moods: Vec<i32>,
    pub(super) create_time: DateTime<Utc>,
}

impl Thing {
    pub(super) async fn insert(&self, connection: &mut PgConnection) {
        sqlx::query(
            "INSERT INTO things VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, false, $14)
             ON CONFLICT (id) DO UPDATE SET name = excluded.name, count = excluded.count, level = excluded.level,
             due_time = excluded.due_time",
        )
        .bind(Uuid::from_u128(self.id))
        .bind(&self.name)
        .bind(self.active)
        .bind(self.count)
        .bind(self.level)
        .bind(self.score)
        .bind(self.mood)
        .bind(self.due_time)
        .bind(self.wait)
        .bind(self.site_id)
        .bind(&self.domains)
        .bind(&self.role_ids)
        .bind(&self.moods)
        .bind(self.create_time)
        .execute(connection)
        .await
        .unwrap();
    }
}

pub(super) fn id(row: &PgRow) -> u128 {
    row.get::<Uuid, _>("id").as_u128()
}

/// What `Fields::value` gives of a record that was read from the row.
pub(super) fn value(row: &PgRow, index: usize) -> Value {
    let name = FIELDS[index].name;
    let value = match FIELDS[index].kind {
        Kind::Text => row.get::<Option<String>, _>(name).map(Value::Text),
        Kind::Id => row.get::<Option<Uuid>, _>(name).map(Value::Id),
        Kind::Bool => row.get::<Option<bool>, _>(name).map(Value::Bool),
        Kind::Int | Kind::Duration => row.get::<Option<i64>, _>(name).map(Value::Int),
        Kind::Enum(_) => row.get::<Option<i32>, _>(name).map(|number| Value::Int(number.into())),
        Kind::Float => row.get::<Option<f64>, _>(name).map(Value::Float),
        Kind::Time => row.get::<Option<DateTime<Utc>>, _>(name).map(Value::Time),
        kind => panic!("nothing is ordered by {kind:?}"),
    };
    value.unwrap_or(Value::Null)
}

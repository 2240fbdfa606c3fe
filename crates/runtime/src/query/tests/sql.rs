//! What filters find.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use concierge_proto::PermissionSet;
use proptest::test_runner::{Config, TestRunner};
use sqlx::{PgConnection, Postgres, QueryBuilder};
use uuid::Uuid;

use super::super::Expr;
use super::FIELDS;
use super::database::{Thing, connect, id};
use super::filter::any_filter;

const SITE: &str = "0195e0c4-7a1c-7d3e-9b0a-3f1f6f0c2a11";

fn time(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

/// Three things that differ in everything, and one of which everything is absent or empty.
async fn things(connection: &mut PgConnection) {
    let site: Uuid = SITE.parse().unwrap();
    let text = |texts: &[&str]| texts.iter().map(ToString::to_string).collect();
    for thing in [
        Thing {
            id: 1,
            name: "Acme".to_owned(),
            active: true,
            count: 1,
            level: Some(3),
            score: 1.5,
            mood: 1,
            due_time: Some(time("2026-05-01T08:30:00.123456Z")),
            wait: Some(3_600_000_000),
            site_id: Some(site),
            domains: text(&["acme.com", "acme.org"]),
            role_ids: vec![site, Uuid::nil()],
            moods: vec![1, 2],
            create_time: time("2026-01-01T00:00:00Z"),
        },
        Thing {
            id: 2,
            name: "acme Größe 50% \\ * 'x'".to_owned(),
            active: true,
            count: 2,
            level: Some(5),
            score: -2.0,
            mood: 2,
            due_time: Some(time("2026-06-01T00:00:00Z")),
            wait: Some(-1_500_000),
            site_id: Some(Uuid::nil()),
            domains: text(&["zulu.com"]),
            role_ids: vec![Uuid::nil()],
            moods: vec![2],
            create_time: time("2026-01-02T00:00:00Z"),
        },
        Thing {
            id: 3,
            name: "Zulu_50x".to_owned(),
            count: 30,
            score: 1e300,
            create_time: time("2026-01-03T00:00:00Z"),
            ..Thing::default()
        },
        Thing { id: 4, create_time: time("2026-01-04T00:00:00Z"), ..Thing::default() },
    ] {
        thing.insert(connection).await;
    }
}

async fn found(connection: &mut PgConnection, filter: &str) -> BTreeSet<u128> {
    let expr = Expr::parse(filter, FIELDS, PermissionSet::ALL).unwrap();
    let mut query = QueryBuilder::<Postgres>::new("SELECT id FROM things WHERE TRUE AND ");
    match &expr {
        Some(expr) => expr.push(&mut query),
        None => panic!("{filter:?} is empty"),
    }
    let rows = query.build().persistent(false).fetch_all(connection).await;
    rows.unwrap_or_else(|error| panic!("{filter}: {error}")).iter().map(id).collect()
}

async fn check(cases: &[(&str, &[u128])]) {
    let mut connection = connect().await;
    things(&mut connection).await;
    for (filter, expected) in cases {
        let found: Vec<_> = found(&mut connection, filter).await.into_iter().collect();
        assert_eq!(found, *expected, "{filter}");
    }
}

#[tokio::test]
async fn finds_by_text() {
    check(&[
        ("name = Acme", &[1]),
        ("name = acme", &[]),
        ("name != Acme", &[2, 3, 4]),
        (r#"name = """#, &[4]),
        ("name:*", &[1, 2, 3]),
        ("-name:*", &[4]),
        ("name = \"Acme*\"", &[1]),
        ("name = \"*cme*\"", &[1, 2]),
        ("name = \"*50x\"", &[3]),
        ("name != \"*cme*\"", &[3, 4]),
        ("name = \"*\"", &[1, 2, 3, 4]),
        ("name:ACME", &[1, 2]),
        ("name:GRÖß", &[2]),
        ("name:\"50%\"", &[2]),
        ("name:\"_50\"", &[3]),
        ("name = \"*u_5*\"", &[3]),
        (r#"name:"\\""#, &[2]),
        (r#"name:" \* ""#, &[2]),
        ("name:\"'x'\"", &[2]),
        // By code points: capitals come before small letters.
        ("name < a", &[1, 3, 4]),
        ("name >= Zulu_50x", &[2, 3]),
        ("name = \"'; DROP TABLE things; --\"", &[]),
    ])
    .await;
}

#[tokio::test]
async fn finds_by_numbers_times_and_durations() {
    check(&[
        ("count > 1 count <= 30", &[2, 3]),
        ("count != 1", &[2, 3, 4]),
        ("score < 0", &[2]),
        ("score = 1.5 OR score > 1e299", &[1, 3]),
        ("level > 3", &[2]),
        ("level <= 3", &[1]),
        ("due_time = 2026-05-01T08:30:00.123456Z", &[1]),
        ("due_time = 2026-05-01T10:30:00.123456789+02:00", &[1]),
        ("due_time < \"2026-06-01T00:00:00Z\"", &[1]),
        ("due_time <= \"2026-06-01T00:00:00Z\"", &[1, 2]),
        ("create_time != 2026-01-01T00:00:00Z", &[2, 3, 4]),
        ("create_time > 0001-01-01T00:00:00Z create_time < 9999-12-31T23:59:59Z", &[1, 2, 3, 4]),
        ("wait = 3600s", &[1]),
        ("wait < 0s", &[2]),
        ("wait >= -1.5s", &[1, 2]),
    ])
    .await;
}

#[tokio::test]
async fn finds_by_choices_and_ids() {
    check(&[
        ("mood = CALM", &[1]),
        ("mood != CALM", &[2, 3, 4]),
        ("mood:CROSS", &[2]),
        ("mood:*", &[1, 2]),
        ("mood = UNSPECIFIED", &[3, 4]),
        ("active = true", &[1, 2]),
        ("active != true", &[3, 4]),
        ("active:false", &[3, 4]),
        (&format!("site_id = {SITE}"), &[1]),
        (&format!("site_id != {SITE}"), &[2, 3, 4]),
        ("id = \"00000000-0000-0000-0000-000000000003\"", &[3]),
    ])
    .await;
}

#[tokio::test]
async fn finds_by_lists() {
    check(&[
        ("domains:acme.com", &[1]),
        ("domains:Acme.com", &[]),
        ("domains:\"*.com\"", &[1, 2]),
        ("domains:acme*", &[1]),
        ("domains:a*e", &[]),
        ("domains:*", &[1, 2]),
        ("-domains:*", &[3, 4]),
        (&format!("role_ids:{SITE}"), &[1]),
        ("role_ids:00000000-0000-0000-0000-000000000000", &[1, 2]),
        ("-role_ids:*", &[3, 4]),
        ("moods:CALM", &[1]),
        ("moods:CROSS", &[1, 2]),
        ("NOT moods:CALM", &[2, 3, 4]),
        ("moods:*", &[1, 2]),
    ])
    .await;
}

#[tokio::test]
async fn differs_from_a_value_when_absent() {
    check(&[
        ("level != 3", &[2, 3, 4]),
        ("NOT level = 3", &[2, 3, 4]),
        ("NOT level > 3", &[1, 3, 4]),
        ("-(level > 3 OR level <= 3)", &[3, 4]),
        ("NOT NOT level > 3", &[2]),
        ("NOT (level > 3 AND count > 0)", &[1, 3, 4]),
        ("level = null", &[3, 4]),
        ("level != null", &[1, 2]),
        ("due_time = null wait = null site_id = null", &[3, 4]),
        ("site_id = \"\"", &[3, 4]),
        ("due_time:* wait:* site_id:*", &[1, 2]),
    ])
    .await;
}

#[tokio::test]
async fn combines_as_the_grammar_says() {
    check(&[
        ("count = 1 OR count = 2 AND active = false", &[]),
        ("count = 1 OR (count = 2 AND active = true) OR count = 30", &[1, 2, 3]),
        ("active = true count = 2 OR count = 30", &[2]),
        ("NOT count = 1 OR count = 1", &[1, 2, 3, 4]),
        ("NOT (count = 1 OR count = 2)", &[3, 4]),
    ])
    .await;
}

#[test]
fn finds_each_thing_by_a_filter_or_by_its_negation() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let mut connection = runtime.block_on(connect());
    runtime.block_on(things(&mut connection));
    let connection = std::cell::RefCell::new(connection);
    let mut runner = TestRunner::new(Config { failure_persistence: None, ..Config::default() });
    let result = runner.run(&any_filter(), |filter| {
        let mut connection = connection.borrow_mut();
        let holds = runtime.block_on(found(&mut connection, &filter));
        let fails = runtime.block_on(found(&mut connection, &format!("NOT ({filter})")));
        proptest::prop_assert!(holds.is_disjoint(&fails));
        proptest::prop_assert_eq!(holds.len() + fails.len(), 4);
        Ok(())
    });
    result.unwrap();
}

#[tokio::test]
async fn takes_the_largest_filter() {
    let mut connection = connect().await;
    things(&mut connection).await;
    let many = "level:3 OR ".repeat(99) + "count = 30";
    assert_eq!(found(&mut connection, &many).await, BTreeSet::from([1, 3]));
    let deep = format!("{}count = 30{}", "-(".repeat(10), ")".repeat(10));
    assert_eq!(found(&mut connection, &deep).await, BTreeSet::from([3]));
}

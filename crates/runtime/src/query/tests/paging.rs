//! Pages, one after the other, while rows come, go and change.

use std::collections::{BTreeMap, BTreeSet};

use chrono::DateTime;
use concierge_proto::PermissionSet;
use sqlx::postgres::PgRow;
use sqlx::{PgConnection, Postgres, QueryBuilder, Row as _};
use uuid::Uuid;

use super::super::{ListParams, ListQuery, PageTokens};
use super::FIELDS;
use super::database::{Thing, connect, id, value};

const NAMES: [&str; 7] = ["", "a", "B", "b", "ä", "Z", "😀"];

/// Sixty things of few values, so that most are equal in most ways, and many absent.
async fn things(connection: &mut PgConnection) {
    for n in 0..60_u32 {
        thing(n).insert(connection).await;
    }
}

fn thing(n: u32) -> Thing {
    // Spreads the numbers without a random source.
    let id = u128::from(n.wrapping_mul(2_654_435_761));
    let pick = |salt: u32, most: u32| (n.wrapping_add(salt).wrapping_mul(2_246_822_519) >> 16) % most;
    let some = |salt: u32, most: u32| Some(pick(salt, most)).filter(|picked| *picked > 0);
    Thing {
        id,
        name: NAMES[pick(1, 7) as usize].to_owned(),
        active: pick(2, 2) == 0,
        count: i64::from(pick(3, 4)) - 2,
        level: some(4, 3).map(i64::from),
        score: [f64::NAN, f64::INFINITY, 0.1, -0.0, 0.0, f64::NEG_INFINITY][pick(5, 6) as usize],
        mood: i32::from(pick(6, 3) == 1),
        due_time: some(7, 4).and_then(|micros| DateTime::from_timestamp_micros(micros.into())),
        wait: some(8, 3).map(i64::from),
        site_id: some(9, 3).map(|site| Uuid::from_u128(site.into())),
        create_time: DateTime::from_timestamp_micros(pick(10, 5).into()).unwrap(),
        ..Thing::default()
    }
}

struct Reader<'a> {
    order_by: &'a str,
    filter: &'a str,
    tokens: PageTokens,
    page_token: String,
}

impl<'a> Reader<'a> {
    fn new(order_by: &'a str, filter: &'a str) -> Self {
        Self { order_by, filter, tokens: PageTokens::new([1; 32]), page_token: String::new() }
    }

    fn query(&self, page_size: i32) -> ListQuery {
        let params = ListParams {
            page_size,
            page_token: &self.page_token,
            filter: self.filter,
            order_by: self.order_by,
            default_order: "create_time",
            show_deleted: false,
            method_path: "/things",
            scope_fingerprint: b"",
        };
        ListQuery::parse(FIELDS, PermissionSet::ALL, &params, &self.tokens).unwrap()
    }

    /// The next page. There is none after it when the reader's token is empty.
    async fn page(&mut self, connection: &mut PgConnection, page_size: i32) -> Vec<PgRow> {
        let query = self.query(page_size);
        let mut sql = QueryBuilder::<Postgres>::new("SELECT * FROM things WHERE TRUE");
        query.push_where(&mut sql);
        query.push_order_limit(&mut sql);
        let mut rows = sql.build().persistent(false).fetch_all(connection).await.unwrap();
        let more = rows.len() > usize::from(query.limit);
        rows.truncate(query.limit.into());
        self.page_token = match rows.last() {
            Some(last) if more => query.next_token(&self.tokens, |index| value(last, index)),
            _ => String::new(),
        };
        rows
    }

    async fn all(&mut self, connection: &mut PgConnection, page_size: i32) -> Vec<u128> {
        let mut seen = Vec::new();
        loop {
            let page = self.page(connection, page_size).await;
            seen.extend(page.iter().map(id));
            if self.page_token.is_empty() {
                return seen;
            }
            assert_eq!(page.len(), usize::try_from(page_size).unwrap());
        }
    }
}

#[tokio::test]
async fn neither_skips_nor_repeats_in_any_order() {
    let mut connection = connect().await;
    things(&mut connection).await;
    let mut orders: Vec<String> = vec![String::new(), "id desc".to_owned()];
    for field in ["name", "active", "count", "level", "score", "mood", "due_time", "wait", "site_id", "create_time"] {
        orders.push(field.to_owned());
        orders.push(format!("{field} desc"));
        orders.push(format!("{field} desc, id"));
        orders.push(format!("due_time, {field} desc").replace("due_time, due_time", "due_time"));
        orders.push(format!("level desc, {field}, id desc").replace("level desc, level", "level desc"));
        orders.push(format!("mood, {field} desc, id").replace("mood, mood", "mood"));
    }
    orders.push("due_time desc, level, wait desc, site_id, name desc".to_owned());
    orders.push("mood, active, count desc, name, score desc".to_owned());
    for order_by in orders {
        let whole = Reader::new(&order_by, "").all(&mut connection, 1_000).await;
        assert_eq!(whole.iter().collect::<BTreeSet<_>>().len(), 60);
        for page_size in [1, 7, 59, 60] {
            let paged = Reader::new(&order_by, "").all(&mut connection, page_size).await;
            assert_eq!(paged, whole, "{order_by} by {page_size}");
        }
    }
}

#[tokio::test]
async fn orders_as_rust_does() {
    let mut connection = connect().await;
    things(&mut connection).await;
    let mut expected: Vec<_> = (0..60).map(thing).collect();
    expected.sort_by(|a, b| a.name.cmp(&b.name).then(b.count.cmp(&a.count)).then(b.id.cmp(&a.id)));
    let found = Reader::new("name, count desc", "").all(&mut connection, 7).await;
    assert_eq!(found, expected.iter().map(|thing| thing.id).collect::<Vec<_>>());

    // Absent values stand last in ascending order, first in descending order.
    expected.sort_by_key(|thing| (thing.level.is_none(), thing.level, thing.id));
    let mut expected: Vec<_> = expected.iter().map(|thing| thing.id).collect();
    assert_eq!(Reader::new("level", "").all(&mut connection, 7).await, expected);
    expected.reverse();
    assert_eq!(Reader::new("level desc", "").all(&mut connection, 7).await, expected);
}

#[tokio::test]
async fn pages_through_what_a_filter_leaves() {
    let mut connection = connect().await;
    things(&mut connection).await;
    let filter = "level = null OR name:b";
    let paged = Reader::new("due_time desc, name", filter).all(&mut connection, 3).await;
    let expected: BTreeSet<_> =
        (0..60).map(thing).filter(|t| t.level.is_none() || t.name.eq_ignore_ascii_case("b")).map(|t| t.id).collect();
    assert_eq!(paged.len(), expected.len());
    assert_eq!(paged.into_iter().collect::<BTreeSet<_>>(), expected);
}

#[tokio::test]
async fn shows_what_stays_exactly_once_while_rows_change() {
    for order_by in ["name", "level desc, name", "due_time, level desc", "create_time desc"] {
        let mut connection = connect().await;
        things(&mut connection).await;
        let mut touched = BTreeSet::new();
        let mut seen: BTreeMap<u128, usize> = BTreeMap::new();
        let mut reader = Reader::new(order_by, "");
        for round in 0.. {
            let page = reader.page(&mut connection, 7).await;
            for row in &page {
                *seen.entry(id(row)).or_default() += 1;
            }
            if reader.page_token.is_empty() {
                break;
            }
            assert!(round < 100, "does not end");
            // The last row of the page goes, one not looked for changes, and others come at both ends.
            let last = page.last().map(id).unwrap();
            sqlx::query("DELETE FROM things WHERE id = $1")
                .bind(Uuid::from_u128(last))
                .execute(&mut connection)
                .await
                .unwrap();
            let moved = Thing { name: "c".to_owned(), level: None, due_time: None, ..thing(round * 3) };
            moved.insert(&mut connection).await;
            touched.extend([last, moved.id]);
            if round < 10 {
                for (n, name) in [(1_000 + round, ""), (2_000 + round, "~~")] {
                    let new = Thing { name: name.to_owned(), ..thing(n) };
                    new.insert(&mut connection).await;
                    touched.insert(new.id);
                }
            }
        }
        for stays in (0..60).map(|n| thing(n).id).filter(|id| !touched.contains(id)) {
            assert_eq!(seen.get(&stays), Some(&1), "{order_by}");
        }
        assert!(touched.iter().filter_map(|id| seen.get(id)).all(|times| *times <= 2));
    }
}

#[tokio::test]
async fn lets_an_index_find_where_a_page_begins() {
    let mut connection = connect().await;
    for index in [
        "CREATE INDEX things_create_time ON things (create_time, id)",
        "CREATE INDEX things_name ON things (name COLLATE \"C\", id)",
        "SET enable_seqscan = off",
        "SET enable_sort = off",
        "SET enable_bitmapscan = off",
    ] {
        sqlx::query(index).execute(&mut connection).await.unwrap();
    }
    things(&mut connection).await;
    for (order_by, index) in [
        ("", "things_create_time"),
        ("create_time desc", "things_create_time"),
        ("name", "things_name"),
        ("name desc", "things_name"),
        ("name, count desc", "things_name"),
    ] {
        let mut reader = Reader::new(order_by, "");
        reader.page(&mut connection, 30).await;
        let query = reader.query(30);
        let mut sql = QueryBuilder::<Postgres>::new("EXPLAIN SELECT * FROM things WHERE TRUE");
        query.push_where(&mut sql);
        query.push_order_limit(&mut sql);
        let plan = sql.build().persistent(false).fetch_all(&mut connection).await.unwrap();
        let plan: Vec<String> = plan.iter().map(|row| row.get(0)).collect();
        let plan = plan.join("\n");
        assert!(plan.contains(index) && plan.contains("Index Cond: "), "{order_by}:\n{plan}");
    }
}

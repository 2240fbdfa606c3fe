//! Page tokens, and requests as a whole.

use chrono::DateTime;
use concierge_proto::directory::{ListRelationshipsRequest, Relationship};
use concierge_proto::{Fields, PermissionSet, Record, Value};
use proptest::prelude::*;
use uuid::Uuid;

use super::super::{Fingerprint, ListParams, ListQuery, PageTokenError, PageTokens, QueryErrors, page_size};
use super::{FIELDS, nobody};

const BLANK: ListParams<'static> = ListParams {
    page_size: 0,
    page_token: "",
    filter: "",
    order_by: "",
    default_order: "create_time",
    show_deleted: false,
    method_path: "/concierge.directory.v1.SiteService/ListSites",
    scope_fingerprint: b"",
};

fn tokens() -> PageTokens {
    PageTokens::new([7; 32])
}

fn parse(params: &ListParams<'_>) -> Result<ListQuery, QueryErrors> {
    ListQuery::parse(FIELDS, nobody(), params, &tokens())
}

/// A value for every field that can be ordered by.
fn value(index: usize) -> Value {
    let time = DateTime::from_timestamp_micros(1_777_777_777_123_456).unwrap();
    match FIELDS[index].name {
        "id" | "site_id" => Value::Id(Uuid::from_u128(42)),
        "name" => Value::Text("Größe \"1\"".to_owned()),
        "active" => Value::Bool(true),
        "score" => Value::Float(-0.1),
        "due_time" => Value::Null,
        "create_time" => Value::Time(time),
        _ => Value::Int(i64::MIN),
    }
}

fn token(params: &ListParams<'_>) -> String {
    parse(params).unwrap().next_token(&tokens(), value)
}

#[test]
fn coerces_page_sizes() {
    let sizes =
        [(0, 50), (1, 1), (50, 50), (1_000, 1_000), (1_001, 1_000), (i32::MAX, 1_000), (-1, 50), (i32::MIN, 50)];
    for (requested, given) in sizes {
        assert_eq!(page_size(requested), given);
    }
}

#[test]
fn gives_back_the_values_of_the_last_row() {
    for order_by in ["", "name desc", "active, score", "due_time, count desc, mood, wait, level", "site_id"] {
        let first = ListParams { order_by, ..BLANK };
        let page_token = token(&first);
        let next = parse(&ListParams { page_token: &page_token, page_size: 7, ..first }).unwrap();
        let expected: Vec<_> = next.order.iter().map(|by| value(by.index)).collect();
        assert_eq!(next.after.unwrap(), expected);
        assert_eq!(next.limit, 7);
    }
}

#[test]
fn keeps_long_text_whole() {
    let long = "ä".repeat(5_000);
    let first = ListParams { order_by: "name", ..BLANK };
    let given = |index| if index == 1 { Value::Text(long.clone()) } else { value(index) };
    let page_token = parse(&first).unwrap().next_token(&tokens(), given);
    let next = parse(&ListParams { page_token: &page_token, ..first }).unwrap();
    assert_eq!(next.after.unwrap()[0], Value::Text(long));
}

#[test]
fn is_safe_in_urls() {
    let page_token = token(&BLANK);
    assert!(page_token.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b)), "{page_token}");
}

#[test]
fn refuses_tokens_of_another_query() {
    let first = ListParams { filter: "count = 1", order_by: "name", ..BLANK };
    let page_token = token(&first);
    let next = ListParams { page_token: &page_token, ..first };
    assert!(parse(&next).is_ok());
    for other in [
        ListParams { filter: "count = 2", ..next },
        ListParams { filter: "", ..next },
        ListParams { order_by: "name desc", ..next },
        ListParams { order_by: "", ..next },
        ListParams { show_deleted: true, ..next },
        ListParams { method_path: "/concierge.directory.v1.UserService/ListUsers", ..next },
        ListParams { scope_fingerprint: b"customer 1", ..next },
    ] {
        let errors = parse(&other).unwrap_err();
        assert_eq!(errors, PageTokenError::OtherQuery.into());
        assert_eq!(errors.0[0].request_field(), "page_token");
    }
}

#[test]
fn takes_the_same_query_written_otherwise() {
    let first = ListParams { filter: "count = 1", order_by: "name", ..BLANK };
    let page_token = token(&first);
    let same = ListParams { filter: " count = 1 ", order_by: "name  asc,id", page_size: 3, ..first };
    assert!(parse(&ListParams { page_token: &page_token, ..same }).is_ok());
}

#[test]
fn tells_parts_of_a_fingerprint_apart() {
    let of = |parts: &[&[u8]]| Fingerprint::of(parts.iter().copied());
    assert_ne!(of(&[b"ab", b"c"]), of(&[b"a", b"bc"]));
    assert_ne!(of(&[b"ab"]), of(&[b"ab", b""]));
    assert_eq!(of(&[b"ab", b"c"]), of(&[b"ab", b"c"]));
}

#[test]
fn refuses_every_changed_or_cut_token() {
    let page_token = token(&ListParams { order_by: "name", ..BLANK });
    let refused = |changed: &str| {
        let errors = parse(&ListParams { order_by: "name", page_token: changed, ..BLANK }).unwrap_err();
        assert_eq!(errors, PageTokenError::Damaged.into(), "{changed}");
    };
    for at in 0..page_token.len() {
        let instead = if page_token.as_bytes()[at] == b'A' { "B" } else { "A" };
        let mut changed = page_token.clone();
        changed.replace_range(at..=at, instead);
        refused(&changed);
        if at > 0 {
            refused(&page_token[..at]);
        }
    }
    for changed in [format!("{page_token}A"), format!("{page_token}="), format!(" {page_token}"), "é".to_owned()] {
        refused(&changed);
    }
    let other_key = PageTokens::new([8; 32]);
    refused(&other_key.seal(Fingerprint::of([]), &[]));
}

#[test]
fn refuses_values_that_no_longer_fit_the_order() {
    let first = parse(&BLANK).unwrap();
    for values in [vec![], vec![value(0)], vec![Value::Bool(true), value(0)], vec![value(16), value(0), value(0)]] {
        let page_token = tokens().seal(first.fingerprint, &values);
        let errors = parse(&ListParams { page_token: &page_token, ..BLANK }).unwrap_err();
        assert_eq!(errors, PageTokenError::Outdated.into());
    }
}

#[test]
fn does_not_show_its_key() {
    assert_eq!(format!("{:?}", tokens()), "PageTokens");
}

#[test]
fn tells_the_errors_of_every_request_field() {
    let errors = parse(&ListParams { filter: "x", order_by: "x", page_token: "x", ..BLANK }).unwrap_err();
    let fields: Vec<_> = errors.0.iter().map(|error| error.request_field()).collect();
    assert_eq!(fields, ["filter", "order_by", "page_token"]);
    let sentences = errors.to_string();
    assert!(sentences.starts_with("filter: at character 1: expected one of"), "{sentences}");
    assert!(
        sentences.ends_with(
            "; page_token: the page token is damaged, or is not one of this service; start at the first page"
        )
    );
}

#[test]
fn says_nothing_of_a_good_token_beside_a_bad_filter() {
    let page_token = token(&BLANK);
    let errors = parse(&ListParams { filter: "x", page_token: &page_token, ..BLANK }).unwrap_err();
    assert_eq!(errors.0.len(), 1);
}

#[test]
fn cuts_a_page_and_makes_the_token_of_the_next() {
    let request = ListRelationshipsRequest { page_size: 2, order_by: "name".to_owned(), ..Default::default() };
    let parse = |request: &ListRelationshipsRequest| {
        let params = ListParams::new(request, "/path", b"");
        ListQuery::parse(Relationship::FIELDS, PermissionSet::ALL, &params, &tokens()).unwrap()
    };
    let row = |n: u128| {
        let mut row = Relationship { name: format!("name {n}"), ..Default::default() };
        row.set_id(Uuid::from_u128(n).to_string());
        row
    };
    let (page, page_token) = parse(&request).page(vec![row(1), row(2), row(3)], 9, &tokens());
    assert_eq!(page, [row(1), row(2)]);
    let next = parse(&ListRelationshipsRequest { page_token, ..request });
    assert_eq!(next.after.as_ref().unwrap(), &[Value::Text("name 2".to_owned()), Value::Id(Uuid::from_u128(2))]);
    let (page, page_token) = next.page(vec![row(3), row(4)], 9, &tokens());
    assert_eq!(page.len(), 2);
    assert_eq!(page_token, "");
}

proptest! {
    #[test]
    fn never_panics_on_tokens(text in any::<String>(), bytes in any::<Vec<u8>>()) {
        use base64::Engine as _;
        let encoded = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(bytes);
        prop_assert!(tokens().open(&text, Fingerprint::of([])).is_err());
        prop_assert!(tokens().open(&encoded, Fingerprint::of([])).is_err());
    }

    #[test]
    fn keeps_values_exactly(text in any::<String>(), number in any::<i64>(), float in any::<f64>(), micros in -60_000_000_000_000_000_i64..250_000_000_000_000_000) {
        let values = vec![
            Value::Text(text), Value::Null, Value::Int(number), Value::Float(float), Value::Bool(false),
            Value::Time(DateTime::from_timestamp_micros(micros).unwrap()),
        ];
        let fingerprint = Fingerprint::of([b"query".as_slice()]);
        prop_assert_eq!(tokens().open(&tokens().seal(fingerprint, &values), fingerprint).unwrap(), values);
    }
}

//! Grammar, types and errors of filters.

use concierge_proto::{PermissionSet, Value};
use proptest::prelude::*;

use super::super::{Check, Comparison, Expr, FilterProblem};
use super::{FIELDS, nobody};

fn parse(text: &str) -> Result<Option<Expr>, Vec<String>> {
    Expr::parse(text, FIELDS, nobody()).map_err(|errors| errors.iter().map(ToString::to_string).collect())
}

/// The filter with every parenthesis, and its checks as they are understood.
fn shown(text: &str) -> String {
    parse(text).unwrap().map_or_else(|| "everything".to_owned(), |expr| show(&expr))
}

fn show(expr: &Expr) -> String {
    let join = |parts: &[Expr], word: &str| format!("({})", parts.iter().map(show).collect::<Vec<_>>().join(word));
    match expr {
        Expr::All(parts) => join(parts, " AND "),
        Expr::Any(parts) => join(parts, " OR "),
        Expr::Not(part) => format!("NOT {}", show(part)),
        Expr::Test(field, Check::Compare(comparison, value)) => {
            let comparison = match comparison {
                Comparison::Equal => "=",
                Comparison::NotEqual => "!=",
                Comparison::Less => "<",
                Comparison::LessOrEqual => "<=",
                Comparison::Greater => ">",
                Comparison::GreaterOrEqual => ">=",
            };
            let value = match value {
                Value::Text(text) => format!("{text:?}"),
                Value::Id(id) => id.to_string(),
                Value::Bool(b) => b.to_string(),
                Value::Int(number) => number.to_string(),
                Value::Float(number) => format!("{number:?}"),
                Value::Time(time) => time.to_rfc3339(),
                other => format!("{other:?}"),
            };
            format!("{} {comparison} {value}", field.name)
        }
        Expr::Test(field, check) => format!("{} {check:?}", field.name),
    }
}

fn errors(text: &str) -> Vec<String> {
    parse(text).unwrap_err()
}

fn error(text: &str) -> String {
    let mut errors = errors(text);
    assert_eq!(errors.len(), 1, "{errors:?}");
    errors.remove(0)
}

#[test]
fn lets_everything_through_when_empty() {
    assert_eq!(shown(""), "everything");
    assert_eq!(shown(" \t\n"), "everything");
}

#[test]
fn binds_or_tighter_than_and() {
    assert_eq!(shown("count = 1 AND count = 2 OR count = 3"), "(count = 1 AND (count = 2 OR count = 3))");
    assert_eq!(shown("count = 1 OR count = 2 AND count = 3"), "((count = 1 OR count = 2) AND count = 3)");
    assert_eq!(shown("(count = 1 AND count = 2) OR count = 3"), "((count = 1 AND count = 2) OR count = 3)");
}

#[test]
fn joins_what_stands_side_by_side() {
    assert_eq!(
        shown("count=1 count=2 OR count=3 AND count=4"),
        "(count = 1 AND (count = 2 OR count = 3) AND count = 4)"
    );
    assert_eq!(shown("(count=1)(count=2)"), "(count = 1 AND count = 2)");
}

#[test]
fn negates_with_word_and_sign() {
    assert_eq!(shown("NOT active=true OR count=1"), "(NOT active = true OR count = 1)");
    assert_eq!(shown("-active=true count=-1"), "(NOT active = true AND count = -1)");
    assert_eq!(shown("NOT(active=true OR count=1)"), "NOT (active = true OR count = 1)");
    assert_eq!(shown("NOT -active=true"), "NOT NOT active = true");
}

#[test]
fn reads_every_comparison() {
    for operator in ["=", "!=", "<", "<=", ">", ">="] {
        assert_eq!(shown(&format!("count {operator} 5")), format!("count {operator} 5"));
        assert_eq!(shown(&format!("count{operator}5")), format!("count {operator} 5"));
    }
    assert_eq!(shown("count:5"), "count = 5");
}

#[test]
fn reads_quoted_text_with_escapes() {
    assert_eq!(shown(r#"name = "a \"b\" \\ \n\t 'c'""#), r#"name = "a \"b\" \\ \n\t 'c'""#);
    assert_eq!(shown(r#"name = 'it\'s "so"'"#), r#"name = "it's \"so\"""#);
    assert_eq!(shown(r#"name = "")"#.trim_end_matches(')')), r#"name = """#);
    assert_eq!(shown("name = Größe"), r#"name = "Größe""#);
    assert_eq!(shown("name = ann@example.com AND name = 12"), r#"(name = "ann@example.com" AND name = "12")"#);
    assert_eq!(shown(r#"name = "null""#), r#"name = "null""#);
}

#[test]
fn understands_wildcards_at_the_ends() {
    assert_eq!(shown(r#"name = "Acme*""#), r#"name Like("Acme%")"#);
    assert_eq!(shown(r#"name = "*Acme""#), r#"name Like("%Acme")"#);
    assert_eq!(shown(r#"name != "*Acme*""#), r#"name NotLike("%Acme%")"#);
    assert_eq!(shown("name = Acme*"), r#"name Like("Acme%")"#);
    assert_eq!(shown(r#"name = "*""#), r#"name Like("%")"#);
    assert_eq!(shown(r#"name = "**""#), r#"name Like("%%")"#);
    assert_eq!(shown(r#"name = "A*e""#), r#"name = "A*e""#);
    assert_eq!(shown(r#"name = "Acme\*""#), r#"name = "Acme*""#);
    assert_eq!(shown(r#"name = "*50%_\\""#), r#"name Like("%50\\%\\_\\\\")"#);
    assert_eq!(shown(r#"name < "A*""#), r#"name < "A*""#);
}

#[test]
fn finds_what_text_and_lists_contain() {
    assert_eq!(shown(r#"name:"50%""#), r#"name LikeInAnyCase("%50\\%%")"#);
    assert_eq!(shown("name:acme*"), r#"name LikeInAnyCase("%acme%")"#);
    assert_eq!(shown(r#"name:"a\*""#), r#"name LikeInAnyCase("%a*%")"#);
    assert_eq!(shown("domains:example.com"), r#"domains Includes(Texts(["example.com"]))"#);
    assert_eq!(shown(r#"domains:"*.com""#), r#"domains IncludesLike("%.com")"#);
    assert_eq!(shown("moods:CROSS"), "moods Includes(Ints([2]))");
    assert_eq!(
        shown("role_ids:0195e0c4-7a1c-7d3e-9b0a-3f1f6f0c2a11"),
        "role_ids Includes(Ids([0195e0c4-7a1c-7d3e-9b0a-3f1f6f0c2a11]))"
    );
}

#[test]
fn asks_for_any_value() {
    assert_eq!(shown("name:*"), "name IsNotEmpty");
    assert_eq!(
        shown("domains:* role_ids:* moods:*"),
        "(domains IsNotEmpty AND role_ids IsNotEmpty AND moods IsNotEmpty)"
    );
    assert_eq!(shown("mood:*"), "mood IsNotEmpty");
    assert_eq!(shown("site_id:* due_time:* wait:* level:*"), {
        "(site_id IsNotNull AND due_time IsNotNull AND wait IsNotNull AND level IsNotNull)"
    });
    assert_eq!(error("count:*"), "at character 6: count is never null");
}

#[test]
fn knows_null() {
    assert_eq!(shown("due_time = null OR due_time != null"), "(due_time IsNull OR due_time IsNotNull)");
    assert_eq!(shown(r#"site_id = "" OR site_id != """#), "(site_id IsNull OR site_id IsNotNull)");
    assert_eq!(shown("level:null"), "level IsNull");
    assert_eq!(
        error("due_time < null"),
        "at character 11: due_time is compared with a value; null takes = and != only, not null"
    );
    assert_eq!(
        error("name = null"),
        r#"at character 7: name is never null; an empty one is name = "", the word is "null" in quotes"#
    );
    assert_eq!(error("domains:null"), "at character 8: domains is never null; an empty one is -domains:*");
    assert_eq!(error("id = null"), "at character 5: id is never null");
    assert_eq!(error("create_time = null"), "at character 14: create_time is never null");
}

#[test]
fn reads_values_of_every_type() {
    let id = "0195e0c4-7a1c-7d3e-9b0a-3f1f6f0c2a11";
    assert_eq!(shown(&format!("id = {id}")), format!("id = {id}"));
    assert_eq!(shown(&format!("site_id = \"{}\"", id.to_uppercase())), format!("site_id = {id}"));
    assert_eq!(shown("mood != CROSS"), "mood != 2");
    assert_eq!(shown("score > 2.5e-1"), "score > 0.25");
    assert_eq!(shown("score = -3"), "score = -3.0");
    assert_eq!(shown("due_time < 2026-05-01T08:30:00.1234567+02:00"), "due_time < 2026-05-01T06:30:00.123456+00:00");
    assert_eq!(shown(r#"due_time >= "2026-05-01T08:30:00Z""#), "due_time >= 2026-05-01T08:30:00+00:00");
    assert_eq!(shown("wait = 3600s"), "wait = 3600000000");
    assert_eq!(shown("wait > -1.5s"), "wait > -1500000");
    assert_eq!(shown("wait = 0.0000019s"), "wait = 1");
    assert_eq!(shown("wait < 315576000000s"), "wait < 315576000000000000");
    assert_eq!(shown("count >= -9223372036854775808"), "count >= -9223372036854775808");
}

#[test]
fn says_what_each_type_takes() {
    assert_eq!(error("active = yes"), "at character 9: active is compared with true or false, not yes");
    assert_eq!(
        error(r#"count = "many""#),
        r#"at character 8: count is compared with a whole number of 64 bits, such as 42, not "many""#
    );
    assert_eq!(error("mood = HAPPY"), "at character 7: mood is compared with one of CALM, CROSS, not HAPPY");
    for text in [
        "count = 2.5",
        "count = 9223372036854775808",
        "score = NaN",
        "score = inf",
        "score = 1e400",
        "id = 0195e0c47a1c7d3e9b0a3f1f6f0c2a11",
        "id = {0195e0c4-7a1c-7d3e-9b0a-3f1f6f0c2a11}",
        "id = 1",
        "id = \"\"",
        "role_ids:x",
        "moods:1",
        "mood = cross",
        "due_time = 2026-05-01",
        "due_time = yesterday",
        "wait = 5",
        "wait = s",
        "wait = 1.s",
        "wait = +1s",
        "wait = --1s",
        "wait = 1m",
        "wait = 315576000001s",
        "wait = 1.0000000000s",
        "active = TRUE",
    ] {
        let errors = Expr::parse(text, FIELDS, nobody()).unwrap_err();
        assert!(
            matches!(&errors[..], [e] if matches!(e.problem, FilterProblem::Value { .. } | FilterProblem::NeverNull { .. })),
            "{text}: {errors:?}"
        );
    }
}

#[test]
fn refuses_operators_that_a_type_lacks() {
    assert_eq!(error("mood < CROSS"), "at character 5: mood is a choice and takes = != :, not <");
    assert_eq!(error("domains = a"), "at character 8: domains is a list and takes :, not =");
    for text in ["active > true", "id < x", "role_ids != x", "moods >= CALM"] {
        let errors = Expr::parse(text, FIELDS, nobody()).unwrap_err();
        assert!(matches!(errors[0].problem, FilterProblem::Operator { .. }), "{text}: {errors:?}");
    }
}

#[test]
fn refuses_messages() {
    assert_eq!(
        error("count=1 address = x"),
        "at character 8: address is a message, and messages cannot be filtered by"
    );
}

#[test]
fn names_known_fields_for_an_unknown_one() {
    assert_eq!(
        error("count=1 acitve = true"),
        "at character 8: unknown field acitve; did you mean active? The fields are id, name, active, count, level, \
         score, mood, due_time, wait, site_id, domains, role_ids, moods, create_time"
    );
    assert!(error("address.city = x").starts_with("at character 0: unknown field address.city; the fields are id, "));
}

#[test]
fn hides_fields_that_the_caller_may_not_read() {
    let unknown = error("nothing_like_it = true");
    for name in ["password", "important"] {
        assert_eq!(error(&format!("{name} = true")), unknown.replace("nothing_like_it", name));
    }
    assert!(Expr::parse("important = true", FIELDS, PermissionSet::ALL).is_ok());
    assert!(Expr::parse("password = x", FIELDS, PermissionSet::ALL).is_err());
}

#[test]
fn tells_every_error_at_once() {
    let errors = errors("coutn = 1 AND active = maybe OR mood < CALM AND nmae = x AND (count = 1");
    assert_eq!(errors.len(), 5, "{errors:?}");
    assert!(errors[0].starts_with("at character 0: unknown field coutn; did you mean count? The fields are "));
    assert!(errors[1].starts_with("at character 23: active is compared"));
    assert!(errors[2].starts_with("at character 37: mood is a choice"));
    assert_eq!(errors[3], "at character 48: unknown field nmae; did you mean name?");
    assert_eq!(errors[4], "at character 71: expected AND, OR or ), found the end");
}

#[test]
fn tells_ten_errors_at_most() {
    assert_eq!(errors(&"x = 1 ".repeat(100)).len(), 10);
}

#[test]
fn says_what_was_expected_where() {
    assert_eq!(error("AND count=1"), "at character 0: expected a field, NOT, - or (, found AND");
    assert_eq!(error("count=1 AND"), "at character 11: expected a field, NOT, - or (, found the end");
    assert_eq!(error("count=1 OR OR"), "at character 11: expected a field, NOT, - or (, found OR");
    assert_eq!(error("()"), "at character 1: expected a field, NOT, - or (, found )");
    assert_eq!(error("count=1)"), "at character 7: expected AND, OR or the end; no ( is open here, found )");
    assert_eq!(error("count"), "at character 5: expected one of = != < <= > >= : after the field, found the end");
    assert_eq!(error("count ~ 1"), "at character 6: expected one of = != < <= > >= : after the field, found ~");
    assert_eq!(error("count = "), "at character 8: expected a value, found the end");
    assert_eq!(error("count == 1"), "at character 7: expected a value, found =");
    assert_eq!(error("count = (1 OR 2)"), "at character 8: expected a value, found (");
    assert_eq!(
        error("count=1 and name=x"),
        "at character 8: expected a field, NOT, - or (; AND, OR and NOT are written in capitals, found and"
    );
    assert_eq!(error(r#"name = "Größe"#), "at character 7: the text that begins here has no closing \"");
    assert_eq!(
        error(r#"name = "ä\x""#),
        r#"at character 9: expected one of \" \' \\ \* \n \t after a backslash; a backslash itself is written \\"#
    );
    assert!(error("name = f(x)").starts_with("at character 8: expected a space or ) after the value"));
    assert_eq!(error("name = \"a\0b\""), "at character 9: the character U+0000 occurs in no text");
    assert_eq!(error("name = a\0"), "at character 8: the character U+0000 occurs in no text");
}

#[test]
fn is_bounded() {
    let long = format!("name = \"{}\"", "ä".repeat(4_000 - 9));
    assert!(parse(&long).is_ok());
    assert_eq!(error(&(long + " ")), "at character 4000: a filter has 4000 characters at most");
    let many = "count=1 ".repeat(100);
    assert!(parse(&many).is_ok());
    assert_eq!(error(&(many + "count=1")), "at character 800: a filter has 100 comparisons at most");
    let nested = |depth| format!("{}count=1{}", "(".repeat(depth), ")".repeat(depth));
    assert!(parse(&nested(20)).is_ok());
    assert_eq!(error(&nested(21)), "at character 21: parentheses and negations nest 20 deep at most");
    assert!(parse(&format!("{}count=1", "-".repeat(20))).is_ok());
    assert!(parse(&format!("{}count=1", "NOT ".repeat(21))).is_err());
    assert!(parse(&"(".repeat(1_000_000)).is_err());
    assert!(parse(&"-".repeat(3_999)).is_err());
}

/// Filters as somebody might write them, valid for the most part.
pub(super) fn any_filter() -> impl Strategy<Value = String> {
    let text = prop_oneof![
        "[a-z*%_' ]{0,6}".prop_map(|t| format!("\"{t}\"")),
        any::<String>().prop_map(|t| format!("\"{}\"", t.replace('\0', "").replace('\\', "\\\\").replace('"', "\\\""))),
    ];
    let text_test = ("name (=|!=|<|<=|>|>=|:) ", text.clone()).prop_map(|(head, value)| head + &value);
    let list_test = text.prop_map(|value| format!("domains:{value}"));
    let number_test =
        ("(count|level|score) (=|!=|<|<=|>|>=|:) ", any::<i32>()).prop_map(|(head, n)| head + &n.to_string());
    let leaf = prop_oneof![
        text_test,
        list_test,
        number_test,
        "(wait) (=|!=|<|<=|>|>=) -?[0-9]{1,4}(\\.[0-9]{1,7})?s",
        "(due_time|create_time) (=|!=|<|<=|>|>=) 20[0-9]{2}-0[1-9]-[12][0-8]T[01][0-9]:[0-5][0-9]:00(Z|\\+02:00)",
        "(due_time|site_id|wait|level) (=|!=) null",
        "(due_time|site_id|wait|level|name|mood|moods|domains|role_ids):\\*",
        "(mood (=|!=) |moods:)(CALM|CROSS|UNSPECIFIED)",
        "(active|important) (=|!=) (true|false)",
        "((id|site_id) (=|!=) |role_ids:)0195e0c4-7a1c-7d3e-9b0a-[0-9a-f]{12}",
    ];
    leaf.prop_recursive(4, 24, 3, |inner| {
        prop_oneof![
            (inner.clone(), "( AND | OR | )", inner.clone()).prop_map(|(a, joint, b)| {
                let joint = if joint.is_empty() { " " } else { joint.as_str() };
                format!("{a}{joint}{b}")
            }),
            ("(NOT |-|)", inner).prop_map(|(sign, part)| format!("{sign}({part})")),
        ]
    })
}

proptest! {
    #[test]
    fn never_panics(text in any::<String>()) {
        let _ = Expr::parse(&text, FIELDS, nobody());
    }

    #[test]
    fn never_panics_on_pieces_of_filters(text in r#"( |\(|\)|-|NOT |AND|OR |name|count|domains|address|=|!|<|>|:|"|'|\\|\*|null|1|5s|é|\.|,){0,60}"#) {
        match Expr::parse(&text, FIELDS, nobody()) {
            Ok(_) => {}
            Err(errors) => {
                prop_assert!(!errors.is_empty() && errors.len() <= 10);
                let length = text.chars().count();
                for error in errors {
                    prop_assert!(error.position <= length);
                    prop_assert!(error.to_string().chars().count() < 400, "{}", error);
                }
            }
        }
    }

    #[test]
    fn reads_what_is_well_formed(text in any_filter()) {
        let result = Expr::parse(&text, FIELDS, PermissionSet::ALL);
        prop_assert!(result.is_ok(), "{:?}", result);
    }

    #[test]
    fn keeps_any_text_as_it_was(text in any::<String>()) {
        let text = text.replace('\0', "");
        let written = text.replace('\\', "\\\\").replace('"', "\\\"").replace('*', "\\*");
        match Expr::parse(&format!("name = \"{written}\""), FIELDS, nobody()).unwrap().unwrap() {
            Expr::Test(_, Check::Compare(Comparison::Equal, Value::Text(read))) => prop_assert_eq!(read, text),
            other => prop_assert!(false, "{:?}", other),
        }
    }
}

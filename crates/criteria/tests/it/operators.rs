//! What each operator answers on known values, and what groups make of answers.

use chrono::{DateTime, Utc};
use concierge_criteria::{Criterion, Definition, Fact, FieldType, Hours, Operator, Truth, Value, eval};
use uuid::Uuid;

use crate::world::{age, ask, compiled, criterion, field_of, id, ids, important, record, texts, time};

/// Asserts what an operator answers on each of some values of a field.
fn check<V: Into<Value> + Clone, F: Into<Fact> + Clone>(
    kind: FieldType,
    operator: Operator,
    values: &[V],
    cases: &[(F, bool)],
) {
    for (seen, expected) in cases {
        let fact: Fact = seen.clone().into();
        let one = Criterion::new(field_of(kind), operator, values.iter().cloned()).case_sensitive();
        assert_eq!(ask(one, fact.clone()), Truth::from(*expected), "{kind} {operator} on {fact:?}");
    }
}

fn ignoring_case(operator: Operator, wanted: &str, seen: &str) -> bool {
    let one = Criterion::new("ticket.summary", operator, [wanted]);
    ask(one, seen) == Truth::True
}

#[test]
fn ids_are_compared_one_by_one() {
    let kind = FieldType::Id;
    check(kind, Operator::Is, &[id(1)], &[(id(1), true), (id(2), false)]);
    check(kind, Operator::IsNot, &[id(1)], &[(id(1), false), (id(2), true)]);
    check(kind, Operator::AnyOf, &[id(3), id(1)], &[(id(1), true), (id(2), false), (id(3), true)]);
    check(kind, Operator::NoneOf, &[id(3), id(1)], &[(id(1), false), (id(2), true), (id(3), false)]);
    check(kind, Operator::HasValue, &Value::NONE, &[(id(1), true)]);
    check(kind, Operator::HasNoValue, &Value::NONE, &[(id(1), false)]);
}

#[test]
fn choices_compare_like_ids_and_mind_case() {
    let (phone, email, odd) = (Value::choice("PHONE"), Value::choice("EMAIL"), Value::choice("phone"));
    let kind = FieldType::Choice;
    let cases =
        |expected: [bool; 3]| [phone.clone(), email.clone(), odd.clone()].into_iter().zip(expected).collect::<Vec<_>>();
    check(kind, Operator::Is, std::slice::from_ref(&phone), &cases([true, false, false]));
    check(kind, Operator::IsNot, std::slice::from_ref(&phone), &cases([false, true, true]));
    check(kind, Operator::AnyOf, &[phone.clone(), email.clone()], &cases([true, true, false]));
    check(kind, Operator::NoneOf, &[phone.clone(), email.clone()], &cases([false, false, true]));
    let one = Criterion::new("ticket.source", Operator::Is, [phone.clone()]);
    assert_eq!(ask(one, odd.clone()), Truth::False);
}

#[test]
fn equals_wants_the_same_set_in_any_order() {
    let cases = [(ids(&[1, 2]), true), (ids(&[1]), false), (ids(&[1, 2, 3]), false), (ids(&[]), false)];
    check(FieldType::IdSet, Operator::Equals, &[id(2), id(1), id(2)], &cases);
}

#[test]
fn includes_wants_one_or_more_shared() {
    let cases = [(ids(&[2, 9]), true), (ids(&[1, 2]), true), (ids(&[9]), false), (ids(&[]), false)];
    check(FieldType::IdSet, Operator::Includes, &[id(1), id(2)], &cases);
}

#[test]
fn includes_all_wants_every_value() {
    let cases = [(ids(&[1, 2, 9]), true), (ids(&[1, 2]), true), (ids(&[1, 9]), false), (ids(&[]), false)];
    check(FieldType::IdSet, Operator::IncludesAll, &[id(1), id(2)], &cases);
}

#[test]
fn does_not_include_holds_on_a_customer_without_relationships() {
    let cases = [(ids(&[]), true), (ids(&[9]), true), (ids(&[2, 9]), false)];
    check(FieldType::IdSet, Operator::DoesNotInclude, &[id(1), id(2)], &cases);
}

#[test]
fn sets_of_texts_compare_like_sets_of_ids() {
    let kind = FieldType::TextSet;
    check(kind, Operator::Equals, &["b", "a"], &[(texts(&["a", "b"]), true), (texts(&["a"]), false)]);
    check(
        kind,
        Operator::Includes,
        &["a", "b"],
        &[(texts(&["b", "c"]), true), (texts(&["c"]), false), (texts(&["B"]), false)],
    );
    check(kind, Operator::IncludesAll, &["a", "b"], &[(texts(&["a", "b", "c"]), true), (texts(&["a", "c"]), false)]);
    check(kind, Operator::DoesNotInclude, &["a"], &[(texts(&["b"]), true), (texts(&["a"]), false), (texts(&[]), true)]);
    check(kind, Operator::HasValue, &Value::NONE, &[(texts(&["a"]), true), (texts(&[]), false)]);
    check(kind, Operator::HasNoValue, &Value::NONE, &[(texts(&["a"]), false), (texts(&[]), true)]);
}

#[test]
fn texts_compare_exactly_when_asked() {
    let kind = FieldType::Text;
    check(kind, Operator::Is, &["Ab"], &[("Ab", true), ("ab", false), ("Abc", false)]);
    check(kind, Operator::IsNot, &["Ab"], &[("Ab", false), ("ab", true)]);
    check(kind, Operator::AnyOf, &["x", "Ab"], &[("Ab", true), ("x", true), ("y", false)]);
    check(kind, Operator::NoneOf, &["x", "Ab"], &[("Ab", false), ("y", true)]);
    check(kind, Operator::Contains, &["Ab"], &[("xAbx", true), ("xabx", false)]);
    check(kind, Operator::DoesNotContain, &["Ab"], &[("xAbx", false), ("xabx", true)]);
    check(kind, Operator::StartsWith, &["Ab"], &[("Abx", true), ("xAb", false), ("abx", false), ("A", false)]);
    check(kind, Operator::EndsWith, &["Ab"], &[("xAb", true), ("Abx", false), ("xab", false), ("b", false)]);
}

#[test]
fn text_without_characters_has_no_value_but_a_space_is_one() {
    check(FieldType::Text, Operator::HasValue, &Value::NONE, &[("a", true), (" ", true), ("", false)]);
    check(FieldType::Text, Operator::HasNoValue, &Value::NONE, &[("a", false), (" ", false), ("", true)]);
}

#[test]
fn case_is_ignored_unless_asked() {
    assert!(ignoring_case(Operator::Is, "ÄrGer", "äRGER"));
    assert!(!ignoring_case(Operator::IsNot, "ÄrGer", "äRGER"));
    assert!(ignoring_case(Operator::AnyOf, "ab", "AB"));
    assert!(!ignoring_case(Operator::NoneOf, "ab", "AB"));
    assert!(ignoring_case(Operator::Contains, "aB", "xxAbxx"));
    assert!(ignoring_case(Operator::Contains, "aab", "aAaB"));
    assert!(ignoring_case(Operator::Contains, "abaabc", "ABAabaabc"));
    assert!(!ignoring_case(Operator::Contains, "aab", "abab"));
    assert!(!ignoring_case(Operator::DoesNotContain, "aB", "xxAbxx"));
    assert!(ignoring_case(Operator::StartsWith, "aB", "AbC"));
    assert!(!ignoring_case(Operator::StartsWith, "abc", "AB"));
    assert!(ignoring_case(Operator::EndsWith, "bC", "aBc"));
    assert!(!ignoring_case(Operator::EndsWith, "abc", "BC"));
}

#[test]
fn folding_maps_each_character_and_does_no_more() {
    assert!(ignoring_case(Operator::Is, "300 k", "300 \u{212A}"));
    assert!(ignoring_case(Operator::Contains, "\u{307}s", "I\u{307}S"));
    assert!(!ignoring_case(Operator::EndsWith, "\u{307}", "İ"));
    assert!(ignoring_case(Operator::Is, "straße", "STRAẞE"));
    assert!(!ignoring_case(Operator::Is, "straße", "STRASSE"));
    assert!(ignoring_case(Operator::Is, "ΟΔΟΣ", "οδος"));
    assert!(ignoring_case(Operator::StartsWith, "οδος", "ΟΔΟΣΣ"));
    assert!(!ignoring_case(Operator::Is, "é", "e\u{301}"));
}

#[test]
fn numbers_compare_to_the_last_one() {
    let kind = FieldType::Number;
    check(kind, Operator::Is, &[2], &[(1, false), (2, true), (3, false)]);
    check(kind, Operator::IsNot, &[2], &[(1, true), (2, false), (3, true)]);
    check(kind, Operator::Less, &[2], &[(1, true), (2, false), (3, false)]);
    check(kind, Operator::LessOrEqual, &[2], &[(1, true), (2, true), (3, false)]);
    check(kind, Operator::Greater, &[2], &[(1, false), (2, false), (3, true)]);
    check(kind, Operator::GreaterOrEqual, &[2], &[(1, false), (2, true), (3, true)]);
    check(kind, Operator::Between, &[2, 4], &[(1, false), (2, true), (3, true), (4, true), (5, false)]);
    check(kind, Operator::Between, &[2, 2], &[(1, false), (2, true), (3, false)]);
    check(kind, Operator::HasValue, &Value::NONE, &[(0, true)]);
    check(kind, Operator::HasNoValue, &Value::NONE, &[(0, false)]);
    check(kind, Operator::Less, &[i64::MIN], &[(i64::MIN, false)]);
    check(kind, Operator::LessOrEqual, &[i64::MAX], &[(i64::MAX, true)]);
    check(kind, Operator::Greater, &[i64::MAX], &[(i64::MAX, false)]);
}

#[test]
fn times_compare_like_numbers() {
    let kind = FieldType::Time;
    let cases = |expected: [bool; 3]| [1, 2, 3].map(time).into_iter().zip(expected).collect::<Vec<_>>();
    check(kind, Operator::Is, &[time(2)], &cases([false, true, false]));
    check(kind, Operator::IsNot, &[time(2)], &cases([true, false, true]));
    check(kind, Operator::Less, &[time(2)], &cases([true, false, false]));
    check(kind, Operator::LessOrEqual, &[time(2)], &cases([true, true, false]));
    check(kind, Operator::Greater, &[time(2)], &cases([false, false, true]));
    check(kind, Operator::GreaterOrEqual, &[time(2)], &cases([false, true, true]));
    check(kind, Operator::Between, &[time(2), time(3)], &cases([false, true, true]));
}

#[test]
fn flag_without_a_value_is_neither_true_nor_false() {
    check(FieldType::Flag, Operator::Is, &[true], &[(true, true), (false, false)]);
    check(FieldType::Flag, Operator::Is, &[false], &[(true, false), (false, true)]);
    check(FieldType::Flag, Operator::Is, &[false], &[(Fact::Empty, false)]);
}

#[test]
fn groups_follow_kleene() {
    use Truth::{False, True, Unknown};
    // The age is known to be 1, the flag is known to nobody.
    let item = |truth: Truth| match truth {
        True => age(1),
        False => age(2),
        Unknown => important(true),
    };
    let known = record([("ticket.age_minutes", 1.into())]);
    let answer = |definition: Definition| eval(&compiled(&definition), &known);
    for (left, right, both, either) in [
        (True, True, True, True),
        (True, Unknown, Unknown, True),
        (True, False, False, True),
        (Unknown, Unknown, Unknown, Unknown),
        (Unknown, False, False, Unknown),
        (False, False, False, False),
    ] {
        for pair in [[left, right], [right, left]] {
            assert_eq!(answer(Definition::all(pair.map(item))), both, "ALL {pair:?}");
            assert_eq!(answer(Definition::any(pair.map(item))), either, "ANY {pair:?}");
        }
    }
    assert_eq!(answer(Definition::negation(item(True))), False);
    assert_eq!(answer(Definition::negation(item(Unknown))), Unknown);
    assert_eq!(answer(Definition::negation(item(False))), True);
}

#[test]
fn unknown_fact_fails_a_criterion_no_more_than_its_opposite() {
    let nobody_knows = record([]);
    for operator in [Operator::HasValue, Operator::HasNoValue] {
        let asked = criterion("customer.relationships", operator, Value::NONE);
        assert_eq!(eval(&compiled(&asked), &nobody_knows), Truth::Unknown);
        assert_eq!(eval(&compiled(&Definition::negation(asked)), &nobody_knows), Truth::Unknown);
    }
}

#[test]
fn all_of_nothing_always_holds() {
    assert_eq!(eval(&compiled(&Definition::all([])), &record([])), Truth::True);
}

#[derive(Debug)]
struct Morning;

impl Hours for Morning {
    fn contain(&self, calendar: Uuid, time: DateTime<Utc>) -> Option<bool> {
        (calendar == id(1)).then(|| time.timestamp() < 12)
    }
}

#[test]
fn hours_are_those_of_the_calendar_if_anybody_knows_it() {
    let on = |operator, calendar, hours: bool, fact: Fact| {
        let definition = criterion("ticket.due", operator, [id(calendar)]);
        let mut known = record([("ticket.due", fact)]);
        if hours {
            known.set_hours(std::sync::Arc::new(Morning));
        }
        eval(&compiled(&definition), &known)
    };
    let (within, outside) = (Operator::WithinHours, Operator::OutsideHours);
    assert_eq!(on(within, 1, true, time(11).into()), Truth::True);
    assert_eq!(on(outside, 1, true, time(11).into()), Truth::False);
    assert_eq!(on(within, 1, true, time(12).into()), Truth::False);
    assert_eq!(on(outside, 1, true, time(12).into()), Truth::True);
    // No time is neither within nor outside, and another calendar nobody knows.
    for operator in [within, outside] {
        assert_eq!(on(operator, 1, true, Fact::Empty), Truth::False);
        assert_eq!(on(operator, 2, true, time(11).into()), Truth::Unknown);
        assert_eq!(on(operator, 1, false, time(11).into()), Truth::Unknown);
    }
}

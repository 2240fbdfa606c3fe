//! What a trace tells.

use concierge_criteria::{Criterion, Definition, Fact, GroupKind, Operator, Trace, TraceNode, Truth, Value, explain};

use crate::world::{age, compiled, criterion, id, ids, important, record, schema, team};

fn reasons(trace: &Trace) -> Vec<String> {
    trace.reasons().iter().map(|seen| format!("{} {} {:?}", seen.name, seen.operator, seen.wanted)).collect()
}

fn fewest(trace: &Trace) -> Vec<String> {
    trace.fewest_reasons().iter().map(|seen| format!("{} {} {:?}", seen.name, seen.operator, seen.wanted)).collect()
}

fn said(criteria: &[Definition]) -> Vec<String> {
    let one = |definition: &Definition| match definition {
        Definition::Criterion(it) => format!("{} {} {:?}", it.field, it.operator, it.values),
        Definition::Group { .. } => panic!("a group gives no reason"),
    };
    criteria.iter().map(one).collect()
}

#[test]
fn trace_has_the_shape_of_the_definition_and_shows_each_value_seen() {
    let definition = Definition::all([
        Criterion::new("ticket.summary", Operator::Contains, ["VIP"]).into(),
        Definition::negation(criterion("customer.relationships", Operator::Includes, [id(2), id(1)])),
        important(true),
    ]);
    let facts = record([("ticket.summary", "a vip calls".into()), ("customer.relationships", ids(&[1]).into())]);
    let trace = explain(&compiled(&definition), &facts);
    assert_eq!(trace.truth, Truth::False);
    let TraceNode::Group { kind: GroupKind::All, items } = &trace.node else { panic!("{trace:?}") };
    assert_eq!(items.iter().map(|item| item.truth).collect::<Vec<_>>(), [Truth::True, Truth::False, Truth::Unknown]);

    let TraceNode::Criterion(summary) = &items[0].node else { panic!("{items:?}") };
    assert_eq!(
        (&*summary.name, summary.operator, summary.case_sensitive),
        ("ticket.summary", Operator::Contains, false)
    );
    assert_eq!(summary.seen, Fact::from("a vip calls"));

    let TraceNode::Group { kind: GroupKind::Not, items: inside } = &items[1].node else { panic!("{items:?}") };
    let TraceNode::Criterion(relationships) = &inside[0].node else { panic!("{inside:?}") };
    assert_eq!(inside[0].truth, Truth::True);
    assert_eq!(*relationships.wanted, [Value::from(id(2)), Value::from(id(1))]);
    assert_eq!(relationships.seen, Fact::from(ids(&[1])));
    assert_eq!((&*summary.path, &*relationships.path), ("criteria[0]", "groups[0].criteria[0]"));

    let TraceNode::Criterion(flag) = &items[2].node else { panic!("{items:?}") };
    assert_eq!((&*flag.path, &flag.seen), ("criteria[1]", &Fact::Unknown));
}

#[test]
fn failed_all_is_explained_by_the_items_that_failed() {
    let definition = Definition::all([age(1), age(2), team(1), team(2), important(true)]);
    let facts = record([("ticket.age_minutes", 1.into()), ("ticket.team", id(1).into())]);
    let trace = explain(&compiled(&definition), &facts);
    assert_eq!(trace.truth, Truth::False);
    assert_eq!(reasons(&trace), said(&[age(2), team(2)]));
    assert!(trace.unknown_facts().is_empty());
}

#[test]
fn failed_any_is_explained_by_every_item() {
    let definition = Definition::any([age(2), Definition::all([age(1), team(2)]), age(3)]);
    let facts = record([("ticket.age_minutes", 1.into()), ("ticket.team", id(1).into())]);
    let trace = explain(&compiled(&definition), &facts);
    assert_eq!(trace.truth, Truth::False);
    assert_eq!(reasons(&trace), said(&[age(2), team(2), age(3)]));
}

#[test]
fn failed_not_is_explained_by_what_held_inside() {
    let definition = Definition::negation(Definition::any([age(1), age(2), team(1)]));
    let facts = record([("ticket.age_minutes", 1.into()), ("ticket.team", id(1).into())]);
    let trace = explain(&compiled(&definition), &facts);
    assert_eq!(trace.truth, Truth::False);
    assert_eq!(reasons(&trace), said(&[age(1), team(1)]));
}

#[test]
fn undecided_is_explained_by_the_facts_that_would_decide() {
    // Nobody knows the flag or the team, but the group with the team failed by its age alone.
    let definition = Definition::any([Definition::all([age(2), team(1)]), Definition::negation(important(true))]);
    let trace = explain(&compiled(&definition), &record([("ticket.age_minutes", 1.into())]));
    assert_eq!(trace.truth, Truth::Unknown);
    assert_eq!(reasons(&trace), said(&[important(true)]));
    let unknown = trace.unknown_facts();
    assert_eq!(schema().names(&unknown).collect::<Vec<_>>(), ["user.important"]);
}

#[test]
fn fewest_reasons_of_a_failed_all_are_those_of_one_item() {
    let facts = record([("ticket.age_minutes", 1.into()), ("ticket.team", id(1).into())]);
    let wide = Definition::any([age(2), team(2)]);
    let trace = explain(&compiled(&Definition::all([age(1), wide.clone(), team(3), age(4)])), &facts);
    assert_eq!(fewest(&trace), said(&[team(3)]), "the first of the items that one criterion failed");
    assert_eq!(trace.fewest_reasons()[0].seen, Fact::from(id(1)));
    let trace = explain(&compiled(&wide), &facts);
    assert_eq!(fewest(&trace), said(&[age(2), team(2)]), "every item of an ANY had to fail");
    let trace = explain(&compiled(&Definition::negation(wide)), &facts);
    assert_eq!((trace.truth, fewest(&trace)), (Truth::True, said(&[age(2), team(2)])));
    let trace = explain(&compiled(&Definition::all([important(true), age(2)])), &facts);
    assert_eq!(fewest(&trace), said(&[age(2)]), "what nobody knows makes no difference here");
    let trace = explain(&compiled(&Definition::all([important(true), age(1)])), &facts);
    assert_eq!((trace.truth, fewest(&trace)), (Truth::Unknown, said(&[important(true)])));
}

//! Orders.

use concierge_proto::{Field, Kind, PermissionSet};

use super::super::{Order, OrderError};
use super::{FIELDS, field, nobody};

fn shown(order_by: &str) -> String {
    let order = Order::parse(order_by, "create_time", FIELDS, nobody()).unwrap();
    let show = |by: &Order| format!("{}{}", by.field.name, if by.descending { " desc" } else { "" });
    assert!(order.iter().all(|by| FIELDS[by.index].name == by.field.name));
    order.iter().map(show).collect::<Vec<_>>().join(", ")
}

fn errors(order_by: &str) -> Vec<String> {
    let errors = Order::parse(order_by, "create_time", FIELDS, nobody()).unwrap_err();
    errors.iter().map(ToString::to_string).collect()
}

#[test]
fn ends_with_the_id_in_the_direction_before_it() {
    assert_eq!(shown("name"), "name, id");
    assert_eq!(shown("name desc"), "name desc, id desc");
    assert_eq!(shown(" name  desc ,  due_time asc "), "name desc, due_time, id");
    assert_eq!(shown("name,count DESC"), "name, count desc, id desc");
}

#[test]
fn keeps_an_id_that_stands_there() {
    assert_eq!(shown("id desc"), "id desc");
    assert_eq!(shown("mood, id desc, name"), "mood, id desc, name");
}

#[test]
fn takes_the_default_when_none_is_stated() {
    assert_eq!(shown(""), "create_time, id");
    assert_eq!(shown("  "), "create_time, id");
    let order = Order::parse("", "", FIELDS, nobody()).unwrap();
    assert_eq!(order.len(), 1);
    assert_eq!(order[0].field.name, "id");
}

#[test]
fn orders_by_five_fields_at_most() {
    assert_eq!(shown("name, active, count, score, mood"), "name, active, count, score, mood, id");
    assert_eq!(errors("name, active, count, score, mood, wait"), ["an order has 5 fields at most"]);
    assert_eq!(errors(&"name,".repeat(100_000)).len(), 5);
}

#[test]
fn tells_every_error_at_once() {
    assert_eq!(
        errors("name, nmae, domains, name desc, count down"),
        [
            "unknown field nmae; did you mean name? The fields are id, name, active, count, level, score, mood, due_time, \
         wait, site_id, create_time",
            "records cannot be ordered by domains, which is a list",
            "name stands there twice",
            "expected asc, desc or a comma after count, found down",
        ]
    );
    assert_eq!(errors("address"), ["records cannot be ordered by address, which is a message"]);
    assert_eq!(errors("name,"), ["expected a field before and after each comma"]);
    assert_eq!(errors(","), ["expected a field before and after each comma"; 2]);
    assert_eq!(errors("name desc desc"), ["expected asc, desc or a comma after name, found desc"]);
}

#[test]
fn hides_fields_that_the_caller_may_not_read() {
    let unknown = errors("nothing_like_it");
    for name in ["password", "important"] {
        assert_eq!(errors(name)[0], unknown[0].replace("nothing_like_it", name));
    }
    assert!(Order::parse("important", "", FIELDS, PermissionSet::ALL).is_ok());
    assert!(Order::parse("password", "", FIELDS, PermissionSet::ALL).is_err());
}

#[test]
fn needs_an_id() {
    static NAMELESS: &[Field] = &[field("name", Kind::Text)];
    assert_eq!(Order::parse("name", "", NAMELESS, nobody()).unwrap_err(), [OrderError::NoId]);
}

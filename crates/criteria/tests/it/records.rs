//! Schemas, sets of fields and records.

use concierge_criteria::{
    Criterion, Fact, FieldSet, FieldType, Operator, Record, Schema, SchemaError, SetError, Truth, Value, compile, eval,
};

use crate::world::{field, id, ids, record, schema, texts};

#[test]
fn fields_are_found_by_name_and_by_place() {
    let schema = schema();
    let team = schema.field("ticket.team").unwrap();
    assert_eq!(team.index(), 0);
    assert_eq!(&*schema.get(team).unwrap().name, "ticket.team");
    assert_eq!(schema.field("ticket.teem"), None);
}

#[test]
fn schema_rejects_a_wrong_name() {
    let twice = Schema::new([("a", FieldType::Id), ("a", FieldType::Text)]);
    assert_eq!(twice.unwrap_err(), SchemaError::GivenTwice("a".to_owned()));
    let missing = schema().with_choices("ticket.team", ["A"]);
    assert_eq!(missing.unwrap_err(), SchemaError::NoChoice("ticket.team".to_owned()));
    assert_eq!(Schema::new([("", FieldType::Id)]).unwrap_err(), SchemaError::NoName);
}

#[test]
fn schema_holds_as_many_fields_as_an_index_tells_apart() {
    let fields = |count: u32| Schema::new((0..count).map(|number| (number.to_string(), FieldType::Flag)));
    let full = fields(65_535).unwrap();
    assert_eq!(full.field("65534").map(|field| field.index()), Some(65_534));
    assert_eq!(fields(65_536).unwrap_err(), SchemaError::TooManyFields);
    let last: FieldSet = full.field("65534").into_iter().collect();
    assert_eq!(full.names(&last).collect::<Vec<_>>(), ["65534"]);
}

#[test]
fn field_sets_answer_across_words() {
    let schema = Schema::new((0..200).map(|number| (number.to_string(), FieldType::Flag))).unwrap();
    let set = |names: &[&str]| names.iter().filter_map(|name| schema.field(name)).collect::<FieldSet>();
    let some = set(&["130", "3", "63"]);
    assert_eq!(schema.names(&some).collect::<Vec<_>>(), ["3", "63", "130"]);
    assert!(some.intersects(&set(&["130"])));
    assert!(!some.intersects(&set(&["131", "2"])));
    assert!(!some.intersects(&FieldSet::new()));
    assert!(some.contains(schema.field("63").unwrap()) && !some.contains(schema.field("199").unwrap()));
    assert!(FieldSet::new().is_empty() && !some.is_empty());
}

#[test]
fn new_record_knows_nothing_and_an_empty_one_knows_that_there_is_nothing() {
    let team = field("ticket.team");
    assert_eq!(Record::new(&schema()).get(team), &Fact::Unknown);
    assert_eq!(Record::empty(&schema()).get(team), &Fact::Empty);
}

#[test]
fn record_takes_empty_texts_and_sets_for_no_value() {
    let mut record = Record::new(&schema());
    record.set(field("ticket.summary"), "").unwrap();
    record.set(field("customer.relationships"), ids(&[])).unwrap();
    record.set(field("ticket.tags"), Fact::Known(Value::TextSet(texts(&[])))).unwrap();
    record.set(field("ticket.team"), Fact::known(None::<uuid::Uuid>)).unwrap();
    for name in ["ticket.summary", "customer.relationships", "ticket.tags", "ticket.team"] {
        assert_eq!(record.get(field(name)), &Fact::Empty, "{name}");
    }
}

#[test]
fn record_refuses_a_value_of_another_type() {
    let mut record = record([("ticket.team", id(1).into())]);
    let refused = record.set(field("ticket.team"), "front desk").unwrap_err();
    let (expected, found) = (FieldType::Id, FieldType::Text);
    assert_eq!(refused, SetError::WrongType { field: "ticket.team".to_owned(), expected, found });
    assert_eq!(refused.to_string(), "the field `ticket.team` holds ID, not TEXT");
    assert_eq!(record.get(field("ticket.team")), &Fact::from(id(1)));
}

#[test]
fn record_of_another_schema_leaves_criteria_unknown() {
    let one = compile(&schema(), &Criterion::new("ticket.due", Operator::HasNoValue, Value::NONE).into()).unwrap();
    let other = Schema::new([("number", FieldType::Number)]).unwrap();
    assert_eq!(eval(&one, &Record::empty(&other)), Truth::Unknown);

    let two = compile(&schema(), &Criterion::new("ticket.team", Operator::IsNot, [id(1)]).into()).unwrap();
    let mut record = Record::new(&other);
    record.set(other.field("number").unwrap(), 1).unwrap();
    assert_eq!(eval(&two, &record), Truth::Unknown);
    assert_eq!(record.set(field("ticket.due"), 1).unwrap_err(), SetError::NoSuchField(field("ticket.due")));
}

#[test]
fn changes_between_records_are_told_by_value() {
    let before = record([("ticket.team", id(1).into()), ("ticket.tags", texts(&["a", "b"]).into())]);
    let mut after = before.clone();
    after.set(field("ticket.tags"), texts(&["b", "a"])).unwrap();
    assert!(after.changed_since(&before).is_empty());
    after.set(field("ticket.team"), Fact::Empty).unwrap();
    after.set(field("ticket.age_minutes"), 3).unwrap();
    let changed = after.changed_since(&before);
    assert_eq!(schema().names(&changed).collect::<Vec<_>>(), ["ticket.team", "ticket.age_minutes"]);
}

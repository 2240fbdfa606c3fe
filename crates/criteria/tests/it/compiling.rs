//! What is refused, where, and in which words.

use concierge_criteria::{
    Definition, FieldType, GroupKind, MAX_CRITERIA, MAX_DEPTH, MAX_VALUES, Operator, Problem, ProblemKind, Schema,
    Value, compile, compile_rule,
};

use crate::world::{add, age, compiled, criterion, id, ids, important, rule, rules, schema, set, time};

fn problems(definition: &Definition) -> Vec<String> {
    compile(&schema(), definition).unwrap_err().iter().map(Problem::to_string).collect()
}

#[test]
fn names_every_problem_at_once_with_its_place() {
    let definition = Definition::all([
        criterion("ticket.teem", Operator::Is, [id(1)]),
        important(true),
        Definition::any([
            criterion("ticket.team", Operator::Is, ["front desk"]),
            criterion("ticket.age_minutes", Operator::Contains, [1]),
            criterion("ticket.team", Operator::Is, [id(1), id(2)]),
        ]),
        criterion("ticket.age_minutes", Operator::Between, [3, 1]),
        criterion("ticket.summary", Operator::Contains, [""]),
        criterion("ticket.source", Operator::AnyOf, ["PHONE", "FAX"].map(Value::choice)),
        Definition::any([]),
        Definition::Group { kind: GroupKind::Not, items: vec![important(true), important(false)] },
    ]);
    assert_eq!(
        problems(&definition),
        [
            "criteria.criteria[0].field: There is no field `ticket.teem`.",
            "criteria.groups[0].criteria[0].values[0]: The value must be ID, not TEXT.",
            "criteria.groups[0].criteria[1].operator: CONTAINS does not work on NUMBER; use one of IS, IS_NOT, LESS, LESS_OR_EQUAL, \
             GREATER, GREATER_OR_EQUAL, BETWEEN, HAS_VALUE, HAS_NO_VALUE, CHANGED, CHANGED_FROM, CHANGED_TO.",
            "criteria.groups[0].criteria[2].values: IS takes exactly one value, not 2.",
            "criteria.criteria[2].values: The first value must not be above the second.",
            "criteria.criteria[3].values[0]: The value must not be empty; use HAS_VALUE or HAS_NO_VALUE to ask for emptiness.",
            "criteria.criteria[4].values[1]: `FAX` is none of EMAIL, PHONE, PORTAL.",
            "criteria.groups[1]: ANY needs at least one item; only ALL at the top may have none, and always holds.",
            "criteria.groups[2]: NOT takes exactly one item, not 2; put ALL or ANY inside it.",
        ]
    );
}

#[test]
fn names_several_problems_of_one_criterion() {
    assert_eq!(
        problems(&criterion("ticket.team", Operator::IsNot, [Value::from("a"), Value::from(1)])),
        [
            "criteria.values: IS_NOT takes exactly one value, not 2.",
            "criteria.values[0]: The value must be ID, not TEXT.",
            "criteria.values[1]: The value must be ID, not NUMBER.",
        ]
    );
    assert_eq!(problems(&criterion("user.vip", Operator::Is, Value::NONE)).len(), 2);
}

#[test]
fn rejects_a_wrong_number_of_values() {
    let count = |operator, values: &[i64]| problems(&criterion("ticket.age_minutes", operator, values.iter().copied()));
    assert_eq!(count(Operator::HasValue, &[1]), ["criteria.values: HAS_VALUE takes no value, not 1."]);
    assert_eq!(count(Operator::Is, &[]), ["criteria.values: IS takes exactly one value, not 0."]);
    assert_eq!(count(Operator::Between, &[1]), ["criteria.values: BETWEEN takes exactly two values, not 1."]);
    let teams = |count: usize| criterion("ticket.team", Operator::AnyOf, (0..count).map(|number| id(number as u128)));
    assert_eq!(problems(&teams(0)), ["criteria.values: ANY_OF takes 1 to 1000 values, not 0."]);
    assert_eq!(problems(&teams(MAX_VALUES + 1)), ["criteria.values: ANY_OF takes 1 to 1000 values, not 1001."]);
    compiled(&teams(MAX_VALUES));
}

#[test]
fn rejects_a_set_where_its_members_are_wanted() {
    let definition = criterion("customer.relationships", Operator::Includes, [ids(&[1])]);
    assert_eq!(problems(&definition), ["criteria.values[0]: The value must be ID, not ID_SET."]);
}

#[test]
fn rejects_times_the_wrong_way_round() {
    let due = |first, second| criterion("ticket.due", Operator::Between, [time(first), time(second)]);
    assert_eq!(problems(&due(2, 1)), ["criteria.values: The first value must not be above the second."]);
    compiled(&due(1, 1));
}

#[test]
fn choice_without_a_list_takes_any_name() {
    let schema = Schema::new([("ticket.colour", FieldType::Choice)]).unwrap();
    let colour = |name| criterion("ticket.colour", Operator::Is, [Value::choice(name)]);
    assert!(compile(&schema, &colour("RED")).is_ok());
    assert_eq!(compile(&schema, &colour("")).unwrap_err()[0].kind, ProblemKind::EmptyValue);
}

#[test]
fn rejects_groups_nested_too_deep() {
    let nested = |depth: usize| (0..depth).fold(important(true), |inner, _| Definition::negation(inner));
    compiled(&nested(MAX_DEPTH));
    let place = format!("criteria{}: Groups nest at most 8 deep.", ".groups[0]".repeat(MAX_DEPTH));
    assert_eq!(problems(&nested(MAX_DEPTH + 1)), std::slice::from_ref(&place));
    assert_eq!(problems(&nested(100)), [place]);
}

#[test]
fn rejects_too_many_criteria_once() {
    let many = |count: usize| Definition::all([Definition::any(vec![age(1); count - 1]), age(2)]);
    compiled(&many(MAX_CRITERIA));
    assert_eq!(problems(&many(MAX_CRITERIA + 1)), ["criteria: There are more than 500 criteria."]);
    assert_eq!(problems(&many(10 * MAX_CRITERIA)), ["criteria: There are more than 500 criteria."]);
}

#[test]
fn flood_of_wrong_groups_makes_no_flood_of_problems() {
    let empty = Definition::all(vec![Definition::any([]); 100_000]);
    let deep = (0..MAX_DEPTH).fold(Definition::all(vec![Definition::negation(age(1)); 100_000]), |inner, depth| {
        if depth == 0 { inner } else { Definition::negation(inner) }
    });
    for definition in [empty, deep] {
        assert_eq!(problems(&definition).len(), MAX_CRITERIA + 1);
    }
}

#[test]
fn remembers_the_fields_it_asks_for() {
    let definition = Definition::all([age(1), Definition::negation(important(true)), age(2)]);
    let compiled = compiled(&definition);
    assert_eq!(schema().names(compiled.fields()).collect::<Vec<_>>(), ["ticket.age_minutes", "user.important"]);
}

#[test]
fn names_every_problem_of_a_rule() {
    let outcomes = vec![
        set("ticket.teem", id(1)),
        set("ticket.team", "front desk"),
        set("ticket.summary", ""),
        set("ticket.source", Value::choice("FAX")),
        add("ticket.age_minutes", 1),
        add("ticket.tags", ids(&[1])),
        set("ticket.team", id(1)),
    ];
    let wrong = rule(1, Definition::all([important(true), criterion("user.vip", Operator::Is, [true])]), outcomes);
    let problems = compile_rule(&schema(), &wrong).unwrap_err();
    assert_eq!(
        problems.iter().map(Problem::to_string).collect::<Vec<_>>(),
        [
            "criteria.criteria[1].field: There is no field `user.vip`.",
            "outcomes[0].field: There is no field `ticket.teem`.",
            "outcomes[1].value: The value must be ID, not TEXT.",
            "outcomes[2].value: An outcome must give a value; leave it out to change nothing.",
            "outcomes[3].value: `FAX` is none of EMAIL, PHONE, PORTAL.",
            "outcomes[4].field: Values can be added to a set only, not to NUMBER.",
            "outcomes[5].value: The value must be TEXT_SET, not ID_SET.",
            "outcomes[6].field: The field `ticket.team` has an outcome already.",
        ]
    );
}

#[test]
fn says_what_is_wrong_with_a_pattern_or_a_length_of_time() {
    let problem = |name: &str, operator, value: Value| {
        let problems = compile(&schema(), &criterion(name, operator, [value])).unwrap_err();
        assert_eq!(problems.len(), 1, "{problems:?}");
        problems[0].to_string()
    };
    let pattern = |text: &str| problem("ticket.summary", Operator::Matches, text.into());
    assert_eq!(pattern("a(b"), "criteria.values[0]: The pattern is not a regular expression: unclosed group.");
    assert_eq!(pattern(&"a".repeat(1_001)), "criteria.values[0]: A pattern has at most 1000 characters.");
    assert_eq!(
        pattern(r"\w{200}"),
        "criteria.values[0]: The pattern takes more than 128 KiB when compiled; repeat less, or name fewer characters."
    );
    let within = |value: Value| problem("ticket.due", Operator::WithinLast, value);
    assert_eq!(within(0.into()), "criteria.values[0]: The length of time must be 1 second or more.");
    assert_eq!(within(time(1).into()), "criteria.values[0]: The value must be NUMBER, not TIME.");
}

#[test]
fn rules_have_so_many_patterns_together_and_no_more() {
    let patterns = |count| Definition::any((0..count).map(|_| criterion("ticket.summary", Operator::Matches, ["a"])));
    let set = |counts: &[usize]| rules((1..).zip(counts).map(|(number, count)| rule(number, patterns(*count), vec![])));
    assert_eq!(set(&[500, 500]).check_patterns(), Ok(()));
    assert_eq!(set(&[500, 500, 1]).check_patterns(), Err(ProblemKind::TooManyPatterns(1_001)));
}

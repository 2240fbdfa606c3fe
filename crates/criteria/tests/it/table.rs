//! The table of operators in the crate's documentation, read and checked against the code.

use std::collections::BTreeSet;

use concierge_criteria::{Arity, Criterion, Fact, FieldType, Operator, ProblemKind, Truth, Value, compile};

use crate::world::{ask, field_of, id, schema, time};

struct Row {
    kind: FieldType,
    operator: Operator,
    arity: Arity,
    on_empty: Truth,
    on_unknown: Truth,
}

fn truth(cell: &str) -> Truth {
    match cell {
        "true" => Truth::True,
        "false" => Truth::False,
        "UNKNOWN" => Truth::Unknown,
        other => panic!("{other} is no answer"),
    }
}

fn rows() -> Vec<Row> {
    let mut rows = Vec::new();
    let mut inside = false;
    for line in include_str!("../../src/lib.rs").lines() {
        let cells: Vec<&str> = line.trim_start_matches("//!").split('|').map(str::trim).collect();
        if cells.len() != 8 {
            inside = false;
            continue;
        }
        if cells[1] == "Type" || cells[1].starts_with('-') {
            inside = true;
            continue;
        }
        assert!(inside, "a row outside the table: {line}");
        for kind in cells[1].split(", ") {
            rows.push(Row {
                kind: FieldType::ALL.into_iter().find(|one| one.name() == kind).unwrap(),
                operator: Operator::ALL.into_iter().find(|one| one.name() == cells[2]).unwrap(),
                arity: match cells[3] {
                    "0" => Arity::Zero,
                    "1" => Arity::One,
                    "2" => Arity::Two,
                    "1+" => Arity::Many,
                    other => panic!("{other} is no number of values"),
                },
                on_empty: truth(cells[4]),
                on_unknown: truth(cells[5]),
            });
        }
    }
    rows
}

/// A criterion with as many values as the operator takes.
fn example(kind: FieldType, operator: Operator) -> Criterion {
    let value: Value = match operator.values(kind) {
        FieldType::Id => id(1).into(),
        FieldType::Choice => Value::choice("PHONE"),
        FieldType::Text => "a".into(),
        FieldType::Number => 1.into(),
        FieldType::Flag => false.into(),
        FieldType::Time => time(1).into(),
        FieldType::IdSet | FieldType::TextSet => unreachable!("no set is a member"),
    };
    let count = match operator.arity() {
        Arity::Zero => 0,
        Arity::One => 1,
        Arity::Two | Arity::Many => 2,
    };
    Criterion::new(field_of(kind), operator, vec![value; count])
}

#[test]
fn table_names_every_type_with_every_operator_it_understands() {
    let named: Vec<(&str, &str)> = rows().iter().map(|row| (row.kind.name(), row.operator.name())).collect();
    let unique: BTreeSet<(&str, &str)> = named.iter().copied().collect();
    assert_eq!(named.len(), unique.len(), "a row is there twice");

    let mut understood = BTreeSet::new();
    for kind in FieldType::ALL {
        for operator in Operator::ALL {
            let wrong = ProblemKind::WrongOperator { operator, kind };
            match compile(&schema(), &example(kind, operator).into()) {
                Ok(_) => drop(understood.insert((kind.name(), operator.name()))),
                Err(problems) => assert!(problems.iter().any(|problem| problem.kind == wrong), "{kind} {operator}"),
            }
        }
    }
    assert_eq!(unique, understood);
}

#[test]
fn table_says_how_many_values_each_operator_takes() {
    for row in rows() {
        assert_eq!(row.arity, row.operator.arity(), "{} {}", row.kind, row.operator);
    }
}

#[test]
fn table_says_what_each_operator_answers_on_an_empty_value() {
    for row in rows() {
        let answer = ask(example(row.kind, row.operator), Fact::Empty);
        assert_eq!(row.on_empty, answer, "{} {}", row.kind, row.operator);
        assert_eq!(answer == Truth::True, row.operator.is_negative(), "{} {}", row.kind, row.operator);
    }
}

#[test]
fn table_says_what_each_operator_answers_on_an_unknown_value() {
    for row in rows() {
        assert_eq!(
            row.on_unknown,
            ask(example(row.kind, row.operator), Fact::Unknown),
            "{} {}",
            row.kind,
            row.operator
        );
    }
}

#[test]
fn table_of_case_says_what_folds() {
    let mut rows = 0;
    for line in include_str!("../../src/lib.rs").lines() {
        let cells: Vec<&str> = line.trim_start_matches("//!").split('|').map(str::trim).collect();
        let [_, one, other, same, _, _] = *cells else { continue };
        if !one.starts_with('`') {
            continue;
        }
        rows += 1;
        let (one, other) = (one.trim_matches('`'), other.trim_matches('`'));
        let same = match same {
            "yes" => Truth::True,
            "no" => Truth::False,
            cell => panic!("{cell} is no answer"),
        };
        for (one, other) in [(one, other), (other, one)] {
            let field = field_of(FieldType::Text);
            assert_eq!(ask(Criterion::new(field, Operator::Is, [one]), other), same, "{one} is {other}");
            let sure = Criterion::new(field, Operator::Is, [one]).case_sensitive();
            assert_eq!(ask(sure, other), Truth::False, "{one} is exactly {other}");
            let pattern = Criterion::new(field, Operator::Matches, [format!("^{one}$")]);
            assert_eq!(ask(pattern, other), same, "^{one}$ matches {other}");
        }
    }
    assert_eq!(rows, 12);
}

//! Rules that no field of the contract has yet; those that fields have are tested in `tests/it/validators.rs`.
#![allow(clippy::unwrap_used)]

use super::{Form, Path, Text, Violations, float, text};

fn told(check: impl FnOnce(&Path<'_>, &mut Violations)) -> Vec<(String, String)> {
    let mut violations = Violations::default();
    check(&Path::Root.field("field"), &mut violations);
    violations.into_iter().map(|v| (v.field, v.description)).collect()
}

#[test]
fn min_length_counts_characters() {
    let rules = Text { required: false, min: 3, max: 10, form: Form::Any, pattern: None };
    let short = vec![("field".to_owned(), "must have at least 3 characters, has 2".to_owned())];
    assert_eq!(told(|path, v| text("éé", path, &rules, v)), short);
    assert_eq!(told(|path, v| text("ééé", path, &rules, v)), []);
    assert_eq!(told(|path, v| text("", path, &rules, v)), [], "not given is not too short");
}

#[test]
fn a_double_is_finite() {
    let endless = vec![("field".to_owned(), "must be a finite number".to_owned())];
    for value in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        assert_eq!(told(|path, v| float(value, path, v)), endless);
    }
    assert_eq!(told(|path, v| float(0.5, path, v)), []);
}

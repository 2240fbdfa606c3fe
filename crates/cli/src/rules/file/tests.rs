#![allow(clippy::unwrap_used)]

use concierge_criteria::FieldType;
use concierge_model::criteria::rule_schema;
use concierge_proto::common::criterion_value::Kind as ValueKind;
use concierge_proto::common::custom_field_value::Kind as Of;
use concierge_proto::common::{
    CriteriaGroup, Criterion, CriterionValue, CustomFieldChoices, CustomFieldValue, GroupKind, Operator,
};
use concierge_proto::ticket_rule::rule_reference::Handle;
use concierge_proto::ticket_rule::{Rule, RuleAppliesTo, RuleExternalId, RuleOutcomes, RuleReference};
use proptest::prelude::*;
use proptest::sample::select;
use uuid::Uuid;

use super::RuleFile;
use super::node::Node;

/// Texts that YAML reads as something else when they stand there plainly, and others that are hard to write.
const NASTY: [&str; 24] = [
    "yes",
    "no",
    "~",
    "null",
    "true",
    "1e3",
    "0x10",
    "1_000",
    "012",
    "- a",
    "a: b",
    "# a",
    "a #b",
    "'",
    "\"",
    "\\",
    "{a}",
    "[a",
    "*a",
    "&a",
    "!a",
    "%a",
    "@a",
    "2026-01-01",
];

fn line() -> impl Strategy<Value = String> {
    prop_oneof![select(&NASTY[..]).prop_map(str::to_owned), "[^\\p{C}]{1,40}", "[a-z ]{70,120}"]
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof![line(), "( |\t|[^\\p{C}]{0,9}|\n){0,30}"]
}

fn id() -> impl Strategy<Value = String> {
    (0..8u128).prop_map(|number| Uuid::from_u128(u128::MAX - number).to_string())
}

/// The id of a rule, which stands for nothing else.
fn rule_id() -> impl Strategy<Value = String> {
    (0..8u128).prop_map(|number| Uuid::from_u128((1 << 100) + number).to_string())
}

fn value(kind: FieldType) -> BoxedStrategy<ValueKind> {
    match kind {
        FieldType::Flag => any::<bool>().prop_map(ValueKind::Flag).boxed(),
        FieldType::Id => id().prop_map(ValueKind::Id).boxed(),
        FieldType::Choice => "[A-Z][A-Z0-9_]{0,9}".prop_map(ValueKind::Choice).boxed(),
        FieldType::Number => any::<i64>().prop_map(ValueKind::Number).boxed(),
        FieldType::Time => (0..4_000_000_000i64, select(&[0, 1_000_000, 123_456_000][..]))
            .prop_map(|(seconds, nanos)| ValueKind::Time(prost_types::Timestamp { seconds, nanos }))
            .boxed(),
        _ => line().prop_map(ValueKind::Text).boxed(),
    }
}

fn criterion() -> impl Strategy<Value = Criterion> {
    let fields: Vec<(String, FieldType)> =
        rule_schema().fields().iter().map(|field| (field.name.to_string(), field.kind.element())).collect();
    let operators: Vec<Operator> = (1..=22).filter_map(|number| Operator::try_from(number).ok()).collect();
    const KINDS: [FieldType; 6] =
        [FieldType::Flag, FieldType::Id, FieldType::Choice, FieldType::Number, FieldType::Time, FieldType::Text];
    (
        select(fields),
        select(operators),
        any::<bool>(),
        prop_oneof![9 => Just(None), 1 => select(&KINDS[..]).prop_map(Some)],
    )
        .prop_flat_map(|((field, own), operator, case_sensitive, other)| {
            // Now and then one of another kind, as the service of a later release may have it.
            prop::collection::vec(value(other.unwrap_or(own)), 0..4).prop_map(move |values| Criterion {
                field: field.clone(),
                operator: operator.into(),
                values: values.into_iter().map(|kind| CriterionValue { kind: Some(kind) }).collect(),
                case_sensitive,
            })
        })
}

fn group() -> impl Strategy<Value = CriteriaGroup> {
    let kind = || select(&[GroupKind::All, GroupKind::Any, GroupKind::Not][..]);
    let of = |kind: GroupKind, criteria, groups| CriteriaGroup { kind: kind.into(), criteria, groups };
    let leaf = (kind(), prop::collection::vec(criterion(), 0..4)).prop_map(move |(kind, c)| of(kind, c, Vec::new()));
    leaf.prop_recursive(3, 12, 3, move |inner| {
        let members = (prop::collection::vec(criterion(), 0..3), prop::collection::vec(inner, 0..3));
        (kind(), members).prop_map(move |(kind, (criteria, groups))| of(kind, criteria, groups))
    })
}

fn custom_field() -> impl Strategy<Value = CustomFieldValue> {
    let kind = prop_oneof![
        text().prop_map(Of::Text),
        any::<i64>().prop_map(Of::Number),
        any::<bool>().prop_map(Of::Flag),
        (0..4_000_000_000i64).prop_map(|seconds| Of::Time(prost_types::Timestamp { seconds, nanos: 0 })),
        "[A-Z]{1,9}".prop_map(Of::Choice),
        prop::collection::vec("[A-Z]{1,9}", 0..3).prop_map(|names| Of::Choices(CustomFieldChoices { names })),
    ];
    ("[a-z]{1,9}", prop::option::of(kind)).prop_map(|(key, kind)| CustomFieldValue { key, kind })
}

fn outcomes() -> impl Strategy<Value = RuleOutcomes> {
    let maybe = || prop_oneof![Just(String::new()), id()];
    let ids = (maybe(), maybe(), maybe(), maybe(), maybe(), maybe(), maybe(), maybe());
    let values = prop::collection::vec(custom_field(), 0..3);
    (ids, prop::collection::vec(line(), 0..3), values, text()).prop_map(|(ids, add_tags, custom_fields, popup_html)| {
        RuleOutcomes {
            custom_fields,
            type_id: ids.0,
            status_id: ids.1,
            priority_id: ids.2,
            sla_id: ids.3,
            team_id: ids.4,
            agent_id: ids.5,
            category_1_id: ids.6,
            category_2_id: ids.7,
            category_3_id: String::new(),
            category_4_id: String::new(),
            add_tags,
            popup_html,
        }
    })
}

fn rule() -> impl Strategy<Value = Rule> {
    let plain = (line(), prop_oneof![Just(String::new()), rule_id()], text(), any::<bool>(), any::<bool>());
    let rest = (1..5i32, 1..1_000_000i32, prop::option::of(group()), outcomes());
    (plain, rest).prop_map(
        |((name, id, description, enabled, stop_on_match), (applies_to, precedence, criteria, given))| {
            let asks =
                |group: &CriteriaGroup| group.kind() != GroupKind::All || group.criteria.len() + group.groups.len() > 0;
            Rule {
                name,
                id,
                description,
                enabled: Some(enabled),
                applies_to: RuleAppliesTo::try_from(applies_to).unwrap().into(),
                precedence: Some(precedence),
                stop_on_match,
                criteria: criteria.filter(asks),
                outcomes: Some(given).filter(|given| *given != RuleOutcomes::default()),
                ..Rule::default()
            }
        },
    )
}

fn file() -> impl Strategy<Value = RuleFile> {
    let handle = prop_oneof![
        line().prop_map(Handle::Name),
        "[a-z]{1,9}@example.com".prop_map(Handle::Email),
        (prop_oneof![Just(String::new()), line()], line())
            .prop_map(|(source, id)| Handle::External(RuleExternalId { source, id })),
    ];
    let references = prop::collection::btree_map(id(), handle, 0..8).prop_map(|known| {
        let references = known.into_iter();
        references.map(|(id, handle)| RuleReference { id, record_type: String::new(), handle: Some(handle) }).collect()
    });
    (prop::option::of(0..i64::MAX), prop::collection::vec(rule(), 0..6), references)
        .prop_map(|(revision, rules, references)| RuleFile { revision, rules, references })
}

fn read(text: &str) -> Result<RuleFile, Vec<String>> {
    let told = |problems: Vec<super::Problem>| problems.iter().map(ToString::to_string).collect();
    RuleFile::read(&Node::read(text).unwrap()).map(|(file, _)| file).map_err(told)
}

/// The ids that stand for something, replaced by what they stand for.
fn spelled_out(file: &RuleFile) -> String {
    let mut text = format!("{:?} {:?}", file.revision, file.rules);
    for known in &file.references {
        text = text.replace(&known.id, &format!("{:?}", known.handle));
    }
    text
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn what_is_written_is_read_and_written_again_the_same(file in file()) {
        let written = file.write().unwrap();
        let again = read(&written).unwrap_or_else(|problems| panic!("{problems:?}\n{written}"));
        prop_assert_eq!(again.write().unwrap(), written.clone());
        prop_assert_eq!(spelled_out(&again), spelled_out(&file), "{}", written);
    }
}

#[test]
fn every_problem_is_told_at_once_with_its_line_and_its_path() {
    let problems = read(
        "revision: soon
rules:
- name: First
  enabled: maybe
  colour: red
  precedence: 99999999999
  criteria:
    all:
    - {field: ticket.summary, operator: holds, value: 12}
    - any:
      - {field: user.important, operator: is, value: 'yes'}
      - {field: ticket.team, operator: is, value: {phone: '1'}}
    - not: [{operator: is}]
- applies_to: Never
  outcomes: [tag]
",
    )
    .unwrap_err();
    let expected = [
        "1: revision: must be a whole number, not a text",
        "5: rules[0].colour: is nothing that stands here: name, id, description, enabled, applies_to, precedence, \
         stop_on_match, criteria, outcomes can",
        "4: rules[0].enabled: must be true or false, not a text",
        "6: rules[0].precedence: must be at most 1000000",
        "9: rules[0].criteria.all[0].operator: \"holds\" is no name of a value: docs/rules.md lists them",
        "9: rules[0].criteria.all[0].value: must be a text, not a number: put it in quotes",
        "11: rules[0].criteria.all[1].any[0].value: must be true or false, not a text",
        "12: rules[0].criteria.all[1].any[1].value.phone: is nothing that stands here: id, name, email, external_id, \
         external_source can",
        "12: rules[0].criteria.all[1].any[1].value: must have one of `id`, `name`, `email` and `external_id`",
        "13: rules[0].criteria.all[2].not[0]: must have a `field`",
        "14: rules[1]: must have a `name`",
        "14: rules[1].applies_to: \"Never\" is no name of a value: docs/rules.md lists them",
        "15: rules[1].outcomes: must be a map of type, status, priority, sla, category_1, category_2, category_3, category_4, team, agent, add_tags, custom_fields, popup_html, not a list",
    ];
    assert_eq!(problems, expected);
    assert_eq!(read("ruels: []\n").unwrap_err().len(), 2);
}

#[test]
fn nothing_grows_when_a_file_is_read() {
    let bomb = "a: &a [x, x]\nb: &b [*a, *a]\nrules: [*b, *b]\n";
    assert!(Node::read(bomb).is_err());
    assert!(Node::read("rules: []\nrules: []\n").is_err());
    assert!(Node::read(&format!("rules: {}{}\n", "[".repeat(10_000), "]".repeat(10_000))).is_err());
    assert!(Node::read("rules: []\n---\nrules: []\n").is_err());
}

#[test]
fn says_where_in_the_file_what_the_service_names_stands() {
    let text = "rules:
- name: First
  criteria:
    any:
    - not: {field: ticket.team, operator: is, value: VIP desk}
    - {field: ticket.tags, operator: includes, values: [a, b]}
  outcomes: {team: VIP desk}
";
    let (_, places) = RuleFile::read(&Node::read(text).unwrap()).unwrap();
    let place = |path: &str| places.find(path).map(|place| (place.line, place.path.clone()));
    let at = |line: u64, path: &str| Some((line, path.to_owned()));
    let first = "rules[0].criteria.groups[0].criteria[0].values[0].id";
    assert_eq!(place(first), at(5, "rules[0].criteria.any[0].not.value"));
    assert_eq!(place("rules[0].criteria.criteria[0].values[1]"), at(6, "rules[0].criteria.any[1].values[1]"));
    assert_eq!(place("rules[0].outcomes.team_id"), at(7, "rules[0].outcomes.team"));
    assert_eq!(place("references[1].name"), at(7, "rules[0].outcomes.team"));
    assert_eq!(place("request_id"), None);
}

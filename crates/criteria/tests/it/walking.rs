//! Which rules run, in which order, and what they change.

use concierge_criteria::{
    AppliesTo, Definition, Fact, FieldSet, Match, NotConsidered, Occasion, Operator, Outcome, Record, RuleDefinition,
    Verdict, walk, walk_explained,
};
use uuid::Uuid;

use crate::world::{
    add, age, criterion, field, id, ids, important, record, rule, rules, schema, set, team, texts, time,
};

fn always() -> Definition {
    Definition::all([])
}

fn known() -> Record {
    let mut record = Record::empty(&schema());
    record.set(field("user.important"), true).unwrap();
    record.set(field("ticket.age_minutes"), 1).unwrap();
    record
}

fn ran(outcome: &Outcome) -> Vec<Uuid> {
    outcome.matched.iter().map(|matched| matched.rule).collect()
}

fn new(definitions: impl IntoIterator<Item = RuleDefinition>, record: &mut Record) -> Outcome {
    walk(&rules(definitions), record, &Occasion::New)
}

fn updated(names: &[&str]) -> Occasion {
    Occasion::Existing { changed: names.iter().map(|name| field(name)).collect() }
}

fn by_hand(rules: &[u128]) -> Occasion {
    Occasion::Manual { rules: rules.iter().copied().map(id).collect() }
}

fn changes(matched: &Match) -> Vec<(String, Fact, Fact)> {
    let name = |change| schema().get(change).unwrap().name.to_string();
    matched.changes.iter().map(|change| (name(change.field), change.from.clone(), change.to.clone())).collect()
}

#[test]
fn rules_run_by_precedence_then_age_then_id() {
    let at = |number, precedence, seconds| RuleDefinition {
        precedence,
        created: time(seconds),
        ..rule(number, always(), vec![])
    };
    let outcome = new([at(5, 2, 0), at(2, 1, 9), at(4, 1, 5), at(3, 1, 5), at(1, -1, 9)], &mut known());
    assert_eq!(ran(&outcome), [1, 3, 4, 2, 5].map(id));
}

#[test]
fn later_rule_sees_what_an_earlier_one_set() {
    let outcome = new(
        [
            rule(1, team(1), vec![set("ticket.status", id(9))]),
            rule(2, important(true), vec![set("ticket.team", id(1))]),
            rule(3, team(1), vec![set("ticket.status", id(8))]),
        ],
        &mut known(),
    );
    assert_eq!(ran(&outcome), [2, 3].map(id), "each rule has one turn, so the first does not see the second's team");
}

#[test]
fn later_match_overwrites_an_earlier_ones_field() {
    let mut record = known();
    let outcome = new(
        [
            rule(1, always(), vec![set("ticket.team", id(1)), set("ticket.status", id(2))]),
            rule(2, always(), vec![set("ticket.team", id(3))]),
        ],
        &mut record,
    );
    assert_eq!(record.get(field("ticket.team")), &Fact::from(id(3)));
    assert_eq!(record.get(field("ticket.status")), &Fact::from(id(2)), "an outcome that is not set changes nothing");
    assert_eq!(changes(&outcome.matched[1]), [("ticket.team".to_owned(), id(1).into(), id(3).into())]);
}

#[test]
fn match_that_stops_ends_the_walk() {
    let stop = |number, criteria| RuleDefinition { stop_on_match: true, ..rule(number, criteria, vec![]) };
    let outcome = new([stop(1, age(9)), stop(2, always()), rule(3, always(), vec![])], &mut known());
    assert_eq!(ran(&outcome), [id(2)]);
    assert_eq!(outcome.stopped_by, Some(id(2)));
}

#[test]
fn setting_the_value_that_is_there_matches_without_a_change() {
    let mut record = known();
    let outcome = new([rule(1, always(), vec![set("ticket.age_minutes", 1)])], &mut record);
    assert_eq!(ran(&outcome), [id(1)]);
    assert!(outcome.matched[0].changes.is_empty());
}

#[test]
fn adding_to_a_set_keeps_what_is_in_it() {
    let mut record = known();
    record.set(field("ticket.tags"), texts(&["a"])).unwrap();
    let both = vec![add("ticket.tags", texts(&["b", "a"])), add("customer.relationships", ids(&[1]))];
    let outcome =
        new([rule(1, always(), both), rule(2, always(), vec![add("ticket.tags", texts(&["a"]))])], &mut record);
    assert_eq!(
        changes(&outcome.matched[0]),
        [
            ("ticket.tags".to_owned(), texts(&["a"]).into(), texts(&["a", "b"]).into()),
            ("customer.relationships".to_owned(), Fact::Empty, ids(&[1]).into()),
        ]
    );
    assert!(outcome.matched[1].changes.is_empty(), "a member that is there is no change");
}

#[test]
fn adding_to_a_set_nobody_knows_leaves_it_unknown() {
    let mut record = record([]);
    let outcome = new([rule(1, always(), vec![add("ticket.tags", texts(&["a"]))])], &mut record);
    assert!(outcome.matched[0].changes.is_empty());
    assert_eq!(record.get(field("ticket.tags")), &Fact::Unknown);
}

#[test]
fn undecided_rule_changes_and_stops_nothing_and_is_reported() {
    let mut record = known();
    record.set(field("user.important"), Fact::Unknown).unwrap();
    let undecided = RuleDefinition { stop_on_match: true, ..rule(1, important(true), vec![set("ticket.team", id(1))]) };
    let negated = rule(2, Definition::negation(important(true)), vec![set("ticket.team", id(2))]);
    let outcome = new([undecided, negated, rule(3, age(1), vec![])], &mut record);
    assert_eq!(ran(&outcome), [id(3)]);
    assert_eq!(outcome.undecided.iter().map(|it| it.rule).collect::<Vec<_>>(), [id(1), id(2)]);
    assert_eq!(outcome.undecided[0].facts, FieldSet::from_iter([field("user.important")]));
    assert_eq!(record.get(field("ticket.team")), &Fact::Empty);
}

#[test]
fn each_occasion_uses_the_rules_meant_for_it() {
    use AppliesTo::{Existing, Manual, New, NewAndExisting};
    let all = || {
        [NewAndExisting, New, Existing, Manual]
            .into_iter()
            .zip(1..)
            .map(|(applies_to, number)| RuleDefinition { applies_to, ..rule(number, age(1), vec![]) })
    };
    let on = |occasion| ran(&walk(&rules(all()), &mut known(), &occasion));
    assert_eq!(on(Occasion::New), [1, 2].map(id));
    assert_eq!(on(updated(&["ticket.age_minutes"])), [1, 3].map(id));
    assert_eq!(on(by_hand(&[4])), [id(4)]);
    assert_eq!(on(by_hand(&[3, 2])), [2, 3].map(id), "a rule that runs by itself can be run by hand as well");
    assert!(on(by_hand(&[5])).is_empty());
}

#[test]
fn disabled_rule_never_runs() {
    let disabled = RuleDefinition { enabled: false, ..rule(1, always(), vec![]) };
    assert!(ran(&new([disabled.clone()], &mut known())).is_empty());
    let manual = RuleDefinition { applies_to: AppliesTo::Manual, ..disabled };
    assert!(ran(&walk(&rules([manual]), &mut known(), &by_hand(&[1]))).is_empty());
}

#[test]
fn update_runs_only_rules_that_ask_for_a_changed_field() {
    let set_team = || rule(1, important(true), vec![set("ticket.team", id(1))]);
    let other = || rule(2, Definition::any([age(1), important(true)]), vec![]);
    let without_criteria = || rule(3, always(), vec![]);
    let on =
        |names: &[&str]| ran(&walk(&rules([set_team(), other(), without_criteria()]), &mut known(), &updated(names)));
    assert!(on(&[]).is_empty());
    assert!(on(&["ticket.team"]).is_empty(), "an agent's choice of team is not undone by saving it");
    assert_eq!(on(&["ticket.age_minutes"]), [id(2)]);
    assert_eq!(on(&["user.important"]), [id(1), id(2)]);
}

#[test]
fn update_also_runs_rules_that_ask_for_what_an_earlier_rule_changed() {
    let chain = || {
        [
            rule(1, age(1), vec![set("ticket.team", id(1))]),
            rule(2, team(1), vec![set("ticket.status", id(1))]),
            rule(3, criterion("ticket.status", Operator::Is, [id(1)]), vec![]),
        ]
    };
    let mut record = known();
    assert_eq!(ran(&walk(&rules(chain()), &mut record, &updated(&["ticket.age_minutes"]))), [1, 2, 3].map(id));
    // The second time the team and the status are there already: nothing changes, so nothing follows.
    assert_eq!(ran(&walk(&rules(chain()), &mut record, &updated(&["ticket.age_minutes"]))), [id(1)]);
}

#[test]
fn verdicts_say_what_became_of_every_rule() {
    let other_use = RuleDefinition { applies_to: AppliesTo::New, ..rule(6, always(), vec![]) };
    let definitions = [
        RuleDefinition { enabled: false, ..rule(1, always(), vec![]) },
        rule(2, age(2), vec![]),
        rule(3, team(1), vec![]),
        rule(4, Definition::all([age(1), important(true)]), vec![]),
        RuleDefinition { stop_on_match: true, ..rule(5, age(1), vec![set("ticket.age_minutes", 2)]) },
        other_use,
        rule(7, age(2), vec![]),
    ];
    let mut facts = known();
    facts.set(field("user.important"), Fact::Unknown).unwrap();
    let set = rules(definitions);
    let mut told = facts.clone();
    let outcome = walk_explained(&set, &mut told, &updated(&["ticket.age_minutes"]), |_| true);
    assert_eq!(outcome.verdicts.iter().map(|it| it.rule).collect::<Vec<_>>(), [1, 2, 3, 4, 5, 6, 7].map(id));

    let verdict = |number: usize| &outcome.verdicts[number - 1].verdict;
    assert_eq!(verdict(1), &Verdict::NotConsidered(NotConsidered::Disabled));
    assert!(matches!(verdict(2), Verdict::NotMatched { trace } if trace.reasons().len() == 1));
    assert_eq!(verdict(3), &Verdict::NotConsidered(NotConsidered::NoChangedField));
    assert!(matches!(verdict(4), Verdict::Undecided { facts, .. } if facts.contains(field("user.important"))));
    let Verdict::Matched { changes, trace } = verdict(5) else { panic!("{:?}", verdict(5)) };
    assert_eq!(changes, &outcome.matched[0].changes);
    assert_eq!(trace.reasons()[0].seen, Fact::from(1), "the trace shows the value before the rule changed it");
    assert_eq!(verdict(6), &Verdict::NotConsidered(NotConsidered::OtherUse));
    assert_eq!(verdict(7), &Verdict::NotConsidered(NotConsidered::StoppedBy(id(5))));

    let quiet = walk(&set, &mut facts, &updated(&["ticket.age_minutes"]));
    assert_eq!(quiet, Outcome { verdicts: vec![], ..outcome });
    assert!(facts.changed_since(&told).is_empty());
}

#[test]
fn verdicts_are_given_only_for_the_rules_asked_about() {
    let set = rules((1..=5).map(|number| rule(number, age(1), vec![])));
    let outcome = walk_explained(&set, &mut known(), &Occasion::New, |rule| rule.id() == id(3));
    assert_eq!(outcome.verdicts.iter().map(|it| it.rule).collect::<Vec<_>>(), [id(3)]);
    assert_eq!(outcome.matched.len(), 5);
}

#[test]
fn rule_given_again_replaces_the_earlier_one() {
    let set = rules([rule(1, age(1), vec![]), rule(1, age(2), vec![])]);
    assert_eq!(set.rules().len(), 1);
    assert!(walk(&set, &mut known(), &Occasion::New).matched.is_empty());
    assert_eq!(&**set.get(id(1)).unwrap().name(), "rule 1");
    assert!(set.get(id(2)).is_none());
}

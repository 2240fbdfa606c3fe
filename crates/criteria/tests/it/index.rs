//! The index does what the plain loop does.

use concierge_criteria::{
    Definition, Occasion, Operator, Outcome, Record, RuleIndex, RuleSet, Scratch, walk, walk_explained,
};

use crate::world::{age, criterion, id, important, rules, texts};

/// What the loop and the index do to one record.
fn both(rules: &RuleSet, index: &RuleIndex, record: &Record, occasion: &Occasion, scratch: &mut Scratch) {
    let (mut by_loop, mut by_index) = (record.clone(), record.clone());
    let expected = walk(rules, &mut by_loop, occasion);
    let ran = index.run(&mut by_index, occasion, scratch);
    assert_eq!(ran.stopped_by().map(|rule| rule.id()), expected.stopped_by);
    assert_eq!(ran.outcome(), expected);
    assert!(by_index.changed_since(&by_loop).is_empty());

    let told = index.walk_explained(&mut record.clone(), occasion, |_| true);
    assert_eq!(told, walk_explained(rules, &mut record.clone(), occasion, |_| true));
    assert_eq!(Outcome { verdicts: vec![], ..told }, expected);
}

#[test]
fn threads_share_an_index_while_another_is_made_of_it() {
    let index =
        RuleIndex::new(&rules([crate::world::rule(1, important(true), vec![]), crate::world::rule(2, age(1), vec![])]));
    let known = crate::world::record([("user.important", true.into()), ("ticket.age_minutes", 1.into())]);
    let matched = |index: &RuleIndex| {
        let (mut record, mut scratch) = (known.clone(), Scratch::default());
        index.run(&mut record, &Occasion::New, &mut scratch).matched().count()
    };
    std::thread::scope(|scope| {
        let readers: Vec<_> = (0..2).map(|_| scope.spawn(|| matched(&index))).collect();
        let without = index.with([], [id(1)]);
        assert_eq!((matched(&without), without.len(), without.unmerged()), (1, 1, 1));
        assert_eq!(matched(&without.merged()), 1);
        assert!(readers.into_iter().all(|reader| reader.join().unwrap() == 2));
    });
    assert!(!index.is_empty() && RuleIndex::default().is_empty());
}

#[test]
fn pattern_is_found_by_what_it_needs_whatever_the_case() {
    let matches = |number, pattern: &str| {
        crate::world::rule(number, criterion("ticket.summary", Operator::Matches, [pattern]), vec![])
    };
    let set = rules([matches(1, "(vpn|wlan) .*down"), matches(2, "K[0-9]+"), matches(3, "^.$"), matches(4, "printer")]);
    let index = RuleIndex::new(&set);
    let ran = |text: &str| {
        let mut record = crate::world::record([("ticket.summary", text.into())]);
        let ran = index.walk(&mut record, &Occasion::New, &mut Scratch::default());
        ran.matched.iter().map(|matched| matched.rule).collect::<Vec<_>>()
    };
    assert_eq!(ran("The VPN is Down"), [id(1)]);
    assert_eq!(ran("\u{212A}12"), [id(2)], "the sign for kelvin");
    assert_eq!(ran("x"), [id(3)]);
    assert!(ran("the wlan is up").is_empty());
}

// Failures that the random cases below found, each as small as it would go.

#[test]
fn opposite_of_a_part_of_a_text_fails_where_the_part_is() {
    let without = Definition::negation(criterion("ticket.summary", Operator::Contains, ["a"]));
    let set = rules([crate::world::rule(1, without, vec![])]);
    let record = crate::world::record([("ticket.summary", "A".into())]);
    both(&set, &RuleIndex::new(&set), &record, &Occasion::New, &mut Scratch::default());
}

#[test]
fn members_of_a_set_are_found_in_whatever_order_rules_name_them() {
    let tags = |tags: &[&str]| criterion("ticket.tags", Operator::Includes, tags.iter().copied());
    let several = Definition::all([tags(&["a", "b", "c"]), important(true), age(1)]);
    let set = rules([crate::world::rule(1, tags(&["b"]), vec![]), crate::world::rule(2, several, vec![])]);
    let facts =
        [("ticket.tags", texts(&["b"]).into()), ("user.important", true.into()), ("ticket.age_minutes", 1.into())];
    let mut scratch = Scratch::default();
    both(&set, &RuleIndex::new(&set), &crate::world::record(facts), &Occasion::New, &mut scratch);
}

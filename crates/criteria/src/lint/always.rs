//! Criteria that hold whatever the record, and few that already contradict each other.

use super::Linter;
use super::finding::{Finding, FindingKind, Question, Undecided, Why};
use super::formula::Want;
use super::query::{Asked, ask};
use super::search::Found;
use super::world::When;
use crate::compile::Node;
use crate::definition::Places;
use crate::rule::Rule;

impl Linter<'_> {
    /// Tells of every part of the criteria that always holds; of the parts of one that does, nothing more.
    pub(super) fn always(&mut self, rule: &Rule) {
        let root = &rule.criteria().root;
        if matches!(root, Node::Group { items, .. } if items.is_empty()) {
            return;
        }
        self.always_in(rule, root, "criteria".to_owned());
    }

    fn always_in(&mut self, rule: &Rule, node: &Node, place: String) {
        let asked = [Asked { node, want: Want::False, after: None }];
        let mut open = None;
        let mut holds = true;
        for when in When::of(rule.applies_to()) {
            match ask(self.world, *when, &asked, &mut Some) {
                Found::Nothing => {}
                Found::Model(_) => holds = false,
                Found::TooLong => open = Some(Why::TooLong),
                Found::NoValue => open = Some(Why::NoValue),
            }
        }
        if holds && open.is_none() {
            let witness = self.live.get(&rule.id()).cloned();
            self.lint.findings.push(Finding {
                rule: rule.id(),
                kind: FindingKind::AlwaysTrue,
                places: vec![place],
                witness,
            });
            return;
        }
        if let (true, Some(why)) = (holds, open) {
            let (question, rule) = (Question::Always, rule.id());
            self.lint.undecided.push(Undecided { rule, question, other: None, place: Some(place.clone()), why });
        }
        if let Node::Group { items, .. } = node {
            let mut places = Places::default();
            for item in items {
                let place = places.next(&place, matches!(item, Node::Group { .. }));
                self.always_in(rule, item, place);
            }
        }
    }

    /// Where few of the criteria stand that no record meets together.
    pub(super) fn contradiction(&self, rule: &Rule, when: When) -> Vec<String> {
        let mut parts = Vec::new();
        conjuncts(&rule.criteria().root, "criteria".to_owned(), &mut parts);
        let fails = |parts: &[(&Node, String)]| {
            let asked: Vec<_> = parts.iter().map(|(node, _)| Asked { node, want: Want::True, after: None }).collect();
            matches!(ask(self.world, when, &asked, &mut Some), Found::Nothing)
        };
        let mut at = 0;
        while at < parts.len() && parts.len() > 1 {
            let left = parts.remove(at);
            if !fails(&parts) {
                parts.insert(at, left);
                at += 1;
            }
        }
        parts.into_iter().map(|(_, place)| place).collect()
    }
}

/// The parts all of which must hold, each with its place.
fn conjuncts<'a>(node: &'a Node, place: String, parts: &mut Vec<(&'a Node, String)>) {
    match node {
        Node::Group { kind: crate::GroupKind::All, items } => {
            let mut places = Places::default();
            for item in items {
                let place = places.next(&place, matches!(item, Node::Group { .. }));
                conjuncts(item, place, parts);
            }
        }
        _ => parts.push((node, place)),
    }
}

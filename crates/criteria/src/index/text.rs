//! The texts that criteria ask for, found in a value in one reading of it.

use std::sync::Arc;

use aho_corasick::{AhoCorasick, AhoCorasickKind};
use hashbrown::HashMap;

use super::classes::FIRST;
use crate::fold::fold;
use crate::predicate::{Place, Positive};

/// Parts of so many bytes together have the faster of two automata, which takes some hundred times as much memory.
const MOST_FAST: usize = 64 << 10;

/// Where a part is looked for, with a class for each place.
type Places = Vec<(Place, u32)>;

/// Everything that criteria ask of one TEXT. Each question has a class, and a value is in the classes of all questions
/// that it answers with yes.
#[derive(Debug)]
pub(crate) struct Texts {
    exact: Questions,
    folded: Questions,
    next: u32,
}

/// The questions that mind case, or those that do not and are compared with the folded value.
#[derive(Debug, Default)]
struct Questions {
    whole: HashMap<Arc<str>, u32>,
    parts: HashMap<Arc<str>, Places>,
    finder: Option<Finder>,
}

/// Finds all parts at once.
#[derive(Debug)]
struct Finder {
    /// None if there are more parts than an automaton takes; then each is looked for.
    automaton: Option<AhoCorasick>,
    /// For each pattern of the automaton: the part, and the class of each place that it is asked for in.
    patterns: Vec<(Arc<str>, Places)>,
}

impl Default for Texts {
    fn default() -> Texts {
        let (exact, folded) = (Questions::default(), Questions::default());
        Texts { exact, folded, next: FIRST }
    }
}

impl Texts {
    /// The number of classes so far.
    pub(crate) fn classes(&self) -> u32 {
        self.next
    }

    /// Gives a question its classes: a value that is in one of them answers it with yes.
    pub(crate) fn classes_of(&mut self, asked: &Positive) -> Vec<u32> {
        let next = &mut self.next;
        match asked {
            Positive::Texts(texts) => texts.iter().map(|text| self.exact.whole(text.clone(), next)).collect(),
            Positive::FoldedTexts(texts) => {
                texts.iter().map(|text| self.folded.whole(Arc::from(&**text), next)).collect()
            }
            Positive::Part(place, text) => vec![self.exact.part(*place, text.clone(), next)],
            Positive::FoldedPart(place, text) => vec![self.folded.part(*place, Arc::from(&**text), next)],
            Positive::Pattern(pattern) => vec![self.folded.part(Place::Anywhere, pattern.text().into(), next)],
            // One of these is in whatever it matches; the pattern itself is matched only where all else holds.
            Positive::Matches(matcher) => {
                let needed = matcher.required.iter();
                needed.map(|text| self.folded.part(Place::Anywhere, text.as_str().into(), next)).collect()
            }
            _ => Vec::new(),
        }
    }

    /// Makes the automata, once all questions have classes.
    pub(crate) fn finish(&mut self) {
        self.exact.finish();
        self.folded.finish();
    }

    /// Adds the classes that a value is in, each once.
    pub(crate) fn read(&self, value: &str, buffer: &mut String, classes: &mut Vec<u32>) {
        let from = classes.len();
        self.exact.read(value, classes);
        if !self.folded.is_empty() {
            buffer.clear();
            if value.is_ascii() {
                buffer.push_str(value);
                buffer.make_ascii_lowercase();
            } else {
                buffer.extend(fold(value));
            }
            self.folded.read(buffer, classes);
        }
        only_once(from, classes);
    }
}

/// Sorts what comes after a place, and leaves each once.
fn only_once(from: usize, classes: &mut Vec<u32>) {
    classes[from..].sort_unstable();
    let mut kept = from;
    for at in from..classes.len() {
        if kept == from || classes[kept - 1] != classes[at] {
            classes[kept] = classes[at];
            kept += 1;
        }
    }
    classes.truncate(kept);
}

impl Questions {
    fn whole(&mut self, text: Arc<str>, next: &mut u32) -> u32 {
        *self.whole.entry(text).or_insert_with(|| take(next))
    }

    fn part(&mut self, place: Place, text: Arc<str>, next: &mut u32) -> u32 {
        let places = self.parts.entry(text).or_default();
        if let Some((_, class)) = places.iter().find(|(known, _)| *known == place) {
            return *class;
        }
        let class = take(next);
        places.push((place, class));
        class
    }

    fn finish(&mut self) {
        if self.parts.is_empty() {
            return;
        }
        let mut patterns: Vec<_> = self.parts.iter().map(|(text, places)| (text.clone(), places.clone())).collect();
        patterns.sort_unstable();
        let length: usize = patterns.iter().map(|(text, _)| text.len()).sum();
        let kind = (length <= MOST_FAST).then_some(AhoCorasickKind::DFA);
        let texts = patterns.iter().map(|(text, _)| text.as_bytes());
        let automaton = AhoCorasick::builder().kind(kind).build(texts).ok();
        self.finder = Some(Finder { automaton, patterns });
    }

    fn is_empty(&self) -> bool {
        self.whole.is_empty() && self.finder.is_none()
    }

    fn read(&self, value: &str, classes: &mut Vec<u32>) {
        classes.extend(self.whole.get(value));
        let Some(finder) = &self.finder else { return };
        let Some(automaton) = &finder.automaton else {
            for (text, places) in &finder.patterns {
                let held = |place| match place {
                    Place::Anywhere => value.contains(&**text),
                    Place::Start => value.starts_with(&**text),
                    Place::End => value.ends_with(&**text),
                };
                classes.extend(places.iter().filter(|(place, _)| held(*place)).map(|(_, class)| *class));
            }
            return;
        };
        for found in automaton.find_overlapping_iter(value) {
            let Some((_, places)) = finder.patterns.get(found.pattern().as_usize()) else { continue };
            for (place, class) in places {
                let held = match place {
                    Place::Anywhere => true,
                    Place::Start => found.start() == 0,
                    Place::End => found.end() == value.len(),
                };
                if held {
                    classes.push(*class);
                }
            }
        }
    }
}

fn take(next: &mut u32) -> u32 {
    let class = *next;
    *next += 1;
    class
}

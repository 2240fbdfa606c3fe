//! Sixty-four clauses at a time: which of them a record's classes leave standing, one word a field.

use std::collections::BTreeMap;

use super::clause::Clause;
use super::dimension::Test;
use super::state::State;
use crate::rule::{AppliesTo, Rule};
use crate::schema::{FieldId, FieldSet};

/// How many clauses are in a block.
pub(crate) const SIZE: usize = 64;

/// The blocks of a part, one after the other.
#[derive(Debug, Default)]
pub(crate) struct Blocks {
    blocks: Vec<Block>,
    filters: Vec<Filter>,
    /// Where a filter's word changes: the class from which on the word at the same place holds.
    breaks: Vec<u32>,
    words: Vec<u64>,
    tested: Vec<(FieldId, u64)>,
}

#[derive(Debug)]
struct Block {
    filters: (u32, u32),
    tested: (u32, u32),
    /// The clauses of rules for new things, and of those for existing ones.
    new: u64,
    existing: u64,
}

/// What one dimension says about a block.
#[derive(Debug)]
struct Filter {
    dimension: u16,
    start: u32,
    end: u32,
    /// For a dimension whose values are in several classes: the clauses that stand where none of the classes counts.
    /// The words tell which clauses a class turns round.
    multiple: Option<u64>,
}

/// A clause on its way into a block.
pub(crate) struct Entry<'a> {
    pub(crate) rule: &'a Rule,
    pub(crate) clause: &'a Clause,
}

/// Which rules are wanted.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Wanted<'a> {
    New,
    /// Those for existing things with a criterion on one of these fields.
    Existing(&'a FieldSet),
    /// Those for new things with a criterion on one of these fields.
    NewOn(&'a FieldSet),
}

impl Blocks {
    /// Adds a block. `weigh` says how many clauses a test lets through; of two tests on one dimension whose values
    /// are in several classes the lighter is kept.
    pub(crate) fn push(
        &mut self,
        entries: &[Entry<'_>],
        multiple: impl Fn(u16) -> bool,
        weigh: impl Fn(u16, &Test) -> u64,
    ) {
        let mut block = Block { filters: (0, 0), tested: (0, 0), new: 0, existing: 0 };
        let mut tested: BTreeMap<FieldId, u64> = BTreeMap::new();
        let mut kept: BTreeMap<u16, Vec<(u64, &Test)>> = BTreeMap::new();
        for (place, entry) in entries.iter().enumerate().take(SIZE) {
            let bit = 1_u64 << place;
            match entry.rule.applies_to() {
                AppliesTo::NewAndExisting => (block.new, block.existing) = (block.new | bit, block.existing | bit),
                AppliesTo::New => block.new |= bit,
                AppliesTo::Existing => block.existing |= bit,
                AppliesTo::Manual => {}
            }
            for field in entry.rule.criteria().fields().iter() {
                *tested.entry(field).or_default() |= bit;
            }
            let mut mine: BTreeMap<u16, &Test> = BTreeMap::new();
            for (dimension, test) in &entry.clause.tests {
                let known = mine.entry(*dimension).or_insert(test);
                if *known != test && weigh(*dimension, test) < weigh(*dimension, known) {
                    *known = test;
                }
            }
            for (dimension, test) in mine {
                kept.entry(dimension).or_default().push((bit, test));
            }
        }
        block.tested.0 = at(self.tested.len());
        self.tested.extend(tested);
        block.tested.1 = at(self.tested.len());

        let mut filters: Vec<(u32, Filter)> = Vec::new();
        for (dimension, tests) in kept {
            let made = self.filter(dimension, &tests, multiple(dimension));
            filters.push((u32::try_from(tests.len()).unwrap_or(u32::MAX), made));
        }
        // What most clauses ask for comes first: it leaves the fewest.
        filters.sort_by_key(|(count, _)| std::cmp::Reverse(*count));
        block.filters.0 = at(self.filters.len());
        self.filters.extend(filters.into_iter().map(|(_, filter)| filter));
        block.filters.1 = at(self.filters.len());
        self.blocks.push(block);
    }

    fn filter(&mut self, dimension: u16, tests: &[(u64, &Test)], multiple: bool) -> Filter {
        let mut base = u64::MAX;
        // Which clauses change at which class.
        let mut turns: BTreeMap<u32, u64> = BTreeMap::from([(0, 0)]);
        for (bit, test) in tests {
            let mut turn = |class| *turns.entry(class).or_default() ^= bit;
            match test {
                Test::One(classes) => {
                    base &= !bit;
                    classes.edges().for_each(turn);
                }
                Test::Any { classes, negated } => {
                    if !negated {
                        base &= !bit;
                    }
                    for class in classes {
                        turn(*class);
                        turn(class + 1);
                    }
                }
            }
        }
        let start = at(self.breaks.len());
        let mut word = if multiple { 0 } else { base };
        for (class, turned) in turns {
            word ^= turned;
            if class == 0 || turned != 0 {
                self.breaks.push(class);
                self.words.push(word);
            }
        }
        Filter { dimension, start, end: at(self.breaks.len()), multiple: multiple.then_some(base) }
    }

    /// Calls with the place of every clause between two places that a record may leave standing.
    pub(crate) fn scan(&self, (from, to): (u32, u32), wanted: Wanted<'_>, state: &State, found: &mut impl FnMut(u32)) {
        let (from, to) = (from as usize, to as usize);
        if from >= to {
            return;
        }
        let (first, last) = (from / SIZE, (to - 1) / SIZE);
        let Some(blocks) = self.blocks.get(first..=last) else { return };
        for (number, block) in (first..).zip(blocks) {
            let mut standing = match wanted {
                Wanted::New => block.new,
                Wanted::NewOn(fields) => block.new & self.testing(block, fields),
                Wanted::Existing(fields) => block.existing & self.testing(block, fields),
            };
            if number == first {
                standing &= u64::MAX << (from % SIZE);
            }
            if number == last {
                standing &= u64::MAX >> (SIZE - 1 - (to - 1) % SIZE);
            }
            for filter in self.filters.get(block.filters.0 as usize..block.filters.1 as usize).unwrap_or_default() {
                if standing == 0 {
                    break;
                }
                standing &= self.word(filter, state);
            }
            while standing != 0 {
                let place = standing.trailing_zeros();
                found(at(number * SIZE) + place);
                standing &= standing - 1;
            }
        }
    }

    fn testing(&self, block: &Block, fields: &FieldSet) -> u64 {
        let tested = self.tested.get(block.tested.0 as usize..block.tested.1 as usize).unwrap_or_default();
        tested.iter().filter(|(field, _)| fields.contains(*field)).fold(0, |word, (_, more)| word | more)
    }

    /// The clauses that a filter leaves standing.
    fn word(&self, filter: &Filter, state: &State) -> u64 {
        let places = filter.start as usize..filter.end as usize;
        let (Some(breaks), Some(words)) = (self.breaks.get(places.clone()), self.words.get(places)) else { return 0 };
        match filter.multiple {
            None => match state.class(filter.dimension) {
                None => u64::MAX,
                Some(class) => word_at(breaks, words, class),
            },
            Some(base) => match state.classes(filter.dimension) {
                None => u64::MAX,
                Some(classes) => base ^ classes.iter().fold(0, |word, class| word | word_at(breaks, words, *class)),
            },
        }
    }
}

/// The word that holds at a class: the last that begins at it or before. The first begins at 0.
fn word_at(breaks: &[u32], words: &[u64], class: u32) -> u64 {
    let place = if breaks.len() <= 16 {
        breaks.iter().map(|from| usize::from(*from <= class)).sum()
    } else {
        breaks.partition_point(|from| *from <= class)
    };
    words.get(place.wrapping_sub(1)).copied().unwrap_or_default()
}

fn at(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}

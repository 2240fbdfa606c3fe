//! Rules and a ticket, made from a seed.

use chrono::DateTime;
use concierge_criteria::{
    AppliesTo, Criterion, Definition, FieldType, Operator, Record, Rule, RuleDefinition, Schema, Truth, Value,
    compile_rule, eval,
};
use std::sync::Arc;
use uuid::Uuid;

/// The fields of a ticket, and how many values each has.
const FIELDS: [(&str, usize); 8] = [
    ("ticket.priority", 6),
    ("ticket.source", 6),
    ("ticket.type", 10),
    ("ticket.status", 12),
    ("ticket.team", 50),
    ("ticket.category", 200),
    ("ticket.customer", 2_000),
    ("ticket.site", 4_000),
];
const IMPORTANT: &str = "user.important";
const SUMMARY: &str = "ticket.summary";
const AGE: &str = "ticket.age_minutes";
const TAGS: &str = "ticket.tags";

/// What rules ask about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Family {
    /// Values that are the same.
    Equality,
    /// Parts of texts, patterns, sets of values, ranges, and the opposite of these.
    Hard,
}

/// So many rules match the ticket.
pub(crate) const MATCHES: usize = 10;

/// What is measured.
pub(crate) struct World {
    /// Every rule.
    pub(crate) rules: Vec<Made>,
    /// A ticket that exactly ten of them match.
    pub(crate) ticket: Record,
    /// Tickets as they come.
    pub(crate) others: Vec<Record>,
}

/// A rule, and the criteria it was made of.
#[derive(Clone)]
pub(crate) struct Made {
    pub(crate) rule: Arc<Rule>,
    #[cfg_attr(not(feature = "peers"), expect(dead_code))]
    pub(crate) criteria: Definition,
}

/// SplitMix64: the same numbers from the same seed, everywhere.
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Random {
        Random(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// Below a bound.
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % u64::try_from(bound).expect("a length")).expect("below a length")
    }

    fn percent(&mut self, chance: usize) -> bool {
        self.below(100) < chance
    }

    /// A place below a bound; the n-th with a chance of 1/n.
    fn zipf(&mut self, bound: usize) -> usize {
        #[allow(clippy::cast_precision_loss)]
        let weight = |place: usize| 1.0 / (place + 1) as f64;
        let total: f64 = (0..bound).map(weight).sum();
        #[allow(clippy::cast_precision_loss)]
        let mut left = (self.next() >> 11) as f64 / (1_u64 << 53) as f64 * total;
        for place in 0..bound {
            left -= weight(place);
            if left < 0.0 {
                return place;
            }
        }
        bound - 1
    }
}

pub(crate) fn schema() -> Schema {
    let fields = FIELDS
        .iter()
        .map(|(name, _)| (*name, if *name == "ticket.source" { FieldType::Choice } else { FieldType::Id }));
    let more = [
        (IMPORTANT, FieldType::Flag),
        (SUMMARY, FieldType::Text),
        (AGE, FieldType::Number),
        (TAGS, FieldType::TextSet),
    ];
    Schema::new(fields.chain(more)).expect("each field is named once")
}

/// A value of a field: ids that differ in all their bits, as real ones do.
fn value(field: usize, place: usize) -> Value {
    if FIELDS[field].0 == "ticket.source" {
        return Value::choice(["EMAIL", "PHONE", "PORTAL", "CHAT", "EVENT", "API"][place % 6]);
    }
    let mut random = Random::new(u64::try_from(field << 32 | place).expect("small"));
    Value::from(Uuid::from_u64_pair(random.next(), random.next()))
}

fn word(place: usize) -> String {
    const SYLLABLES: [&str; 16] =
        ["pri", "nt", "er", "lo", "gin", "vp", "n", "mail", "ser", "ver", "dis", "play", "key", "bo", "ard", "net"];
    let mut random = Random::new(u64::try_from(place).expect("small") + 77);
    (0..3 + place % 2).map(|_| SYLLABLES[random.below(16)]).collect()
}

/// The ticket's places in each field's list of values.
type Places = [usize; 8];

fn places(random: &mut Random) -> Places {
    FIELDS.map(|(_, count)| random.zipf(count))
}

fn record(schema: &Schema, places: &Places, random: &mut Random) -> Record {
    let mut record = Record::empty(schema);
    let mut set = |name: &str, value: Value| {
        record.set(schema.field(name).expect("a field"), value).expect("a value of its type");
    };
    for (field, place) in places.iter().enumerate() {
        set(FIELDS[field].0, value(field, *place));
    }
    set(IMPORTANT, Value::from(random.percent(50)));
    let mut summary = String::new();
    while summary.len() < 80 {
        summary += &word(random.zipf(5_000));
        summary.push(' ');
    }
    summary.truncate(80);
    set(SUMMARY, Value::from(summary));
    set(AGE, Value::from(i64::try_from(random.below(100_000)).expect("small")));
    set(TAGS, Value::TextSet((0..3).map(|_| Arc::from(word(random.zipf(500)))).collect()));
    record
}

/// One criterion that holds for tickets with these values, or else one with values as they come.
fn criterion(family: Family, field: usize, of: Option<&Places>, random: &mut Random) -> Definition {
    let place = of.map_or_else(|| random.zipf(FIELDS[field].1), |places| places[field]);
    let name = FIELDS[field].0;
    // One in ten asks for the opposite.
    let negated = random.percent(10);
    if family == Family::Hard && random.percent(40) {
        let more = 2 + random.below(6);
        let mut values: Vec<Value> = (0..more).map(|_| value(field, random.zipf(FIELDS[field].1))).collect();
        if negated {
            values.retain(|it| *it != value(field, place));
            values.push(value(field, FIELDS[field].1));
            return Criterion::new(name, Operator::NoneOf, values).into();
        }
        values.push(value(field, place));
        return Criterion::new(name, Operator::AnyOf, values).into();
    }
    if negated {
        let other = (place + 1 + random.below(FIELDS[field].1 - 1)) % FIELDS[field].1;
        return Criterion::new(name, Operator::IsNot, [value(field, other)]).into();
    }
    Criterion::new(name, Operator::Is, [value(field, place)]).into()
}

/// A criterion of the hard family on what a ticket says; for a ticket, one that holds for it.
fn hard(schema: &Schema, of: Option<&Record>, random: &mut Random) -> Definition {
    let known = |name: &str| of.map(|it| it.get(schema.field(name).expect("a field")).clone());
    let word_of = |random: &mut Random| match known(SUMMARY) {
        Some(concierge_criteria::Fact::Known(Value::Text(text))) => text.split(' ').next().unwrap_or("x").to_owned(),
        _ => word(random.zipf(5_000)),
    };
    match random.below(5) {
        0 => {
            let age = match known(AGE) {
                Some(concierge_criteria::Fact::Known(Value::Number(age))) => age,
                _ => i64::try_from(random.below(100_000)).expect("small"),
            };
            let wide = i64::try_from(random.below(20_000)).expect("small");
            Criterion::new(AGE, Operator::Between, [age - wide, age + wide]).into()
        }
        1 => {
            let tag = match known(TAGS) {
                Some(concierge_criteria::Fact::Known(Value::TextSet(tags))) => tags[0].to_string(),
                _ => word(random.zipf(500)),
            };
            Criterion::new(TAGS, Operator::Includes, [tag, word(random.zipf(500))]).into()
        }
        2 => Criterion::new(SUMMARY, Operator::DoesNotContain, [format!("{}q", word(random.zipf(5_000)))]).into(),
        3 => Criterion::new(SUMMARY, Operator::Contains, [word_of(random).to_uppercase()]).into(),
        _ => {
            let pattern = format!("\\b({}|{})[a-z0-9]* ", word_of(random), word(random.zipf(5_000)));
            Criterion::new(SUMMARY, Operator::Matches, [pattern]).into()
        }
    }
}

/// Different fields, so many.
fn fields(count: usize, random: &mut Random) -> Vec<usize> {
    let mut all: Vec<usize> = (0..FIELDS.len()).collect();
    for place in 0..count {
        let other = place + random.below(all.len() - place);
        all.swap(place, other);
    }
    all.truncate(count);
    all
}

/// Puts some criteria into groups, up to three deep, that say the same of a ticket that the criteria hold for.
fn nested(family: Family, mut items: Vec<Definition>, random: &mut Random) -> Definition {
    if items.len() > 1 && random.percent(25) {
        let last = items.pop().expect("more than one");
        let field = random.below(FIELDS.len());
        let other = criterion(family, field, None, random);
        let group = match random.below(3) {
            0 => Definition::any([last, other]),
            1 => Definition::all([last]),
            _ => Definition::any([Definition::all([other, criterion(family, field, None, random)]), last]),
        };
        items.push(group);
    }
    Definition::all(items)
}

/// Criteria of a rule: one to six, among them perhaps the important user.
fn criteria(schema: &Schema, family: Family, of: Option<(&Places, &Record)>, random: &mut Random) -> Vec<Definition> {
    let count = 1 + random.below(6);
    // Six in ten of the five in six that have more than one: half of all.
    let important = count > 1 && random.percent(60);
    let texts = usize::from(family == Family::Hard && random.percent(60) && count > usize::from(important));
    let mut items: Vec<Definition> = fields(count - usize::from(important) - texts, random)
        .into_iter()
        .map(|field| criterion(family, field, of.map(|(places, _)| places), random))
        .collect();
    if texts > 0 {
        items.push(hard(schema, of.map(|(_, record)| record), random));
    }
    if important {
        items.insert(random.below(items.len() + 1), Criterion::new(IMPORTANT, Operator::Is, [true]).into());
    }
    items
}

fn rule(schema: &Schema, number: usize, criteria: Definition, random: &mut Random) -> Made {
    let definition = RuleDefinition {
        id: Uuid::from_u64_pair(random.next(), random.next()),
        name: format!("rule {number}"),
        enabled: true,
        applies_to: AppliesTo::NewAndExisting,
        precedence: i32::try_from(random.below(100)).expect("small"),
        created: DateTime::UNIX_EPOCH,
        stop_on_match: false,
        criteria,
        outcomes: Vec::new(),
    };
    let rule = Arc::new(compile_rule(schema, &definition).expect("sound criteria"));
    Made { rule, criteria: definition.criteria }
}

/// So many rules, ten of which match the ticket, and one in twenty misses it by exactly one criterion.
pub(crate) fn world(count: usize, family: Family, seed: u64) -> World {
    let mut random = Random::new(seed);
    let random = &mut random;
    let schema = schema();
    let places_of_ticket = places(random);
    let mut ticket = record(&schema, &places_of_ticket, random);
    ticket.set(schema.field(IMPORTANT).expect("a field"), true).expect("a flag");
    let of = Some((&places_of_ticket, &ticket));
    let mut rules: Vec<Made> = Vec::with_capacity(count);
    while rules.len() < MATCHES.min(count) {
        let items = criteria(&schema, family, of, random);
        let made = rule(&schema, rules.len(), nested(family, items, random), random);
        if eval(made.rule.criteria(), &ticket) == Truth::True {
            rules.push(made);
        }
    }
    let near = rules.len() + count / 20;
    while rules.len() < near.min(count) {
        let mut items = criteria(&schema, family, of, random);
        let holds = rule(&schema, 0, Definition::all(items.clone()), random);
        // One criterion wants another value: it fails, and all others hold.
        let place = random.below(items.len());
        let Definition::Criterion(known) = &items[place] else { continue };
        let Some(field) = FIELDS.iter().position(|(name, _)| *name == known.field) else { continue };
        items[place] = criterion(family, field, None, random);
        let made = rule(&schema, rules.len(), Definition::all(items.clone()), random);
        items.remove(place);
        let others = rule(&schema, 0, Definition::all(items), random);
        if eval(holds.rule.criteria(), &ticket) == Truth::True
            && eval(others.rule.criteria(), &ticket) == Truth::True
            && eval(made.rule.criteria(), &ticket) == Truth::False
        {
            rules.push(made);
        }
    }
    while rules.len() < count {
        let items = criteria(&schema, family, None, random);
        let made = rule(&schema, rules.len(), nested(family, items, random), random);
        if eval(made.rule.criteria(), &ticket) == Truth::False {
            rules.push(made);
        }
    }
    let others = (0..1_000)
        .map(|_| {
            let places = places(random);
            record(&schema, &places, random)
        })
        .collect();
    World { rules, ticket, others }
}

impl World {
    /// The rules that match the ticket, and as many of the others, taken evenly, as make up the number.
    pub(crate) fn fewer(&self, count: usize) -> Vec<Made> {
        let (matching, others) = self.rules.split_at(MATCHES);
        let step = (others.len() / (count - MATCHES)).max(1);
        matching.iter().chain(others.iter().step_by(step).take(count - MATCHES)).cloned().collect()
    }
}

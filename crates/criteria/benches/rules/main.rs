//! `cargo bench -p concierge-criteria`: what matching costs, and whether that depends on how many rules there are.

#![allow(missing_docs, clippy::unwrap_used, clippy::cast_precision_loss)]

mod generator;

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use concierge_criteria::{Occasion, Record, Rule, RuleIndex, RuleSet, Scratch, walk};
use generator::{Family, MATCHES, World, world};

/// The same numbers every time.
const SEED: u64 = 20_261_123;
/// How often each side is measured, in turn.
const ROUNDS: usize = 9;
/// For how long each time.
const TIME: Duration = Duration::from_millis(150);
/// So many calls are timed together: reading the clock costs about as much as a tenth of a call.
const BATCH: u32 = 16;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|it| it != "--bench").collect();
    if arguments.first().is_some_and(|it| it == "profile") {
        return profile(&arguments);
    }
    let mut failed = false;
    let equal = world(10_000, Family::Equality, SEED);
    let (large, few) = (RuleIndex::new(&RuleSet::new(equal.rules.clone())), small(&equal));
    let ticket = &equal.ticket;
    println!("{:<44} {:>8} {:>8} {:>8} {:>9} {:>9}  goal", "what", "ratio", "min", "max", "ns", "against");
    let on = (BATCH, BATCH);
    let of = matching;
    failed |=
        !line("P1 10,000 rules / 100 rules", |it| it <= 1.1, "<= 1.1", on, (of(&large, ticket), of(&few, ticket)));
    failed |= allocates(&large, ticket);
    if arguments.first().is_some_and(|it| it == "P1") {
        return;
    }
    let set = RuleSet::new(equal.rules.clone());
    let mut record = ticket.clone();
    let looped = || drop(black_box(walk(&set, &mut record, &Occasion::New)));
    failed |=
        !line("P2 a plain loop / 10,000 rules", |it| it >= 30.0, ">= 30", (1, BATCH), (looped, of(&large, ticket)));
    let hard = world(10_000, Family::Hard, SEED);
    let hard_large = RuleIndex::new(&RuleSet::new(hard.rules.clone()));
    let (ours, equality) = (of(&hard_large, &hard.ticket), of(&large, ticket));
    failed |= !line("P3 hardest family / equality only", |it| it <= 3.0, "<= 3", on, (ours, equality));
    failed |= allocates(&hard_large, &hard.ticket);
    let hard_few = small(&hard);
    let (ours, fewer) = (of(&hard_large, &hard.ticket), of(&hard_few, &hard.ticket));
    line("   hardest: 10,000 rules / 100 rules", |_| true, "", on, (ours, fewer));
    changing(&equal, &large);
    println!(
        "\n{:>8} {:>12} {:>12} {:>9} {:>12} {:>12} {:>12}",
        "rules", "one ticket", "1,000 others", "matches", "hard ticket", "hard others", "compile ms"
    );
    for count in [10, 100, 1_000, 10_000, 100_000] {
        sizes(count);
    }
    if failed {
        println!("\nA goal is missed.");
    }
}

fn small(world: &World) -> RuleIndex {
    RuleIndex::new(&RuleSet::new(world.fewer(100)))
}

/// Nanoseconds a call takes: the median of batches.
fn per_call(batch: u32, mut call: impl FnMut()) -> f64 {
    let mut taken = Vec::new();
    let started = Instant::now();
    while started.elapsed() < TIME || taken.len() < 9 {
        taken.push(once(batch, &mut call));
    }
    median(&mut taken)
}

/// The same of two things, batch by batch in turn: whatever else the machine does, it does to both.
fn in_turn(batches: (u32, u32), mut ours: impl FnMut(), mut against: impl FnMut()) -> (f64, f64) {
    let (mut a, mut b) = (Vec::new(), Vec::new());
    let started = Instant::now();
    while started.elapsed() < TIME || a.len() < 9 {
        // The first call of each finds the caches as the other left them.
        ours();
        a.push(once(batches.0, &mut ours));
        against();
        b.push(once(batches.1, &mut against));
    }
    (median(&mut a), median(&mut b))
}

fn once(batch: u32, call: &mut impl FnMut()) -> f64 {
    let from = Instant::now();
    for _ in 0..batch {
        call();
    }
    from.elapsed().as_nanos() as f64 / f64::from(batch)
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn time(index: &RuleIndex, ticket: &Record) -> f64 {
    per_call(BATCH, matching(index, ticket))
}

/// Matches a ticket, again and again.
fn matching<'a>(index: &'a RuleIndex, ticket: &Record) -> impl FnMut() + use<'a> {
    let (mut record, mut scratch) = (ticket.clone(), Scratch::default());
    assert_eq!(index.run(&mut record, &Occasion::New, &mut scratch).matched().count(), MATCHES);
    move || {
        black_box(index.run(black_box(&mut record), &Occasion::New, &mut scratch));
    }
}

fn line(
    what: &str,
    reaches: impl Fn(f64) -> bool,
    goal: &str,
    batches: (u32, u32),
    (mut ours, mut against): (impl FnMut(), impl FnMut()),
) -> bool {
    in_turn(batches, &mut ours, &mut against);
    let rounds: Vec<(f64, f64)> = (0..ROUNDS).map(|_| in_turn(batches, &mut ours, &mut against)).collect();
    let mut ratios: Vec<f64> = rounds.iter().map(|(ours, against)| ours / against).collect();
    let ratio = median(&mut ratios);
    let mut each = [rounds.iter().map(|it| it.0).collect::<Vec<_>>(), rounds.iter().map(|it| it.1).collect()];
    let [ours, against] = [median(&mut each[0]), median(&mut each[1])];
    let (min, max) = (ratios[0], ratios[ratios.len() - 1]);
    let reached = if reaches(ratio) { "" } else { "MISSED" };
    println!("{what:<44} {ratio:>8.2} {min:>8.2} {max:>8.2} {ours:>9.0} {against:>9.0}  {goal} {reached}");
    reaches(ratio)
}

/// Whether matching allocates once it is warm.
fn allocates(index: &RuleIndex, ticket: &Record) -> bool {
    let (mut record, mut scratch) = (ticket.clone(), Scratch::default());
    let mut call = || {
        black_box(index.run(&mut record, &Occasion::New, &mut scratch));
    };
    for _ in 0..100 {
        call();
    }
    let counted = allocation_counter::measure(|| (0..1_000).for_each(|_| call()));
    println!("   allocations in 1,000 calls: {}", counted.count_total);
    assert_eq!(counted.count_total, 0, "matching allocates");
    false
}

fn took<T>(mut call: impl FnMut() -> T) -> f64 {
    let mut taken: Vec<f64> = (0..9)
        .map(|_| {
            let from = Instant::now();
            drop(black_box(call()));
            from.elapsed().as_secs_f64() * 1e3
        })
        .collect();
    median(&mut taken)
}

/// What one change costs against compiling all.
fn changing(world: &World, index: &RuleIndex) {
    let set = RuleSet::new(world.rules.clone());
    let whole = took(|| RuleIndex::new(&set));
    for already in [0, 16, 32, 64] {
        let changed = index.with(world.rules.iter().take(already).cloned(), []);
        let one: &Arc<Rule> = &world.rules[5_000];
        let change = took(|| changed.with([Arc::clone(one)], []));
        let matching = time(&changed.with([Arc::clone(one)], []), &world.ticket);
        println!(
            "   one change after {already:>2}: {change:.3} ms of {whole:.1} ms: 1/{:.0}; matching then {matching:.0} ns",
            whole / change
        );
    }
}

fn sizes(count: usize) {
    let mut columns = Vec::new();
    let mut compile = 0.0;
    let mut matches = 0.0;
    for family in [Family::Equality, Family::Hard] {
        let world = world(count, family, SEED);
        let set = RuleSet::new(world.rules.clone());
        let from = Instant::now();
        let index = RuleIndex::new(&set);
        compile = from.elapsed().as_secs_f64() * 1e3;
        let mut scratch = Scratch::default();
        let mut others = world.others.clone();
        columns.push(time(&index, &world.ticket));
        let all = per_call(1, || {
            for record in &mut others {
                black_box(index.run(record, &Occasion::New, &mut scratch));
            }
        });
        columns.push(all / others.len() as f64);
        let counts = others.iter_mut().map(|it| index.run(it, &Occasion::New, &mut scratch).matched().count());
        matches = counts.sum::<usize>() as f64 / world.others.len() as f64;
    }
    println!(
        "{count:>8} {:>12.0} {:>12.0} {matches:>9.1} {:>12.0} {:>12.0} {compile:>12.1}",
        columns[0], columns[1], columns[2], columns[3]
    );
}

/// Matches one ticket for some seconds, for a profiler.
fn profile(arguments: &[String]) {
    let number = |place: usize, other: usize| arguments.get(place).and_then(|it| it.parse().ok()).unwrap_or(other);
    let family = if arguments.get(2).is_some_and(|it| it == "hard") { Family::Hard } else { Family::Equality };
    let world = world(10_000.max(number(1, 10_000)), family, SEED);
    let rules = if number(1, 10_000) < 10_000 { world.fewer(number(1, 10_000)) } else { world.rules.clone() };
    let index = RuleIndex::new(&RuleSet::new(rules));
    let (mut record, mut scratch) = (world.ticket.clone(), Scratch::default());
    let started = Instant::now();
    while started.elapsed() < Duration::from_secs(5) {
        for _ in 0..1_000 {
            black_box(index.run(&mut record, &Occasion::New, &mut scratch));
        }
    }
}

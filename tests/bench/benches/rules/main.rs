//! `cargo bench -p concierge-bench --features peers --bench rules [-- [--short] [rules]]`: what matching a ticket with
//! rules costs, whether that depends on how many there are, and what it costs other engines with the same rules.
//! Without the feature, which takes minutes to build, the other engines are left out.
//!
//! `-- profile [RULES] [equality|hard]` matches one ticket for some seconds, for a profiler.

#![allow(missing_docs, clippy::unwrap_used, clippy::cast_precision_loss)]

mod generator;
mod measure;
mod peers;
mod plot;

use std::collections::BTreeSet;
use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use comfy_table::Table;
use concierge_bench::row::{self, Row};
use concierge_criteria::{Occasion, Record, RuleIndex, RuleSet, Scratch, walk};
use generator::{Family, MATCHES, Made, World, world};
use measure::{BATCH, Effort, in_turn, per_call, processor_time, took};
use peers::PEERS;

/// The same numbers every time.
const SEED: u64 = 20_261_123;
/// A peer that takes longer to compile its rules, or to match one ticket, is given no more rules.
const PATIENCE: Duration = Duration::from_secs(5);

fn main() -> anyhow::Result<()> {
    let mut arguments: Vec<String> = std::env::args().skip(1).filter(|it| it != "--bench").collect();
    let given = arguments.len();
    arguments.retain(|it| it != "--short");
    let effort = if arguments.len() < given { Effort::SHORT } else { Effort::FULL };
    match arguments.first().map(String::as_str) {
        Some("profile") => profile(&arguments),
        None | Some("rules") => measure_all(effort)?,
        // A part of the bench beside this one.
        Some(_) => {}
    }
    Ok(())
}

fn measure_all(effort: Effort) -> anyhow::Result<()> {
    if PEERS.is_empty() {
        println!("cel, rhai and cedar-policy are left out; with them:");
        println!("    cargo bench -p concierge-bench --features peers --bench rules");
    }
    let rows = goals(effort);
    print(&rows);
    let lines = sizes(effort);
    if effort.is_short() {
        return Ok(());
    }
    row::write(&rows)?;
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../crates/criteria/rules.svg");
    std::fs::write(path, plot::svg(&lines))?;
    println!("\nThe plot is in crates/criteria/rules.svg.");
    Ok(())
}

/// P1 to P3.
fn goals(effort: Effort) -> Vec<Row> {
    let at_most = |ratio: f64, goal: f64| ratio <= goal;
    let at_least = |ratio: f64, goal: f64| ratio >= goal;
    let equal = world(10_000, Family::Equality, SEED);
    let (large, few, ticket) = (index(&equal.rules), index(&equal.fewer(100)), &equal.ticket);
    let mut rows = Vec::new();
    let (ratios, took) = in_turn(effort, (BATCH, BATCH), matching(&large, ticket), matching(&few, ticket));
    rows.push(Row::of(
        ("P1", "match a ticket with 10,000 rules", "100 rules, the same 10 matches"),
        &ratios,
        1.1,
        at_most,
    ));
    println!("a ticket with 10,000 rules takes {:.0} ns (goal 1,000), with 100 rules {:.0} ns", took.0, took.1);
    allocates_nothing(&large, ticket);

    if let Some((_, cel)) = PEERS.iter().find(|(name, _)| *name == "cel") {
        let mut programs = cel(&equal.rules, ticket);
        let mut found = Vec::new();
        let looped = || {
            found.clear();
            programs(black_box(&mut found));
        };
        let (ratios, _) = in_turn(effort, (1, BATCH), looped, matching(&large, ticket));
        rows.push(Row::of(("P2", "10,000 rules", "a loop over compiled cel programs"), &ratios, 1000.0, at_least));
    }
    let set = set(&equal.rules);
    let mut record = ticket.clone();
    let looped = || drop(black_box(walk(&set, &mut record, &Occasion::New)));
    let (ratios, _) = in_turn(effort, (1, BATCH), looped, matching(&large, ticket));
    rows.push(Row::of(("P2", "10,000 rules", "a plain short-circuit loop"), &ratios, 30.0, at_least));

    let hard = world(10_000, Family::Hard, SEED);
    let hard_index = index(&hard.rules);
    let (ratios, took) = in_turn(effort, (BATCH, BATCH), matching(&hard_index, &hard.ticket), matching(&large, ticket));
    rows.push(Row::of(("P3", "the hardest criteria in 10,000 rules", "equality only"), &ratios, 3.0, at_most));
    println!("a ticket with 10,000 rules of the hardest criteria takes {:.0} ns", took.0);
    allocates_nothing(&hard_index, &hard.ticket);
    changing(&equal, &large);
    rows
}

fn print(rows: &[Row]) {
    let mut table = Table::new();
    table.set_header(["id", "what", "against", "ratio (min to max)", "goal"]);
    for row in rows {
        let goal = format!("{}{}", row.goal, if row.reached { "" } else { " missed" });
        let ratio = format!("{:.2} ({:.2} to {:.2})", row.ratio, row.min, row.max);
        table.add_row([row.id.to_owned(), row.what.to_owned(), row.against.to_owned(), ratio, goal]);
    }
    println!("{table}");
}

fn set(rules: &[Made]) -> RuleSet {
    RuleSet::new(rules.iter().map(|made| Arc::clone(&made.rule)))
}

fn index(rules: &[Made]) -> RuleIndex {
    RuleIndex::new(&set(rules))
}

/// Matches a ticket, again and again.
fn matching<'a>(index: &'a RuleIndex, ticket: &Record) -> impl FnMut() + use<'a> {
    let (mut record, mut scratch) = (ticket.clone(), Scratch::default());
    assert_eq!(index.run(&mut record, &Occasion::New, &mut scratch).matched().count(), MATCHES);
    move || {
        black_box(index.run(black_box(&mut record), &Occasion::New, &mut scratch));
    }
}

/// Matching, once it is warm.
fn allocates_nothing(index: &RuleIndex, ticket: &Record) {
    let mut call = matching(index, ticket);
    (0..100).for_each(|_| call());
    let counted = allocation_counter::measure(|| (0..1_000).for_each(|_| call()));
    assert_eq!(counted.count_total, 0, "matching allocates: so often in 1,000 calls");
}

/// What one change costs against compiling all.
fn changing(world: &World, index: &RuleIndex) {
    let set = set(&world.rules);
    let whole = took(|| RuleIndex::new(&set));
    for already in [0, 16, 32, 64] {
        let rules = || world.rules.iter().map(|made| Arc::clone(&made.rule));
        let changed = index.with(rules().take(already), []);
        let one = || rules().skip(5_000).take(1);
        let change = took(|| changed.with(one(), []));
        let matching = per_call(Effort::SHORT, BATCH, matching(&changed.with(one(), []), &world.ticket));
        println!(
            "one change after {already:>2}: {change:.3} ms of {whole:.1} ms: 1/{:.0}; matching then {matching:.0} ns",
            whole / change
        );
    }
}

/// Prints what a ticket takes by the number of rules, and returns the lines of the plot.
fn sizes(effort: Effort) -> Vec<plot::Line> {
    let names = ["ours", "ours, hardest", "a plain loop"].into_iter().chain(PEERS.iter().map(|(name, _)| *name));
    let mut lines: Vec<plot::Line> = names.map(|name| (name.to_owned(), Vec::new())).collect();
    let mut table = Table::new();
    let header = ["rules"].into_iter().chain(lines.iter().map(|(name, _)| name.as_str()));
    table.set_header(header.chain(["ours, other tickets", "ours, compiling"]));
    // The peers that have lost our patience.
    let mut late = BTreeSet::new();
    for count in [10, 100, 1_000, 10_000, 100_000] {
        if effort.is_short() && count > 1_000 {
            break;
        }
        let world = world(count, Family::Equality, SEED);
        let set = set(&world.rules);
        let from = processor_time();
        let index = RuleIndex::new(&set);
        let compiling = processor_time() - from;
        let hard = generator::world(count, Family::Hard, SEED);
        let mut record = world.ticket.clone();
        let mut times = vec![
            Some(per_call(effort, BATCH, matching(&index, &world.ticket))),
            Some(per_call(effort, BATCH, matching(&self::index(&hard.rules), &hard.ticket))),
            Some(per_call(effort, 1, || drop(black_box(walk(&set, &mut record, &Occasion::New))))),
        ];
        for (name, compile) in PEERS {
            let time = (!late.contains(name)).then(|| peer(effort, *compile, &world, &index));
            times.push(time.map(|(time, _)| time));
            if time.is_some_and(|(_, is_late)| is_late) {
                late.insert(*name);
            }
        }
        let cells = times.iter().map(|time| time.map_or_else(|| "too long".to_owned(), measure::readable));
        let more =
            [measure::readable(others(effort, &world, &index)), measure::readable(compiling.as_secs_f64() * 1e9)];
        table.add_row([count.to_string()].into_iter().chain(cells).chain(more));
        for ((_, points), time) in lines.iter_mut().zip(times) {
            points.extend(time.map(|time| (count, time)));
        }
    }
    println!("{table}");
    lines
}

/// What a ticket takes a peer that was given the same rules and finds the same matches, and whether it is late.
fn peer(effort: Effort, compile: peers::Compile, world: &World, index: &RuleIndex) -> (f64, bool) {
    let from = processor_time();
    let mut matches = compile(&world.rules, &world.ticket);
    let mut found = Vec::new();
    matches(&mut found);
    let is_late = processor_time() - from > PATIENCE;
    let mut ours = world.ticket.clone();
    let mut scratch = Scratch::default();
    let ran = index.run(&mut ours, &Occasion::New, &mut scratch);
    let expected: BTreeSet<_> = ran.matched().map(|matched| matched.rule.id()).collect();
    let theirs: BTreeSet<_> = found.iter().map(|place| world.rules[*place].rule.id()).collect();
    assert_eq!(theirs, expected, "the engines do not find the same rules");
    let time = per_call(effort, 1, || {
        found.clear();
        matches(black_box(&mut found));
    });
    (time, is_late)
}

/// What one of a thousand tickets as they come takes.
fn others(effort: Effort, world: &World, index: &RuleIndex) -> f64 {
    let mut scratch = Scratch::default();
    let mut others = world.others.clone();
    let all = per_call(effort, 1, || {
        for record in &mut others {
            black_box(index.run(record, &Occasion::New, &mut scratch));
        }
    });
    all / others.len() as f64
}

/// Matches one ticket for some seconds, for a profiler.
fn profile(arguments: &[String]) {
    let count = arguments.get(1).and_then(|it| it.parse().ok()).unwrap_or(10_000);
    let family = if arguments.get(2).is_some_and(|it| it == "hard") { Family::Hard } else { Family::Equality };
    let world = world(10_000.max(count), family, SEED);
    let index = if count < 10_000 { index(&world.fewer(count)) } else { index(&world.rules) };
    let mut call = matching(&index, &world.ticket);
    let started = Instant::now();
    while started.elapsed() < Duration::from_secs(5) {
        (0..1_000).for_each(|_| call());
    }
}

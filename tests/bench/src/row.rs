//! The lines of `concierge-bench.json`.

use std::path::PathBuf;

use anyhow::Context as _;
use serde::Serialize;
use serde_json::Value;

/// One line: a ratio of two things that were measured in turn.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// The goal's id.
    pub id: &'static str,
    /// What is measured.
    pub what: &'static str,
    /// What it is compared with.
    pub against: &'static str,
    /// The median of the rounds' ratios.
    pub ratio: f64,
    /// The least of them.
    pub min: f64,
    /// The greatest of them.
    pub max: f64,
    /// How many rounds.
    pub rounds: usize,
    /// What it must reach.
    pub goal: f64,
    /// Whether it does.
    pub reached: bool,
}

impl Row {
    /// The line of so many ratios; `reaches` compares their median with the goal.
    #[must_use]
    pub fn of(
        (id, what, against): (&'static str, &'static str, &'static str),
        ratios: &[f64],
        goal: f64,
        reaches: impl Fn(f64, f64) -> bool,
    ) -> Self {
        let ratio = median(ratios);
        Self {
            id,
            what,
            against,
            ratio,
            min: ratios.iter().copied().fold(f64::INFINITY, f64::min),
            max: ratios.iter().copied().fold(0.0, f64::max),
            rounds: ratios.len(),
            goal,
            reached: reaches(ratio, goal),
        }
    }
}

/// The middle one.
#[must_use]
pub fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or(f64::NAN)
}

/// Puts lines into the file in the target folder, in place of those of the same goal against the same thing: each part
/// of the benchmarks writes its own.
pub fn write<R: Serialize>(rows: &[R]) -> anyhow::Result<()> {
    let target = std::env::var("CARGO_TARGET_DIR")
        .unwrap_or_else(|_| concat!(env!("CARGO_MANIFEST_DIR"), "/../../target").into());
    let path = PathBuf::from(target).join("concierge-bench.json");
    let mut known: Vec<Value> = match std::fs::read(&path) {
        Ok(bytes) => serde_json::from_slice(&bytes).unwrap_or_default(),
        Err(_) => Vec::new(),
    };
    for row in rows {
        let row = serde_json::to_value(row)?;
        let same = |other: &Value| ["id", "against"].iter().all(|key| other.get(key) == row.get(key));
        known.retain(|other| !same(other));
        known.push(row);
    }
    let order = |row: &Value| (row["id"].to_string(), row["against"].to_string());
    known.sort_by_key(order);
    std::fs::write(&path, serde_json::to_string_pretty(&known)?).with_context(|| path.display().to_string())
}

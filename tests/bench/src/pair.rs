//! Two things measured in turn, and the ratio of the two.

use std::time::Duration;

use serde::Serialize;

use crate::load::Load;
use crate::process::Server;
use crate::row::{Row, median};

/// How long two things are compared.
#[derive(Clone, Copy, Debug)]
pub struct Effort {
    /// How often each side is measured.
    pub rounds: usize,
    /// For how long each time.
    pub time: Duration,
}

impl Effort {
    /// What the README's figures are measured with.
    pub const FULL: Self = Self { rounds: 7, time: Duration::from_secs(3) };
    /// Enough to see that everything runs; its figures say nothing.
    pub const SHORT: Self = Self { rounds: 1, time: Duration::from_millis(300) };
}

/// One line of the table.
#[derive(Clone, Debug, Serialize)]
pub struct Figure {
    /// The comparison.
    #[serde(flatten)]
    pub row: Row,
    /// Calls a second of ours, the median.
    pub calls_per_second: f64,
    /// Calls a second of the peer, the median.
    pub peer_calls_per_second: f64,
    /// Server CPU per call of ours, in microseconds.
    pub cpu_us: f64,
    /// Server CPU per call of the peer, in microseconds.
    pub peer_cpu_us: f64,
}

/// What a pair is.
#[derive(Clone, Copy, Debug)]
pub struct Pair {
    /// See [`Row::id`].
    pub id: &'static str,
    /// See [`Row::what`].
    pub what: &'static str,
    /// See [`Row::against`].
    pub against: &'static str,
    /// See [`Row::goal`].
    pub goal: f64,
}

/// Measures A B A B, and compares round by round.
pub async fn compare(pair: Pair, ours: &Server, peer: &Server, load: &Load, effort: Effort) -> anyhow::Result<Figure> {
    // Warm: connections, caches, prepared statements.
    load.run(&ours.address, effort.time / 3).await?;
    load.run(&peer.address, effort.time / 3).await?;
    let mut rounds = Vec::new();
    for _ in 0..effort.rounds {
        rounds.push((measure(ours, load, effort.time).await?, measure(peer, load, effort.time).await?));
    }
    let ratios: Vec<f64> = rounds.iter().map(|(a, b)| a.rate / b.rate).collect();
    Ok(Figure {
        row: Row::of((pair.id, pair.what, pair.against), &ratios, pair.goal, |ratio, goal| ratio >= goal),
        calls_per_second: median(&rounds.iter().map(|(a, _)| a.rate).collect::<Vec<_>>()),
        peer_calls_per_second: median(&rounds.iter().map(|(_, b)| b.rate).collect::<Vec<_>>()),
        cpu_us: median(&rounds.iter().map(|(a, _)| a.cpu_us).collect::<Vec<_>>()),
        peer_cpu_us: median(&rounds.iter().map(|(_, b)| b.cpu_us).collect::<Vec<_>>()),
    })
}

struct Measured {
    rate: f64,
    cpu_us: f64,
}

#[allow(clippy::cast_precision_loss)]
async fn measure(server: &Server, load: &Load, time: Duration) -> anyhow::Result<Measured> {
    let (cpu, started) = (server.cpu()?, std::time::Instant::now());
    let answered = load.run(&server.address, time).await? as f64;
    let took = started.elapsed().as_secs_f64();
    let cpu = server.cpu()?.saturating_sub(cpu);
    Ok(Measured { rate: answered / took, cpu_us: cpu.as_secs_f64() * 1e6 / answered.max(1.0) })
}

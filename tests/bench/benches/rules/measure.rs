//! Nanoseconds: of the processor's time that this thread had, so that other work on the machine counts for little.

use std::hint::black_box;
use std::time::{Duration, Instant};

use concierge_bench::row::median;
use rustix::time::{ClockId, clock_gettime};

/// So many calls are timed together: reading the clock costs about as much as a third of a call.
pub(crate) const BATCH: u32 = 64;

/// How long things are measured.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Effort {
    rounds: usize,
    time: Duration,
}

impl Effort {
    /// What figures are measured with.
    pub(crate) const FULL: Effort = Effort { rounds: 9, time: Duration::from_millis(150) };
    /// Enough to see that everything runs.
    pub(crate) const SHORT: Effort = Effort { rounds: 1, time: Duration::from_millis(20) };

    pub(crate) fn is_short(self) -> bool {
        self.rounds < Effort::FULL.rounds
    }
}

/// What a call takes: the median of batches.
pub(crate) fn per_call(effort: Effort, batch: u32, mut call: impl FnMut()) -> f64 {
    let mut taken = Vec::new();
    let started = Instant::now();
    while started.elapsed() < effort.time || taken.len() < 5 {
        taken.push(once(batch, &mut call));
    }
    median(&taken)
}

/// The ratio of two things, round by round, and what each takes. Within a round they are measured batch by batch in
/// turn: whatever else the machine does, it does to both.
pub(crate) fn in_turn(
    effort: Effort,
    batches: (u32, u32),
    mut ours: impl FnMut(),
    mut against: impl FnMut(),
) -> (Vec<f64>, (f64, f64)) {
    let mut round = || {
        let (mut a, mut b) = (Vec::new(), Vec::new());
        let started = Instant::now();
        while started.elapsed() < effort.time || a.len() < 5 {
            // The first call of each finds the caches as the other left them.
            ours();
            a.push(once(batches.0, &mut ours));
            against();
            b.push(once(batches.1, &mut against));
        }
        (median(&a), median(&b))
    };
    round();
    let rounds: Vec<(f64, f64)> = (0..effort.rounds).map(|_| round()).collect();
    let each = |of: fn(&(f64, f64)) -> f64| median(&rounds.iter().map(of).collect::<Vec<_>>());
    (rounds.iter().map(|(ours, against)| ours / against).collect(), (each(|it| it.0), each(|it| it.1)))
}

fn once(batch: u32, call: &mut impl FnMut()) -> f64 {
    let from = processor_time();
    for _ in 0..batch {
        call();
    }
    (processor_time() - from).as_nanos() as f64 / f64::from(batch)
}

/// How long this thread was on a processor.
pub(crate) fn processor_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or(0))
}

/// Milliseconds that a long call takes: the median of nine.
pub(crate) fn took<T>(mut call: impl FnMut() -> T) -> f64 {
    let taken: Vec<f64> = (0..9)
        .map(|_| {
            let from = processor_time();
            drop(black_box(call()));
            (processor_time() - from).as_secs_f64() * 1e3
        })
        .collect();
    median(&taken)
}

/// A time for people.
pub(crate) fn readable(nanoseconds: f64) -> String {
    match nanoseconds {
        it if it < 1e4 => format!("{it:.0} ns"),
        it if it < 1e7 => format!("{:.0} µs", it / 1e3),
        it => format!("{:.0} ms", it / 1e6),
    }
}

//! Logs as they are by default. A file of its own because telemetry is started once a process.
#![allow(clippy::unwrap_used, missing_docs)]

use concierge_runtime::config::Config;
use concierge_runtime::telemetry;
use tracing::level_filters::LevelFilter;

#[test]
fn spans_and_chatter_of_libraries_are_off() {
    let variables = [("DATABASE_URL".to_owned(), "postgres://x@localhost/x".to_owned())];
    let config = Config::read("directory", None, variables).unwrap();
    let guard = telemetry::init("directory", &config).unwrap();
    assert_eq!(LevelFilter::current(), LevelFilter::INFO);
    assert!(tracing::event_enabled!(target: "concierge_directory", tracing::Level::INFO));
    assert!(!tracing::span_enabled!(target: "h2", tracing::Level::INFO));
    // Nobody reads metrics, so none are kept.
    metrics::counter!("things_total").increment(1);
    assert_eq!(guard.metrics.render(), "");
}

//! Telemetry: logs, traces, metrics. What is off costs next to nothing on the way of a request.

mod logs;
mod metrics;
mod trace;

#[cfg(test)]
mod tests;

use std::io::IsTerminal as _;
use std::time::Duration;

use metrics_exporter_prometheus::PrometheusHandle;
use opentelemetry_sdk::trace::SdkTracerProvider;
use tracing_subscriber::filter::{FilterExt as _, LevelFilter, filter_fn};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer as _};

pub use metrics::{METRICS, RpcMetrics, watch_pool};
pub use trace::work_span;
pub(crate) use trace::{finish_rpc, rpc_span, traceparent, traceparent_within};

use crate::config::{Config, LogFormat};

/// How long the end of the program waits for the last spans to be sent.
const FLUSH: Duration = Duration::from_millis(200);

/// Why telemetry could not be started.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// The filter of the logs cannot be read.
    #[error("telemetry.log_filter is not a filter: {0}")]
    Filter(#[from] tracing_subscriber::filter::ParseError),
    /// Traces cannot be sent.
    #[error("telemetry.otlp_endpoint does not do: {0}")]
    Exporter(#[from] opentelemetry_otlp::ExporterBuildError),
    /// There is something else in this process that takes logs.
    #[error("logs are already taken by something else in this process")]
    Logs(#[from] tracing_subscriber::util::TryInitError),
    /// There is something else in this process that takes metrics.
    #[error("metrics are already taken by something else in this process: {0}")]
    Metrics(#[from] metrics_exporter_prometheus::BuildError),
}

/// What must live as long as the process: sends the last spans when dropped.
#[derive(Debug)]
pub struct Guard {
    /// Renders the metrics.
    pub metrics: PrometheusHandle,
    traces: Option<SdkTracerProvider>,
}

impl Drop for Guard {
    fn drop(&mut self) {
        if let Some(traces) = self.traces.take()
            && let Err(error) = traces.shutdown_with_timeout(FLUSH)
        {
            tracing::warn!(%error, "the last spans could not be sent");
        }
    }
}

/// Starts logs, traces and metrics. Once a process, inside a tokio runtime.
pub fn init(service: &'static str, config: &Config) -> Result<Guard, TelemetryError> {
    let settings = &config.telemetry;
    let filter = EnvFilter::try_new(&settings.log_filter)?;
    let traces = settings.otlp_endpoint.as_deref().map(|endpoint| trace::provider(service, endpoint)).transpose()?;

    // Logs take the request id from the call being served, not from spans: these are for traces alone.
    let logs = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    let logs = match settings.log_format {
        LogFormat::Text => {
            let colours = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
            logs.with_ansi(colours).event_format(logs::Text).boxed()
        }
        LogFormat::Json => logs.with_ansi(false).event_format(logs::Json { service }).boxed(),
    };
    let events = filter_fn(|metadata| metadata.is_event()).with_max_level_hint(LevelFilter::TRACE);
    let registry = tracing_subscriber::registry().with(logs.with_filter(filter.and(events)));
    match &traces {
        // Not an optional layer: one that is absent would switch on every span of every library.
        None => registry.try_init()?,
        Some(traces) => {
            registry.with(trace::layer(traces)).try_init()?;
            trace::switch_on(settings.sample_ratio);
        }
    }

    let metrics = metrics::install(config.metrics.is_some())?;
    Ok(Guard { metrics, traces })
}

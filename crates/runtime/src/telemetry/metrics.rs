//! Metrics, for Prometheus.

use std::sync::{LazyLock, OnceLock};
use std::time::Duration;

use concierge_proto::{METHODS, Method};
use metrics::{Counter, Gauge, Histogram, Unit};
use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};
use sqlx::PgPool;
use tokio_util::sync::CancellationToken;
use tonic::Code;

/// The upper bounds of the classes of everything that ends in `_seconds`.
const SECONDS: &[f64] =
    &[0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0];

/// The metrics that every service has: name, kind, meaning.
pub const METRICS: &[(&str, &str, &str)] = &[
    ("concierge_rpc_total", "counter", "Requests answered, by `service`, `method` and `code`."),
    ("concierge_rpc_seconds", "histogram", "How long answering took, by `service` and `method`."),
    ("concierge_pool_connections", "gauge", "Connections for requests and events, by `state`: idle or used."),
    ("concierge_pool_size", "gauge", "The most connections for requests and events that there may be."),
    ("concierge_feed_position", "gauge", "How far another service's feed was read, by `feed`."),
    (
        "concierge_feed_lag_seconds",
        "gauge",
        "For how long what another service wrote may be unknown here, by `feed`; 0 when all that it told is applied.",
    ),
    ("concierge_feed_failures_total", "counter", "How often reading another service's feed failed, by `feed`."),
    ("concierge_task_failures_total", "counter", "Background tasks that ended; the process stops then."),
];

/// Takes all metrics of the process, unless nobody reads them: they would pile up.
pub(super) fn install(read: bool) -> Result<PrometheusHandle, BuildError> {
    let builder = PrometheusBuilder::new().set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), SECONDS)?;
    if !read {
        return Ok(builder.build_recorder().handle());
    }
    let handle = builder.install_recorder()?;
    for (name, kind, meaning) in METRICS {
        match *kind {
            "counter" => metrics::describe_counter!(*name, *meaning),
            "gauge" => metrics::describe_gauge!(*name, *meaning),
            _ => metrics::describe_histogram!(*name, Unit::Seconds, *meaning),
        }
    }
    // There from the beginning, so that a first one is an increase.
    metrics::counter!("concierge_task_failures_total").increment(0);
    Ok(handle)
}

/// The metrics of one method, looked up once.
pub struct RpcMetrics {
    service: &'static str,
    method: &'static str,
    /// By status code; made when a code is first seen, so that only those that happen are listed.
    codes: [OnceLock<Counter>; 17],
    seconds: Histogram,
}

impl std::fmt::Debug for RpcMetrics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RpcMetrics")
            .field("service", &self.service)
            .field("method", &self.method)
            .finish_non_exhaustive()
    }
}

impl RpcMetrics {
    /// The metrics of a method. To be called after telemetry was started.
    pub fn of(method: &'static Method) -> &'static Self {
        static ALL: LazyLock<Vec<RpcMetrics>> =
            LazyLock::new(|| METHODS.iter().map(|m| RpcMetrics::new(m.service, m.name)).collect());
        static OTHER: LazyLock<RpcMetrics> = LazyLock::new(|| RpcMetrics::new("other", "other"));
        // A method's place in the table is its place here: no look-up by name on the way of a request.
        let offset = std::ptr::from_ref(method).addr().wrapping_sub(METHODS.as_ptr().addr());
        ALL.get(offset / size_of::<Method>()).unwrap_or(&OTHER)
    }

    fn new(service: &'static str, method: &'static str) -> Self {
        let seconds = metrics::histogram!("concierge_rpc_seconds", "service" => service, "method" => method);
        Self { service, method, codes: [const { OnceLock::new() }; 17], seconds }
    }

    /// Counts one request that was answered.
    pub fn record(&self, code: Code, took: Duration) {
        self.seconds.record(took.as_secs_f64());
        let index = usize::try_from(i32::from(code)).unwrap_or(2);
        if let Some(counter) = self.codes.get(index) {
            counter.get_or_init(|| self.counter(code)).increment(1);
        }
    }

    fn counter(&self, code: Code) -> Counter {
        let (service, method) = (self.service, self.method);
        metrics::counter!("concierge_rpc_total", "service" => service, "method" => method, "code" => name_of(code))
    }
}

/// The name of a status code as the specification of gRPC writes it.
fn name_of(code: Code) -> &'static str {
    match code {
        Code::Ok => "OK",
        Code::Cancelled => "CANCELLED",
        Code::Unknown => "UNKNOWN",
        Code::InvalidArgument => "INVALID_ARGUMENT",
        Code::DeadlineExceeded => "DEADLINE_EXCEEDED",
        Code::NotFound => "NOT_FOUND",
        Code::AlreadyExists => "ALREADY_EXISTS",
        Code::PermissionDenied => "PERMISSION_DENIED",
        Code::ResourceExhausted => "RESOURCE_EXHAUSTED",
        Code::FailedPrecondition => "FAILED_PRECONDITION",
        Code::Aborted => "ABORTED",
        Code::OutOfRange => "OUT_OF_RANGE",
        Code::Unimplemented => "UNIMPLEMENTED",
        Code::Internal => "INTERNAL",
        Code::Unavailable => "UNAVAILABLE",
        Code::DataLoss => "DATA_LOSS",
        Code::Unauthenticated => "UNAUTHENTICATED",
    }
}

/// Keeps the gauges of a pool up to date until told to stop.
pub async fn watch_pool(pool: PgPool, stop: CancellationToken) {
    let state = |state: &'static str| -> Gauge { metrics::gauge!("concierge_pool_connections", "state" => state) };
    let (idle, used) = (state("idle"), state("used"));
    metrics::gauge!("concierge_pool_size").set(f64::from(pool.options().get_max_connections()));
    let mut every = tokio::time::interval(Duration::from_secs(1));
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = every.tick() => {}
        }
        let spare = u32::try_from(pool.num_idle()).unwrap_or(u32::MAX);
        idle.set(f64::from(spare));
        used.set(f64::from(pool.size().saturating_sub(spare)));
    }
}

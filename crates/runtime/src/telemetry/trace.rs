//! Traces: one span a request, children of the caller's, sent over OTLP when that is on.
//!
//! Whether a trace is recorded is decided when a request arrives, by its caller's `traceparent` or, without one, by the
//! sample ratio. A request that is not recorded makes no span at all.

use std::sync::OnceLock;
use std::time::Duration;

use concierge_proto::Method;
use http::HeaderMap;
use opentelemetry::trace::{
    Link, SpanContext, SpanId, SpanKind, TraceContextExt, TraceFlags, TraceId, TraceState, TracerProvider as _,
};
use opentelemetry::{Context, KeyValue};
use opentelemetry_otlp::{ExporterBuildError, SpanExporter, WithExportConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{SamplingDecision, SamplingResult, SdkTracerProvider, ShouldSample};
use tonic::Code;
use tracing::field::Empty;
use tracing::{Level, Span, Subscriber};
use tracing_opentelemetry::OpenTelemetrySpanExt as _;
use tracing_subscriber::Layer;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::registry::LookupSpan;

/// The share of traces recorded when the caller has not decided; not set: tracing is off.
static RATIO: OnceLock<f64> = OnceLock::new();

/// The header of the W3C trace context.
const TRACEPARENT: &str = "traceparent";

pub(super) fn switch_on(ratio: f64) {
    let _ = RATIO.set(ratio);
}

pub(super) fn provider(service: &'static str, endpoint: &str) -> Result<SdkTracerProvider, ExporterBuildError> {
    let exporter =
        SpanExporter::builder().with_tonic().with_endpoint(endpoint).with_timeout(Duration::from_secs(5)).build()?;
    let resource = Resource::builder()
        .with_service_name(service)
        .with_attribute(KeyValue::new("service.namespace", "concierge"))
        .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
        .build();
    Ok(SdkTracerProvider::builder().with_batch_exporter(exporter).with_sampler(Decided).with_resource(resource).build())
}

pub(super) fn layer<S>(provider: &SdkTracerProvider) -> impl Layer<S> + use<S>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    tracing_opentelemetry::layer()
        .with_tracer(provider.tracer("concierge"))
        .with_location(false)
        .with_threads(false)
        .with_target(false)
        .with_level(false)
        .with_tracked_inactivity(false)
        // Our own spans; those of libraries are too many, and events are in the logs.
        .with_filter(
            filter_fn(|metadata| {
                metadata.is_span() && *metadata.level() <= Level::INFO && metadata.target().starts_with("concierge")
            })
            .with_max_level_hint(Level::INFO),
        )
}

/// Records what belongs to a recorded trace, and the spans with which one begins; these are only made when it was
/// decided so. Whatever else begins without a parent is dropped.
#[derive(Clone, Debug)]
struct Decided;

impl ShouldSample for Decided {
    fn should_sample(
        &self,
        parent: Option<&Context>,
        _: TraceId,
        _: &str,
        kind: &SpanKind,
        _: &[KeyValue],
        _: &[Link],
    ) -> SamplingResult {
        let parent = parent.map(|context| context.span().span_context().clone()).filter(SpanContext::is_valid);
        let sampled = match &parent {
            Some(parent) => parent.is_sampled(),
            None => matches!(kind, SpanKind::Server | SpanKind::Consumer),
        };
        SamplingResult {
            decision: if sampled { SamplingDecision::RecordAndSample } else { SamplingDecision::Drop },
            attributes: Vec::new(),
            trace_state: parent.map(|parent| parent.trace_state().clone()).unwrap_or_default(),
        }
    }
}

/// A `traceparent` that is well formed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Parent<'a> {
    text: &'a str,
}

impl<'a> Parent<'a> {
    /// Reads version 00, and of later versions what they have in common with it.
    pub(super) fn parse(text: &'a str) -> Option<Self> {
        let bytes = text.as_bytes();
        let hex = |range: std::ops::Range<usize>| bytes[range].iter().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        let zero = |range: std::ops::Range<usize>| bytes[range].iter().all(|b| *b == b'0');
        let good = bytes.len() >= 55
            && (bytes.len() == 55 || (!text.starts_with("00") && bytes[55] == b'-'))
            && text.is_ascii()
            && !text.starts_with("ff")
            && bytes[2] == b'-'
            && bytes[35] == b'-'
            && bytes[52] == b'-'
            && hex(0..2)
            && hex(3..35)
            && hex(36..52)
            && hex(53..55)
            && !zero(3..35)
            && !zero(36..52);
        good.then(|| Self { text: &text[..55] })
    }

    fn of(headers: &'a HeaderMap) -> Option<Self> {
        headers.get(TRACEPARENT)?.to_str().ok().and_then(Self::parse)
    }

    pub(super) fn trace_id(self) -> &'a str {
        &self.text[3..35]
    }

    fn sampled(self) -> bool {
        u8::from_str_radix(&self.text[53..55], 16).is_ok_and(|flags| flags & 1 == 1)
    }

    fn context(self) -> Option<Context> {
        let context = SpanContext::new(
            TraceId::from_hex(self.trace_id()).ok()?,
            SpanId::from_hex(&self.text[36..52]).ok()?,
            if self.sampled() { TraceFlags::SAMPLED } else { TraceFlags::NOT_SAMPLED },
            true,
            TraceState::NONE,
        );
        Some(Context::new().with_remote_span_context(context))
    }
}

/// The span of one RPC, child of the caller's. Nothing when it is not recorded.
pub(crate) fn rpc_span(method: &'static Method, request_id: &str, headers: &HeaderMap) -> Span {
    let Some(ratio) = RATIO.get() else { return Span::none() };
    let parent = Parent::of(headers);
    if !parent.map_or_else(|| rand::random::<f64>() < *ratio, Parent::sampled) {
        return Span::none();
    }
    let span = tracing::info_span!(
        parent: None,
        "rpc",
        otel.name = &method.path[1..],
        otel.kind = "server",
        otel.status_code = Empty,
        rpc.system = "grpc",
        rpc.service = method.service,
        rpc.method = method.name,
        rpc.grpc.status_code = Empty,
        request_id,
    );
    join(&span, parent);
    span
}

/// A span for work that a request or an event caused, such as applying the event, in the trace of its cause. Nothing
/// when that is not recorded.
pub fn work_span(name: &str, traceparent: &str) -> Span {
    let parent = Parent::parse(traceparent);
    if RATIO.get().is_none() || !parent.is_some_and(Parent::sampled) {
        return Span::none();
    }
    let span = tracing::info_span!(parent: None, "work", otel.name = name, otel.kind = "consumer");
    join(&span, parent);
    span
}

fn join(span: &Span, parent: Option<Parent<'_>>) {
    if let Some(context) = parent.and_then(Parent::context) {
        // Fails when the span is switched off, and then there is nothing to join.
        let _ = span.set_parent(context);
    }
}

/// The W3C trace context of a span that is recorded.
fn context_of(span: &Span) -> Option<String> {
    if span.is_none() {
        return None;
    }
    let context = span.context();
    let span = context.span();
    let span = span.span_context();
    span.is_valid().then(|| format!("00-{}-{}-{:02x}", span.trace_id(), span.span_id(), span.trace_flags().to_u8()))
}

/// The trace context for what follows from work that a request or an event caused: that of the work's span, else the
/// cause's as it came.
pub(crate) fn traceparent_within(span: &Span, traceparent: &str) -> String {
    context_of(span).unwrap_or_else(|| traceparent.to_owned())
}

/// The W3C trace context to hand on to upstreams and events: that of the span, else the caller's as it came.
pub(crate) fn traceparent(span: &Span, headers: &HeaderMap) -> String {
    if let Some(context) = context_of(span) {
        return context;
    }
    match Parent::of(headers) {
        Some(parent) => parent.text.to_owned(),
        // Decided against: whoever is called for this request decides the same.
        None if RATIO.get().is_some() => {
            let (trace, span): (u128, u64) = (rand::random(), rand::random());
            format!("00-{:032x}-{:016x}-00", trace.max(1), span.max(1))
        }
        None => String::new(),
    }
}

/// Notes the outcome on the span. Only what is the server's fault makes it an error.
pub(crate) fn finish_rpc(span: &Span, code: Code) {
    if span.is_none() {
        return;
    }
    span.record("rpc.grpc.status_code", i64::from(i32::from(code)));
    if matches!(
        code,
        Code::Unknown
            | Code::DeadlineExceeded
            | Code::Unimplemented
            | Code::Internal
            | Code::Unavailable
            | Code::DataLoss
    ) {
        span.record("otel.status_code", "ERROR");
    }
}

//! How a line of the log looks. Both forms carry the id of the request being served.

use std::fmt;

use serde_json::{Map, Value};
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

use crate::call::Call;
use crate::telemetry::trace::Parent;

/// For people: time, level, where, what, the request.
pub(super) struct Text;

/// For machines: one JSON object a line.
pub(super) struct Json {
    pub(super) service: &'static str,
}

/// The call being served, unless the event names its request itself.
fn call_of(event: &Event<'_>) -> Option<std::sync::Arc<Call>> {
    if event.metadata().fields().field("request_id").is_some() {
        return None;
    }
    Call::current().filter(|call| !call.request_id.is_empty())
}

impl<S, N> FormatEvent<S, N> for Text
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, context: &FmtContext<'_, S, N>, mut out: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let metadata = event.metadata();
        let (dim, plain) = if out.has_ansi_escapes() { ("\x1b[2m", "\x1b[0m") } else { ("", "") };
        let colour = match *metadata.level() {
            _ if plain.is_empty() => "",
            Level::ERROR => "\x1b[31m",
            Level::WARN => "\x1b[33m",
            Level::INFO => "\x1b[32m",
            Level::DEBUG => "\x1b[34m",
            Level::TRACE => "\x1b[35m",
        };
        write!(out, "{dim}")?;
        SystemTime.format_time(&mut out)?;
        write!(out, "{plain} {colour}{:>5}{plain} {dim}{}:{plain} ", metadata.level(), metadata.target())?;
        context.format_fields(out.by_ref(), event)?;
        if let Some(call) = call_of(event) {
            write!(out, " {dim}request_id={}{plain}", call.request_id)?;
        }
        writeln!(out)
    }
}

impl<S, N> FormatEvent<S, N> for Json
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, _: &FmtContext<'_, S, N>, mut out: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let metadata = event.metadata();
        let mut fields = Fields(Map::new());
        event.record(&mut fields);
        let mut line = Map::new();
        let mut time = String::new();
        SystemTime.format_time(&mut Writer::new(&mut time))?;
        line.insert("time".to_owned(), time.into());
        line.insert("level".to_owned(), metadata.level().as_str().to_lowercase().into());
        line.insert("service".to_owned(), self.service.into());
        line.insert("target".to_owned(), metadata.target().into());
        if let Some(call) = call_of(event) {
            line.insert("request_id".to_owned(), call.request_id.clone().into());
            if let Some(method) = call.method {
                line.insert("method".to_owned(), method.path.into());
            }
            if let Some(parent) = Parent::parse(&call.traceparent) {
                line.insert("trace_id".to_owned(), parent.trace_id().into());
            }
        }
        for (name, value) in fields.0 {
            // A field never takes the place of what every line has.
            line.entry(name).or_insert(value);
        }
        writeln!(out, "{}", Value::Object(line))
    }
}

/// The fields of an event as JSON.
struct Fields(Map<String, Value>);

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.0.insert(field.name().to_owned(), format!("{value:?}").into());
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.insert(field.name().to_owned(), value.into());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.0.insert(field.name().to_owned(), value.into());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.0.insert(field.name().to_owned(), value.into());
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.0.insert(field.name().to_owned(), value.into());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.0.insert(field.name().to_owned(), value.into());
    }

    fn record_error(&mut self, field: &Field, value: &(dyn std::error::Error + 'static)) {
        self.0.insert(field.name().to_owned(), value.to_string().into());
    }
}

use std::io;
use std::sync::{Arc, Mutex};

use concierge_proto::METHODS;
use http::{HeaderMap, HeaderValue};
use serde_json::Value;
use tonic::Code;
use tracing::Span;
use tracing_subscriber::fmt::MakeWriter;

use super::trace::Parent;
use super::*;
use crate::call::Call;

#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Lines {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

impl io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Lines {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

/// Logs two lines, the first as part of a call.
async fn log() {
    let mut call = Call::internal("request-1", Duration::from_secs(1));
    call.traceparent = PARENT.to_owned();
    let say = async { tracing::warn!(count = 3, name = "a \"b\"\nc", time = "never", "it is {}", "done") };
    Arc::new(call).scope(say).await;
    tracing::error!(request_id = "own", error = &io::Error::other("broken") as &dyn std::error::Error, "no");
}

#[tokio::test]
async fn text_lines_carry_the_request_id() {
    let lines = Lines::default();
    let logs = tracing_subscriber::fmt::layer().with_writer(lines.clone()).with_ansi(false).event_format(logs::Text);
    let guard = tracing::subscriber::set_default(tracing_subscriber::registry().with(logs));
    log().await;
    drop(guard);
    let text = lines.text();
    let mut lines = text.lines();
    let first = lines.next().unwrap();
    assert!(
        first.contains("  WARN concierge_runtime::telemetry::tests: it is done count=3 name=\"a \\\"b\\\"\\nc\""),
        "{first}"
    );
    assert!(first.ends_with(" request_id=request-1"), "{first}");
    let second = lines.next().unwrap();
    assert!(second.contains(" ERROR "), "{second}");
    assert_eq!(second.matches("request_id").count(), 1, "{second}");
    assert_eq!(lines.next(), None);
}

#[tokio::test]
async fn json_lines_carry_request_id_and_trace() {
    let lines = Lines::default();
    let logs =
        tracing_subscriber::fmt::layer().with_writer(lines.clone()).event_format(logs::Json { service: "directory" });
    let guard = tracing::subscriber::set_default(tracing_subscriber::registry().with(logs));
    log().await;
    drop(guard);
    let parsed: Vec<Value> = lines.text().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(parsed.len(), 2);
    let first = &parsed[0];
    assert_eq!(first["request_id"], "request-1");
    assert_eq!(first["trace_id"], "0af7651916cd43dd8448eb211c80319c");
    assert_eq!((&first["level"], &first["service"]), (&"warn".into(), &"directory".into()));
    assert_eq!(first["message"], "it is done");
    assert_eq!(first["count"], 3);
    assert_eq!(first["name"], "a \"b\"\nc");
    assert_ne!(first["time"], "never", "a field does not take the place of the time");
    assert_eq!((&parsed[1]["request_id"], &parsed[1]["error"]), (&"own".into(), &"broken".into()));
}

#[test]
fn reads_traceparent_and_refuses_nonsense() {
    let parent = Parent::parse(PARENT).unwrap();
    assert_eq!(parent.trace_id(), "0af7651916cd43dd8448eb211c80319c");
    let later = format!("cc{}-what-comes-later", &PARENT[2..]);
    assert!(Parent::parse(&later).is_some());
    for wrong in [
        "",
        "00",
        &PARENT[..54],
        &format!("{PARENT}-x"),
        &PARENT.to_uppercase(),
        &PARENT.replace('-', "_"),
        &format!("ff{}", &PARENT[2..]),
        "00-00000000000000000000000000000000-b7ad6b7169203331-01",
        "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
        "00-0af7651916cd43dd8448eb211c80319é-b7ad6b7169203331-01",
        "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-0g",
    ] {
        assert_eq!(Parent::parse(wrong), None, "{wrong}");
    }
}

#[test]
fn hands_on_the_trace_of_the_caller_when_off() {
    let mut headers = HeaderMap::new();
    assert_eq!(traceparent(&Span::none(), &headers), "");
    assert!(rpc_span(&METHODS[0], "r", &headers).is_none());
    headers.insert("traceparent", HeaderValue::from_static(PARENT));
    assert_eq!(traceparent(&Span::none(), &headers), PARENT);
    assert!(work_span("apply", PARENT).is_none());
    headers.insert("traceparent", HeaderValue::from_static("nonsense"));
    assert_eq!(traceparent(&Span::none(), &headers), "");
}

#[test]
fn every_method_has_metrics_of_its_own() {
    let recorder = metrics_exporter_prometheus::PrometheusBuilder::new()
        .set_buckets_for_metric(metrics_exporter_prometheus::Matcher::Suffix("_seconds".to_owned()), &[0.01, 0.1])
        .unwrap()
        .build_recorder();
    let handle = recorder.handle();
    ::metrics::with_local_recorder(&recorder, || {
        for method in METHODS {
            RpcMetrics::of(method).record(Code::Ok, Duration::from_millis(5));
        }
        RpcMetrics::of(&METHODS[1]).record(Code::NotFound, Duration::from_millis(50));
    });
    let text = handle.render();
    for method in METHODS {
        let labels = format!("service=\"{}\",method=\"{}\"", method.service, method.name);
        assert!(text.contains(&format!("concierge_rpc_total{{{labels},code=\"OK\"}} 1\n")), "{labels}\n{text}");
        assert!(text.contains(&format!("concierge_rpc_seconds_bucket{{{labels},le=\"0.01\"}} 1\n")), "{labels}");
    }
    assert_eq!(text.matches("NOT_FOUND").count(), 1);
    let labels = format!("service=\"{}\",method=\"{}\"", METHODS[1].service, METHODS[1].name);
    assert!(text.contains(&format!("concierge_rpc_seconds_count{{{labels}}} 2\n")));
}

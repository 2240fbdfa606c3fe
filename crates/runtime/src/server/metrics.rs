//! Metrics over HTTP, for Prometheus.

use std::convert::Infallible;
use std::io;
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use metrics_exporter_prometheus::PrometheusHandle;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// How often the values of histograms are put together.
const UPKEEP: Duration = Duration::from_secs(5);
/// How many may read metrics at once.
const READERS: usize = 16;

/// Serves `/metrics` until told to stop.
pub async fn serve_metrics(listener: TcpListener, handle: PrometheusHandle, stop: CancellationToken) -> io::Result<()> {
    let mut readers = JoinSet::new();
    let mut upkeep = tokio::time::interval(UPKEEP);
    loop {
        tokio::select! {
            () = stop.cancelled() => return Ok(()),
            _ = upkeep.tick() => handle.run_upkeep(),
            Some(_) = readers.join_next(), if !readers.is_empty() => {}
            accepted = listener.accept(), if readers.len() < READERS => {
                if let Ok((stream, _)) = accepted {
                    readers.spawn(tokio::time::timeout(Duration::from_secs(30), read(stream, handle.clone())));
                } else {
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            }
        }
    }
}

async fn read(stream: TcpStream, handle: PrometheusHandle) {
    let answer = service_fn(move |request: Request<Incoming>| {
        let answer = answer(&request, &handle);
        async move { Ok::<_, Infallible>(answer) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(Duration::from_secs(5))
        .serve_connection(TokioIo::new(stream), answer)
        .await;
    if let Err(error) = connection {
        tracing::debug!(%error, "reading metrics broke");
    }
}

fn answer<B>(request: &Request<B>, handle: &PrometheusHandle) -> Response<Full<Bytes>> {
    let (status, text) = match (request.method(), request.uri().path()) {
        (&Method::GET | &Method::HEAD, "/metrics") => (StatusCode::OK, handle.render()),
        (_, "/metrics") => (StatusCode::METHOD_NOT_ALLOWED, "GET is what this understands\n".to_owned()),
        _ => (StatusCode::NOT_FOUND, "metrics are at /metrics\n".to_owned()),
    };
    let mut response = Response::new(Full::new(Bytes::from(text)));
    *response.status_mut() = status;
    let kind = header::HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    response
}

//! Traces over OTLP, against a collector in this process. A file of its own because telemetry is started once a process.
#![allow(clippy::unwrap_used, missing_docs)]

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use concierge_proto::directory::access_service_client::AccessServiceClient;
use concierge_proto::directory::access_service_server::{AccessService, AccessServiceServer};
use concierge_proto::directory::{
    CreateTokenRequest, CreateTokenResponse, ListSigningKeysRequest, ListSigningKeysResponse, RevokeTokensRequest,
    RevokeTokensResponse,
};
use concierge_runtime::auth::{KeySet, Verifier, VerifierOptions};
use concierge_runtime::clock::SystemClock;
use concierge_runtime::config::Config;
use concierge_runtime::layers::{Admission, Layers};
use concierge_runtime::server::{self, Health, ReflectionAccess, ServerOptions};
use concierge_runtime::{Call, telemetry};
use concierge_testkit::Suite;
use concierge_testkit::traces::{Collector, hex};
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::trace::v1::Span;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tonic::service::Routes;
use tonic::transport::Endpoint;
use tonic::{Code, Request, Response, Status};
use world::{Listener, Teller, heard, tell, until};

#[allow(dead_code)]
#[path = "it/world.rs"]
mod world;

/// Answers with the trace that it would hand on; fails when asked to.
struct Keys;

#[tonic::async_trait]
impl AccessService for Keys {
    async fn create_token(&self, _: Request<CreateTokenRequest>) -> Result<Response<CreateTokenResponse>, Status> {
        Err(Status::unimplemented(""))
    }

    async fn revoke_tokens(&self, _: Request<RevokeTokensRequest>) -> Result<Response<RevokeTokensResponse>, Status> {
        Err(Status::unimplemented(""))
    }

    async fn list_signing_keys(
        &self,
        request: Request<ListSigningKeysRequest>,
    ) -> Result<Response<ListSigningKeysResponse>, Status> {
        if request.metadata().contains_key("fail") {
            panic!("as asked");
        }
        let jwks_json = Call::current().unwrap().traceparent.clone();
        let work = telemetry::work_span("apply customer", &jwks_json);
        work.in_scope(|| tracing::info_span!(target: "concierge_directory", "inner"));
        Ok(Response::new(ListSigningKeysResponse { jwks_json, ..Default::default() }))
    }
}

/// Emits an event in that trace, which another service hears; answers with the trace that its effect hands on.
async fn heard_by_another(traceparent: &str) -> String {
    let mut suite = Suite::new();
    let teller = suite.start::<Teller>().await.host.service.clone();
    let listener = suite.start::<Listener>().await.host.service.clone();
    let internal = Call::internal("r-2", Duration::from_secs(60));
    let call = Arc::new(Call { traceparent: traceparent.to_owned(), ..internal });
    call.scope(tell(&teller, &["a"], 0)).await;
    until("it is heard", async || heard(&listener).await.len() == 1).await;
    sqlx::query_scalar("select traceparent from outbox").fetch_one(listener.pool()).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn spans_reach_the_collector_as_children_of_their_callers() {
    let collector = Collector::start().await;
    let variables = [
        ("DATABASE_URL", "postgres://x@localhost/x"),
        ("CONCIERGE_TELEMETRY__OTLP_ENDPOINT", collector.endpoint()),
        ("CONCIERGE_TELEMETRY__SAMPLE_RATIO", "0"),
        ("CONCIERGE_METRICS_LISTEN", "127.0.0.1:0"),
    ];
    let variables = variables.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let config = Config::read("directory", None, variables).unwrap();
    let guard = telemetry::init("directory", &config).unwrap();
    assert!(telemetry::init("directory", &config).is_err(), "once a process");
    assert_eq!(tracing::level_filters::LevelFilter::current(), tracing::level_filters::LevelFilter::INFO);
    assert!(!tracing::span_enabled!(target: "h2", tracing::Level::INFO), "spans of libraries are off");

    let verifier = Verifier::new(VerifierOptions {
        audience: "directory".to_owned(),
        issuer: "concierge".to_owned(),
        keys: Arc::new(KeySet::new([])),
        revocations: Arc::default(),
        providers: Vec::new(),
    });
    let layer = Layers {
        verifier: Arc::new(verifier),
        clock: Arc::new(SystemClock),
        admission: Admission::new(10),
        default_deadline: Duration::from_secs(5),
        max_deadline: Duration::from_secs(5),
        max_message: 1024,
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let shutdown = CancellationToken::new();
    let served = tokio::spawn(server::serve(ServerOptions {
        listener,
        tls: None,
        routes: Routes::new(AccessServiceServer::new(Keys)),
        services: Vec::new(),
        health: Health::new(&[]).await,
        reflection: ReflectionAccess::Off,
        layer,
        connections: 10,
        streams_per_connection: 10,
        shutdown: shutdown.clone(),
        grace: Duration::from_secs(1),
    }));

    let channel = Endpoint::from_shared(format!("http://{address}")).unwrap().connect().await.unwrap();
    let call = async |metadata: &[(&'static str, &str)]| {
        let mut request = Request::new(ListSigningKeysRequest {});
        for (key, value) in metadata {
            request.metadata_mut().insert(*key, value.parse().unwrap());
        }
        let answer = AccessServiceClient::new(channel.clone()).list_signing_keys(request).await;
        answer.map(|answer| answer.into_inner().jwks_json).map_err(|status| status.code())
    };
    let trace = "0af7651916cd43dd8448eb211c80319c";
    let sampled = format!("00-{trace}-b7ad6b7169203331-01");
    let handed_on = call(&[("traceparent", &sampled), ("x-request-id", "r-1")]).await.unwrap();
    assert!(handed_on.starts_with(&format!("00-{trace}-")) && handed_on.ends_with("-01"), "{handed_on}");
    assert_ne!(handed_on, sampled, "it names the span of this service");
    assert_eq!(call(&[("traceparent", &sampled), ("fail", "")]).await, Err(Code::Internal));
    // Not recorded: the caller decided against it, or the ratio did.
    let unsampled = format!("00-{}-b7ad6b7169203331-00", "1".repeat(32));
    assert_eq!(call(&[("traceparent", &unsampled)]).await.unwrap(), unsampled);
    let alone = call(&[]).await.unwrap();
    assert!(alone.ends_with("-00") && alone.len() == 55, "{alone}");

    let told_on = heard_by_another(&sampled).await;

    shutdown.cancel();
    served.await.unwrap().unwrap();
    let metrics = guard.metrics.render();
    assert!(metrics.contains("method=\"ListSigningKeys\",code=\"OK\"} 3"), "{metrics}");
    assert!(metrics.contains("method=\"ListSigningKeys\",code=\"INTERNAL\"} 1"), "{metrics}");
    assert!(metrics.contains("# HELP concierge_rpc_seconds"), "{metrics}");
    tokio::task::spawn_blocking(move || drop(guard)).await.unwrap();

    let spans = collector.spans();
    assert!(spans.iter().all(|(service, span)| service == "directory" && hex(&span.trace_id) == trace), "{spans:#?}");
    let named = |name: &str| spans.iter().map(|(_, s)| s).filter(|s| s.name == name).cloned().collect::<Vec<_>>();
    let rpcs = named("concierge.directory.v1.AccessService/ListSigningKeys");
    assert_eq!(rpcs.len(), 2, "{spans:#?}");
    let (good, bad): (Vec<Span>, Vec<Span>) =
        rpcs.into_iter().partition(|span| span.status.as_ref().is_none_or(|status| status.code != 2));
    let (good, bad) = (&good[0], &bad[0]);
    assert_eq!(hex(&good.parent_span_id), "b7ad6b7169203331");
    assert_eq!(hex(&good.span_id), handed_on[36..52]);
    assert_eq!(good.kind, 2, "server");
    let attributes = |span: &Span| -> HashMap<String, Value> {
        span.attributes.iter().map(|a| (a.key.clone(), a.value.clone().unwrap().value.unwrap())).collect()
    };
    assert_eq!(attributes(good)["rpc.grpc.status_code"], Value::IntValue(0));
    assert_eq!(attributes(good)["request_id"], Value::StringValue("r-1".to_owned()));
    assert_eq!(attributes(good)["rpc.method"], Value::StringValue("ListSigningKeys".to_owned()));
    assert_eq!(attributes(bad)["rpc.grpc.status_code"], Value::IntValue(13));
    let work = &named("apply customer")[0];
    assert_eq!(work.parent_span_id, good.span_id);
    assert_eq!(named("inner")[0].parent_span_id, work.span_id);
    let effects = named("apply ticket.updated");
    assert_eq!(effects.len(), 1, "{spans:#?}");
    assert_eq!((hex(&effects[0].parent_span_id).as_str(), effects[0].kind), ("b7ad6b7169203331", 5), "consumer");
    assert_eq!(told_on, format!("00-{trace}-{}-01", hex(&effects[0].span_id)));
}

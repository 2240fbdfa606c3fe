use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};

use concierge_proto::directory::access_service_client::AccessServiceClient;
use concierge_proto::directory::access_service_server::{AccessService, AccessServiceServer};
use concierge_proto::directory::{
    CreateTokenRequest, CreateTokenResponse, ListSigningKeysRequest, ListSigningKeysResponse, RevokeTokensRequest,
    RevokeTokensResponse,
};
use concierge_proto::event::event_feed_service_client::EventFeedServiceClient;
use concierge_proto::event::event_feed_service_server::{EventFeedService, EventFeedServiceServer};
use concierge_proto::event::{ReadSnapshotRequest, ReadSnapshotResponse, SubscribeRequest, SubscribeResponse};
use futures::stream::{BoxStream, StreamExt as _};
use prost::Message as _;
use secrecy::SecretString;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tonic::codec::CompressionEncoding;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint};
use tonic::{Code, Request, Response as Reply, Status};
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse};
use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;
use tonic_reflection::pb::v1::{ExtensionRequest, ServerReflectionRequest};
use tonic_reflection::pb::v1alpha;

use super::*;
use crate::auth::{KeySet, Revocations, Signer, VerifierOptions};
use crate::clock::SystemClock;

/// Answers after the milliseconds that the metadata key `sleep` says; counts what was begun and what was dropped.
#[derive(Clone, Debug, Default)]
struct Slow {
    begun: Arc<AtomicUsize>,
    dropped: Arc<AtomicUsize>,
}

struct Dropped(Arc<AtomicUsize>);

impl Drop for Dropped {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

#[tonic::async_trait]
impl AccessService for Slow {
    async fn create_token(&self, _: Request<CreateTokenRequest>) -> Result<Reply<CreateTokenResponse>, Status> {
        Err(Status::unimplemented(""))
    }

    async fn revoke_tokens(&self, _: Request<RevokeTokensRequest>) -> Result<Reply<RevokeTokensResponse>, Status> {
        Err(Status::unimplemented(""))
    }

    async fn list_signing_keys(
        &self,
        request: Request<ListSigningKeysRequest>,
    ) -> Result<Reply<ListSigningKeysResponse>, Status> {
        self.begun.fetch_add(1, Ordering::SeqCst);
        let _dropped = Dropped(Arc::clone(&self.dropped));
        if let Some(sleep) = request.metadata().get("sleep") {
            tokio::time::sleep(Duration::from_millis(sleep.to_str().unwrap().parse().unwrap())).await;
        }
        let from = request.remote_addr().unwrap();
        Ok(Reply::new(ListSigningKeysResponse { jwks_json: from.to_string(), ..Default::default() }))
    }
}

#[tonic::async_trait]
impl EventFeedService for Slow {
    type SubscribeStream = BoxStream<'static, Result<SubscribeResponse, Status>>;
    type ReadSnapshotStream = BoxStream<'static, Result<ReadSnapshotResponse, Status>>;

    async fn subscribe(&self, _: Request<SubscribeRequest>) -> Result<Reply<Self::SubscribeStream>, Status> {
        let one = futures::stream::iter([Ok(SubscribeResponse::default())]);
        Ok(Reply::new(one.chain(futures::stream::pending()).boxed()))
    }

    async fn read_snapshot(&self, _: Request<ReadSnapshotRequest>) -> Result<Reply<Self::ReadSnapshotStream>, Status> {
        Err(Status::unimplemented(""))
    }
}

struct Running {
    address: SocketAddr,
    slow: Slow,
    health: Health,
    stop: CancellationToken,
    served: JoinHandle<io::Result<()>>,
}

struct Setup {
    tls: Option<Tls>,
    reflection: ReflectionAccess,
    connections: usize,
    grace: Duration,
}

impl Default for Setup {
    fn default() -> Self {
        Self { tls: None, reflection: ReflectionAccess::Public, connections: 100, grace: Duration::from_secs(5) }
    }
}

async fn start(setup: Setup) -> Running {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let slow = Slow::default();
    let routes = Routes::new(crate::served!(AccessServiceServer::new(slow.clone())))
        .add_service(crate::served!(EventFeedServiceServer::new(slow.clone())));
    let services = vec!["concierge.directory.v1.AccessService", "concierge.event.v1.EventFeedService"];
    let health = Health::new(&services).await;
    health.set_ready(true).await;
    let stop = CancellationToken::new();
    let served = tokio::spawn(serve(ServerOptions {
        listener,
        tls: setup.tls,
        routes,
        services,
        health: health.clone(),
        reflection: setup.reflection,
        layer: tower::layer::util::Identity::new(),
        connections: setup.connections,
        streams_per_connection: 200,
        shutdown: stop.clone(),
        grace: setup.grace,
    }));
    Running { address, slow, health, stop, served }
}

impl Running {
    async fn channel(&self) -> Channel {
        Endpoint::from_shared(format!("http://{}", self.address)).unwrap().connect().await.unwrap()
    }

    fn call(channel: &Channel, sleep: u64) -> JoinHandle<Result<(), Status>> {
        let mut client = AccessServiceClient::new(channel.clone());
        tokio::spawn(async move {
            let mut request = Request::new(ListSigningKeysRequest {});
            request.metadata_mut().insert("sleep", sleep.to_string().parse().unwrap());
            client.list_signing_keys(request).await.map(drop)
        })
    }

    async fn begun(&self, count: usize) {
        while self.slow.begun.load(Ordering::SeqCst) < count {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }

    /// Stops; returns how long that took.
    async fn stop(self) -> Duration {
        let began = Instant::now();
        self.stop.cancel();
        self.served.await.unwrap().unwrap();
        began.elapsed()
    }
}

async fn status_of(channel: &Channel, service: &str) -> Result<ServingStatus, Code> {
    let request = HealthCheckRequest { service: service.to_owned() };
    let answer = HealthClient::new(channel.clone()).check(request).await.map_err(|s| s.code())?;
    Ok(answer.into_inner().status())
}

#[tokio::test]
async fn serves_and_knows_its_peer() {
    let server = start(Setup::default()).await;
    let mut client = AccessServiceClient::new(server.channel().await);
    let answer = client.list_signing_keys(ListSigningKeysRequest {}).await.unwrap().into_inner();
    assert!(answer.jwks_json.starts_with("127.0.0.1:"));
    assert!(server.stop().await < Duration::from_millis(500), "nothing to wait for");
}

#[tokio::test]
async fn takes_compressed_requests() {
    let server = start(Setup::default()).await;
    let channel = server.channel().await;
    for encoding in [CompressionEncoding::Gzip, CompressionEncoding::Zstd] {
        let mut access = AccessServiceClient::new(channel.clone()).send_compressed(encoding);
        access.list_signing_keys(ListSigningKeysRequest {}).await.unwrap();
        let mut health = HealthClient::new(channel.clone()).send_compressed(encoding);
        health.check(HealthCheckRequest::default()).await.unwrap();
        let mut reflection = ServerReflectionClient::new(channel.clone()).send_compressed(encoding);
        let asked = futures::stream::iter([reflection_request(MessageRequest::ListServices(String::new()))]);
        reflection.server_reflection_info(asked).await.unwrap();
    }
}

#[tokio::test]
async fn health_tells_liveness_readiness_and_services() {
    let server = start(Setup::default()).await;
    let channel = server.channel().await;
    let all = ["", READINESS, "concierge.directory.v1.AccessService", "concierge.event.v1.EventFeedService"];
    for name in all {
        assert_eq!(status_of(&channel, name).await, Ok(ServingStatus::Serving), "{name}");
    }
    server.health.set_ready(false).await;
    for name in all {
        assert_eq!(status_of(&channel, name).await, Ok(ServingStatus::NotServing), "{name}");
    }
    assert_eq!(status_of(&channel, LIVENESS).await, Ok(ServingStatus::Serving));
    assert_eq!(status_of(&channel, "concierge.directory.v1.Nothing").await, Err(Code::NotFound));
}

#[tokio::test]
async fn watchers_of_health_hear_of_the_stop() {
    let server = start(Setup::default()).await;
    let mut client = HealthClient::new(server.channel().await);
    let mut watch = client.watch(HealthCheckRequest::default()).await.unwrap().into_inner();
    let read = |answer: HealthCheckResponse| answer.status();
    assert_eq!(watch.message().await.unwrap().map(read), Some(ServingStatus::Serving));
    server.stop.cancel();
    assert_eq!(watch.message().await.unwrap().map(read), Some(ServingStatus::NotServing));
    let end = watch.message().await.unwrap_err();
    assert_eq!(end.code(), Code::Unavailable);
    assert!(server.stop().await < Duration::from_millis(500));
}

fn reflection_request(message: MessageRequest) -> ServerReflectionRequest {
    ServerReflectionRequest { host: String::new(), message_request: Some(message) }
}

async fn reflect(channel: &Channel, asked: Vec<MessageRequest>) -> Vec<MessageResponse> {
    let asked = futures::stream::iter(asked.into_iter().map(reflection_request).collect::<Vec<_>>());
    let answers = ServerReflectionClient::new(channel.clone()).server_reflection_info(asked).await.unwrap();
    answers.into_inner().map(|answer| answer.unwrap().message_response.unwrap()).collect().await
}

#[derive(Clone, PartialEq, prost::Message)]
struct RawSet {
    #[prost(bytes = "vec", repeated, tag = "1")]
    file: Vec<Vec<u8>>,
}

#[tokio::test]
async fn reflection_serves_the_contract_as_it_was_compiled() {
    let server = start(Setup::default()).await;
    let channel = server.channel().await;
    let files = RawSet::decode(concierge_proto::DESCRIPTOR_SET).unwrap().file;
    assert!(files.len() > 10);
    let mut asked = Vec::new();
    let mut expected = Vec::new();
    for bytes in &files {
        let file = prost_types::FileDescriptorProto::decode(bytes.as_slice()).unwrap();
        asked.push(MessageRequest::FileByFilename(file.name().to_owned()));
        expected.push(bytes);
        for service in &file.service {
            asked.push(MessageRequest::FileContainingSymbol(format!("{}.{}", file.package(), service.name())));
            expected.push(bytes);
            for method in &service.method {
                let name = format!("{}.{}.{}", file.package(), service.name(), method.name());
                asked.push(MessageRequest::FileContainingSymbol(name));
                expected.push(bytes);
            }
        }
        for message in &file.message_type {
            asked.push(MessageRequest::FileContainingSymbol(format!("{}.{}", file.package(), message.name())));
            expected.push(bytes);
        }
    }
    let answers = reflect(&channel, asked).await;
    assert_eq!(answers.len(), expected.len());
    for (answer, bytes) in answers.iter().zip(expected) {
        let MessageResponse::FileDescriptorResponse(answer) = answer else { panic!("{answer:?}") };
        assert_eq!(&answer.file_descriptor_proto[0], bytes);
    }

    let extended = "google.protobuf.MethodOptions".to_owned();
    let answers = reflect(
        &channel,
        vec![
            MessageRequest::ListServices(String::new()),
            MessageRequest::AllExtensionNumbersOfType(extended.clone()),
            MessageRequest::FileContainingExtension(ExtensionRequest {
                containing_type: extended,
                extension_number: 50001,
            }),
            MessageRequest::FileContainingSymbol("concierge.directory.v1.Nothing".to_owned()),
        ],
    )
    .await;
    let MessageResponse::ListServicesResponse(services) = &answers[0] else { panic!() };
    let names: Vec<&str> = services.service.iter().map(|s| s.name.as_str()).collect();
    assert_eq!(
        names,
        [
            "concierge.directory.v1.AccessService",
            "concierge.event.v1.EventFeedService",
            "grpc.health.v1.Health",
            "grpc.reflection.v1.ServerReflection",
            "grpc.reflection.v1alpha.ServerReflection",
        ]
    );
    let MessageResponse::AllExtensionNumbersResponse(numbers) = &answers[1] else { panic!() };
    assert_eq!(numbers.extension_number, [50001]);
    let MessageResponse::FileDescriptorResponse(_) = &answers[2] else { panic!() };
    let MessageResponse::ErrorResponse(error) = &answers[3] else { panic!() };
    assert_eq!(error.error_code, 5);

    let health =
        reflect(&channel, vec![MessageRequest::FileContainingSymbol("grpc.health.v1.Health".to_owned())]).await;
    assert!(matches!(health[0], MessageResponse::FileDescriptorResponse(_)));

    let old = v1alpha::ServerReflectionRequest {
        host: String::new(),
        message_request: Some(v1alpha::server_reflection_request::MessageRequest::ListServices(String::new())),
    };
    let mut client = v1alpha::server_reflection_client::ServerReflectionClient::new(channel);
    let mut answers = client.server_reflection_info(futures::stream::iter([old])).await.unwrap().into_inner();
    assert!(answers.message().await.unwrap().is_some());
}

#[tokio::test]
async fn reflection_may_want_a_token_or_be_off() {
    let signer = Signer::from_pem(&Signer::generate([1; 32]), "concierge").unwrap();
    let verifier = Arc::new(Verifier::new(VerifierOptions {
        audience: "directory".to_owned(),
        issuer: "concierge".to_owned(),
        keys: Arc::new(KeySet::new([signer.public_key().clone()])),
        revocations: Arc::new(Revocations::default()),
        providers: Vec::new(),
    }));
    let clock: SharedClock = Arc::new(SystemClock);
    let reflection = ReflectionAccess::WithToken(verifier, Arc::clone(&clock));
    let server = start(Setup { reflection, ..Setup::default() }).await;
    let list = || futures::stream::iter([reflection_request(MessageRequest::ListServices(String::new()))]);
    let mut client = ServerReflectionClient::new(server.channel().await);
    assert_eq!(client.server_reflection_info(list()).await.unwrap_err().code(), Code::Unauthenticated);
    let tokens = crate::auth::ServiceTokens::new(Arc::new(signer), "ticket-rule", "directory", ["*"]);
    let mut request = Request::new(list());
    tokens.authorize(&mut request, None, clock.now());
    assert!(client.server_reflection_info(request).await.is_ok());

    let server = start(Setup { reflection: ReflectionAccess::Off, ..Setup::default() }).await;
    let mut client = ServerReflectionClient::new(server.channel().await);
    assert_eq!(client.server_reflection_info(list()).await.unwrap_err().code(), Code::Unimplemented);
}

#[test]
fn knows_services_of_each_service() {
    let directory = services_of("directory");
    assert!(directory.contains(&"concierge.directory.v1.CustomerService"));
    assert!(directory.contains(&"concierge.event.v1.EventFeedService"));
    assert!(services_of("ticket-rule").contains(&"concierge.ticket_rule.v1.TicketService"));
    assert!(!services_of("ticket-rule").iter().any(|name| name.contains("directory")));
}

/// How HTTP/2 begins: the preface and an empty SETTINGS frame.
const GREETING: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";

/// A peer that speaks HTTP/2 just enough to be let in, and then neither reads nor closes.
async fn deaf_peer(address: SocketAddr) -> TcpStream {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(GREETING).await.unwrap();
    stream
}

#[tokio::test(flavor = "multi_thread")]
async fn stop_answers_what_is_under_way_and_waits_for_nobody_else() {
    let server = start(Setup::default()).await;
    let channel = server.channel().await;
    let mut streams = EventFeedServiceClient::new(server.channel().await);
    let mut idle = streams.subscribe(SubscribeRequest::default()).await.unwrap().into_inner();
    idle.message().await.unwrap().unwrap();
    let _silent = TcpStream::connect(server.address).await.unwrap();
    let _deaf = deaf_peer(server.address).await;
    let calls: Vec<_> = (0..100).map(|_| Running::call(&channel, 400)).collect();
    server.begun(100).await;

    let address = server.address;
    let slow = server.slow.clone();
    let took = server.stop().await;
    for call in calls {
        call.await.unwrap().unwrap();
    }
    assert_eq!(slow.dropped.load(Ordering::SeqCst), 100);
    let end = idle.message().await.unwrap_err();
    assert_eq!(end.code(), Code::Unavailable, "{end:?}");
    assert!(!end.details().is_empty(), "with its reason");
    // 400 ms of calls, and a second for the deaf peer: far less than the grace of 5 s.
    assert!(took < Duration::from_millis(2500), "{took:?}");
    assert!(TcpStream::connect(address).await.is_err(), "nobody listens any more");
}

#[tokio::test(flavor = "multi_thread")]
async fn stop_under_load_answers_every_call_that_was_taken() {
    let server = start(Setup::default()).await;
    let (slow, stop) = (server.slow.clone(), server.stop.clone());
    let mut clients = Vec::new();
    for _ in 0..8 {
        let channel = server.channel().await;
        let stop = stop.clone();
        clients.push(tokio::spawn(async move {
            let mut answered = 0;
            loop {
                match Running::call(&channel, 3).await.unwrap() {
                    Ok(()) => answered += 1,
                    // Refused before it was taken: the caller may send it elsewhere.
                    Err(_) if stop.is_cancelled() => break,
                    Err(status) => panic!("{status:?}"),
                }
            }
            answered
        }));
    }
    tokio::time::sleep(Duration::from_millis(200)).await;
    let took = server.stop().await;
    let mut answered = 0;
    for client in clients {
        answered += client.await.unwrap();
    }
    assert!(answered > 8, "{answered}");
    assert_eq!(slow.begun.load(Ordering::SeqCst), answered, "none was taken and not answered");
    assert!(took < Duration::from_secs(1), "{took:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn stop_cuts_off_what_outlasts_the_grace() {
    let grace = Duration::from_millis(300);
    let server = start(Setup { grace, ..Setup::default() }).await;
    let channel = server.channel().await;
    let _deaf = deaf_peer(server.address).await;
    let call = Running::call(&channel, 60_000);
    server.begun(1).await;
    let slow = server.slow.clone();
    let took = server.stop().await;
    assert!(took >= grace && took < grace + Duration::from_millis(250), "{took:?}");
    assert!(call.await.unwrap().is_err());
    for _ in 0..100 {
        if slow.dropped.load(Ordering::SeqCst) == 1 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("the handler goes on although nobody waits for it");
}

#[tokio::test]
async fn silent_peer_is_let_go() {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let tls = Tls::from_pem(&made.cert.pem(), &made.signing_key.serialize_pem().into()).unwrap();
    for tls in [None, Some(tls)] {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let shared = Arc::new(Shared {
            service: Routes::default(),
            tls: tls.clone(),
            http2: connection::http2(10),
            greeting: Duration::from_millis(200),
            stop: CancellationToken::new(),
        });
        let connect = async || {
            let stream = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
            let (accepted, peer) = listener.accept().await.unwrap();
            (stream, tokio::spawn(connection::serve(Arc::clone(&shared), accepted, peer)))
        };
        let (_silent, silent) = connect().await;
        let (mut half, half_served) = connect().await;
        half.write_all(b"PRI * HTTP/2.0").await.unwrap();
        let (mut greeted, greeted_served) = connect().await;
        greeted.write_all(GREETING).await.unwrap();
        for served in [silent, half_served] {
            tokio::time::timeout(Duration::from_secs(2), served).await.unwrap().unwrap();
        }
        assert_eq!(greeted_served.is_finished(), tls.is_some(), "who greets in the clear may stay in the clear");
    }
}

#[tokio::test]
async fn connections_beyond_the_limit_wait() {
    let server = start(Setup { connections: 1, ..Setup::default() }).await;
    let first = server.channel().await;
    Running::call(&first, 0).await.unwrap().unwrap();
    let second = server.channel().await;
    let mut waiting = Running::call(&second, 0);
    assert!(tokio::time::timeout(Duration::from_millis(200), &mut waiting).await.is_err());
    drop(first);
    tokio::time::timeout(Duration::from_secs(5), waiting).await.unwrap().unwrap().unwrap();
}

#[tokio::test]
async fn serves_tls_and_nothing_else_then() {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let key = SecretString::from(made.signing_key.serialize_pem());
    let tls = Tls::from_pem(&made.cert.pem(), &key).unwrap();
    let server = start(Setup { tls: Some(tls), ..Setup::default() }).await;
    let endpoint = Endpoint::from_shared(format!("https://localhost:{}", server.address.port())).unwrap();
    let trusting = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(made.cert.pem()));
    let channel = endpoint.tls_config(trusting).unwrap().connect().await.unwrap();
    let mut client = AccessServiceClient::new(channel);
    let answer = client.list_signing_keys(ListSigningKeysRequest {}).await.unwrap().into_inner();
    assert!(answer.jwks_json.contains(':'), "the peer is known behind TLS too");

    let clear = Endpoint::from_shared(format!("http://{}", server.address)).unwrap().connect_lazy();
    assert!(Running::call(&clear, 0).await.unwrap().is_err());
    let _silent = TcpStream::connect(server.address).await.unwrap();
    drop(client);
    assert!(server.stop().await < Duration::from_secs(2));
}

#[tokio::test]
async fn metrics_are_served_over_http() {
    let recorder = metrics_exporter_prometheus::PrometheusBuilder::new().build_recorder();
    let handle = recorder.handle();
    ::metrics::with_local_recorder(&recorder, || ::metrics::counter!("things_total").increment(3));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let stop = CancellationToken::new();
    let served = tokio::spawn(serve_metrics(listener, handle, stop.clone()));
    for (path, expected) in [("/metrics", "things_total 3"), ("/", "404"), ("/metrics", "200 OK")] {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).await.unwrap();
        assert!(text.contains(expected), "{text}");
    }
    stop.cancel();
    served.await.unwrap().unwrap();
}

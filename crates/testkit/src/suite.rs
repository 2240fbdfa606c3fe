//! Services in the test's own process, each on a database of its own and a real socket, all trusting one key.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;
use concierge_proto::CallerKind;
use concierge_runtime::Service;
use concierge_runtime::auth::{Audience, Claims, KeySet, ScopeClaim, ServiceTokens, Signer};
use concierge_runtime::clock::Clock as _;
use concierge_runtime::layers::{Admission, Layers};
use concierge_runtime::program::{Host, HostOptions, Program};
use concierge_runtime::seal::Sealer;
use concierge_runtime::upstream::Upstream;
use tokio::net::TcpSocket;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::service::interceptor::InterceptedService;
use tonic::transport::server::TcpIncoming;
use tonic::transport::{Channel, Endpoint, Server};
use tonic::{Request, Status};
use uuid::Uuid;

use crate::clock::TestClock;
use crate::database::TestDatabase;

/// The issuer of every token in tests.
pub const ISSUER: &str = "concierge-test";

/// A connection with a token: give it to any generated client's `new`.
pub type Api = InterceptedService<Channel, Bearer>;

/// Adds a token to every request.
#[derive(Clone, Debug)]
pub struct Bearer(Option<MetadataValue<Ascii>>);

impl tonic::service::Interceptor for Bearer {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        if let Some(bearer) = &self.0 {
            request.metadata_mut().insert("authorization", bearer.clone());
        }
        Ok(request)
    }
}

/// One running service.
#[derive(Debug)]
pub struct Running {
    /// What it stands on.
    pub host: Host,
    /// Its database.
    pub database: TestDatabase,
    /// Where it listens.
    pub address: SocketAddr,
    work: Vec<JoinHandle<()>>,
}

impl Running {
    /// Stops it in the middle of whatever it does, as a killed process would.
    pub fn kill(&mut self) {
        for task in self.work.drain(..) {
            task.abort();
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.host.stop.cancel();
        self.kill();
    }
}

/// Services that know each other, one key, one clock.
#[derive(Debug)]
pub struct Suite {
    /// The clock of all services.
    pub clock: Arc<TestClock>,
    /// Signs every token.
    pub signer: Arc<Signer>,
    /// The largest message that services started from now on take, in bytes: 4 MiB unless a test says otherwise.
    pub max_message: usize,
    /// How many requests services started from now on serve at once: 512 unless a test says otherwise.
    pub concurrency: usize,
    /// Bound and not yet listening: who connects is refused, as by a service that is away.
    sockets: HashMap<&'static str, TcpSocket>,
    addresses: HashMap<&'static str, SocketAddr>,
    running: HashMap<&'static str, Running>,
}

/// A socket of its own port, bound and not listening.
fn socket() -> TcpSocket {
    let socket = TcpSocket::new_v4().expect("a socket");
    // Connections take this over: without it a closed one keeps the port from a restart for a minute (TIME_WAIT).
    socket.set_reuseaddr(true).expect("a socket");
    socket.bind((std::net::Ipv4Addr::LOCALHOST, 0).into()).expect("a free port");
    socket
}

const SERVICES: [&str; 3] = ["directory", "ticket-rule", "notification"];

impl Suite {
    /// A suite of which nothing runs yet. Addresses are set aside, so services find each other in any order.
    pub fn new() -> Self {
        // What goes wrong inside a service is told to nobody but its log: a failing test shows it.
        let log = tracing_subscriber::fmt()
            .with_test_writer()
            .with_max_level(tracing_subscriber::filter::LevelFilter::ERROR)
            .with_ansi(false);
        let _ = log.try_init();
        let pem = Signer::generate([7; 32]);
        let signer = Arc::new(Signer::from_pem(&pem, ISSUER).expect("a generated key"));
        let mut sockets = HashMap::new();
        let mut addresses = HashMap::new();
        for name in SERVICES {
            let socket = socket();
            addresses.insert(name, socket.local_addr().expect("a bound socket"));
            sockets.insert(name, socket);
        }
        Self {
            clock: Arc::default(),
            signer,
            max_message: 4 << 20,
            concurrency: 512,
            sockets,
            addresses,
            running: HashMap::new(),
        }
    }

    /// Starts a service on a fresh database.
    pub async fn start<P: Program>(&mut self) -> &mut Running {
        let database = TestDatabase::new(P::NAME, P::migrations()).await;
        let running = self.start_on::<P>(database).await;
        self.running.insert(P::NAME, running);
        self.service(P::NAME)
    }

    /// Starts another replica of a running service, on the same database and a port of its own; it is the caller's.
    pub async fn replica<P: Program>(&mut self) -> Running {
        self.sockets.insert(P::NAME, socket());
        let database = self.service(P::NAME).database.share();
        self.start_on::<P>(database).await
    }

    async fn start_on<P: Program>(&mut self, database: TestDatabase) -> Running {
        let socket = self.sockets.remove(P::NAME).expect("a service starts once; then start a replica");
        let listener = socket.listen(1024).expect("a bound socket");
        let address = listener.local_addr().expect("a bound socket");
        let clock: Arc<dyn concierge_runtime::clock::Clock> = self.clock.clone();
        let service = Service::new(P::NAME, database.pool.clone(), database.background(), clock);
        let keys = Arc::new(KeySet::new([self.signer.public_key().clone()]));
        let stop = CancellationToken::new();
        let host = Host::new(HostOptions {
            service,
            signer: Arc::clone(&self.signer),
            keys,
            providers: Vec::new(),
            directory: (P::NAME != "directory").then(|| self.upstream(P::NAME, "directory")),
            ticket_rule: (P::NAME != "ticket-rule").then(|| self.upstream(P::NAME, "ticket-rule")),
            stop: stop.clone(),
        })
        .with_sealer(Sealer::new([[9; 32]]))
        .with_max_message(self.max_message);
        let layers = Layers {
            verifier: Arc::clone(&host.verifier),
            clock: Arc::clone(host.clock()),
            admission: Admission::new(self.concurrency),
            default_deadline: Duration::from_secs(30),
            max_deadline: Duration::from_secs(120),
            max_message: self.max_message,
        };
        let mut work: Vec<JoinHandle<()>> = host.tasks::<P>().into_iter().map(tokio::spawn).collect();
        let routes = P::routes(&host);
        work.push(tokio::spawn(async move {
            // As the programs do: without it an answer may wait 40 ms for the acknowledgement of what went before.
            let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
            let served = Server::builder()
                .layer(layers)
                .add_routes(routes)
                .serve_with_incoming_shutdown(incoming, stop.cancelled_owned());
            // Killed at the end of a test: what it says then does not matter.
            let _ = served.await;
        }));
        Running { host, database, address, work }
    }

    fn upstream(&self, me: &'static str, name: &'static str) -> Upstream {
        let clock: Arc<dyn concierge_runtime::clock::Clock> = self.clock.clone();
        let tokens = ServiceTokens::new(Arc::clone(&self.signer), me, name, ["*"]);
        // Who is away is away at once, and a machine that runs many tests is slow.
        Upstream::new(name, self.channel(name), Arc::new(tokens), clock).with_patience(Duration::from_secs(20))
    }

    /// A running service.
    pub fn service(&mut self, name: &'static str) -> &mut Running {
        self.running.get_mut(name).expect("a started service")
    }

    /// Kills a service; its database stays.
    pub fn kill(&mut self, name: &'static str) {
        self.service(name).kill();
    }

    /// Starts a killed service again on its database and its address.
    pub async fn restart<P: Program>(&mut self) {
        let mut old = self.running.remove(P::NAME).expect("a started service");
        old.kill();
        let database = old.database.share();
        let address = old.address;
        drop(old);
        // The aborted server lets go of its socket as soon as its task is dropped.
        let socket = loop {
            let socket = TcpSocket::new_v4().expect("a socket");
            // Connections of the killed one may linger.
            socket.set_reuseaddr(true).expect("a socket");
            match socket.bind(address) {
                Ok(()) => break socket,
                Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
            }
        };
        self.sockets.insert(P::NAME, socket);
        let running = self.start_on::<P>(database).await;
        self.running.insert(P::NAME, running);
    }

    /// A channel to a service, started or not.
    pub fn channel(&self, name: &str) -> Channel {
        let address = self.addresses[name];
        Endpoint::from_shared(format!("http://{address}")).expect("an address").connect_lazy()
    }

    /// A connection as somebody.
    pub fn api(&self, name: &str, who: &Who) -> Api {
        self.api_over(self.channel(name), name, who)
    }

    /// A connection as somebody to one replica of a service.
    pub fn api_of(&self, replica: &Running, who: &Who) -> Api {
        let channel = Endpoint::from_shared(format!("http://{}", replica.address)).expect("an address").connect_lazy();
        self.api_over(channel, replica.host.service.name(), who)
    }

    fn api_over(&self, channel: Channel, name: &str, who: &Who) -> Api {
        let token = self.token(name, who);
        let bearer = MetadataValue::try_from(format!("Bearer {token}")).expect("a token");
        InterceptedService::new(channel, Bearer(Some(bearer)))
    }

    /// A connection as an agent who may do everything.
    pub fn admin(&self, name: &str) -> Api {
        self.api(name, &Who::agent(Uuid::from_u128(0xad)))
    }

    /// A connection without a token.
    pub fn anonymous(&self, name: &str) -> Api {
        InterceptedService::new(self.channel(name), Bearer(None))
    }

    /// A token for a service.
    pub fn token(&self, audience: &str, who: &Who) -> String {
        self.signer.sign(&self.claims(audience, who))
    }

    /// The claims of such a token, for a test to spoil.
    pub fn claims(&self, audience: &str, who: &Who) -> Claims {
        let now = self.clock.now();
        Claims {
            iss: ISSUER.to_owned(),
            aud: Audience(vec![audience.to_owned()]),
            sub: who.subject.clone(),
            kind: who.kind,
            scope: ScopeClaim(who.scope.clone()),
            customer_id: who.customer_id,
            site_id: who.site_id,
            iat: now.timestamp_millis(),
            exp: (now + TimeDelta::minutes(10)).timestamp(),
            jti: None,
        }
    }
}

impl Default for Suite {
    fn default() -> Self {
        Self::new()
    }
}

/// Somebody who calls.
#[derive(Clone, Debug)]
pub struct Who {
    /// What they are.
    pub kind: CallerKind,
    /// Their id, or a service's name.
    pub subject: String,
    /// What they may do.
    pub scope: Vec<String>,
    /// The customer of a user.
    pub customer_id: Option<Uuid>,
    /// The site of a user.
    pub site_id: Option<Uuid>,
}

impl Who {
    /// An agent who may do everything.
    pub fn agent(id: Uuid) -> Self {
        Self {
            kind: CallerKind::Agent,
            subject: id.to_string(),
            scope: vec!["*".to_owned()],
            customer_id: None,
            site_id: None,
        }
    }

    /// A user of a customer's site in the portal.
    pub fn user(id: &str, customer_id: &str, site_id: &str) -> Self {
        Self {
            kind: CallerKind::User,
            subject: id.to_owned(),
            scope: vec!["*".to_owned()],
            customer_id: customer_id.parse().ok(),
            site_id: site_id.parse().ok(),
        }
    }

    /// Another service.
    pub fn service(name: &str) -> Self {
        Self {
            kind: CallerKind::Service,
            subject: name.to_owned(),
            scope: vec!["*".to_owned()],
            customer_id: None,
            site_id: None,
        }
    }

    /// The same, with only these permissions.
    #[must_use]
    pub fn with_scope(mut self, scope: &[&str]) -> Self {
        self.scope = scope.iter().map(|s| (*s).to_owned()).collect();
        self
    }
}

/// A new `request_id`.
#[allow(clippy::disallowed_methods)]
pub fn request_id() -> String {
    Uuid::new_v4().to_string()
}

//! A service as a program: what it is made of, and what it needs to run.

mod keys;
mod readiness;
mod run;
mod stream;
mod tasks;

use std::sync::Arc;

use futures::future::BoxFuture;
use sqlx::migrate::Migrator;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::auth::{KeySet, Revocations, Signer, Verifier, VerifierOptions};
use crate::clock::SharedClock;
use crate::feed::server::FeedServer;
use crate::feed::{revocations, sequencer};
use crate::seal::Sealer;
use crate::service::Service;
use crate::upstream::Upstream;

pub use run::{main, migrate, serve, serve_until};
pub use stream::{Parts, Sender};

/// Work that goes on until the host stops.
pub type Task = BoxFuture<'static, ()>;

/// A service: implemented once by each, run by its own program, by `concierge up` and by the tests.
pub trait Program: Send + Sync + 'static {
    /// Its name: of its database, of its audience in tokens, of the source of its events.
    const NAME: &'static str;

    /// The migrations of its own; those that every service has come with the runtime.
    fn migrations() -> &'static Migrator;

    /// Its gRPC services.
    fn routes(host: &Host) -> tonic::service::Routes;

    /// What it does by itself: consumers, deliveries. Sequencing, revocations and clean-up come with the runtime.
    fn tasks(host: &Host) -> Vec<Task>;
}

/// What a running service stands on.
#[derive(Clone, Debug)]
pub struct Host {
    /// Its database, clock and name.
    pub service: Service,
    /// Its feed; a program adds the resources that snapshots can hold.
    pub feed: FeedServer,
    /// Signs its own tokens.
    pub signer: Arc<Signer>,
    /// The public keys it trusts.
    pub keys: Arc<KeySet>,
    /// The tokens it refuses.
    pub revocations: Arc<Revocations>,
    /// Checks tokens.
    pub verifier: Arc<Verifier>,
    /// The directory; `None` in the directory itself.
    pub directory: Option<Upstream>,
    /// The ticket-rule service; `None` where it is not called.
    pub ticket_rule: Option<Upstream>,
    /// Encrypts the secrets that the service keeps; see [`Host::with_sealer`].
    pub sealer: Arc<Sealer>,
    /// The largest message that its services take, in bytes; see [`Host::with_max_message`].
    pub max_message: usize,
    /// Cancelled when the service stops.
    pub stop: CancellationToken,
    head: Arc<watch::Sender<i64>>,
}

/// The largest message taken where nothing else was said, in bytes.
const DEFAULT_MAX_MESSAGE: usize = 4 << 20;

/// What a host is made from.
#[derive(Debug)]
pub struct HostOptions {
    /// The service.
    pub service: Service,
    /// See [`Host::signer`].
    pub signer: Arc<Signer>,
    /// See [`Host::keys`].
    pub keys: Arc<KeySet>,
    /// Other issuers whose tokens are accepted.
    pub providers: Vec<crate::auth::OpenIdProvider>,
    /// See [`Host::directory`].
    pub directory: Option<Upstream>,
    /// See [`Host::ticket_rule`].
    pub ticket_rule: Option<Upstream>,
    /// See [`Host::stop`].
    pub stop: CancellationToken,
}

impl Host {
    /// Puts a host together; nothing runs yet.
    pub fn new(options: HostOptions) -> Self {
        let HostOptions { service, signer, keys, providers, directory, ticket_rule, stop } = options;
        let revocations = Arc::new(Revocations::default());
        let verifier = Arc::new(Verifier::new(VerifierOptions {
            audience: service.name().to_owned(),
            issuer: signer.issuer().to_owned(),
            keys: Arc::clone(&keys),
            revocations: Arc::clone(&revocations),
            providers,
        }));
        let (head, seen) = watch::channel(0);
        let feed = FeedServer::new(service.clone(), seen, stop.clone(), Arc::clone(&revocations));
        let sealer = Arc::default();
        let head = Arc::new(head);
        let max_message = DEFAULT_MAX_MESSAGE;
        Self {
            service,
            feed,
            signer,
            keys,
            revocations,
            verifier,
            directory,
            ticket_rule,
            sealer,
            max_message,
            stop,
            head,
        }
    }

    /// The same host, whose services take messages of up to so many bytes; 4 MiB without.
    #[must_use]
    pub fn with_max_message(self, max_message: usize) -> Self {
        Self { max_message, ..self }
    }

    /// The same host with keys to encrypt secrets with; without any, none can be kept.
    #[must_use]
    pub fn with_sealer(self, sealer: Sealer) -> Self {
        Self { sealer: Arc::new(sealer), ..self }
    }

    /// The clock.
    pub fn clock(&self) -> &SharedClock {
        self.service.clock()
    }

    /// Everything that the service does by itself: the program's tasks, and those of every service.
    pub fn tasks<P: Program>(&self) -> Vec<Task> {
        let mut tasks = P::tasks(self);
        let (service, stop) = (self.service.clone(), self.stop.clone());
        tasks.push(Box::pin(sequencer::run(service.clone(), (*self.head).clone(), stop.clone())));
        tasks.push(Box::pin(sequencer::listen(service.clone(), (*self.head).clone(), stop.clone())));
        tasks.push(Box::pin(crate::housekeeping::run(service.clone(), stop.clone())));
        match &self.directory {
            Some(directory) => {
                let watch = revocations::Watch {
                    service,
                    directory: directory.clone(),
                    revocations: Arc::clone(&self.revocations),
                    upstreams: self.directory.iter().chain(&self.ticket_rule).cloned().collect(),
                };
                tasks.push(Box::pin(watch.run(stop.clone())));
                tasks.push(Box::pin(keys::learn(self.clone(), directory.clone())));
            }
            // The directory's own feed is in its own database.
            None => {
                let revocations = Arc::clone(&self.revocations);
                tasks.push(Box::pin(revocations::watch_own(service, revocations, self.head.subscribe(), stop)));
            }
        }
        tasks
    }
}

/// Adds a handler to the routes of a service once for each of its gRPC services, accepting compressed requests and
/// messages as large as the host takes.
#[macro_export]
macro_rules! routes {
    ($host:expr, $handler:expr; $($server:path),+ $(,)?) => {{
        let handler = std::sync::Arc::new($handler);
        let mut routes = tonic::service::Routes::builder();
        $( routes.add_service($crate::served!($host, <$server>::from_arc(std::sync::Arc::clone(&handler)))); )+
        routes.routes()
    }};
}

/// A generated server that accepts compressed requests, and messages as large as the host takes.
#[macro_export]
macro_rules! served {
    ($host:expr, $server:expr) => {
        $crate::served!($server.max_decoding_message_size($host.max_message))
    };
    ($server:expr) => {
        $server
            .accept_compressed(tonic::codec::CompressionEncoding::Gzip)
            .accept_compressed(tonic::codec::CompressionEncoding::Zstd)
    };
}

//! The suite as real processes on a private Postgres, to be killed.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::TimeDelta;
use concierge_directory::Directory;
use concierge_notification::Notification;
use concierge_postgres::{Options, Server};
use concierge_proto::CallerKind;
use concierge_runtime::auth::{Audience, Claims, ScopeClaim, Signer};
use concierge_runtime::clock::{Clock as _, SystemClock};
use concierge_runtime::config::DEFAULT_ISSUER;
use concierge_runtime::db;
use concierge_runtime::program::Program;
use concierge_ticket_rule::TicketRule;
use secrecy::ExposeSecret as _;
use sqlx::{Connection as _, PgConnection, PgPool};
use tonic::metadata::{Ascii, MetadataValue};
use tonic::service::interceptor::InterceptedService;
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Status};
use uuid::Uuid;

use crate::ports;

/// The services, with the names of their databases.
pub const SERVICES: [(&str, &str); 3] =
    [("directory", "directory"), ("ticket-rule", "ticket_rule"), ("notification", "notification")];

/// A connection with a token that is always fresh.
pub type Api = InterceptedService<Channel, Fresh>;

/// Signs a token for every request.
#[derive(Clone, Debug)]
pub struct Fresh(Arc<Signer>);

impl tonic::service::Interceptor for Fresh {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        let now = SystemClock.now();
        let token = self.0.sign(&Claims {
            iss: DEFAULT_ISSUER.to_owned(),
            aud: Audience(SERVICES.map(|(name, _)| name.to_owned()).to_vec()),
            sub: Uuid::from_u128(0xad).to_string(),
            kind: CallerKind::Agent,
            scope: ScopeClaim(vec!["*".to_owned()]),
            customer_id: None,
            site_id: None,
            iat: now.timestamp_millis(),
            exp: (now + TimeDelta::minutes(5)).timestamp(),
            jti: None,
        });
        let bearer: MetadataValue<Ascii> = format!("Bearer {token}").parse().expect("a token");
        request.metadata_mut().insert("authorization", bearer);
        Ok(request)
    }
}

/// One process.
#[derive(Debug)]
struct Process {
    service: &'static str,
    port: u16,
    child: Child,
}

/// Every service as `replicas` processes, on a private Postgres.
#[derive(Debug)]
pub struct Processes {
    /// The database server.
    pub postgres: Server,
    program: PathBuf,
    folder: tempfile::TempDir,
    signer: Arc<Signer>,
    ports: HashMap<&'static str, Vec<u16>>,
    settings: Vec<(&'static str, String)>,
    running: Vec<Process>,
}

impl Processes {
    /// Starts everything and waits until it serves. `program` is this package's own program.
    pub async fn start(program: &Path, replicas: usize) -> Self {
        Self::start_with(program, replicas, Vec::new()).await
    }

    /// The same, with these settings in the environment of every process.
    pub async fn start_with(program: &Path, replicas: usize, settings: Vec<(&'static str, String)>) -> Self {
        // A crash of the server, not of the machine, is what these tests bring about: commits must be in the
        // server's log, the log need not be on the disk.
        let postgres = tokio::task::spawn_blocking(|| {
            let options = Options::temporary().setting("max_connections", 300).setting("synchronous_commit", "on");
            Server::start(options.setting("full_page_writes", "on")).expect("a private Postgres server")
        })
        .await
        .expect("a private Postgres server");
        for (service, database) in SERVICES {
            let mut connection = PgConnection::connect(&postgres.url("postgres")).await.expect("a connection");
            let create = format!("create database {database}");
            sqlx::raw_sql(sqlx::AssertSqlSafe(create)).execute(&mut connection).await.expect("a database");
            let pool = pool(&postgres.url(database));
            let migrations = match service {
                "directory" => Directory::migrations(),
                "ticket-rule" => TicketRule::migrations(),
                _ => Notification::migrations(),
            };
            db::migrate(&pool, service, migrations).await.expect("migrations");
            pool.close().await;
        }
        let folder = tempfile::tempdir().expect("a folder");
        let pem = Signer::generate([9; 32]);
        std::fs::write(folder.path().join("signing.key"), pem.expose_secret()).expect("a file");
        let signer = Arc::new(Signer::from_pem(&pem, DEFAULT_ISSUER).expect("a key"));
        let ports = SERVICES.map(|(name, _)| (name, (0..replicas).map(|_| ports::free(1)).collect())).into();
        let program = program.to_owned();
        let mut processes = Self { postgres, program, folder, signer, ports, settings, running: Vec::new() };
        for (service, _) in SERVICES {
            for replica in 0..replicas {
                processes.spawn(service, replica);
            }
        }
        for (service, _) in SERVICES {
            for replica in 0..replicas {
                processes.serving(service, replica).await;
            }
        }
        processes
    }

    fn spawn(&mut self, service: &'static str, replica: usize) {
        let port = self.ports[service][replica];
        let database = SERVICES.iter().find(|(name, _)| *name == service).map_or("", |(_, database)| database);
        let log = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.folder.path().join(format!("{service}-{replica}.log")))
            .expect("a log");
        let child = Command::new(&self.program)
            .arg(service)
            // A flag of these tests, and no setting of a service.
            .env_remove("CONCIERGE_FAULT_CYCLES")
            .env("DATABASE_URL", self.postgres.url(database))
            .env("CONCIERGE_LISTEN", format!("127.0.0.1:{port}"))
            .env("CONCIERGE_SIGNING_KEY_FILE", self.folder.path().join("signing.key"))
            .env("CONCIERGE_UPSTREAMS__DIRECTORY", format!("http://127.0.0.1:{}", self.ports["directory"][0]))
            .env("CONCIERGE_UPSTREAMS__TICKET_RULE", format!("http://127.0.0.1:{}", self.ports["ticket-rule"][0]))
            .env("CONCIERGE_STOP_WITH_STDIN", "true")
            .envs(self.settings.iter().map(|(name, value)| (*name, value)))
            .stdin(Stdio::piped())
            .stdout(log.try_clone().expect("a log"))
            .stderr(log)
            .spawn()
            .expect("a process");
        self.running.push(Process { service, port, child });
    }

    /// Kills one replica as `kill -9` does.
    pub fn kill(&mut self, service: &str, replica: usize) {
        let port = self.ports[service][replica];
        if let Some(at) = self.running.iter().position(|p| p.service == service && p.port == port) {
            let mut process = self.running.remove(at);
            let _ = process.child.kill();
            let _ = process.child.wait();
        }
    }

    /// Starts a killed replica again.
    pub fn restart(&mut self, service: &'static str, replica: usize) {
        self.kill(service, replica);
        self.spawn(service, replica);
    }

    /// Waits until a replica serves.
    pub async fn serving(&self, service: &str, replica: usize) {
        let channel = self.channel(service, replica);
        let mut health = tonic_health::pb::health_client::HealthClient::new(channel);
        let until = Instant::now() + Duration::from_secs(60);
        loop {
            let request = tonic_health::pb::HealthCheckRequest { service: "readiness".to_owned() };
            let serving = tonic_health::pb::health_check_response::ServingStatus::Serving;
            if health.check(request).await.is_ok_and(|a| a.into_inner().status == i32::from(serving)) {
                return;
            }
            assert!(Instant::now() < until, "{service} does not serve:\n{}", self.log(service, replica));
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// A replica's whole log.
    pub fn whole_log(&self, service: &str, replica: usize) -> String {
        std::fs::read_to_string(self.folder.path().join(format!("{service}-{replica}.log"))).unwrap_or_default()
    }

    /// The end of a replica's log.
    pub fn log(&self, service: &str, replica: usize) -> String {
        let text = self.whole_log(service, replica);
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(40)..].join("\n")
    }

    fn channel(&self, service: &str, replica: usize) -> Channel {
        let address = format!("http://127.0.0.1:{}", self.ports[service][replica]);
        Endpoint::from_shared(address).expect("an address").connect_timeout(Duration::from_secs(1)).connect_lazy()
    }

    /// A connection to a replica, as an agent who may do everything.
    pub fn api(&self, service: &str, replica: usize) -> Api {
        InterceptedService::new(self.channel(service, replica), Fresh(Arc::clone(&self.signer)))
    }

    /// The database of a service, to look into.
    pub fn database(&self, database: &str) -> PgPool {
        pool(&self.postgres.url(database))
    }
}

impl Drop for Processes {
    fn drop(&mut self) {
        for process in &mut self.running {
            let _ = process.child.kill();
            let _ = process.child.wait();
        }
    }
}

fn pool(url: &str) -> PgPool {
    db::pool(&url.to_owned().into(), 4, Duration::from_secs(60), "test").expect("a URL of our own making")
}

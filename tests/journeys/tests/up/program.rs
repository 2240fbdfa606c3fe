//! A stand-alone program as a process, with a database that its own `migrate` makes, and its surroundings.

use std::fs::File;
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::time::{Duration, Instant};

use concierge_journeys::ports;
use concierge_runtime::auth::{Audience, Claims, ScopeClaim, Signer};
use concierge_runtime::clock::{Clock as _, SystemClock};
use concierge_runtime::config::DEFAULT_ISSUER;
use rustix::process::Signal;
use secrecy::ExposeSecret as _;
use sqlx::{Connection as _, PgConnection};
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Status};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

use crate::kit::{PATIENCE, PROGRAM, kill};

/// One of `directory`, `ticket-rule`, `notification`, with an empty database and a port of its own.
pub(crate) struct Program {
    pub(crate) name: &'static str,
    pub(crate) folder: tempfile::TempDir,
    pub(crate) port: u16,
    pub(crate) database: String,
}

impl Program {
    pub(crate) async fn new(name: &'static str) -> Self {
        let server = tokio::task::spawn_blocking(concierge_testkit::database::server).await.unwrap();
        let (folder, port) = (tempfile::tempdir().unwrap(), ports::free(1));
        let database = format!("alone_{}_{port}", name.replace('-', "_"));
        let mut connection = PgConnection::connect(&server.url("postgres")).await.unwrap();
        let create = format!("create database {database}");
        sqlx::raw_sql(sqlx::AssertSqlSafe(create)).execute(&mut connection).await.unwrap();
        std::fs::write(folder.path().join("signing.key"), Signer::generate([7; 32]).expose_secret()).unwrap();
        Self { name, folder, port, database: server.url(&database) }
    }

    pub(crate) fn path(&self, file: &str) -> PathBuf {
        self.folder.path().join(file)
    }

    /// The program without any setting.
    pub(crate) fn bare(&self, what: &str) -> Command {
        let mut command = Command::new(PROGRAM);
        command.arg0(self.name).arg(what).current_dir(self.folder.path()).stdin(Stdio::null());
        command
    }

    /// The program with what it needs from the environment.
    pub(crate) fn command(&self, what: &str) -> Command {
        let mut command = self.bare(what);
        command
            .env("DATABASE_URL", &self.database)
            .env("CONCIERGE_LISTEN", format!("127.0.0.1:{}", self.port))
            .env("CONCIERGE_SIGNING_KEY_FILE", "signing.key")
            // Nobody is there.
            .env("CONCIERGE_UPSTREAMS__DIRECTORY", "http://127.0.0.1:1")
            .env("CONCIERGE_UPSTREAMS__TICKET_RULE", "http://127.0.0.1:1");
        command
    }

    pub(crate) fn start(&self, mut command: Command) -> Serving {
        let log = self.path("log");
        let file = File::create(&log).unwrap();
        command.stdout(file.try_clone().unwrap()).stderr(file);
        Serving { child: command.spawn().unwrap(), log }
    }

    pub(crate) fn endpoint(&self) -> Endpoint {
        Endpoint::from_shared(format!("http://127.0.0.1:{}", self.port)).unwrap()
    }

    /// A request with a token that may do everything here.
    pub(crate) fn request<M>(&self, message: M) -> Request<M> {
        let signer = Signer::from_pem(&Signer::generate([7; 32]), DEFAULT_ISSUER).unwrap();
        let now = SystemClock.now();
        let token = signer.sign(&Claims {
            iss: DEFAULT_ISSUER.to_owned(),
            aud: Audience(vec![self.name.to_owned()]),
            sub: uuid::Uuid::from_u128(0xad).to_string(),
            kind: concierge_proto::CallerKind::Agent,
            scope: ScopeClaim(vec!["*".to_owned()]),
            customer_id: None,
            site_id: None,
            iat: now.timestamp_millis(),
            exp: (now + chrono::TimeDelta::minutes(5)).timestamp(),
            jti: None,
        });
        let mut request = Request::new(message);
        request.set_timeout(Duration::from_secs(20));
        request.metadata_mut().insert("authorization", format!("Bearer {token}").parse().unwrap());
        request
    }
}

/// A stand-alone program that serves.
pub(crate) struct Serving {
    child: Child,
    log: PathBuf,
}

impl Serving {
    /// Waits until it says over health that requests may come.
    pub(crate) async fn ready(&mut self, channel: &Channel) {
        let until = Instant::now() + PATIENCE;
        while health(channel).await.ok() != Some(ServingStatus::Serving.into()) {
            let ended = self.child.try_wait().unwrap();
            assert!(ended.is_none() && Instant::now() < until, "it does not serve ({ended:?}):\n{}", self.said());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    pub(crate) fn said(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap()
    }

    pub(crate) fn terminate(&self) {
        kill(self.child.id(), Signal::TERM);
    }

    pub(crate) async fn ended(&mut self) -> ExitStatus {
        let until = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(Instant::now() < until, "it does not end:\n{}", self.said());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What health says about readiness.
pub(crate) async fn health(channel: &Channel) -> Result<i32, Status> {
    let mut health = HealthClient::new(channel.clone());
    let request = HealthCheckRequest { service: "readiness".to_owned() };
    Ok(health.check(request).await?.into_inner().status)
}

/// What a program said that ended by itself.
pub(crate) fn said(output: &Output) -> String {
    String::from_utf8_lossy(&[output.stdout.clone(), output.stderr.clone()].concat()).into_owned()
}

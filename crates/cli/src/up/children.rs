//! The services as processes of their own: started, watched, started again when they crash, drained at the end.

use std::fs::{File, OpenOptions, TryLockError};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use tokio::process::{Child as Process, ChildStdin, Command};
use tonic::transport::Endpoint;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

/// The variable that tells a child to stop when its standard input closes.
pub(crate) const STOP_WITH_STDIN: &str = "CONCIERGE_STOP_WITH_STDIN";

/// Settings of the surroundings that a child must not take from them: they are given to it, or are for us alone.
const NOT_FOR_CHILDREN: [&str; 8] = [
    "CONCIERGE_DATABASE__URL",
    "CONCIERGE_HOME",
    "CONCIERGE_PG_ARCHIVE_SHA256",
    "CONCIERGE_PG_ARCHIVE_URL",
    "CONCIERGE_PG_BIN",
    "CONCIERGE_PG_FETCH",
    // Services of one machine call each other in the clear.
    "CONCIERGE_TLS__CERTIFICATE_FILE",
    "CONCIERGE_TLS__KEY_FILE",
];

/// How long a service of an `up` that was killed may take to end: its grace, and a little.
const EARLIER: Duration = Duration::from_secs(15);

/// How a child is started.
#[derive(Clone)]
pub(crate) struct ChildOptions {
    pub(crate) name: &'static str,
    pub(crate) address: String,
    pub(crate) metrics: String,
    pub(crate) directory: String,
    pub(crate) ticket_rule: String,
    pub(crate) database: String,
    pub(crate) key: PathBuf,
    pub(crate) secret_keys: String,
    pub(crate) log: PathBuf,
}

/// One service.
pub(crate) struct Child {
    options: ChildOptions,
    process: Process,
    /// Closing it tells the child to stop. Held here, because waiting for a process closes what it still holds.
    stdin: Option<ChildStdin>,
    started: Instant,
    wait: Duration,
}

impl Child {
    pub(crate) async fn start(options: ChildOptions) -> anyhow::Result<Self> {
        let mut process = spawn(&options).await?;
        let stdin = process.stdin.take();
        Ok(Self { options, process, stdin, started: Instant::now(), wait: Duration::from_millis(100) })
    }

    pub(crate) fn name(&self) -> &'static str {
        self.options.name
    }

    /// Waits until the service says that it serves.
    pub(crate) async fn serving(&mut self) -> anyhow::Result<()> {
        let channel = Endpoint::from_shared(format!("http://{}", self.options.address))?.connect_lazy();
        let mut health = HealthClient::new(channel);
        let until = Instant::now() + Duration::from_secs(60);
        loop {
            let answer = health.check(HealthCheckRequest { service: "readiness".to_owned() }).await;
            let log = self.options.log.display();
            if let Some(ended) = self.process.try_wait()? {
                bail!("{} ended with {ended} instead of serving: see {log}{}", self.name(), tail(&self.options.log));
            }
            if answer.is_ok_and(|a| a.into_inner().status == i32::from(ServingStatus::Serving)) {
                return Ok(());
            }
            if Instant::now() > until {
                bail!("{} does not serve after a minute: see {log}{}", self.name(), tail(&self.options.log));
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    async fn watch(&mut self) {
        loop {
            let ended = self.process.wait().await;
            // One that ran for a while gets a fresh start at once; one that keeps crashing is given time.
            self.wait = if self.started.elapsed() > Duration::from_secs(30) {
                Duration::from_millis(100)
            } else {
                (self.wait * 2).min(Duration::from_secs(10))
            };
            let how = ended.map_or_else(|e| e.to_string(), |status| status.to_string());
            eprintln!(
                "concierge: {} ended ({how}); starting it again in {:.1} s (its log: {})",
                self.name(),
                self.wait.as_secs_f64(),
                self.options.log.display()
            );
            tokio::time::sleep(self.wait).await;
            match spawn(&self.options).await {
                Ok(mut process) => {
                    self.stdin = process.stdin.take();
                    self.process = process;
                    self.started = Instant::now();
                }
                Err(error) => eprintln!("concierge: {error:#}"),
            }
        }
    }
}

/// How large a log gets before a start puts it aside.
const LOG_SIZE: u64 = 16 << 20;

async fn spawn(options: &ChildOptions) -> anyhow::Result<Process> {
    let log = fresh_log(&options.log).await?;
    let program = program()?;
    let mut command = Command::new(&program);
    for name in NOT_FOR_CHILDREN {
        command.env_remove(name);
    }
    command
        .args(["serve", options.name])
        .env("DATABASE_URL", &options.database)
        .env("CONCIERGE_LISTEN", &options.address)
        .env("CONCIERGE_METRICS_LISTEN", &options.metrics)
        .env("CONCIERGE_SIGNING_KEY_FILE", &options.key)
        .env("CONCIERGE_SECRET_KEYS", &options.secret_keys)
        .env("CONCIERGE_UPSTREAMS__DIRECTORY", &options.directory)
        .env("CONCIERGE_UPSTREAMS__TICKET_RULE", &options.ticket_rule)
        .env(STOP_WITH_STDIN, "true")
        .stdin(Stdio::piped())
        .stdout(log.try_clone()?)
        .stderr(log)
        // A group of its own: Ctrl-C in a terminal is for us, who then drain it.
        .process_group(0)
        .kill_on_drop(true)
        .spawn()
        .with_context(|| format!("cannot start {} serve {}", program.display(), options.name))
}

/// This program, also when its file was replaced since, as a new build does: the running one is what fits the schema.
fn program() -> std::io::Result<PathBuf> {
    let program = std::env::current_exe()?;
    let ourselves = Path::new("/proc/self/exe");
    Ok(if !program.exists() && ourselves.exists() { ourselves.to_owned() } else { program })
}

/// Opens a service's log, once no other process of that service writes it. The lock goes to the process with its
/// output and ends with it, so what an `up` that was killed left behind is known, and waited for.
pub(crate) async fn own_log(path: &Path) -> anyhow::Result<File> {
    let log = OpenOptions::new().create(true).append(true).open(path);
    let log = log.with_context(|| format!("cannot write {}", path.display()))?;
    let until = Instant::now() + EARLIER;
    loop {
        match log.try_lock() {
            // A file system without locks: nothing can be known.
            Ok(()) | Err(TryLockError::Error(_)) => return Ok(log),
            Err(TryLockError::WouldBlock) if Instant::now() > until => {
                bail!("the service of an earlier run still writes {}: end that process and try again", path.display())
            }
            Err(TryLockError::WouldBlock) => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    }
}

/// Opens a service's log to write; one that has grown large is put aside first, over the one that was before it.
async fn fresh_log(path: &Path) -> anyhow::Result<File> {
    let log = own_log(path).await?;
    if log.metadata()?.len() < LOG_SIZE {
        return Ok(log);
    }
    let aside = path.with_extension("log.old");
    std::fs::rename(path, &aside).with_context(|| format!("cannot put {} aside", path.display()))?;
    own_log(path).await
}

/// Watches all; never ends by itself.
pub(crate) async fn watch(children: &mut [Child]) {
    futures::future::join_all(children.iter_mut().map(Child::watch)).await;
}

/// Closes their standard input, which makes them drain; kills what has not ended a little after their grace.
pub(crate) async fn stop(children: Vec<Child>) {
    let ends = children.into_iter().map(|mut child| async move {
        drop(child.stdin.take());
        if tokio::time::timeout(Duration::from_secs(15), child.process.wait()).await.is_err() {
            eprintln!("concierge: {} does not stop; killing it", child.name());
            let _ = child.process.kill().await;
        }
    });
    futures::future::join_all(ends).await;
}

/// The last lines of a log, for an error that must be understood at once.
fn tail(log: &Path) -> String {
    let text = std::fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    let last = &lines[lines.len().saturating_sub(5)..];
    last.iter().map(|line| format!("\n    {line}")).collect()
}

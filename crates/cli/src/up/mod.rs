//! `concierge up`: a private Postgres, the three services as processes of their own, and an administrator's token.
//!
//! Children die with this process however it ends: each holds the other end of a pipe, and stops when it closes. What a
//! `kill -9` leaves behind, the next `up` finds and ends.

mod children;
mod home;
mod postgres;

use std::io::IsTerminal as _;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use clap::Args;
use concierge_runtime::program::Program as _;
use indicatif::{ProgressBar, ProgressStyle};
use tokio::signal::unix::{SignalKind, signal};

use children::{Child, ChildOptions};
use home::Home;

/// One service as `up` runs it.
pub(crate) struct Seat {
    pub(crate) name: &'static str,
    pub(crate) database: &'static str,
    pub(crate) port: u16,
}

/// Where everything is, unless `--port` moves it: directory, ticket-rule, notification.
pub(crate) const SEATS: [Seat; 3] = [
    Seat { name: "directory", database: "directory", port: 7101 },
    Seat { name: "ticket-rule", database: "ticket_rule", port: 7102 },
    Seat { name: "notification", database: "notification", port: 7103 },
];

/// Start all three services and a private Postgres, and keep them running until Ctrl-C.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  concierge up                     directory on 127.0.0.1:7101, ticket-rule on 7102, notification on 7103
  concierge up --demo              also loads a small invented world and tells its story
  CONCIERGE_HOME=/srv/concierge concierge up
                                   keeps data, key and token there instead of in .concierge")]
pub(crate) struct Up {
    /// Load a small invented world and tell its story step by step.
    #[arg(long)]
    demo: bool,
    /// With --demo: stop when the story is told.
    #[arg(long, requires = "demo")]
    once: bool,
    /// Where data, key and token are kept.
    #[arg(long, env = "CONCIERGE_HOME", default_value = ".concierge", value_name = "FOLDER")]
    home: std::path::PathBuf,
    /// The first of three ports to listen on; metrics are ten above.
    #[arg(long, default_value_t = SEATS[0].port, value_name = "PORT")]
    port: u16,
}

impl Up {
    pub(crate) fn run(self) -> anyhow::Result<ExitCode> {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
        runtime.block_on(self.go())
    }

    async fn go(self) -> anyhow::Result<ExitCode> {
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut terminate = signal(SignalKind::terminate())?;
        let stopped = async {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
        };
        tokio::pin!(stopped);

        let home = Arc::new(Home::open(&self.home)?);
        let steps = Steps::new();
        let server = {
            let (home, steps) = (Arc::clone(&home), steps.clone());
            let starting = tokio::task::spawn_blocking(move || postgres::start(&home, &steps));
            // Postgres is stopped by its own watchdog when we go away while it starts.
            tokio::select! {
                started = starting => Arc::new(started??),
                () = &mut stopped => return Ok(ExitCode::SUCCESS),
            }
        };
        steps.at("creating and migrating the databases");
        postgres::prepare(&server).await?;
        steps.at("making the key and the administrator's token");
        let key = home.signing_key()?;
        home.write_admin_token(&key)?;

        let mut children = Vec::new();
        for (index, seat) in SEATS.iter().enumerate() {
            let offset = u16::try_from(index)?;
            children.push(Child::start(ChildOptions {
                name: seat.name,
                address: format!("127.0.0.1:{}", self.port + offset),
                metrics: format!("127.0.0.1:{}", self.port + 10 + offset),
                directory: format!("http://127.0.0.1:{}", self.port),
                ticket_rule: format!("http://127.0.0.1:{}", self.port + 1),
                database: server.url(seat.database),
                key: home.key_file(),
                log: home.log(seat.name),
            })?);
        }
        for child in &mut children {
            steps.at(&format!("waiting for {}", child.name()));
            tokio::select! {
                serving = child.serving() => serving?,
                () = &mut stopped => return stop(children, server).await,
            }
        }
        steps.done();
        self.welcome(&home, &server);

        let keepers = tokio::spawn(keep(Arc::clone(&home), key, Arc::clone(&server)));
        let done = tokio::select! {
            told = self.attend(&home) => told,
            () = children::watch(&mut children) => Ok(()),
            () = &mut stopped => Ok(()),
        };
        keepers.abort();
        let code = stop(children, server).await?;
        done.map(|()| code)
    }

    /// What happens while everything runs: the story, if it is asked for; then nothing, until somebody stops us.
    async fn attend(&self, home: &Home) -> anyhow::Result<()> {
        if self.demo {
            let told = crate::demo::tell(self.port, home.admin_token_file()).await;
            told.context("the story could not be told to its end")?;
            if self.once {
                return Ok(());
            }
        }
        std::future::pending().await
    }

    fn welcome(&self, home: &Home, server: &concierge_postgres::Server) {
        let token = home.admin_token_file();
        let port = self.port;
        println!("Concierge is up. {}", server.version());
        println!("  directory     127.0.0.1:{port}      metrics http://127.0.0.1:{}/metrics", port + 10);
        println!("  ticket-rule   127.0.0.1:{}      metrics http://127.0.0.1:{}/metrics", port + 1, port + 11);
        println!("  notification  127.0.0.1:{}      metrics http://127.0.0.1:{}/metrics", port + 2, port + 12);
        println!("  data, logs    {}", home.folder().display());
        println!("\nTry:");
        println!("  grpcurl -plaintext 127.0.0.1:{port} list");
        println!(
            "  grpcurl -plaintext -H \"authorization: Bearer $(cat {token})\" 127.0.0.1:{port} \
             concierge.directory.v1.CustomerService/ListCustomers",
            token = token.display()
        );
        println!("\nCtrl-C stops everything; the next `concierge up` finds its data again.");
    }
}

/// Renews the token, and starts Postgres again should it end.
async fn keep(home: Arc<Home>, key: home::SigningKey, server: Arc<concierge_postgres::Server>) {
    let mut renew = tokio::time::interval(Duration::from_secs(300));
    let mut look = tokio::time::interval(Duration::from_secs(1));
    loop {
        tokio::select! {
            _ = renew.tick() => {
                if let Err(error) = home.write_admin_token(&key) {
                    eprintln!("concierge: cannot renew the administrator's token: {error:#}");
                }
            }
            _ = look.tick() => {
                if !server.is_running() {
                    eprintln!("concierge: Postgres ended; starting it again (its log: {})", server.log().display());
                    let server = Arc::clone(&server);
                    let restarted = tokio::task::spawn_blocking(move || server.restart()).await;
                    if let Ok(Err(error)) = restarted {
                        eprintln!("concierge: {error}");
                    }
                }
            }
        }
    }
}

/// Drains the services, then stops Postgres.
async fn stop(children: Vec<Child>, server: Arc<concierge_postgres::Server>) -> anyhow::Result<ExitCode> {
    eprintln!("concierge: stopping");
    children::stop(children).await;
    let server = Arc::into_inner(server);
    tokio::task::spawn_blocking(move || server.map(concierge_postgres::Server::stop).transpose()).await??;
    Ok(ExitCode::SUCCESS)
}

/// What is being done, as a spinner on a terminal and as lines elsewhere.
#[derive(Clone)]
pub(crate) struct Steps {
    bar: Option<ProgressBar>,
}

impl Steps {
    fn new() -> Self {
        let bar = std::io::stderr().is_terminal().then(|| {
            let bar = ProgressBar::new_spinner();
            if let Ok(style) = ProgressStyle::with_template("{spinner} {msg}") {
                bar.set_style(style);
            }
            bar.enable_steady_tick(Duration::from_millis(100));
            bar
        });
        Self { bar }
    }

    pub(crate) fn at(&self, step: &str) {
        match &self.bar {
            Some(bar) => bar.set_message(step.to_owned()),
            None => eprintln!("concierge: {step}"),
        }
    }

    fn done(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

/// The migrations of each service, in the order of [`SEATS`].
pub(crate) fn migrations(name: &str) -> Option<&'static sqlx::migrate::Migrator> {
    Some(match name {
        "directory" => concierge_directory::Directory::migrations(),
        "ticket-rule" => concierge_ticket_rule::TicketRule::migrations(),
        "notification" => concierge_notification::Notification::migrations(),
        _ => return None,
    })
}

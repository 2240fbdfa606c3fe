//! `concierge up`: a private Postgres, the three services as processes of their own, and an administrator's token.
//!
//! Children die with this process however it ends: each holds the other end of a pipe, and stops when it closes. What a
//! `kill -9` leaves behind, the next `up` finds and ends.

mod children;
mod home;
pub(crate) mod ports;
mod postgres;

use std::io::IsTerminal as _;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use clap::Args;
use concierge_postgres::Server;
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

/// How long stopping waits for a Postgres that is being started again.
const RESTART: Duration = Duration::from_secs(30);

/// Start all three services and a private Postgres, and keep them running until Ctrl-C.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  concierge up                     directory on 127.0.0.1:7101, ticket-rule on 7102, notification on 7103
  concierge up --demo              also loads a small invented world and tells its story
  CONCIERGE_HOME=/srv/concierge concierge up
                                   keeps data, key and token there instead of in .concierge

Postgres' programs are looked for on this machine and fetched when it has none:
  CONCIERGE_PG_BIN                 the folder that holds `postgres` and `initdb`, instead of looking
  CONCIERGE_PG_FETCH=always        fetches them even where some are installed
  CONCIERGE_PG_ARCHIVE_URL         where from: an archive (.tar.gz), its checksum beside it at <url>.sha256
  CONCIERGE_PG_ARCHIVE_SHA256      its checksum, instead of asking for it")]
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
    #[arg(long, default_value_t = SEATS[0].port, value_name = "PORT",
          value_parser = clap::value_parser!(u16).range(1..=i64::from(ports::HIGHEST)))]
    port: u16,
}

impl Up {
    pub(crate) fn run(self) -> anyhow::Result<ExitCode> {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
        let done = runtime.block_on(self.go());
        // Postgres may still be fetched or starting: that is not waited for, its watchdog ends it.
        runtime.shutdown_background();
        done.map(|()| ExitCode::SUCCESS)
    }

    async fn go(self) -> anyhow::Result<()> {
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut terminate = signal(SignalKind::terminate())?;
        let home = Arc::new(Home::open(&self.home)?);
        let steps = Steps::new();
        let mut running = Running::default();
        let done = tokio::select! {
            done = self.keep_up(&home, &steps, &mut running) => done,
            _ = interrupt.recv() => Ok(()),
            _ = terminate.recv() => Ok(()),
        };
        steps.done();
        let stopped = running.stop().await;
        done.and(stopped)
    }

    /// Starts everything and keeps it running; returns when the story is told, if that is all there is to do.
    async fn keep_up(&self, home: &Arc<Home>, steps: &Steps, running: &mut Running) -> anyhow::Result<()> {
        for seat in &SEATS {
            children::own_log(&home.log(seat.name)).await?;
        }
        ports::check(self.port)?;
        let server = {
            let (home, steps) = (Arc::clone(home), steps.clone());
            Arc::new(tokio::task::spawn_blocking(move || postgres::start(&home, &steps)).await??)
        };
        running.server = Some(Arc::clone(&server));
        steps.at("creating and migrating the databases");
        postgres::prepare(&server).await?;
        let first = !home.key_file().exists();
        steps.at(if first {
            "making the key and the administrator's token"
        } else {
            "renewing the administrator's token"
        });
        let key = home.signing_key()?;
        home.write_admin_token(&key)?;

        for (index, seat) in (0..).zip(&SEATS) {
            let options = ChildOptions {
                name: seat.name,
                address: format!("127.0.0.1:{}", ports::grpc(self.port, index)),
                metrics: format!("127.0.0.1:{}", ports::metrics(self.port, index)),
                directory: format!("http://127.0.0.1:{}", ports::grpc(self.port, 0)),
                ticket_rule: format!("http://127.0.0.1:{}", ports::grpc(self.port, 1)),
                database: server.url(seat.database),
                key: home.key_file(),
                secret_keys: home.secret_keys()?,
                log: home.log(seat.name),
            };
            running.children.push(Child::start(options).await?);
        }
        for child in &mut running.children {
            steps.at(&format!("waiting for {}", child.name()));
            child.serving().await?;
        }
        steps.done();
        self.welcome(home, &server);
        tokio::select! {
            told = self.attend(home) => told,
            () = children::watch(&mut running.children) => Ok(()),
            () = keep(home, &key, &server) => Ok(()),
        }
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

    fn welcome(&self, home: &Home, server: &Server) {
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

/// Renews the token, and starts Postgres again should it end; never ends by itself.
async fn keep(home: &Home, key: &home::SigningKey, server: &Arc<Server>) {
    let mut look = tokio::time::interval(Duration::from_secs(1));
    loop {
        look.tick().await;
        if home.admin_token_is_stale()
            && let Err(error) = home.write_admin_token(key)
        {
            eprintln!("concierge: cannot renew the administrator's token: {error:#}");
        }
        if !server.is_running() {
            eprintln!("concierge: Postgres ended; starting it again (its log: {})", server.log().display());
            let server = Arc::clone(server);
            if let Ok(Err(error)) = tokio::task::spawn_blocking(move || server.restart()).await {
                eprintln!("concierge: {error}");
            }
        }
    }
}

/// What has been started so far.
#[derive(Default)]
struct Running {
    children: Vec<Child>,
    server: Option<Arc<Server>>,
}

impl Running {
    /// Drains the services, then stops Postgres.
    async fn stop(self) -> anyhow::Result<()> {
        let Some(mut server) = self.server else { return Ok(()) };
        eprintln!("concierge: stopping");
        children::stop(self.children).await;
        tokio::task::spawn_blocking(move || {
            let until = Instant::now() + RESTART;
            loop {
                match Arc::try_unwrap(server) {
                    Ok(server) => return server.stop(),
                    // It is being started again this very moment.
                    Err(shared) if Instant::now() < until => server = shared,
                    // Its watchdog stops it when we are gone.
                    Err(_) => return Ok(()),
                }
                std::thread::sleep(Duration::from_millis(20));
            }
        })
        .await??;
        Ok(())
    }
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

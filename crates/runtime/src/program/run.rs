//! Running a program: from its configuration to a drained stop.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use clap::{Parser, Subcommand};
use metrics_exporter_prometheus::PrometheusHandle;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::tasks::Tasks;
use super::{Host, HostOptions, Program, readiness};
use crate::auth::{KeySet, ServiceTokens, Signer};
use crate::clock::{SharedClock, SystemClock};
use crate::config::{Config, ConfigErrors, Reflection, UpstreamAddress};
use crate::feed::sequencer;
use crate::layers::{Admission, Layers};
use crate::server::{self, Health, ReflectionAccess, ServerOptions};
use crate::service::Service;
use crate::upstream::Upstream;
use crate::{db, telemetry};

/// The variable that makes a program stop when its standard input closes: how a parent stops it, also by dying.
const STOP_WITH_STDIN: &str = "CONCIERGE_STOP_WITH_STDIN";

/// Tasks are waited for so long at least, however short the grace.
const LEAST: Duration = Duration::from_millis(200);
/// How long the last numbering of events may take.
const NUMBERING: Duration = Duration::from_secs(1);

/// What a service's own program does with its arguments: `serve` and `migrate`.
pub fn main<P: Program>() -> ExitCode {
    #[derive(Parser)]
    #[command(version, about = "One service of Concierge.", arg_required_else_help = true)]
    struct Arguments {
        #[command(subcommand)]
        command: Command,
        /// A configuration file; see the table of settings in the README.
        #[arg(long, global = true, env = "CONCIERGE_CONFIG", value_name = "FILE")]
        config: Option<PathBuf>,
    }
    #[derive(Subcommand)]
    enum Command {
        /// Serve until SIGTERM or Ctrl-C.
        Serve,
        /// Bring the database's schema up to date. Old binaries keep working while it runs.
        Migrate,
    }
    let arguments = Arguments::parse();
    match arguments.command {
        Command::Serve => serve::<P>(arguments.config.as_deref()),
        Command::Migrate => migrate::<P>(arguments.config.as_deref()),
    }
}

/// Serves until SIGTERM, Ctrl-C, or the end of a parent that asked for it.
pub fn serve<P: Program>(config: Option<&Path>) -> ExitCode {
    run(Config::load_to_serve(P::NAME, config), P::NAME, |config| async move { serve_with::<P>(config).await })
}

/// Brings the database's schema up to date.
pub fn migrate<P: Program>(config: Option<&Path>) -> ExitCode {
    run(Config::load(P::NAME, config), P::NAME, |config| async move {
        let pool = db::pool(&config.database.url, 1, Duration::from_secs(3600), P::NAME)?;
        db::reach(&pool).await.context("the schema could not be brought up to date")?;
        db::migrate(&pool, P::NAME, P::migrations()).await.context("the schema could not be brought up to date")?;
        pool.close().await;
        println!("{}: the schema is up to date", P::NAME);
        Ok(())
    })
}

fn run<F: Future<Output = anyhow::Result<()>>>(
    config: Result<Config, ConfigErrors>,
    name: &str,
    work: impl FnOnce(Config) -> F,
) -> ExitCode {
    let config = match config {
        Ok(config) => config,
        Err(errors) => {
            eprintln!("{name}: {errors}");
            return ExitCode::FAILURE;
        }
    };
    let done = tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(anyhow::Error::from).and_then(
        |runtime| {
            let done = runtime.block_on(work(config));
            // What still runs after the grace is not waited for.
            runtime.shutdown_background();
            done
        },
    );
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{name}: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn serve_with<P: Program>(config: Config) -> anyhow::Result<()> {
    let telemetry = telemetry::init(P::NAME, &config)?;
    let stop = CancellationToken::new();
    tokio::spawn(stop_when_told(stop.clone()));
    serve_until::<P>(config, telemetry.metrics.clone(), stop).await
}

/// Serves until told to stop, and drains; an error when it cannot, or when a background task ended before that. What
/// telemetry there is, and what tells it to stop, is the caller's.
pub async fn serve_until<P: Program>(
    config: Config,
    metrics: PrometheusHandle,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    let clock: SharedClock = Arc::new(SystemClock);
    let database = &config.database;
    let pool = db::pool(&database.url, database.pool_size, database.statement_timeout, P::NAME)?;
    let background = db::pool(&database.url, db::BACKGROUND, database.statement_timeout, P::NAME)?;
    let signer =
        Arc::clone(config.auth.signer.as_ref().context(
            "signing_key_file (CONCIERGE_SIGNING_KEY_FILE) is not set: make a key with `concierge key create`",
        )?);
    let upstream = |name: &'static str, address: &Option<UpstreamAddress>| {
        let address = address.as_ref()?;
        let tokens = ServiceTokens::new(Arc::clone(&signer), P::NAME, name, ["*"]);
        Some(Upstream::new(name, address.channel(), Arc::new(tokens), Arc::clone(&clock)))
    };
    let host = Host::new(HostOptions {
        service: Service::new(P::NAME, pool, background, Arc::clone(&clock)),
        keys: Arc::new(KeySet::new(config.auth.keys.iter().cloned())),
        providers: config.auth.providers.clone(),
        directory: upstream("directory", &config.directory).filter(|_| P::NAME != "directory"),
        ticket_rule: upstream("ticket-rule", &config.ticket_rule).filter(|_| P::NAME != "ticket-rule"),
        signer: Arc::<Signer>::clone(&signer),
        stop: stop.clone(),
    });
    let host = Host { sealer: Arc::clone(&config.sealer), ..host }.with_max_message(config.limits.message_size);
    let layers = Layers {
        verifier: Arc::clone(&host.verifier),
        clock,
        admission: Admission::new(config.limits.concurrency),
        default_deadline: config.default_deadline,
        max_deadline: config.max_deadline,
        max_message: config.limits.message_size,
    };
    let listener = listen(config.listen, "listen").await?;
    let metrics_listener = match config.metrics {
        Some(address) => Some(listen(address, "metrics_listen").await?),
        None => None,
    };
    let mut tasks = Tasks::default();
    // Nothing is read from or written to a database before it is known to be this service's, with its schema.
    let (own, is_own) = watch::channel(false);
    host.tasks::<P>().into_iter().for_each(|task| tasks.spawn_when(is_own.clone(), stop.clone(), task));
    tasks.spawn(telemetry::watch_pool(host.service.pool().clone(), stop.clone()));
    if let Some(listener) = metrics_listener {
        tasks.spawn(serve_metrics(listener, metrics, stop.clone()));
    }
    let services = server::services_of(P::NAME);
    let health = Health::new(&services).await;
    tasks.spawn(readiness::watch::<P>(host.clone(), health.clone(), own));
    let reflection = match config.reflection {
        Reflection { enabled: false, .. } => ReflectionAccess::Off,
        Reflection { public: true, .. } => ReflectionAccess::Public,
        _ => ReflectionAccess::WithToken(Arc::clone(&host.verifier), Arc::clone(host.clock())),
    };
    tracing::info!(service = P::NAME, listen = %config.listen, "serving");
    let mut serving = pin!(server::serve(ServerOptions {
        listener,
        tls: config.tls.clone(),
        routes: P::routes(&host),
        services,
        health,
        reflection,
        layer: layers,
        connections: config.limits.connections,
        streams_per_connection: config.limits.streams_per_connection,
        shutdown: stop.clone(),
        grace: config.grace,
    }));
    let grace_ends = async {
        stop.cancelled().await;
        Instant::now() + config.grace
    };
    let work = async {
        tokio::select! {
            served = &mut serving => served.map_err(anyhow::Error::from),
            failed = tasks.failed(&stop) => {
                stop.cancel();
                // The requests under way are answered all the same.
                let _ = serving.await;
                Err(failed)
            }
        }
    };
    // Served until the end; or not at all, and then nothing else is told to stop.
    let (served, end) = tokio::join!(
        async {
            let served = work.await;
            stop.cancel();
            served
        },
        grace_ends
    );
    // Tasks end by themselves when told to stop; what hangs is not waited for longer than requests are.
    tasks.join(end.max(Instant::now() + LEAST)).await;
    // What was committed meanwhile is told to subscribers of other replicas at once.
    let numbering = sequencer::number(host.service.background());
    if *is_own.borrow() && !matches!(tokio::time::timeout(NUMBERING, numbering).await, Ok(Ok(_))) {
        tracing::warn!("the last events are not numbered: the next process, or another one, does it");
    }
    tracing::info!(service = P::NAME, "stopped");
    served
}

async fn listen(address: SocketAddr, setting: &str) -> anyhow::Result<TcpListener> {
    let variable = setting.to_uppercase();
    TcpListener::bind(address)
        .await
        .with_context(|| format!("cannot listen on {address}: if it is in use, set {setting} (CONCIERGE_{variable})"))
}

async fn serve_metrics(listener: TcpListener, handle: PrometheusHandle, stop: CancellationToken) {
    if let Err(error) = server::serve_metrics(listener, handle, stop).await {
        tracing::error!(%error, "metrics are not served any more");
    }
}

async fn stop_when_told(stop: CancellationToken) {
    let (Ok(mut terminate), Ok(mut interrupt)) = (signal(SignalKind::terminate()), signal(SignalKind::interrupt()))
    else {
        return;
    };
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
        () = parent_gone() => {}
    }
    stop.cancel();
}

/// Ends when the parent closes our standard input, if it said that it would.
async fn parent_gone() {
    if std::env::var_os(STOP_WITH_STDIN).is_none() {
        return std::future::pending().await;
    }
    // A thread of its own: a read of standard input cannot be cancelled.
    let (gone, told) = tokio::sync::oneshot::channel::<()>();
    std::thread::spawn(move || {
        let _ = std::io::copy(&mut std::io::stdin().lock(), &mut std::io::sink());
        let _ = gone.send(());
    });
    let _ = told.await;
}

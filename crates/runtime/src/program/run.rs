//! Running a program: from its configuration to a drained stop.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use clap::{Parser, Subcommand};
use metrics_exporter_prometheus::PrometheusHandle;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use super::{Host, HostOptions, Program, keys, readiness};
use crate::auth::{KeySet, ServiceTokens, Signer};
use crate::clock::{SharedClock, SystemClock};
use crate::config::{Config, Reflection, UpstreamAddress};
use crate::layers::{Admission, Layers};
use crate::server::{self, Health, ReflectionAccess, ServerOptions};
use crate::service::Service;
use crate::upstream::Upstream;
use crate::{db, telemetry};

/// The variable that makes a program stop when its standard input closes: how a parent stops it, also by dying.
const STOP_WITH_STDIN: &str = "CONCIERGE_STOP_WITH_STDIN";

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
    run::<P, _>(config, |config| async move { serve_with::<P>(config).await })
}

/// Brings the database's schema up to date.
pub fn migrate<P: Program>(config: Option<&Path>) -> ExitCode {
    run::<P, _>(config, |config| async move {
        let pool = db::pool(&config.database.url, 1, Duration::from_secs(3600), P::NAME)?;
        db::migrate(&pool, P::migrations()).await.context("the schema could not be brought up to date")?;
        pool.close().await;
        println!("{}: the schema is up to date", P::NAME);
        Ok(())
    })
}

fn run<P: Program, F: Future<Output = anyhow::Result<()>>>(
    file: Option<&Path>,
    work: impl FnOnce(Config) -> F,
) -> ExitCode {
    let config = match Config::load(P::NAME, file) {
        Ok(config) => config,
        Err(errors) => {
            eprintln!("{}: {errors}", P::NAME);
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
            eprintln!("{}: {error:#}", P::NAME);
            ExitCode::FAILURE
        }
    }
}

async fn serve_with<P: Program>(config: Config) -> anyhow::Result<()> {
    let telemetry = telemetry::init(P::NAME, &config)?;
    let clock: SharedClock = Arc::new(SystemClock);
    let pool = db::pool(&config.database.url, config.database.pool_size, config.database.statement_timeout, P::NAME)?;
    let signer =
        Arc::clone(config.auth.signer.as_ref().context(
            "signing_key_file (CONCIERGE_SIGNING_KEY_FILE) is not set: make a key with `concierge key create`",
        )?);
    let stop = CancellationToken::new();
    let upstream = |name: &'static str, address: &Option<UpstreamAddress>| {
        let address = address.as_ref()?;
        let tokens = ServiceTokens::new(Arc::clone(&signer), P::NAME, name, ["*"]);
        Some(Upstream::new(name, address.channel(), Arc::new(tokens), Arc::clone(&clock)))
    };
    let host = Host::new(HostOptions {
        service: Service::new(P::NAME, pool, Arc::clone(&clock)),
        keys: Arc::new(KeySet::new(config.auth.keys.iter().cloned())),
        providers: config.auth.providers.clone(),
        directory: upstream("directory", &config.directory).filter(|_| P::NAME != "directory"),
        ticket_rule: upstream("ticket-rule", &config.ticket_rule).filter(|_| P::NAME != "ticket-rule"),
        signer: Arc::<Signer>::clone(&signer),
        stop: stop.clone(),
    });
    let host = Host { sealer: Arc::clone(&config.sealer), ..host };
    let layers = Layers {
        verifier: Arc::clone(&host.verifier),
        clock,
        admission: Admission::new(config.limits.concurrency),
        default_deadline: config.default_deadline,
        max_deadline: config.max_deadline,
        max_message: config.limits.message_size,
    };
    let listener = listen(config.listen, "listen").await?;
    let mut tasks: Vec<_> = host.tasks::<P>().into_iter().map(tokio::spawn).collect();
    tasks.push(tokio::spawn(keys::learn(host.clone())));
    tasks.push(tokio::spawn(telemetry::watch_pool(host.service.pool().clone(), stop.clone())));
    if let Some(address) = config.metrics {
        let listener = listen(address, "metrics_listen").await?;
        tasks.push(tokio::spawn(serve_metrics(listener, telemetry.metrics.clone(), stop.clone())));
    }
    let services = server::services_of(P::NAME);
    let health = Health::new(&services).await;
    tasks.push(tokio::spawn(readiness::watch(host.clone(), health.clone())));
    tokio::spawn(stop_when_told(stop.clone()));
    let reflection = match config.reflection {
        Reflection { enabled: false, .. } => ReflectionAccess::Off,
        Reflection { public: true, .. } => ReflectionAccess::Public,
        _ => ReflectionAccess::WithToken(Arc::clone(&host.verifier), Arc::clone(host.clock())),
    };
    tracing::info!(service = P::NAME, listen = %config.listen, "serving");
    server::serve(ServerOptions {
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
    })
    .await?;
    // Tasks end by themselves when told to stop; what hangs is not waited for longer than requests are.
    let _ = tokio::time::timeout(Duration::from_millis(200), futures::future::join_all(tasks)).await;
    tracing::info!(service = P::NAME, "stopped");
    Ok(())
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

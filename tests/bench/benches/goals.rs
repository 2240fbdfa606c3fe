//! `cargo bench -p concierge-bench [-- [--short] read|layers]`: the figures of the README's table for services;
//! `--short` only shows that it runs, and fails where nothing is answered.

use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;
use comfy_table::Table;
use concierge_bench::bare::Bare;
use concierge_bench::load::Load;
use concierge_bench::pair::{Effort, Figure, Pair, compare};
use concierge_bench::process::{Server, pin_to_client_core};
use concierge_bench::{PATH, ours, row};
use concierge_directory::Directory;
use concierge_directory::customer::Customers;
use concierge_proto::directory::{Customer, CustomerStage};
use concierge_proto::{CallerKind, Record as _};
use concierge_runtime::auth::{Audience, Claims, ScopeClaim};
use concierge_runtime::clock::{Clock as _, SystemClock};
use concierge_runtime::db;
use concierge_runtime::program::Program as _;
use sqlx::PgPool;
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::service::Routes;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// So many customers are in the table.
const CUSTOMERS: usize = 10_000;
/// Connections to the database, as a service has by default.
const POOL: u32 = 8;

fn main() -> anyhow::Result<()> {
    let mut arguments: Vec<String> = std::env::args().skip(1).filter(|a| a != "--bench").collect();
    let given = arguments.len();
    arguments.retain(|a| a != "--short");
    let effort = if arguments.len() < given { Effort::SHORT } else { Effort::FULL };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["--serve", kind, url] => runtime.block_on(serve(kind, url)),
        // The bench beside this one.
        ["rules", ..] => Ok(()),
        [] => runtime.block_on(measure(&["read", "layers"], effort)),
        parts => runtime.block_on(measure(parts, effort)),
    }
}

fn pool(url: &str) -> anyhow::Result<PgPool> {
    Ok(db::pool(&url.to_owned().into(), POOL, Duration::from_secs(30), "bench")?)
}

/// The server's process: says where it listens, and serves until it is killed.
async fn serve(kind: &str, url: &str) -> anyhow::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("{}", listener.local_addr()?);
    let incoming = TcpListenerStream::new(listener);
    let server = tonic::transport::Server::builder().tcp_nodelay(true);
    let mut server = server;
    match kind {
        "bare-echo" => server.add_service(Bare { pool: None }).serve_with_incoming(incoming).await?,
        "bare-select" => server.add_service(Bare { pool: Some(pool(url)?) }).serve_with_incoming(incoming).await?,
        "layers-echo" => {
            let host = ours::host(pool(url)?)?;
            let routes = Routes::new(Bare { pool: None });
            server.layer(ours::layers(&host)).add_routes(routes).serve_with_incoming(incoming).await?;
        }
        "directory" => {
            let host = ours::host(pool(url)?)?;
            let routes = Directory::routes(&host);
            server.layer(ours::layers(&host)).add_routes(routes).serve_with_incoming(incoming).await?;
        }
        other => anyhow::bail!("there is no server {other:?}"),
    }
    Ok(())
}

async fn measure(parts: &[&str], effort: Effort) -> anyhow::Result<()> {
    pin_to_client_core(std::process::id())?;
    let postgres = concierge_postgres::Server::start(concierge_postgres::Options::temporary())?;
    let url = postgres.url("postgres");
    let pool = pool(&url)?;
    db::migrate(&pool, "directory", Directory::migrations()).await?;
    let ids = Arc::new(customers(&pool).await?);
    let mut figures = Vec::new();
    for part in parts {
        let figure = match *part {
            "read" => {
                let (ours, peer) = (Server::start("directory", &url)?, Server::start("bare-select", &url)?);
                let load = Load { ids: Arc::clone(&ids), tokens: tokens(1)?, connections: 8, in_flight: 256 };
                let pair = Pair {
                    id: "P4",
                    what: "GetCustomer, 256 in flight on 8 connections, every layer on, no cache of records",
                    against: "a bare tonic handler that does one prepared SELECT",
                    goal: 2.0,
                };
                compare(pair, &ours, &peer, &load, effort).await?
            }
            "layers" => {
                let (ours, peer) = (Server::start("layers-echo", &url)?, Server::start("bare-echo", &url)?);
                let load = Load { ids: Arc::clone(&ids), tokens: tokens(1000)?, connections: 8, in_flight: 256 };
                let pair = Pair {
                    id: "P5",
                    what: "all our layers around an empty handler, 1,000 callers with tokens of their own",
                    against: "the bare tonic echo",
                    goal: 0.9,
                };
                compare(pair, &ours, &peer, &load, effort).await?
            }
            other => anyhow::bail!("there is no part {other:?}: read or layers"),
        };
        figures.push(figure);
    }
    print(&figures);
    for figure in &figures {
        let rates = [figure.calls_per_second, figure.peer_calls_per_second];
        anyhow::ensure!(rates.iter().all(|rate| *rate > 0.0), "{}: one side answered nothing", figure.row.id);
    }
    if effort.rounds < Effort::FULL.rounds {
        return Ok(());
    }
    row::write(&figures)?;
    debug_assert!(PATH.starts_with('/'));
    Ok(())
}

/// Fills the table, and returns the ids.
async fn customers(pool: &PgPool) -> anyhow::Result<Vec<String>> {
    let host = ours::host(pool.clone())?;
    let mut ids = Vec::with_capacity(CUSTOMERS);
    for chunk in 0..CUSTOMERS / 500 {
        let mut tx = host.service.begin().await?;
        for n in 0..500 {
            let customer = Customer {
                name: format!("Customer {}", chunk * 500 + n),
                stage: CustomerStage::Customer.into(),
                time_zone: "Europe/Berlin".to_owned(),
                phone: "+49 30 1234567".to_owned(),
                domains: vec!["example.com".to_owned()],
                ..Default::default()
            };
            ids.push(tx.insert_own::<Customers>(customer).await?.id().to_owned());
        }
        host.service.commit(tx).await?;
    }
    sqlx::query("vacuum analyze customers").execute(pool).await?;
    Ok(ids)
}

fn tokens(count: u128) -> anyhow::Result<Arc<Vec<MetadataValue<Ascii>>>> {
    let signer = ours::signer()?;
    let now = SystemClock.now();
    let token = |n| {
        let claims = Claims {
            iss: ours::ISSUER.to_owned(),
            aud: Audience(vec![Directory::NAME.to_owned()]),
            sub: uuid::Uuid::from_u128(n).to_string(),
            kind: CallerKind::Agent,
            scope: ScopeClaim(vec!["*".to_owned()]),
            customer_id: None,
            site_id: None,
            iat: now.timestamp_millis(),
            exp: (now + TimeDelta::minutes(15)).timestamp(),
            jti: None,
        };
        Ok(format!("Bearer {}", signer.sign(&claims)).parse()?)
    };
    Ok(Arc::new((0..count).map(token).collect::<anyhow::Result<_>>()?))
}

fn print(figures: &[Figure]) {
    let mut table = Table::new();
    table.set_header(["id", "what", "against", "ratio (min to max)", "goal", "calls/s", "peer", "CPU/call", "peer"]);
    for f in figures {
        let row = &f.row;
        table.add_row([
            row.id.to_owned(),
            row.what.to_owned(),
            row.against.to_owned(),
            format!("{:.2} ({:.2} to {:.2})", row.ratio, row.min, row.max),
            format!("{:.1}{}", row.goal, if row.reached { "" } else { " missed" }),
            format!("{:.0}", f.calls_per_second),
            format!("{:.0}", f.peer_calls_per_second),
            format!("{:.1} µs", f.cpu_us),
            format!("{:.1} µs", f.peer_cpu_us),
        ]);
    }
    println!("{table}");
}

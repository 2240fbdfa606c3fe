//! An `up` that is told to stop before it is up.

use std::net::TcpListener;
use std::time::{Duration, Instant};

use crate::kit::{Home, Up, eventually, lives};

/// Waits until `up` says this.
pub(crate) async fn says(up: &Up, what: &str) {
    eventually(what, || up.said().contains(what)).await;
}

/// Killed while it makes the cluster, then interrupted while the services start.
pub(crate) async fn end_in_the_middle_of_starting(home: &Home) {
    let up = home.start();
    says(&up, "making the database cluster").await;
    up.kill();

    let mut up = home.start();
    says(&up, "waiting for directory").await;
    let family = up.family();
    up.interrupt();
    assert!(up.ended().await.success(), "{}", up.said());
    assert!(!family.iter().any(|pid| lives(*pid)), "{}", up.said());
    assert!(!home.anybody_listens());
}

#[tokio::test]
async fn stops_at_once_while_it_fetches() {
    // Takes connections and never answers.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/postgresql.tar.gz", silent.local_addr().unwrap());
    let home = Home::open();
    let mut command = home.command();
    command.env("CONCIERGE_PG_FETCH", "always").env("CONCIERGE_PG_ARCHIVE_URL", url);
    command.env("CONCIERGE_PG_ARCHIVE_SHA256", "0".repeat(64));
    let mut up = home.run(command);
    says(&up, "fetching Postgres").await;
    let told = Instant::now();
    up.interrupt();
    assert!(up.ended().await.success(), "{}", up.said());
    assert!(told.elapsed() < Duration::from_secs(10), "it waited for what never comes");
}

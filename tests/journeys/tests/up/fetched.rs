//! Postgres' programs fetched by `up` from an archive server on this machine.

use std::path::Path;

// What `concierge-postgres` tests its fetching with, and where that looks for its `Archive`.
#[path = "../../../../crates/postgres/src/archive_server.rs"]
mod archive_server;
use concierge_postgres::Archive;

use crate::kit::Home;

#[tokio::test]
async fn fetches_postgres_and_starts_from_what_it_fetched() {
    let archive = tokio::task::spawn_blocking(|| {
        let server = concierge_testkit::database::server();
        let (_, version) = server.version().split_once("(PostgreSQL) ").unwrap();
        let major = version.split(|c: char| !c.is_ascii_digit()).next().unwrap().parse().unwrap();
        archive_server::archive_of(server.programs(), major)
    })
    .await
    .unwrap();
    let served = archive_server::start(archive, None);
    let home = Home::open();
    let start = || {
        let mut command = home.command();
        command.env("CONCIERGE_PG_FETCH", "always").env("CONCIERGE_PG_ARCHIVE_URL", served.archive().url);
        home.run(command)
    };

    let mut up = start();
    up.ready().await;
    let said = up.said();
    assert!(said.contains("fetching Postgres: 100 %") && said.contains("unpacking Postgres"), "{said}");
    let running = Path::new("/proc").join(home.postgres().to_string()).join("exe").read_link().unwrap();
    assert!(running.starts_with(home.path("programs").canonicalize().unwrap()), "{running:?}");
    let acme = up.create("Acme").await;
    up.interrupt();
    assert!(up.ended().await.success(), "{}", up.said());

    // They are there now.
    let asked = served.asked();
    let mut up = start();
    up.ready().await;
    assert_eq!(up.read(&acme).await, "Acme");
    assert_eq!(served.asked(), asked);
    assert!(!up.said().contains("fetching"), "{}", up.said());
    up.interrupt();
    assert!(up.ended().await.success(), "{}", up.said());
}

#[tokio::test]
async fn names_archive_that_is_not_there() {
    let served = archive_server::start(Vec::new(), Some("0".repeat(64)));
    let home = Home::open();
    let run = |url: String| {
        let mut command = home.command();
        let output = command.env("CONCIERGE_PG_FETCH", "always").env("CONCIERGE_PG_ARCHIVE_URL", url).output().unwrap();
        assert!(!output.status.success());
        String::from_utf8(output.stderr).unwrap()
    };
    let absent = format!("{}absent.tar.gz", served.base());
    let said = run(absent.clone());
    assert!(said.contains(&absent) && said.contains("404") && said.contains("CONCIERGE_PG_BIN"), "{said}");
    // And one that its checksum does not speak of is not unpacked.
    let said = run(served.archive().url);
    assert!(said.contains("nothing was unpacked"), "{said}");
}

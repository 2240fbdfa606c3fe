//! A start in a fresh home, a stop, and a second start that finds everything again.

use std::collections::BTreeSet;
use std::fs::File;
use std::process::Command;
use std::time::{Duration, SystemTime};

use concierge_journeys::process::SERVICES;

use concierge_proto::directory::customer_service_client::CustomerServiceClient;
use concierge_proto::directory::{CreateCustomerRequest, ListCustomersRequest};
use concierge_proto::notification::email_sender_service_client::EmailSenderServiceClient;
use concierge_proto::notification::{CreateEmailSenderRequest, EmailSender};
use concierge_runtime::telemetry::METRICS;
use concierge_testkit::request_id;
use tonic::transport::Endpoint;
use tonic::{Code, Request};

use crate::kit::{Home, PROGRAM, Up, eventually, get, lives, mode};

/// More than a log may have when its service starts.
const LARGE: u64 = 20 << 20;

#[tokio::test]
async fn starts_everything_stops_everything_and_finds_its_data_again() {
    let home = Home::new();
    let mut up = home.up().await;

    // What it says, and where everything is.
    let said = up.said();
    for line in ["making the database cluster", "migrating the databases", "grpcurl -plaintext -H", "Ctrl-C stops"] {
        assert!(said.contains(line), "{line:?} is missing:\n{said}");
    }
    assert_eq!(up.services().len(), 3, "each service is a process of its own");
    for (offset, (name, _)) in (0..).zip(SERVICES) {
        let metrics = get(home.port + 10 + offset, "/metrics");
        assert!(metrics.starts_with("HTTP/1.1 200"), "{name}: {metrics}");
        assert!(said.contains(&format!("127.0.0.1:{}", home.port + offset)), "{said}");
    }
    for secret in ["admin.token", "signing.key", "secret.key"] {
        assert_eq!(mode(&home.path(secret)), 0o600, "{secret}");
    }
    assert!(said.contains(home.path("admin.token").to_str().unwrap()), "{said}");

    let acme = up.create("Acme").await;
    refuses_second(&home, &up).await;
    renews_token(&home, &up).await;
    token_of_command_grants_what_it_says(&home).await;
    keeps_secrets(&home, &up).await;
    measures_what_it_says(&home).await;
    assert_eq!(up.read(&acme).await, "Acme");

    // SIGTERM, as a supervisor sends it.
    let family = up.family();
    assert!(family.len() >= 5, "three services, Postgres and its watchdog: {family:?}");
    up.terminate();
    stopped(&home, &mut up, &family).await;

    // A second start, told by the environment where its home is, and Ctrl-C.
    File::options().write(true).open(home.path("logs/ticket-rule.log")).unwrap().set_len(LARGE).unwrap();
    let mut command = home.homeless();
    command.env("CONCIERGE_HOME", home.root());
    let mut up = home.run(command);
    up.ready().await;
    assert!(!up.said().contains("making the"), "{}", up.said());
    assert!(up.said().contains("renewing the administrator's token"), "{}", up.said());
    // What had grown large was put aside.
    let large = home.path("logs/ticket-rule.log.old");
    assert_eq!(large.metadata().unwrap().len(), LARGE);
    assert!(home.path("logs/ticket-rule.log").metadata().unwrap().len() < LARGE);
    assert!(!home.path("logs/directory.log.old").exists());
    assert_eq!(up.read(&acme).await, "Acme");
    let family = up.family();
    up.interrupt();
    stopped(&home, &mut up, &family).await;
}

/// A second `up` on the same home is told so, on other ports too, and changes nothing.
async fn refuses_second(home: &Home, up: &Up) {
    let output = home.command().output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success());
    assert!(said.contains("another `concierge up` runs on") && said.contains("--home"), "{said}");
    assert_eq!(up.services().len(), 3);
}

/// The token is renewed when it is old by its file, and when it is gone; it is never open to others.
async fn renews_token(home: &Home, up: &Up) {
    let file = home.path("admin.token");
    let old = SystemTime::now() - Duration::from_secs(301);
    let first = up.token();
    File::options().write(true).open(&file).unwrap().set_modified(old).unwrap();
    eventually("a renewed token", || up.token() != first).await;
    assert_eq!(mode(&file), 0o600);
    std::fs::remove_file(&file).unwrap();
    eventually("a token again", || file.exists()).await;
    assert_eq!(mode(&file), 0o600);
}

/// `concierge token create` finds the installation's key; its token does what its scope says and no more.
async fn token_of_command_grants_what_it_says(home: &Home) {
    let mut command = Command::new(PROGRAM);
    command.args(["token", "create", "--scope", "customers.read", "--home"]).arg(home.root());
    let token = String::from_utf8(command.output().unwrap().stdout).unwrap();
    let address = format!("http://127.0.0.1:{}", home.port);
    let mut client = CustomerServiceClient::new(Endpoint::from_shared(address).unwrap().connect_lazy());
    client.list_customers(bearing(token.trim(), ListCustomersRequest::default())).await.unwrap();
    let refused = client.create_customer(bearing(token.trim(), CreateCustomerRequest::default())).await.unwrap_err();
    assert_eq!(refused.code(), Code::PermissionDenied, "{refused:?}");
}

/// The password of an e-mail server can be kept without anything being set up.
async fn keeps_secrets(home: &Home, up: &Up) {
    let sender = EmailSender {
        name: "Desk".to_owned(),
        host: "mail.example".to_owned(),
        from_address: "desk@mail.example".to_owned(),
        username: "desk".to_owned(),
        password: "hunter2".to_owned(),
        ..Default::default()
    };
    let request = CreateEmailSenderRequest { email_sender: Some(sender), request_id: request_id() };
    let address = format!("http://127.0.0.1:{}", home.port + 2);
    let mut client = EmailSenderServiceClient::new(Endpoint::from_shared(address).unwrap().connect_lazy());
    client.create_email_sender(bearing(up.token().trim(), request)).await.unwrap();
}

/// Every service measures what its README says, no more and no less.
async fn measures_what_it_says(home: &Home) {
    let feeds = [&["ticket-rule"][..], &["directory"], &["directory", "ticket-rule"]];
    for ((offset, (name, _)), feeds) in (0..).zip(SERVICES).zip(feeds) {
        let readme = format!("{}/../../services/{name}/README.md", env!("CARGO_MANIFEST_DIR"));
        let readme = std::fs::read_to_string(readme).unwrap();
        let row = |line: &str| {
            let mut cells = line.strip_prefix("| `concierge_")?.split('|').map(str::trim);
            Some((format!("concierge_{}", cells.next()?.trim_end_matches('`')), cells.next()?.to_owned()))
        };
        let said: BTreeSet<(String, String)> = readme.lines().filter_map(row).collect();
        for (metric, kind, _) in METRICS {
            assert!(said.contains(&((*metric).to_owned(), (*kind).to_owned())), "{name}: {metric}, {kind}");
        }
        let read = || get(home.port + 10 + offset, "/metrics");
        // Of what happens by itself, such as reading feeds, the first may be yet to come.
        let all = || said.iter().all(|(metric, kind)| measured(&read(), metric, kind).is_some_and(f64::is_finite));
        eventually(&format!("all of {said:?} in {name}"), all).await;
        let told = read();
        let typed = |line: &str| {
            let (metric, kind) = line.strip_prefix("# TYPE ")?.split_once(' ')?;
            metric.starts_with("concierge_").then(|| (metric.to_owned(), kind.to_owned()))
        };
        assert_eq!(told.lines().filter_map(typed).collect::<BTreeSet<_>>(), said, "{name}");
        for feed in feeds {
            let lag = || measured(&read(), &format!("concierge_feed_lag_seconds{{feed=\"{feed}\"}}"), "gauge");
            // Nothing is written any more: it has heard all there is.
            eventually(&format!("{name} has heard all of {feed}"), || lag() == Some(0.0)).await;
        }
    }
}

/// The first value of a metric, or of one of its series.
fn measured(metrics: &str, series: &str, kind: &str) -> Option<f64> {
    let series = if kind == "histogram" { format!("{series}_count") } else { series.to_owned() };
    metrics.lines().find_map(|line| {
        let rest = line.strip_prefix(&series)?;
        let (_, value) = rest.rsplit_once(' ').filter(|_| rest.starts_with(['{', ' ']))?;
        value.parse().ok()
    })
}

fn bearing<M>(token: &str, message: M) -> Request<M> {
    let mut request = Request::new(message);
    request.metadata_mut().insert("authorization", format!("Bearer {token}").parse().unwrap());
    request
}

/// It ends well, and nothing of it is left.
async fn stopped(home: &Home, up: &mut Up, family: &[u32]) {
    let status = up.ended().await;
    assert!(status.success(), "{status}:\n{}", up.said());
    assert!(!up.said().contains("killing it"), "drained, not killed:\n{}", up.said());
    let left: Vec<_> = family.iter().filter(|pid| lives(**pid)).collect();
    assert!(left.is_empty(), "{left:?} live on");
    assert!(!home.anybody_listens());
    assert!(!home.path("postgres/data/postmaster.pid").exists(), "Postgres was stopped in order");
    let log = std::fs::read_to_string(home.path("postgres/server.log")).unwrap();
    assert!(log.trim_end().ends_with("database system is shut down"), "{log}");
    for (name, _) in SERVICES {
        let log = std::fs::read_to_string(home.path(&format!("logs/{name}.log"))).unwrap();
        let last = log.lines().next_back().unwrap_or_default();
        assert!(last.contains("stopped"), "{name} was not drained: {last}");
    }
}

//! `directory`, `ticket-rule` and `notification` by themselves: `migrate`, `serve`, and what they refuse.

use std::net::TcpListener;
use std::time::{Duration, Instant};

use concierge_journeys::process::SERVICES;
use concierge_proto::directory::customer_service_client::CustomerServiceClient;
use concierge_proto::directory::{CreateCustomerRequest, Customer, ListCustomersRequest, Site};
use concierge_proto::notification::ListNotificationDefinitionsRequest;
use concierge_proto::notification::notification_definition_service_client::NotificationDefinitionServiceClient;
use concierge_proto::ticket_rule::ListPrioritiesRequest;
use concierge_proto::ticket_rule::priority_service_client::PriorityServiceClient;
use concierge_testkit::request_id;
use sqlx::{Connection as _, PgConnection};
use tonic::transport::Channel;
use tonic_health::pb::health_check_response::ServingStatus;

use crate::kit::{PATIENCE, get};
use crate::program::{Program, health, said};

/// A call that the service answers from its own database.
async fn ask(program: &Program, channel: Channel) {
    let answered = match program.name {
        "directory" => {
            let request = program.request(ListCustomersRequest::default());
            CustomerServiceClient::new(channel).list_customers(request).await.map(drop)
        }
        "ticket-rule" => {
            let request = program.request(ListPrioritiesRequest::default());
            PriorityServiceClient::new(channel).list_priorities(request).await.map(drop)
        }
        _ => {
            let request = program.request(ListNotificationDefinitionsRequest::default());
            NotificationDefinitionServiceClient::new(channel).list_notification_definitions(request).await.map(drop)
        }
    };
    answered.unwrap();
}

#[tokio::test]
async fn each_starts_without_the_others_is_ready_once_migrated_and_stops_when_told() {
    let alone = SERVICES.map(|(name, _)| async move {
        let program = Program::new(name).await;
        let channel = program.endpoint().connect_lazy();
        let mut serving = program.start(program.command("serve"));
        // Alive, but not ready: it has no schema yet.
        while health(&channel).await.is_err() {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
        assert_eq!(health(&channel).await.unwrap(), i32::from(ServingStatus::NotServing), "{name}");

        // Twice: what is up to date stays as it is.
        for _ in 0..2 {
            let migrated = program.command("migrate").output().unwrap();
            assert!(migrated.status.success(), "{name}: {}", said(&migrated));
            assert!(said(&migrated).contains("the schema is up to date"), "{name}: {}", said(&migrated));
        }
        serving.ready(&channel).await;
        ask(&program, channel).await;

        serving.terminate();
        assert!(serving.ended().await.success(), "{name}: {}", serving.said());
        assert!(serving.said().contains("stopped"), "{name}: {}", serving.said());
    });
    futures::future::join_all(alone).await;
}

#[tokio::test]
async fn the_database_of_another_service_is_left_alone() {
    let own = Program::new("ticket-rule").await;
    assert!(own.command("migrate").output().unwrap().status.success());
    let stray = Program { name: "notification", database: own.database.clone(), ..Program::new("notification").await };
    let mut serving = stray.start(stray.command("serve"));
    let channel = stray.endpoint().connect_lazy();
    let until = Instant::now() + PATIENCE;
    // Said several times a second.
    while !serving.said().contains("is another service's") {
        assert!(Instant::now() < until, "{}", serving.said());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(health(&channel).await.unwrap(), i32::from(ServingStatus::NotServing));
    serving.terminate();
    assert!(serving.ended().await.success(), "{}", serving.said());
    let mut connection = PgConnection::connect(&own.database).await.unwrap();
    let taken = "select count(*) from feed_cursors where lease_epoch > 0 or lease_holder is not null";
    let taken: i64 = sqlx::query_scalar(taken).fetch_one(&mut connection).await.unwrap();
    assert_eq!(taken, 0, "a reader of the stray service took a cursor");
}

#[tokio::test]
async fn a_server_that_is_not_there_is_told_with_its_address_and_cause() {
    let program = Program::new("directory").await;
    let nobody = "postgres://somebody:secret@127.0.0.1:1/nothing";
    let migrated = program.command("migrate").env("DATABASE_URL", nobody).output().unwrap();
    assert!(!migrated.status.success());
    let told = said(&migrated);
    assert!(told.contains("no connection to the database at 127.0.0.1:1: ") && told.contains("refused"), "{told}");
    assert!(!told.contains("secret"), "{told}");
    let mut command = program.command("serve");
    command.env("DATABASE_URL", nobody);
    let serving = program.start(command);
    let until = Instant::now() + PATIENCE;
    while !serving.said().contains("no connection to the database at 127.0.0.1:1: ") {
        assert!(Instant::now() < until, "{}", serving.said());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn each_reads_a_file_and_the_environment_comes_first() {
    let alone = SERVICES.map(|(name, _)| async move {
        let program = Program::new(name).await;
        let metrics = concierge_journeys::ports::free(1);
        std::fs::create_dir(program.path("etc")).unwrap();
        std::fs::rename(program.path("signing.key"), program.path("etc/signing.key")).unwrap();
        let text = format!(
            "listen = \"127.0.0.1:1\"\nmetrics_listen = \"127.0.0.1:{metrics}\"\nsigning_key_file = \"signing.key\"\n\
             [database]\nurl = \"{}\"\npool_size = 4\n[telemetry]\nlog_format = \"json\"\n",
            program.database
        );
        std::fs::write(program.path("etc/concierge.toml"), text).unwrap();

        let migrated = program.bare("migrate").args(["--config", "etc/concierge.toml"]).output().unwrap();
        assert!(migrated.status.success(), "{name}: {}", said(&migrated));
        let mut command = program.bare("serve");
        command.env("CONCIERGE_CONFIG", "etc/concierge.toml");
        command.env("CONCIERGE_LISTEN", format!("127.0.0.1:{}", program.port));
        let mut serving = program.start(command);
        let channel = program.endpoint().connect_lazy();
        serving.ready(&channel).await;
        ask(&program, channel).await;
        assert!(get(metrics, "/metrics").starts_with("HTTP/1.1 200"), "{name}");
        assert!(serving.said().lines().all(|line| line.starts_with('{')), "{name}: {}", serving.said());
        serving.terminate();
        assert!(serving.ended().await.success(), "{name}: {}", serving.said());
    });
    futures::future::join_all(alone).await;
}

#[tokio::test]
async fn finishes_what_is_under_way_when_told_to_stop() {
    let program = Program::new("directory").await;
    assert!(program.command("migrate").output().unwrap().status.success());
    let mut serving = program.start(program.command("serve"));
    let channel = program.endpoint().connect_lazy();
    serving.ready(&channel).await;

    // Somebody else's transaction holds the customers: a request waits for it.
    let mut other = PgConnection::connect(&program.database).await.unwrap();
    let mut transaction = other.begin().await.unwrap();
    sqlx::raw_sql("lock table customers in access exclusive mode").execute(&mut *transaction).await.unwrap();
    let request = program.request(CreateCustomerRequest {
        customer: Some(Customer { name: "Acme".to_owned(), ..Default::default() }),
        main_site: Some(Site { name: "Main".to_owned(), ..Default::default() }),
        request_id: request_id(),
        ..Default::default()
    });
    let mut client = CustomerServiceClient::new(channel);
    let under_way = tokio::spawn(async move { client.create_customer(request).await });
    loop {
        let waits = "select count(*) from pg_locks where not granted and relation = 'customers'::regclass";
        let waiting: i64 = sqlx::query_scalar(waits).fetch_one(&mut *transaction).await.unwrap();
        if waiting > 0 {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }

    serving.terminate();
    while program.endpoint().connect().await.is_ok() {
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    assert!(!under_way.is_finished(), "nobody new is let in, and the request goes on");
    transaction.rollback().await.unwrap();
    assert!(!under_way.await.unwrap().unwrap().into_inner().customer.unwrap().id.is_empty());
    assert!(serving.ended().await.success(), "{}", serving.said());
}

#[tokio::test]
async fn names_all_wrong_settings_at_once() {
    for (name, _) in SERVICES {
        let program = Program::new(name).await;
        std::fs::write(program.path("wrong.toml"), "listn = \"127.0.0.1:1\"\n[limits]\nconcurrency = 0\n").unwrap();
        for what in ["migrate", "serve"] {
            let mut command = program.bare(what);
            command
                .args(["--config", "wrong.toml"])
                .env("CONCIERGE_METRICS_LISTEN", "here")
                .env("CONCIERGE_GRACE", "soon")
                .env("CONCIERGE_TLS__KEY_FILE", "absent.pem")
                .env("CONCIERGE_SIGNING_KEY_FILE", "absent.key")
                .env("CONCIERGE_TELEMETRY__LOG_FORMAT", "xml");
            let output = command.output().unwrap();
            let said = said(&output);
            assert!(!output.status.success(), "{said}");
            for wrong in [
                "listn is not a setting; did you mean listen?",
                "database.url (CONCIERGE_DATABASE__URL) is not set",
                "limits.concurrency (CONCIERGE_LIMITS__CONCURRENCY)",
                "metrics_listen (CONCIERGE_METRICS_LISTEN)",
                "grace (CONCIERGE_GRACE)",
                "tls.certificate_file (CONCIERGE_TLS__CERTIFICATE_FILE)",
                "tls.key_file (CONCIERGE_TLS__KEY_FILE)",
                "signing_key_file (CONCIERGE_SIGNING_KEY_FILE)",
                "telemetry.log_format (CONCIERGE_TELEMETRY__LOG_FORMAT)",
            ] {
                assert!(said.contains(wrong), "{name} {what} does not say {wrong:?}:\n{said}");
            }
        }
    }
}

#[tokio::test]
async fn names_the_missing_key_beside_other_wrong_settings() {
    let program = Program::new("directory").await;
    let output = program.bare("serve").env("CONCIERGE_GRACE", "soon").output().unwrap();
    let said = said(&output);
    for wrong in ["signing_key_file (CONCIERGE_SIGNING_KEY_FILE) is not set", "grace (CONCIERGE_GRACE)"] {
        assert!(said.contains(wrong), "{said}");
    }
}

#[tokio::test]
async fn says_which_setting_moves_it_from_a_port_that_is_taken() {
    let program = Program::new("directory").await;
    let _listener = TcpListener::bind(("127.0.0.1", program.port)).unwrap();
    let output = program.command("serve").output().unwrap();
    assert!(!output.status.success());
    let said = said(&output);
    assert!(said.contains(&format!("127.0.0.1:{}", program.port)) && said.contains("CONCIERGE_LISTEN"), "{said}");
}

#[tokio::test]
async fn says_that_the_database_is_not_there_without_its_password() {
    let program = Program::new("notification").await;
    let url = format!("{}&password=hunter2", program.database.replace("alone_", "absent_"));
    let output = program.command("migrate").env("DATABASE_URL", url).output().unwrap();
    assert!(!output.status.success());
    let said = said(&output);
    assert!(said.contains("the schema could not be brought up to date") && said.contains("does not exist"), "{said}");
    assert!(!said.contains("hunter2"), "{said}");
}

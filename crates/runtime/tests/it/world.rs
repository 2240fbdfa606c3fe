//! Services with nothing but what every service has.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{LazyLock, Mutex};
use std::time::Duration;

use concierge_proto::event::event_feed_service_server::EventFeedServiceServer;
use concierge_proto::event::{Event, Revocation};
use concierge_runtime::feed::consumer::{Consumer, Effects};
use concierge_runtime::program::{Host, Program, Task};
use concierge_runtime::{Error, Service, Tx, routes};
use futures::future::BoxFuture;
use sqlx::migrate::Migrator;

pub(crate) static NONE: LazyLock<Migrator> = LazyLock::new(|| Migrator::with_migrations(Vec::new()));

/// A feed in the place of directory.
pub(crate) struct Directory;

impl Program for Directory {
    const NAME: &'static str = "directory";

    fn migrations() -> &'static Migrator {
        &NONE
    }

    fn routes(host: &Host) -> tonic::service::Routes {
        routes!(host, host.feed.clone(); EventFeedServiceServer<_>)
    }

    fn tasks(_: &Host) -> Vec<Task> {
        Vec::new()
    }
}

/// A feed in the place of ticket-rule.
pub(crate) struct Teller;

impl Program for Teller {
    const NAME: &'static str = "ticket-rule";

    fn migrations() -> &'static Migrator {
        &NONE
    }

    fn routes(host: &Host) -> tonic::service::Routes {
        routes!(host, host.feed.clone(); EventFeedServiceServer<_>)
    }

    fn tasks(_: &Host) -> Vec<Task> {
        Vec::new()
    }
}

/// Who hears the teller: what each event's effect does is said by the event.
pub(crate) struct Listener;

/// What a listener has tried, and what it is to do wrong.
#[derive(Debug, Default)]
pub(crate) struct Ear {
    /// The subjects whose effect was begun, also of those that were undone.
    pub(crate) tried: Mutex<Vec<String>>,
    /// So many effects panic yet.
    pub(crate) panics: AtomicU32,
    /// How long an effect takes, in milliseconds.
    pub(crate) takes: AtomicU64,
}

struct Hearing(std::sync::Arc<Ear>);

impl Effects for Hearing {
    fn apply<'a>(&'a self, tx: &'a mut Tx, event: &'a Event) -> BoxFuture<'a, Result<(), Error>> {
        Box::pin(async move {
            self.0.tried.lock().unwrap().push(event.subject.clone());
            if self.0.panics.load(Ordering::SeqCst) > 0 {
                self.0.panics.fetch_sub(1, Ordering::SeqCst);
                panic!("as asked");
            }
            // An event may say for itself how long its effect takes.
            let own = event.subject.rsplit_once('/').and_then(|(_, ms)| ms.parse().ok());
            let takes = own.unwrap_or(self.0.takes.load(Ordering::SeqCst));
            sqlx::query("insert into heard (subject) values ($1)")
                .bind(&event.subject)
                .execute(tx.conn().await?)
                .await?;
            tokio::time::sleep(Duration::from_millis(takes)).await;
            tx.emit("heard.told", &event.subject, &Revocation::default()).await?;
            Ok(())
        })
    }
}

static HEARD: LazyLock<Migrator> = LazyLock::new(|| {
    let sql = sqlx::SqlSafeStr::into_sql_str("create table heard (seq bigserial primary key, subject text not null)");
    let migration = sqlx::migrate::Migration::new(
        30_000_101_000_000,
        "heard".into(),
        sqlx::migrate::MigrationType::Simple,
        sql,
        false,
    );
    Migrator::with_migrations(vec![migration])
});

impl Program for Listener {
    const NAME: &'static str = "notification";

    fn migrations() -> &'static Migrator {
        &HEARD
    }

    fn routes(host: &Host) -> tonic::service::Routes {
        routes!(host, host.feed.clone(); EventFeedServiceServer<_>)
    }

    fn tasks(host: &Host) -> Vec<Task> {
        let consumer = Consumer {
            service: host.service.clone(),
            upstream: host.ticket_rule.clone().unwrap(),
            types: vec!["ticket.*".to_owned()],
            record_types: vec!["site".to_owned()],
            effects: Hearing(host.service.shared()),
        };
        vec![Box::pin(consumer.run(host.stop.clone()))]
    }
}

/// Emits events of these subjects in one transaction, each with a payload of so many bytes.
pub(crate) async fn tell(service: &Service, subjects: &[&str], bytes: usize) {
    let mut tx = service.begin().await.unwrap();
    for subject in subjects {
        let payload = Revocation { why: "x".repeat(bytes), ..Default::default() };
        tx.emit("ticket.updated", &format!("ticket/{subject}"), &payload).await.unwrap();
    }
    service.commit(tx).await.unwrap();
}

/// What was heard for good, in order.
pub(crate) async fn heard(service: &Service) -> Vec<String> {
    sqlx::query_scalar("select subject from heard order by seq").fetch_all(service.pool()).await.unwrap()
}

/// Looks until it is so, for a minute.
pub(crate) async fn until(what: &str, mut is: impl AsyncFnMut() -> bool) {
    for _ in 0..3_000 {
        if is().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("{what}: not within a minute");
}

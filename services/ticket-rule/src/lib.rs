//! Tickets and the rules that act on them.

#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod error;
pub mod evaluation;

use concierge_proto::event::event_feed_service_server::EventFeedServiceServer;
use concierge_runtime::program::{Host, Program, Task};
use concierge_runtime::{Service, served};
use sqlx::migrate::Migrator;

pub use error::Error;
use evaluation::RuleSets;

static MIGRATIONS: Migrator = sqlx::migrate!("./migrations");

/// The handlers of every gRPC service of ticket-rule.
#[derive(Clone, Debug)]
pub struct TicketRule {
    /// Database, clock, transactions.
    pub(crate) service: Service,
    /// What the service runs on.
    pub(crate) host: Host,
    /// The rules and what they refer to, as they are and as they were.
    pub(crate) rule_sets: RuleSets,
}

impl TicketRule {
    /// The handlers on this host.
    pub fn new(host: &Host) -> Self {
        Self { service: host.service.clone(), host: host.clone(), rule_sets: RuleSets::new(&host.service) }
    }
}

impl Program for TicketRule {
    const NAME: &'static str = "ticket-rule";

    fn migrations() -> &'static Migrator {
        &MIGRATIONS
    }

    fn routes(host: &Host) -> tonic::service::Routes {
        let feed = host.feed.clone();
        tonic::service::Routes::new(served!(EventFeedServiceServer::new(feed)))
    }

    fn tasks(_host: &Host) -> Vec<Task> {
        Vec::new()
    }
}

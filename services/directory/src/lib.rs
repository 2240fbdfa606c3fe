//! The directory: customers, sites and users, who is important and why, and everyone who works with them.

#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod error;
pub mod relationship;

use concierge_proto::directory::relationship_service_server::RelationshipServiceServer;
use concierge_proto::event::event_feed_service_server::EventFeedServiceServer;
use concierge_runtime::program::{Host, Program, Task};
use concierge_runtime::{Service, routes, served};
use sqlx::migrate::Migrator;

pub use error::Error;

static MIGRATIONS: Migrator = sqlx::migrate!("./migrations");

/// The handlers of every gRPC service of the directory.
#[derive(Clone, Debug)]
pub struct Directory {
    /// Database, clock, transactions.
    pub(crate) service: Service,
    /// What the service runs on.
    pub(crate) host: Host,
}

impl Program for Directory {
    const NAME: &'static str = "directory";

    fn migrations() -> &'static Migrator {
        &MIGRATIONS
    }

    fn routes(host: &Host) -> tonic::service::Routes {
        let directory = Self { service: host.service.clone(), host: host.clone() };
        let feed = host.feed.clone().with::<relationship::Relationships>();
        routes!(
            directory;
            RelationshipServiceServer<_>,
        )
        .add_service(served!(EventFeedServiceServer::new(feed)))
    }

    fn tasks(_host: &Host) -> Vec<Task> {
        Vec::new()
    }
}

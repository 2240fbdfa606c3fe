//! The directory: customers, sites and users, who is important and why, and everyone who works with them.

#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod agent_role;
pub mod change_history;
pub mod error;
mod grant;
pub mod relationship;
pub mod site_contact;
pub mod site_contact_type;
pub mod team;
mod ticket_feed;

use concierge_proto::directory::agent_role_service_server::AgentRoleServiceServer;
use concierge_proto::directory::change_history_service_server::ChangeHistoryServiceServer;
use concierge_proto::directory::relationship_service_server::RelationshipServiceServer;
use concierge_proto::directory::site_contact_service_server::SiteContactServiceServer;
use concierge_proto::directory::site_contact_type_service_server::SiteContactTypeServiceServer;
use concierge_proto::directory::team_service_server::TeamServiceServer;
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
        let feed = host
            .feed
            .clone()
            .with::<relationship::Relationships>()
            .with::<site_contact_type::SiteContactTypes>()
            .with::<site_contact::SiteContacts>()
            .with::<agent_role::AgentRoles>()
            .with::<team::Teams>();
        routes!(
            directory;
            RelationshipServiceServer<_>,
            SiteContactTypeServiceServer<_>,
            SiteContactServiceServer<_>,
            AgentRoleServiceServer<_>,
            TeamServiceServer<_>,
            ChangeHistoryServiceServer<_>,
        )
        .add_service(served!(EventFeedServiceServer::new(feed)))
    }

    fn tasks(host: &Host) -> Vec<Task> {
        ticket_feed::task(host).into_iter().collect()
    }
}

//! The directory: customers, sites and users, who is important and why, and everyone who works with them.

#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod access;
mod activity;
pub mod agent;
pub mod agent_role;
pub mod change_history;
pub mod custom_field;
pub mod customer;
pub mod department;
pub mod error;
mod grant;
pub mod relationship;
pub mod requester;
mod search;
pub mod site;
pub mod site_contact;
pub mod site_contact_type;
pub mod team;
mod ticket_feed;
pub mod user;
pub mod user_role;

use concierge_proto::directory::access_service_server::AccessServiceServer;
use concierge_proto::directory::agent_role_service_server::AgentRoleServiceServer;
use concierge_proto::directory::agent_service_server::AgentServiceServer;
use concierge_proto::directory::change_history_service_server::ChangeHistoryServiceServer;
use concierge_proto::directory::custom_field_service_server::CustomFieldServiceServer;
use concierge_proto::directory::customer_service_server::CustomerServiceServer;
use concierge_proto::directory::department_service_server::DepartmentServiceServer;
use concierge_proto::directory::relationship_service_server::RelationshipServiceServer;
use concierge_proto::directory::requester_service_server::RequesterServiceServer;
use concierge_proto::directory::site_contact_service_server::SiteContactServiceServer;
use concierge_proto::directory::site_contact_type_service_server::SiteContactTypeServiceServer;
use concierge_proto::directory::site_service_server::SiteServiceServer;
use concierge_proto::directory::team_service_server::TeamServiceServer;
use concierge_proto::directory::user_role_service_server::UserRoleServiceServer;
use concierge_proto::directory::user_service_server::UserServiceServer;
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
            .with::<customer::Customers>()
            .with::<site::Sites>()
            .with::<user_role::UserRoles>()
            .with::<user::Users>()
            .with::<agent::Agents>()
            .with::<site_contact_type::SiteContactTypes>()
            .with::<site_contact::SiteContacts>()
            .with::<agent_role::AgentRoles>()
            .with::<department::Departments>()
            .with::<custom_field::CustomFields>()
            .with::<team::Teams>();
        routes!(
            host,
            directory;
            CustomerServiceServer<_>,
            SiteServiceServer<_>,
            UserServiceServer<_>,
            UserRoleServiceServer<_>,
            RelationshipServiceServer<_>,
            RequesterServiceServer<_>,
            AgentServiceServer<_>,
            AccessServiceServer<_>,
            SiteContactTypeServiceServer<_>,
            SiteContactServiceServer<_>,
            AgentRoleServiceServer<_>,
            TeamServiceServer<_>,
            DepartmentServiceServer<_>,
            CustomFieldServiceServer<_>,
            ChangeHistoryServiceServer<_>,
        )
        .add_service(served!(host, EventFeedServiceServer::new(feed)))
    }

    fn tasks(host: &Host) -> Vec<Task> {
        ticket_feed::task(host).into_iter().collect()
    }
}

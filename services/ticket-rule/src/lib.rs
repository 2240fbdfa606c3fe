//! Tickets and the rules that act on them.

#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod calendar;
pub mod category;
mod configure;
pub mod error;
pub mod evaluation;
pub mod facts;
pub mod priority;
pub mod rule;
pub mod second_evaluation;
pub mod sla;
pub mod status;
pub mod ticket;
pub mod ticket_field;
pub mod ticket_type;

use concierge_proto::event::event_feed_service_server::EventFeedServiceServer;
use concierge_proto::ticket_rule::calendar_service_server::CalendarServiceServer;
use concierge_proto::ticket_rule::category_service_server::CategoryServiceServer;
use concierge_proto::ticket_rule::priority_service_server::PriorityServiceServer;
use concierge_proto::ticket_rule::rule_service_server::RuleServiceServer;
use concierge_proto::ticket_rule::sla_service_server::SlaServiceServer;
use concierge_proto::ticket_rule::status_service_server::StatusServiceServer;
use concierge_proto::ticket_rule::ticket_field_service_server::TicketFieldServiceServer;
use concierge_proto::ticket_rule::ticket_service_server::TicketServiceServer;
use concierge_proto::ticket_rule::ticket_type_service_server::TicketTypeServiceServer;
use concierge_runtime::program::{Host, Program, Task};
use concierge_runtime::{Service, routes, served};
use sqlx::migrate::Migrator;

pub use error::Error;
use evaluation::RuleSets;

static MIGRATIONS: Migrator = sqlx::migrate!("./migrations");

/// The handlers of every gRPC service of ticket-rule.
#[derive(Clone, Debug)]
pub struct TicketRule {
    /// Database, clock, transactions.
    pub(crate) service: Service,
    /// The rules and what they refer to, as they are and as they were.
    pub(crate) rule_sets: RuleSets,
    /// What is known about requesters.
    pub(crate) facts: facts::Source,
    /// Where it runs.
    pub(crate) host: Host,
}

impl TicketRule {
    /// The handlers on this host.
    pub fn new(host: &Host) -> Self {
        let (service, facts) = (host.service.clone(), facts::Source::new(host));
        Self { rule_sets: RuleSets::new(&service), service, facts, host: host.clone() }
    }
}

impl Program for TicketRule {
    const NAME: &'static str = "ticket-rule";

    fn migrations() -> &'static Migrator {
        &MIGRATIONS
    }

    fn routes(host: &Host) -> tonic::service::Routes {
        let feed = host
            .feed
            .clone()
            .with::<ticket_type::TicketTypes>()
            .with::<status::Statuses>()
            .with::<priority::Priorities>()
            .with::<calendar::Calendars>()
            .with::<sla::Slas>()
            .with::<category::Categories>()
            .with::<ticket_field::TicketFields>()
            .with::<rule::Rules>()
            .with::<ticket::Tickets>();
        let handler = Self::new(host);
        let most = host.max_message.max(rule::LARGEST_FILE);
        routes!(
            host,
            handler.clone();
            TicketTypeServiceServer<_>,
            StatusServiceServer<_>,
            PriorityServiceServer<_>,
            CalendarServiceServer<_>,
            SlaServiceServer<_>,
            CategoryServiceServer<_>,
            TicketFieldServiceServer<_>,
            TicketServiceServer<_>,
        )
        .add_service(served!(RuleServiceServer::new(handler).max_decoding_message_size(most)))
        .add_service(served!(host, EventFeedServiceServer::new(feed)))
    }

    fn tasks(host: &Host) -> Vec<Task> {
        let mut tasks: Vec<Task> = Vec::new();
        tasks.push(Box::pin(second_evaluation::run(Self::new(host), host.stop.clone())));
        if let Some(directory) = &host.directory {
            let consumer = facts::consumer(host.service.clone(), directory.clone());
            tasks.push(Box::pin(consumer.run(host.stop.clone())));
        }
        tasks
    }
}

//! Notification: tells people by e-mail and in their inbox of what happens to tickets, and agents by popups whom they
//! have before them.

#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod delivery;
pub mod desk;
pub mod email_sender;
pub mod error;
mod live;
pub mod notification_definition;
pub mod popup;
pub mod popup_note;
pub mod preference;
pub mod retention;
mod sending;
pub mod telling;
mod template;

use std::sync::Arc;

use concierge_proto::event::event_feed_service_server::EventFeedServiceServer;
use concierge_proto::notification::delivery_service_server::DeliveryServiceServer;
use concierge_proto::notification::email_sender_service_server::EmailSenderServiceServer;
use concierge_proto::notification::notification_definition_service_server::NotificationDefinitionServiceServer;
use concierge_proto::notification::popup_note_service_server::PopupNoteServiceServer;
use concierge_proto::notification::popup_service_server::PopupServiceServer;
use concierge_proto::notification::preference_service_server::PreferenceServiceServer;
use concierge_runtime::feed::consumer::{Consumer, OnlyProject};
use concierge_runtime::program::{Host, Program, Task};
use concierge_runtime::{Service, routes, served};
use sqlx::migrate::Migrator;

pub use desk::Desk;
pub use error::Error;
pub use sending::Pace;

static MIGRATIONS: Migrator = sqlx::migrate!("./migrations");

/// The handlers of every gRPC service of notification.
#[derive(Clone, Debug)]
pub struct Notification {
    /// Database, clock, transactions.
    pub(crate) service: Service,
    /// What the service runs on.
    pub(crate) host: Host,
    /// What handlers share with tasks.
    pub(crate) desk: Arc<Desk>,
}

impl Program for Notification {
    const NAME: &'static str = "notification";

    fn migrations() -> &'static Migrator {
        &MIGRATIONS
    }

    fn routes(host: &Host) -> tonic::service::Routes {
        let notification = Self { service: host.service.clone(), host: host.clone(), desk: host.service.shared() };
        let feed = host
            .feed
            .clone()
            .with::<notification_definition::NotificationDefinitions>()
            .with::<email_sender::EmailSenders>()
            .with::<popup_note::PopupNotes>()
            .with::<preference::UserPreferences>();
        routes!(
            host,
            notification;
            NotificationDefinitionServiceServer<_>,
            EmailSenderServiceServer<_>,
            DeliveryServiceServer<_>,
            PopupNoteServiceServer<_>,
            PopupServiceServer<_>,
            PreferenceServiceServer<_>,
        )
        .add_service(served!(host, EventFeedServiceServer::new(feed)))
    }

    fn tasks(host: &Host) -> Vec<Task> {
        let mut tasks: Vec<Task> = vec![
            Box::pin(sending::run(host.clone())),
            Box::pin(delivery::hints::listen(host.clone())),
            Box::pin(delivery::hints::poll(host.clone())),
            Box::pin(retention::run(host.clone())),
        ];
        let named = |types: &[&str], suffix: &str| types.iter().map(|t| format!("{t}{suffix}")).collect();
        if let Some(directory) = &host.directory {
            let consumer = Consumer {
                service: host.service.clone(),
                upstream: directory.clone(),
                types: named(&telling::DIRECTORY, ".*"),
                record_types: named(&telling::DIRECTORY, ""),
                effects: OnlyProject,
            };
            tasks.push(Box::pin(consumer.run(host.stop.clone())));
        }
        if let Some(ticket_rule) = &host.ticket_rule {
            let consumer = Consumer {
                service: host.service.clone(),
                upstream: ticket_rule.clone(),
                types: named(&telling::TICKET_RULE, ".*"),
                record_types: named(&telling::TICKET_RULE, ""),
                effects: telling::Telling::new(host),
            };
            tasks.push(Box::pin(consumer.run(host.stop.clone())));
        }
        tasks
    }
}

//! A small world: the feeds of directory and ticket-rule, told what a test says, an e-mail server, and notification.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};

use concierge_notification::{Desk, Notification};
use concierge_proto::Record;
use concierge_proto::directory::{Agent, Customer, Site, SiteContact, Team, User};
use concierge_proto::event::event_feed_service_server::EventFeedServiceServer;
use concierge_proto::event::{RecordChanged, TicketEvent, TicketEventKind, TicketNames};
use concierge_proto::notification::delivery_service_client::DeliveryServiceClient;
use concierge_proto::notification::email_sender_service_client::EmailSenderServiceClient;
use concierge_proto::notification::notification_definition_service_client::NotificationDefinitionServiceClient;
use concierge_proto::notification::{
    Channel, CreateEmailSenderRequest, CreateNotificationDefinitionRequest, Delivery, DeliveryState, EmailSecurity,
    EmailSender, EventType, ListDeliveriesRequest, NotificationDefinition, NotificationRecipients,
};
use concierge_proto::options::CallerKind;
use concierge_proto::record::timestamp;
use concierge_proto::ticket_rule::{StatusCategory, Ticket, TicketSource, TicketTypeUse};
use concierge_runtime::clock::Clock as _;
use concierge_runtime::program::{Host, Program, Task};
use concierge_runtime::{Call, Service, type_url};
use concierge_testkit::smtp::SmtpServer;
use concierge_testkit::{Api, Suite, request_id};
use prost_types::Any;
use sqlx::migrate::Migrator;
use uuid::Uuid;

macro_rules! feed {
    ($program:ident, $real:ty) => {
        /// The service with nothing but its feed.
        struct $program;

        impl Program for $program {
            const NAME: &'static str = <$real>::NAME;

            fn migrations() -> &'static Migrator {
                // Tests of one process share the databases' templates: the schema is the real one's.
                <$real>::migrations()
            }

            fn routes(host: &Host) -> tonic::service::Routes {
                tonic::service::Routes::new(EventFeedServiceServer::new(host.feed.clone()))
            }

            fn tasks(_: &Host) -> Vec<Task> {
                Vec::new()
            }
        }
    };
}

feed!(DirectoryFeed, concierge_directory::Directory);
feed!(TicketRuleFeed, concierge_ticket_rule::TicketRule);

pub(crate) struct World {
    pub(crate) suite: Suite,
    pub(crate) smtp: SmtpServer,
    pub(crate) customer: Customer,
    pub(crate) site: Site,
    version: i64,
    number: i64,
}

pub(crate) fn id() -> String {
    concierge_runtime::clock::SystemClock.new_id().to_string()
}

impl World {
    /// Everything runs, one customer has one site, and an e-mail sender is configured.
    pub(crate) async fn new() -> Self {
        let mut world = Self::without_sender().await;
        world.create_sender().await;
        world
    }

    pub(crate) async fn without_sender() -> Self {
        let mut suite = Suite::new();
        suite.start::<DirectoryFeed>().await;
        suite.start::<TicketRuleFeed>().await;
        suite.start::<Notification>().await;
        let customer = Customer { id: id(), name: "Example Ltd".to_owned(), active: Some(true), ..Default::default() };
        let site = Site {
            id: id(),
            customer_id: customer.id.clone(),
            name: "Berlin".to_owned(),
            time_zone: "Europe/Berlin".to_owned(),
            active: Some(true),
            ..Default::default()
        };
        let smtp = SmtpServer::start().await;
        let mut world = Self { suite, smtp, customer: customer.clone(), site: site.clone(), version: 0, number: 0 };
        world.heard(&customer).await;
        world.heard(&site).await;
        world
    }

    pub(crate) fn sender(&self) -> EmailSender {
        EmailSender {
            name: "Support".to_owned(),
            host: "127.0.0.1".to_owned(),
            port: Some(self.smtp.address.port().into()),
            security: EmailSecurity::None.into(),
            from_address: "desk@example.com".to_owned(),
            from_name: "Example Desk".to_owned(),
            ..Default::default()
        }
    }

    pub(crate) async fn create_sender(&mut self) -> EmailSender {
        let request = CreateEmailSenderRequest { email_sender: Some(self.sender()), request_id: request_id() };
        self.senders().create_email_sender(request).await.unwrap().into_inner().email_sender.unwrap()
    }

    pub(crate) fn definitions(&self) -> NotificationDefinitionServiceClient<Api> {
        NotificationDefinitionServiceClient::new(self.suite.admin("notification"))
    }

    pub(crate) fn senders(&self) -> EmailSenderServiceClient<Api> {
        EmailSenderServiceClient::new(self.suite.admin("notification"))
    }

    pub(crate) fn deliveries(&self) -> DeliveryServiceClient<Api> {
        DeliveryServiceClient::new(self.suite.admin("notification"))
    }

    pub(crate) fn service(&mut self) -> Service {
        self.suite.service("notification").host.service.clone()
    }

    pub(crate) fn desk(&mut self) -> std::sync::Arc<Desk> {
        self.service().shared()
    }

    /// Directory tells of a record.
    pub(crate) async fn heard<R: Record>(&mut self, record: &R) {
        self.version += 1;
        let change = RecordChanged {
            record_type: R::TYPE.to_owned(),
            record_id: record.id().to_owned(),
            version: self.version,
            record: Some(Any { type_url: type_url(R::FULL_NAME), value: record.encode_to_vec() }),
            changed_fields: Vec::new(),
            deleted: record.delete_time().is_some(),
        };
        let service = self.suite.service("directory").host.service.clone();
        let mut tx = service.begin().await.unwrap();
        let subject = format!("{}/{}", R::TYPE, record.id());
        tx.emit(&format!("{}.updated", R::TYPE), &subject, &change).await.unwrap();
        service.commit(tx).await.unwrap();
    }

    /// Ticket-rule tells of a ticket; returns the event's id.
    pub(crate) async fn told(&mut self, event: &TicketEvent) -> String {
        let now = self.suite.clock.now();
        self.told_at(event, now, "").await
    }

    /// Ticket-rule tells of what happened to a ticket then, in a trace.
    pub(crate) async fn told_at(&mut self, event: &TicketEvent, time: DateTime<Utc>, traceparent: &str) -> String {
        let service = self.suite.service("ticket-rule").host.service.clone();
        let mut tx = service.begin().await.unwrap();
        tx.now = time;
        tx.call = Arc::new(Call { traceparent: traceparent.to_owned(), ..(*tx.call).clone() });
        let subject = format!("ticket/{}", event.ticket.as_ref().unwrap().id);
        let id = tx.emit("ticket.logged", &subject, event).await.unwrap();
        service.commit(tx).await.unwrap();
        id.to_string()
    }

    pub(crate) async fn user(&mut self, name: &str, email: &str) -> User {
        let user = User {
            id: id(),
            site_id: self.site.id.clone(),
            customer_id: self.customer.id.clone(),
            name: name.to_owned(),
            emails: if email.is_empty() { Vec::new() } else { vec![email.to_owned()] },
            active: Some(true),
            ..Default::default()
        };
        self.heard(&user).await;
        user
    }

    pub(crate) async fn agent(&mut self, name: &str, email: &str) -> Agent {
        let agent = Agent {
            id: id(),
            name: name.to_owned(),
            email: email.to_owned(),
            active: Some(true),
            ..Default::default()
        };
        self.heard(&agent).await;
        agent
    }

    pub(crate) async fn team(&mut self, agents: &[&Agent]) -> Team {
        let agent_ids = agents.iter().map(|a| a.id.clone()).collect();
        let team =
            Team { id: id(), name: "First line".to_owned(), active: Some(true), agent_ids, ..Default::default() };
        self.heard(&team).await;
        team
    }

    /// Makes a user a contact of the site.
    pub(crate) async fn contact(&mut self, user: &User, type_id: &str) -> SiteContact {
        let contact = SiteContact {
            id: id(),
            site_id: self.site.id.clone(),
            user_id: user.id.clone(),
            type_id: type_id.to_owned(),
            ..Default::default()
        };
        self.heard(&contact).await;
        contact
    }

    /// A new ticket of the site.
    pub(crate) fn ticket(&mut self, user: Option<&User>) -> Ticket {
        self.number += 1;
        Ticket {
            id: id(),
            number: self.number,
            summary: "The VPN is down".to_owned(),
            details: "Since nine.\nFor all of us.".to_owned(),
            user_id: user.map(|u| u.id.clone()).unwrap_or_default(),
            site_id: self.site.id.clone(),
            customer_id: self.customer.id.clone(),
            source: TicketSource::Phone.into(),
            r#use: TicketTypeUse::Support.into(),
            status_category: StatusCategory::New.into(),
            logged_time: Some(timestamp("2026-03-01T12:00:00Z".parse().unwrap())),
            ..Default::default()
        }
    }

    /// What happens to a ticket.
    pub(crate) fn event(&self, ticket: &Ticket, kinds: &[TicketEventKind]) -> TicketEvent {
        TicketEvent {
            kinds: kinds.iter().map(|kind| i32::from(*kind)).collect(),
            ticket: Some(ticket.clone()),
            version: 1,
            names: Some(TicketNames {
                status: "New".to_owned(),
                site: self.site.name.clone(),
                customer: self.customer.name.clone(),
                ..Default::default()
            }),
            happened_time: ticket.logged_time,
            actor_kind: CallerKind::Agent.into(),
            actor_name: "Bo Hall".to_owned(),
            ..Default::default()
        }
    }

    /// A ticket is logged; returns the event's id.
    pub(crate) async fn logged(&mut self, user: Option<&User>) -> (Ticket, String) {
        let ticket = self.ticket(user);
        let event = self.event(&ticket, &[TicketEventKind::Logged]);
        let id = self.told(&event).await;
        (ticket, id)
    }

    pub(crate) async fn define(&mut self, definition: NotificationDefinition) -> NotificationDefinition {
        let request =
            CreateNotificationDefinitionRequest { notification_definition: Some(definition), request_id: request_id() };
        let created = self.definitions().create_notification_definition(request).await.unwrap().into_inner();
        created.notification_definition.unwrap()
    }

    pub(crate) async fn deliveries_where(&self, filter: &str) -> Vec<Delivery> {
        let request = ListDeliveriesRequest { filter: filter.to_owned(), page_size: 1000, ..Default::default() };
        self.deliveries().list_deliveries(request).await.unwrap().into_inner().deliveries
    }

    /// The deliveries of an event, once all that are to be sent are.
    pub(crate) async fn settled(&self, event_id: &str) -> Vec<Delivery> {
        self.until(event_id, |all| {
            !all.is_empty() && all.iter().all(|d| matches!(d.state(), DeliveryState::Sent | DeliveryState::Suppressed))
        })
        .await
    }

    /// The deliveries of an event, once something holds of them.
    pub(crate) async fn until(&self, event_id: &str, holds: impl Fn(&[Delivery]) -> bool) -> Vec<Delivery> {
        let filter = format!("event_id = \"{event_id}\"");
        for _ in 0..1_000 {
            let found = self.deliveries_where(&filter).await;
            if holds(&found) {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("the deliveries never became so: {:#?}", self.deliveries_where(&filter).await);
    }

    /// Waits until everything that a service told so far can be heard.
    pub(crate) async fn numbered(&mut self, service: &'static str) {
        let pool = self.suite.service(service).host.service.pool().clone();
        for _ in 0..1_000 {
            let waiting: i64 = sqlx::query_scalar("select count(*) from outbox where position is null")
                .fetch_one(&pool)
                .await
                .unwrap();
            if waiting == 0 {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("events of {service} were not numbered");
    }

    /// Waits until everything that ticket-rule told so far has had its effect.
    pub(crate) async fn all_told(&mut self) {
        let feed = self.suite.service("ticket-rule").host.service.clone();
        let pool = self.service().pool().clone();
        for _ in 0..1_000 {
            let (waiting, head): (i64, i64) =
                sqlx::query_as("select (select count(*) from outbox where position is null), head from feed")
                    .fetch_one(feed.pool())
                    .await
                    .unwrap();
            let heard: Option<i64> = sqlx::query_scalar("select position from feed_cursors where feed = 'ticket-rule'")
                .fetch_optional(&pool)
                .await
                .unwrap();
            if waiting == 0 && heard == Some(head) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("events of ticket-rule were not applied");
    }
}

/// A definition that tells of new tickets.
pub(crate) fn definition(name: &str, recipients: NotificationRecipients) -> NotificationDefinition {
    NotificationDefinition {
        name: name.to_owned(),
        event_type: EventType::TicketLogged.into(),
        recipients: Some(recipients),
        channels: vec![Channel::Email.into(), Channel::Inbox.into()],
        subject_template: "{{ticket.number}}: {{ticket.summary}}".to_owned(),
        body_html_template: "<p>Hello {{recipient.name}}: {{ticket.details}}</p>".to_owned(),
        ..Default::default()
    }
}

pub(crate) fn uuid(text: &str) -> Uuid {
    text.parse().unwrap()
}

impl World {
    /// Directory is back, on its database and address.
    pub(crate) async fn restart_directory(&mut self) {
        self.suite.restart::<DirectoryFeed>().await;
    }
}

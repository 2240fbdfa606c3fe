//! What the directory hears of tickets, from a real feed on a database of its own.

use std::sync::LazyLock;
use std::time::Duration;

use concierge_directory::Directory;
use concierge_proto::directory::CustomerOverview;
use concierge_proto::directory::{
    ActivityKind, GetCustomerOverviewRequest, GetSiteOverviewRequest, GetUserOverviewRequest, SiteOverview,
    UserOverview,
};
use concierge_proto::event::event_feed_service_server::EventFeedServiceServer;
use concierge_proto::event::{TicketCounting, TicketEvent, TicketEventKind};
use concierge_proto::record::timestamp;
use concierge_proto::ticket_rule::{StatusCategory, Ticket, TicketAction};
use concierge_runtime::Service;
use concierge_runtime::clock::Clock as _;
use concierge_runtime::program::{Host, Program, Task};
use sqlx::migrate::Migrator;
use uuid::Uuid;

use crate::desk::Desk;

static NONE: LazyLock<Migrator> = LazyLock::new(|| Migrator::with_migrations(Vec::new()));

/// A service with the outbox and the feed that every service has, in the place of ticket-rule.
struct Teller;

impl Program for Teller {
    const NAME: &'static str = "ticket-rule";

    fn migrations() -> &'static Migrator {
        &NONE
    }

    fn routes(host: &Host) -> tonic::service::Routes {
        let mut routes = tonic::service::Routes::builder();
        routes.add_service(EventFeedServiceServer::new(host.feed.clone()));
        routes.routes()
    }

    fn tasks(_: &Host) -> Vec<Task> {
        Vec::new()
    }
}

/// A ticket of somebody, told about as ticket-rule tells.
#[derive(Clone)]
struct Told {
    ticket: Ticket,
    version: i64,
}

impl Told {
    fn new(number: i64, customer_id: &str, site_id: &str, user_id: &str) -> Self {
        let ticket = Ticket {
            id: Uuid::from_u128(u128::from(number.unsigned_abs())).to_string(),
            number,
            summary: format!("Ticket {number}"),
            customer_id: customer_id.to_owned(),
            site_id: site_id.to_owned(),
            user_id: user_id.to_owned(),
            status_category: StatusCategory::New.into(),
            ..Default::default()
        };
        Self { ticket, version: 0 }
    }

    fn event(&mut self, kinds: &[TicketEventKind], now: prost_types::Timestamp) -> TicketEvent {
        self.version += 1;
        if kinds.contains(&TicketEventKind::Closed) {
            self.ticket.status_category = StatusCategory::Closed.into();
        }
        let open = self.ticket.status_category() != StatusCategory::Closed;
        let action = TicketAction { id: Uuid::from_u128(0xac).to_string(), ..Default::default() };
        TicketEvent {
            kinds: kinds.iter().map(|k| *k as i32).collect(),
            ticket: Some(self.ticket.clone()),
            version: self.version,
            ticket_action: kinds.contains(&TicketEventKind::ActionAdded).then_some(action),
            counted_after: Some(TicketCounting {
                open,
                user_id: self.ticket.user_id.clone(),
                site_id: self.ticket.site_id.clone(),
                customer_id: self.ticket.customer_id.clone(),
                ..Default::default()
            }),
            happened_time: Some(now),
            actor_id: "ann".to_owned(),
            ..Default::default()
        }
    }
}

async fn tell(service: &Service, events: &[TicketEvent]) {
    let mut tx = service.begin().await.unwrap();
    for event in events {
        let id = event.ticket.as_ref().unwrap().id.clone();
        tx.emit("ticket.updated", &format!("ticket/{id}"), event).await.unwrap();
    }
    service.commit(tx).await.unwrap();
}

async fn overview(desk: &Desk, id: &str) -> CustomerOverview {
    let request = GetCustomerOverviewRequest { id: id.to_owned() };
    desk.customers().get_customer_overview(request).await.unwrap().into_inner().overview.unwrap()
}

async fn of_site(desk: &Desk, id: &str) -> SiteOverview {
    let request = GetSiteOverviewRequest { id: id.to_owned() };
    desk.sites().get_site_overview(request).await.unwrap().into_inner().overview.unwrap()
}

async fn of_user(desk: &Desk, id: &str) -> UserOverview {
    let request = GetUserOverviewRequest { id: id.to_owned() };
    desk.users().get_user_overview(request).await.unwrap().into_inner().overview.unwrap()
}

/// Waits until so many entries are there.
async fn heard(desk: &Desk, customer_id: &str, entries: usize) -> CustomerOverview {
    for _ in 0..1_000 {
        let found = overview(desk, customer_id).await;
        if found.recent_activity.len() >= entries {
            return found;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("the directory has not heard of {entries} entries");
}

fn now(desk: &Desk) -> prost_types::Timestamp {
    timestamp(desk.suite.clock.now())
}

#[tokio::test]
async fn tickets_count_while_they_are_open_and_what_happens_is_told() {
    let mut desk = Desk::open().await;
    desk.suite.start::<Teller>().await;
    let (customer, site) = desk.customer("Example Ltd").await;
    let ann = desk.user(&site, "Ann Lee").await;
    let service = desk.suite.service("ticket-rule").host.service.clone();
    let mut first = Told::new(1, &customer.id, &site.id, &ann.id);
    let mut second = Told::new(2, &customer.id, &site.id, "");
    use TicketEventKind::{ActionAdded, Closed, Logged, Updated};
    let mut events = vec![first.event(&[Logged], now(&desk)), second.event(&[Logged], now(&desk))];
    events.push(first.event(&[ActionAdded, Updated], now(&desk)));
    tell(&service, &events).await;

    let found = heard(&desk, &customer.id, 4).await;
    assert_eq!((found.open_ticket_count, found.recent_activity.len()), (2, 4));
    assert!(found.as_of.is_some());
    assert_eq!(
        (of_site(&desk, &site.id).await.open_ticket_count, of_user(&desk, &ann.id).await.open_ticket_count),
        (2, 1)
    );
    let kinds: Vec<ActivityKind> = found.recent_activity.iter().map(|a| a.kind()).collect();
    assert_eq!(
        kinds,
        [
            ActivityKind::TicketUpdated,
            ActivityKind::ActionAdded,
            ActivityKind::TicketLogged,
            ActivityKind::TicketLogged
        ]
    );
    let action = &found.recent_activity[1];
    assert_eq!((action.ticket_number, action.ticket_summary.as_str()), (1, "Ticket 1"));
    assert_eq!((action.action_id.as_str(), action.actor_id.as_str()), (&*Uuid::from_u128(0xac).to_string(), "ann"));
    assert_eq!((action.customer_id.clone(), action.site_id.clone()), (customer.id.clone(), site.id.clone()));

    tell(&service, &[first.event(&[Closed], now(&desk))]).await;
    let found = heard(&desk, &customer.id, 5).await;
    assert_eq!((found.open_ticket_count, found.recent_activity[0].kind()), (1, ActivityKind::TicketClosed));
}

#[tokio::test]
async fn an_event_heard_late_undoes_nothing_and_one_heard_twice_counts_once() {
    let mut desk = Desk::open().await;
    desk.suite.start::<Teller>().await;
    let (customer, site) = desk.customer("Example Ltd").await;
    let service = desk.suite.service("ticket-rule").host.service.clone();
    let mut ticket = Told::new(1, &customer.id, &site.id, "");
    let logged = ticket.event(&[TicketEventKind::Logged], now(&desk));
    let closed = ticket.event(&[TicketEventKind::Closed], now(&desk));
    tell(&service, &[closed, logged]).await;
    assert_eq!(heard(&desk, &customer.id, 2).await.open_ticket_count, 0);

    // A directory that died after the effect and before it knew goes on where the cursor is.
    desk.suite.restart::<Directory>().await;
    tell(&service, &[Told::new(2, &customer.id, &site.id, "").event(&[TicketEventKind::Logged], now(&desk))]).await;
    let found = heard(&desk, &customer.id, 3).await;
    assert_eq!((found.open_ticket_count, found.recent_activity.len()), (1, 3));
}

#[tokio::test]
async fn a_snapshot_replaces_what_was_counted() {
    let mut desk = Desk::open().await;
    desk.suite.start::<Teller>().await;
    let (customer, site) = desk.customer("Example Ltd").await;
    let service = desk.suite.service("ticket-rule").host.service.clone();
    let logged = Told::new(1, &customer.id, &site.id, "").event(&[TicketEventKind::Logged], now(&desk));
    tell(&service, &[logged]).await;
    assert_eq!(heard(&desk, &customer.id, 1).await.open_ticket_count, 1);
    // Another database under the same name: it never had that ticket.
    sqlx::query("update feed set feed_id = gen_random_uuid()").execute(service.pool()).await.unwrap();
    desk.suite.restart::<Directory>().await;
    for _ in 0..1_000 {
        if overview(&desk, &customer.id).await.open_ticket_count == 0 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("a ticket that is gone still counts");
}

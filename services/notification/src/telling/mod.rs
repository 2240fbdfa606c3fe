//! Telling people: what ticket-rule tells of tickets becomes deliveries, in the transaction that moves the cursor.

mod definitions;
mod directory;
mod occasion;
mod people;
mod plan;
mod store;
mod words;

use std::sync::{Arc, Mutex, PoisonError};

use chrono::{DateTime, Utc};
use concierge_criteria::{Schema, Truth, eval};
use concierge_model::criteria::{EventInput, Input, record};
use concierge_proto::event::{Event, RecordChanged, TicketEvent, TicketEventKind};
use concierge_proto::notification::EventType;
use concierge_proto::record::datetime;
use concierge_proto::ticket_rule::{Ticket, TicketActionVisibility};
use concierge_runtime::feed::consumer::Effects;
use concierge_runtime::feed::{payload, projection};
use concierge_runtime::program::Host;
use concierge_runtime::{Error, Service, Tx, type_url};
use futures::future::BoxFuture;
use prost::{Message as _, Name as _};
use prost_types::Any;
use uuid::Uuid;

use crate::delivery::hints;
use crate::desk::Desk;
use definitions::{Definitions, Enabled, Ready};
use directory::Directory;
use occasion::Occasion;
use people::People;
use plan::{Default as DefaultNotification, Matched};

/// The types of events that are heard from directory: the records that say who people are.
pub(crate) const DIRECTORY: [&str; 8] =
    ["customer", "site", "user", "user_role", "site_contact", "agent", "team", "custom_field"];

/// The same of ticket-rule.
pub(crate) const TICKET_RULE: [&str; 3] = ["ticket", "priority", "ticket_field"];

/// What is done with the events of ticket-rule.
#[derive(Debug)]
pub struct Telling {
    service: Service,
    desk: Arc<Desk>,
    directory: Directory,
    definitions: Definitions,
    batch: Mutex<Batch>,
}

/// What holds for the events that share a transaction, and what follows once it is committed.
#[derive(Debug, Default)]
struct Batch {
    /// The time of the transaction, which tells it from others.
    time: Option<DateTime<Utc>>,
    enabled: Arc<Enabled>,
    /// Whether all that directory told before was heard; `None` while nobody needed to know.
    fresh: Option<bool>,
    /// The owners of the inboxes that got something.
    owners: Vec<Uuid>,
}

impl Telling {
    /// The effects of ticket-rule's events on this host.
    pub fn new(host: &Host) -> Self {
        Self {
            service: host.service.clone(),
            desk: host.service.shared(),
            directory: Directory::new(host.directory.clone()),
            definitions: Definitions::default(),
            batch: Mutex::default(),
        }
    }

    fn batch(&self) -> std::sync::MutexGuard<'_, Batch> {
        self.batch.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The definitions that are enabled, read once a transaction.
    async fn enabled(&self, tx: &mut Tx) -> Result<Arc<Enabled>, Error> {
        {
            let batch = self.batch();
            if batch.time == Some(tx.now) {
                return Ok(Arc::clone(&batch.enabled));
            }
        }
        let enabled = self.definitions.enabled(tx).await?;
        let mut batch = self.batch();
        batch.time = Some(tx.now);
        batch.enabled = Arc::clone(&enabled);
        batch.fresh = None;
        Ok(enabled)
    }

    /// Whether directory told nothing that was not heard yet, asked once a transaction.
    async fn fresh(&self, tx: &mut Tx) -> Result<bool, Error> {
        let known = self.batch().fresh;
        if let Some(fresh) = known {
            return Ok(fresh);
        }
        let fresh = self.directory.caught_up(tx).await?;
        self.batch().fresh = Some(fresh);
        Ok(fresh)
    }

    async fn tell(&self, tx: &mut Tx, event: &Event, told: &TicketEvent) -> Result<(), Error> {
        let Some(ticket) = &told.ticket else { return Ok(()) };
        keep_ticket(tx, ticket, told.version).await?;
        let enabled = self.enabled(tx).await?;
        let definitions = &enabled.definitions;
        let logged = told.kinds().any(|kind| kind == TicketEventKind::Logged) || found_site(tx, told, ticket).await?;
        let happened: Vec<&Arc<Ready>> = definitions.iter().filter(|d| happened(d, told)).collect();
        if happened.is_empty() && !logged {
            return Ok(());
        }
        // What is told days later is decided as it was then.
        let time = event.time.as_ref().and_then(datetime).unwrap_or(tx.now);
        let fresh = self.fresh(tx).await?;
        let people = People::load(tx, ticket, &happened, logged).await?;
        if people.misses_any() && !fresh {
            // Somebody was never heard of and directory cannot be asked: what is to be told waits.
            return Err(Error::UpstreamUnavailable { service: "directory" });
        }
        let happened: Vec<&Arc<Ready>> =
            happened.into_iter().filter(|d| holds(d, &enabled.fields, told, ticket, &people, time)).collect();
        let matched: Vec<Matched<'_>> = happened
            .iter()
            .map(|definition| Matched {
                definition: definition.as_ref(),
                recipients: people.recipients(definition, Occasion::of(definition.event_type, told)),
            })
            .collect();
        let internal =
            told.ticket_action.as_ref().is_some_and(|action| action.visibility() != TicketActionVisibility::Public);
        let default = default_notification(logged, definitions, &people);
        let planned = plan::plan(&default, &matched, internal);
        let owners = store::insert(tx, event, told, &planned, &people).await?;
        self.batch().owners.extend(owners);
        Ok(())
    }
}

impl Effects for Telling {
    fn apply<'a>(&'a self, tx: &'a mut Tx, event: &'a Event) -> BoxFuture<'a, Result<(), Error>> {
        Box::pin(async move {
            match payload::<TicketEvent>(event) {
                Some(told) => self.tell(tx, event, &told).await,
                None => Ok(()),
            }
        })
    }

    fn committed(&self) -> BoxFuture<'_, ()> {
        self.desk.wake_worker();
        let owners = std::mem::take(&mut self.batch().owners);
        if !owners.is_empty() {
            let (service, desk) = (self.service.clone(), Arc::clone(&self.desk));
            // Nobody waits for a hint.
            tokio::spawn(async move { hints::tell(service.pool(), &desk, owners).await });
        }
        Box::pin(async {})
    }
}

/// Waits until everything was heard that directory had told before this call.
///
/// # Errors
///
/// When directory does not answer, or has told much that is still on its way.
pub(crate) async fn heard_all(host: &Host, tx: &mut Tx) -> Result<(), Error> {
    let all = Directory::new(host.directory.clone()).caught_up(tx).await?;
    if all { Ok(()) } else { Err(Error::UpstreamUnavailable { service: "directory" }) }
}

/// Keeps the ticket as last heard of: popups need it when ticket-rule is away.
async fn keep_ticket(tx: &mut Tx, ticket: &Ticket, version: i64) -> Result<(), Error> {
    let change = RecordChanged {
        record_type: "ticket".to_owned(),
        record_id: ticket.id.clone(),
        version,
        record: Some(Any { type_url: type_url(&Ticket::full_name()), value: ticket.encode_to_vec() }),
        ..RecordChanged::default()
    };
    projection::keep(tx.conn().await?, &change).await?;
    Ok(())
}

/// Whether only a second evaluation found the site of a new ticket, so that its contacts are to be told by default now:
/// nobody was when it was logged. One round trip after a second evaluation that wrote the site, else none.
async fn found_site(tx: &mut Tx, told: &TicketEvent, ticket: &Ticket) -> Result<bool, Error> {
    let again = told.kinds().any(|kind| kind == TicketEventKind::Reevaluated);
    if !again || ticket.site_id.is_empty() || !told.changed_fields.iter().any(|field| field == "ticket.site") {
        return Ok(false);
    }
    let ticket_id: Uuid = ticket.id.parse().map_err(Error::internal)?;
    let told_before =
        sqlx::query_scalar("select exists (select from deliveries where ticket_id = $1 and definition_id is null)")
            .bind(ticket_id);
    let told_before: bool = told_before.fetch_one(tx.conn().await?).await?;
    Ok(!told_before)
}

/// Whether what a definition waits for happened.
///
/// A second evaluation tells of newly matched rules and of nothing else: what it corrected is old news.
fn happened(definition: &Ready, told: &TicketEvent) -> bool {
    let has = |wanted: TicketEventKind| told.kinds().any(|kind| kind == wanted);
    let again = has(TicketEventKind::Reevaluated);
    match definition.event_type {
        EventType::Unspecified => false,
        EventType::TicketLogged => has(TicketEventKind::Logged),
        EventType::TicketUpdated => !again && (has(TicketEventKind::Updated) || has(TicketEventKind::Reopened)),
        EventType::TicketActionAdded => !again && has(TicketEventKind::ActionAdded),
        EventType::TicketClosed => !again && has(TicketEventKind::Closed),
        EventType::RuleMatched => {
            told.evaluation.as_ref().is_some_and(|e| e.matches.iter().any(|m| m.rule_id == definition.rule_id))
        }
    }
}

/// Whether a definition's criteria hold; while a fact that decides is unknown, they do not.
fn holds(
    definition: &Ready,
    fields: &Schema,
    told: &TicketEvent,
    ticket: &Ticket,
    people: &People,
    now: DateTime<Utc>,
) -> bool {
    let matched: Vec<String> = told
        .evaluation
        .as_ref()
        .map(|evaluation| evaluation.matches.iter().map(|m| m.rule_id.clone()).collect())
        .unwrap_or_default();
    let input = Input {
        ticket,
        priority_rank: people.priority_rank(),
        action: told.ticket_action.as_ref(),
        facts: Some(people.facts()),
        now,
        event: Some(EventInput {
            changed_fields: &told.changed_fields,
            matched_rules: &matched,
            actor_kind: told.actor_kind(),
            imported: told.imported,
        }),
    };
    eval(&definition.criteria, &record(fields, &input)) == Truth::True
}

/// Decision 8: the assigned contacts of the site are told of each new ticket, unless any enabled definition, whatever
/// its event or criteria, has site contacts of any type among its recipients.
fn default_notification(logged: bool, definitions: &[Arc<Ready>], people: &People) -> DefaultNotification {
    if !logged {
        return DefaultNotification::NotNow;
    }
    let contacts = people.site_contacts(&[]);
    match definitions.iter().find(|d| d.recipients.site_contacts.is_some()) {
        Some(silencing) => DefaultNotification::Silenced { by: silencing.id, contacts },
        None => DefaultNotification::Tells { contacts },
    }
}

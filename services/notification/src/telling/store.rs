//! Writing deliveries and inbox items.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock};

use concierge_proto::event::{Event, TicketEvent};
use concierge_proto::notification::{AttemptOutcome, Channel, DeliveryAttempt, DeliveryState, RecipientKind};
use concierge_proto::record::timestamp;
use concierge_proto::ticket_rule::Ticket;
use concierge_runtime::html::sanitize;
use concierge_runtime::{Error, Tx};
use sqlx::{Postgres, QueryBuilder};
use uuid::Uuid;

use super::people::People;
use super::plan::Planned;
use super::words::Words;
use crate::email_sender::store::{Account, accounts};
use crate::sending::{ATTEMPTS, PATIENCE, encode};
use crate::template::{Placeholder, Template};

/// The longest subject.
const SUBJECT: usize = 1_000;
/// The longest body, before it is sanitised.
const BODY: usize = 180_000;
/// So many rows go into one statement; a statement takes 65,535 values.
const ROWS: usize = 1_000;
/// Stands behind the `@` of a Message-ID while there is no e-mail sender whose domain could.
const NO_DOMAIN: &str = "concierge.invalid";

struct Texts {
    subject: Template,
    body: Template,
}

/// What the default notification says.
static DEFAULT: LazyLock<Texts> = LazyLock::new(|| {
    let subject = "New ticket {{ticket.number}}: {{ticket.summary}}";
    let body = "<p>A new ticket was logged for {{site.name}}.</p>\
                <p><b>{{ticket.number}}: {{ticket.summary}}</b></p>\
                <p>Logged for: {{user.name}}<br>Logged at: {{ticket.logged_time}}<br>Status: {{ticket.status}}</p>\
                <p>{{ticket.details}}</p>";
    // A test reads both.
    let read = |text| Template::parse(text, |_| true).unwrap_or_default();
    Texts { subject: read(subject), body: read(body) }
});

/// A row of `deliveries`, with what goes into an inbox.
struct Row<'a> {
    id: Uuid,
    planned: &'a Planned<'a>,
    state: DeliveryState,
    text: Arc<Text>,
    message_id: String,
}

/// What somebody is told.
#[derive(Debug, Default)]
struct Text {
    subject: String,
    body_html: String,
}

/// The definition, whether an agent reads it, and the reader's name if the template uses it.
type Reader<'a> = (Option<Uuid>, bool, Option<&'a str>);

/// Templates filled in for an event: once for all who read the same.
struct Filled<'a> {
    told: &'a TicketEvent,
    ticket: &'a Ticket,
    people: &'a People,
    by_reader: HashMap<Reader<'a>, Arc<Text>>,
}

impl<'a> Filled<'a> {
    fn text(&mut self, planned: &'a Planned<'_>) -> Arc<Text> {
        let (subject, body) = match planned.definition {
            Some(definition) => (&definition.subject, &definition.body),
            None => (&DEFAULT.subject, &DEFAULT.body),
        };
        let named = [subject, body].iter().any(|template| template.uses(Placeholder::RecipientName));
        let for_agent = planned.person.kind == RecipientKind::Agent;
        let reader = (planned.definition.map(|d| d.id), for_agent, named.then_some(planned.person.name.as_str()));
        let (told, ticket, facts) = (self.told, self.ticket, self.people.facts());
        let filled = self.by_reader.entry(reader).or_insert_with(|| {
            let words = Words {
                told,
                ticket,
                facts,
                event_type: planned.event_type,
                rule_id: planned.definition.map_or("", |d| d.rule_id.as_str()),
                for_agent,
                recipient: &planned.person.name,
            };
            Arc::new(Text {
                subject: subject.line(SUBJECT, |p| words.value(p)),
                body_html: sanitize(&body.html(BODY, |p| words.value(p))),
            })
        });
        Arc::clone(filled)
    }
}

/// Writes what was planned, and puts into inboxes what goes there; returns whose inboxes. One round trip for deliveries,
/// one for senders if there are e-mails, two if there are inbox items.
pub(super) async fn insert(
    tx: &mut Tx,
    event: &Event,
    told: &TicketEvent,
    planned: &[Planned<'_>],
    people: &People,
) -> Result<Vec<Uuid>, Error> {
    let Some(ticket) = &told.ticket else { return Ok(Vec::new()) };
    let event_id: Uuid = event.id.parse().map_err(Error::internal)?;
    let ticket_id: Uuid = ticket.id.parse().map_err(Error::internal)?;
    let senders = if planned.iter().any(|p| p.channel == Channel::Email && !p.suppressed) {
        accounts(tx.conn().await?).await?
    } else {
        Vec::new()
    };
    let mut filled = Filled { told, ticket, people, by_reader: HashMap::new() };
    let rows: Vec<Row<'_>> = planned
        .iter()
        .map(|planned| {
            let id = tx.new_id();
            if planned.suppressed {
                let (text, message_id) = (Arc::default(), String::new());
                return Row { id, planned, state: DeliveryState::Suppressed, text, message_id };
            }
            let by_email = planned.channel == Channel::Email;
            let wanted = planned.definition.and_then(|d| d.sender);
            Row {
                id,
                planned,
                state: if by_email { DeliveryState::Pending } else { DeliveryState::Sent },
                text: filled.text(planned),
                message_id: if by_email { format!("<{id}@{}>", domain(&senders, wanted)) } else { String::new() },
            }
        })
        .collect();
    for some in rows.chunks(ROWS) {
        insert_deliveries(tx, (event_id, ticket_id, ticket.number), &event.traceparent, some).await?;
    }
    put_into_inboxes(tx, (event_id, ticket_id, ticket.number), &rows).await
}

/// The domain of the address that the e-mail will come from, as far as can be told by now: it stays the same.
fn domain(senders: &[Account], wanted: Option<Uuid>) -> &str {
    let sender = match wanted {
        Some(id) => senders.iter().find(|s| s.id == id),
        None => senders.iter().find(|s| s.enabled).or(senders.first()),
    };
    sender.and_then(|s| s.from_address.rsplit_once('@')).map_or(NO_DOMAIN, |(_, domain)| domain)
}

async fn insert_deliveries(
    tx: &mut Tx,
    (event_id, ticket_id, ticket_number): (Uuid, Uuid, i64),
    traceparent: &str,
    rows: &[Row<'_>],
) -> Result<(), Error> {
    if rows.is_empty() {
        return Ok(());
    }
    let now = tx.now;
    let in_inbox = encode(vec![DeliveryAttempt {
        start_time: Some(timestamp(now)),
        end_time: Some(timestamp(now)),
        outcome: AttemptOutcome::Accepted.into(),
        ..Default::default()
    }]);
    let mut sql = QueryBuilder::<Postgres>::new(
        "insert into deliveries (id, event_id, event_type, ticket_id, ticket_number, definition_id, recipient_kind,
             recipient_role, user_id, agent_id, address, channel, state, reason, other_definition_id, subject,
             message_id, attempts, attempt_count, next_attempt_time, sent_time, create_time, update_time, version,
             person, recipient_name, body_html, wanted_sender_id, due_time, attempts_left, patience_end,
             traceparent) ",
    );
    sql.push_values(rows, |mut values, row| {
        let (planned, person) = (row.planned, &row.planned.person);
        let of = |kind: RecipientKind| person.id.filter(|_| person.kind == kind);
        let (pending, sent) = (row.state == DeliveryState::Pending, row.state == DeliveryState::Sent);
        let by_email = planned.channel == Channel::Email;
        values
            .push_bind(row.id)
            .push_bind(event_id)
            .push_bind(i32::from(planned.event_type))
            .push_bind(ticket_id)
            .push_bind(ticket_number)
            .push_bind(planned.definition.map(|d| d.id))
            .push_bind(i32::from(person.kind))
            .push_bind(i32::from(planned.role))
            .push_bind(of(RecipientKind::User))
            .push_bind(of(RecipientKind::Agent))
            .push_bind(if by_email { person.address.clone() } else { String::new() })
            .push_bind(i32::from(planned.channel))
            .push_bind(i32::from(row.state))
            .push_bind(i32::from(planned.reason))
            .push_bind(planned.other_definition)
            .push_bind(row.text.subject.clone())
            .push_bind(row.message_id.clone())
            .push_bind(sent.then(|| in_inbox.clone()))
            .push_bind(i64::from(sent))
            .push_bind(pending.then_some(now))
            .push_bind(sent.then_some(now))
            .push_bind(now)
            .push_bind(now)
            .push_bind(1_i64)
            .push_bind(planned.person_key())
            .push_bind(person.name.clone())
            // What an inbox holds is not kept twice.
            .push_bind(if by_email { row.text.body_html.clone() } else { String::new() })
            .push_bind(planned.definition.and_then(|d| d.sender))
            .push_bind(pending.then_some(now))
            .push_bind(ATTEMPTS)
            .push_bind(now + PATIENCE)
            .push_bind(traceparent.to_owned());
    });
    sql.build().persistent(false).execute(tx.conn().await?).await?;
    Ok(())
}

/// Gives each item the next position of its inbox, whose row stays locked until the end of the transaction.
async fn put_into_inboxes(
    tx: &mut Tx,
    (event_id, ticket_id, ticket_number): (Uuid, Uuid, i64),
    rows: &[Row<'_>],
) -> Result<Vec<Uuid>, Error> {
    let mut items: Vec<(Uuid, &Row<'_>)> = rows
        .iter()
        .filter(|row| row.planned.channel == Channel::Inbox && row.state == DeliveryState::Sent)
        .filter_map(|row| Some((row.planned.person.id?, row)))
        .collect();
    if items.is_empty() {
        return Ok(Vec::new());
    }
    // Always in one order, so that two transactions never wait for each other.
    items.sort_by_key(|(owner, _)| *owner);
    let owners: Vec<Uuid> = items.iter().map(|(owner, _)| *owner).collect();
    let now = tx.now;
    let positions: Vec<(Uuid, i64)> = sqlx::query_as(
        "insert into inboxes (owner_id, last_position, update_time)
         select owner, 1, $2 from unnest($1::uuid[]) owner
         on conflict (owner_id) do update set last_position = inboxes.last_position + 1, update_time = $2
         returning owner_id, last_position",
    )
    .bind(&owners)
    .bind(now)
    .fetch_all(tx.conn().await?)
    .await?;
    let ids: Vec<Uuid> = items.iter().map(|_| tx.new_id()).collect();
    for some in items.iter().zip(ids).collect::<Vec<_>>().chunks(ROWS) {
        let mut sql = QueryBuilder::<Postgres>::new(
            "insert into inbox_items (id, position, user_id, agent_id, delivery_id, event_id, event_type, ticket_id,
                 ticket_number, subject, body_html, create_time, update_time, version) ",
        );
        sql.push_values(some, |mut values, ((owner, row), id)| {
            let position = positions.iter().find(|(o, _)| o == owner).map_or(0, |(_, position)| *position);
            let of = |kind: RecipientKind| (row.planned.person.kind == kind).then_some(*owner);
            values
                .push_bind(*id)
                .push_bind(position)
                .push_bind(of(RecipientKind::User))
                .push_bind(of(RecipientKind::Agent))
                .push_bind(row.id)
                .push_bind(event_id)
                .push_bind(i32::from(row.planned.event_type))
                .push_bind(ticket_id)
                .push_bind(ticket_number)
                .push_bind(row.text.subject.clone())
                .push_bind(row.text.body_html.clone())
                .push_bind(now)
                .push_bind(now)
                .push_bind(1_i64);
        });
        sql.build().persistent(false).execute(tx.conn().await?).await?;
    }
    Ok(owners)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_notification_says_which_ticket_it_is() {
        let subject = DEFAULT.subject.line(SUBJECT, |p| p.name().to_owned());
        assert_eq!(subject, "New ticket ticket.number: ticket.summary");
        assert!(DEFAULT.body.html(BODY, |p| p.name().to_owned()).contains("site.name"));
    }
}

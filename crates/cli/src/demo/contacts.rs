//! Step 5: the site's contact is told, and why, or why not.

use std::time::Duration;

use anyhow::{Context as _, bail};
use concierge_proto::notification::delivery_service_client::DeliveryServiceClient;
use concierge_proto::notification::notification_definition_service_client::NotificationDefinitionServiceClient;
use concierge_proto::notification::{
    AttemptOutcome, Channel, CreateNotificationDefinitionRequest, Delivery, DeliveryState, EventType,
    ListDeliveriesRequest, NotificationDefinition, NotificationRecipients, SiteContactRecipients,
    UpdateNotificationDefinitionRequest,
};
use concierge_proto::ticket_rule::ticket_service_client::TicketServiceClient;
use concierge_proto::ticket_rule::{LogTicketRequest, Ticket};

use super::{World, create, mask, said, told, words};
use crate::client::{Suite, request_id};

/// Who was told of the ticket; then of another one, when a definition silences the default.
pub(super) async fn told_of(suite: &Suite, world: &World, ticket: &Ticket) -> anyhow::Result<()> {
    tell(suite, world, ticket).await?;
    said("(EmailSenderService.CreateEmailSender makes a sender, and the e-mail goes out)");

    let mut definitions = NotificationDefinitionServiceClient::new(suite.notification.clone());
    let definition = NotificationDefinition {
        name: "Closed tickets (demo)".to_owned(),
        event_type: EventType::TicketClosed.into(),
        recipients: Some(NotificationRecipients {
            site_contacts: Some(SiteContactRecipients::default()),
            ..Default::default()
        }),
        channels: vec![Channel::Inbox.into()],
        subject_template: "Closed: {{ticket.number}}".to_owned(),
        body_html_template: "<p>{{ticket.summary}}</p>".to_owned(),
        ..Default::default()
    };
    let definition =
        create!(definitions.create_notification_definition(CreateNotificationDefinitionRequest {
            notification_definition: definition
        }));
    said(&format!("A definition of one's own for site contacts, {}, silences the default:", definition.name));
    let second =
        Ticket { summary: "And the lift is slow".to_owned(), user_id: world.plain.id.clone(), ..Default::default() };
    let second = TicketServiceClient::new(suite.ticket_rule.clone())
        .log_ticket(LogTicketRequest { ticket: Some(second), request_id: request_id() })
        .await
        .map_err(told)?
        .into_inner()
        .ticket
        .context("a ticket")?;
    tell(suite, world, &second).await?;
    // Whoever tries the demo's desk further is to find the default as it was.
    let off = NotificationDefinition { id: definition.id, enabled: Some(false), ..Default::default() };
    definitions
        .update_notification_definition(UpdateNotificationDefinitionRequest {
            notification_definition: Some(off),
            update_mask: mask("enabled"),
            request_id: request_id(),
        })
        .await
        .map_err(told)?;
    said("(it is disabled again)");
    Ok(())
}

async fn tell(suite: &Suite, world: &World, ticket: &Ticket) -> anyhow::Result<()> {
    for delivery in tried(suite, ticket).await? {
        let reason = words(delivery.reason().as_str_name(), "DELIVERY_REASON_");
        let channel = words(delivery.channel().as_str_name(), "CHANNEL_");
        let outcome = if waits_for_sender(&delivery) {
            "waits for an e-mail sender".to_owned()
        } else {
            words(delivery.state().as_str_name(), "DELIVERY_STATE_")
        };
        said(&format!("#{}: {} by {channel}: {outcome}; why: {reason}", ticket.number, world.contact.name));
    }
    Ok(())
}

/// What became of a ticket's notifications, once each was tried.
async fn tried(suite: &Suite, ticket: &Ticket) -> anyhow::Result<Vec<Delivery>> {
    let mut deliveries = DeliveryServiceClient::new(suite.notification.clone());
    let filter = format!("ticket_id = \"{}\"", ticket.id);
    let request = ListDeliveriesRequest { filter, order_by: "channel".to_owned(), ..Default::default() };
    for _ in 0..100 {
        let listed = deliveries.list_deliveries(request.clone()).await.map_err(told)?.into_inner().deliveries;
        let under_way = |d: &Delivery| matches!(d.state(), DeliveryState::Pending | DeliveryState::Started);
        if !listed.is_empty() && !listed.iter().any(under_way) {
            return Ok(listed);
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    bail!("nobody was told within ten seconds")
}

/// Whether it is an e-mail that goes out as soon as there is a sender to send it through: its attempt failed, but
/// nothing about it did.
fn waits_for_sender(delivery: &Delivery) -> bool {
    delivery.attempts.last().is_some_and(|attempt| attempt.outcome() == AttemptOutcome::NoSender)
}

//! The definitions that are enabled, ready to be tested and filled in.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use concierge_criteria::Compiled;
use concierge_model::criteria;
use concierge_proto::Record as _;
use concierge_proto::notification::{Channel, EventType, NotificationDefinition, NotificationRecipients};
use concierge_runtime::{Error, Tx};
use uuid::Uuid;

use crate::notification_definition::store;
use crate::template::Template;

/// A definition, ready.
#[derive(Debug)]
pub(super) struct Ready {
    pub(super) id: Uuid,
    version: i64,
    pub(super) event_type: EventType,
    pub(super) rule_id: String,
    pub(super) criteria: Compiled,
    pub(super) recipients: NotificationRecipients,
    pub(super) channels: Vec<Channel>,
    pub(super) sender: Option<Uuid>,
    pub(super) subject: Template,
    pub(super) body: Template,
}

/// Definitions made ready, kept until they change.
#[derive(Debug, Default)]
pub(super) struct Definitions {
    ready: Mutex<HashMap<Uuid, Arc<Ready>>>,
}

impl Definitions {
    /// Those that are enabled, in the order of their creation. One round trip.
    pub(super) async fn enabled(&self, tx: &mut Tx) -> Result<Vec<Arc<Ready>>, Error> {
        let records = store::enabled(tx).await?;
        let mut ready = self.ready.lock().unwrap_or_else(PoisonError::into_inner);
        let enabled: Vec<Arc<Ready>> = records
            .into_iter()
            .filter_map(|record| {
                let id: Uuid = record.id.parse().ok()?;
                match ready.get(&id) {
                    Some(known) if known.version == record.version() => Some(Arc::clone(known)),
                    _ => make(id, record).map(Arc::new),
                }
            })
            .collect();
        *ready = enabled.iter().map(|definition| (definition.id, Arc::clone(definition))).collect();
        Ok(enabled)
    }
}

fn make(id: Uuid, record: NotificationDefinition) -> Option<Ready> {
    let event_type = record.event_type();
    let compiled = criteria::compile(criteria::notification_schema(), record.criteria.as_ref(), "criteria");
    let subject = Template::parse(&record.subject_template, |p| p.is_for(event_type));
    let body = Template::parse(&record.body_html_template, |p| p.is_for(event_type));
    let (Ok(criteria), Ok(subject), Ok(body)) = (compiled, subject, body) else {
        // It was checked when it was written: only a newer version of this service can have written it.
        tracing::error!(definition = %id, "a notification definition cannot be read; it tells nobody");
        return None;
    };
    Some(Ready {
        id,
        version: record.version(),
        event_type,
        channels: record.channels().collect(),
        sender: record.email_sender_id.parse().ok(),
        rule_id: record.rule_id,
        criteria,
        recipients: record.recipients.unwrap_or_default(),
        subject,
        body,
    })
}

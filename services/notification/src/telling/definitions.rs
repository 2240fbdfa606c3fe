//! The definitions that are enabled, ready to be tested and filled in.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use concierge_criteria::{Compiled, Schema};
use concierge_model::criteria;
use concierge_proto::Record as _;
use concierge_proto::notification::{Channel, EventType, NotificationDefinition, NotificationRecipients};
use concierge_runtime::{Error, Tx};
use uuid::Uuid;

use crate::notification_definition::fields::{self, Heard};
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

/// The definitions that are enabled, in the order of their creation, and the fields that their criteria can name.
#[derive(Debug)]
pub(super) struct Enabled {
    pub(super) fields: Schema,
    pub(super) definitions: Vec<Arc<Ready>>,
}

impl Default for Enabled {
    fn default() -> Self {
        Self { fields: criteria::notification_schema().clone(), definitions: Vec::new() }
    }
}

/// Definitions made ready, kept until they or the custom fields change.
#[derive(Debug, Default)]
pub(super) struct Definitions {
    ready: Mutex<(Vec<Heard>, Arc<Enabled>)>,
}

impl Definitions {
    /// Those that are enabled. Two round trips.
    pub(super) async fn enabled(&self, tx: &mut Tx) -> Result<Arc<Enabled>, Error> {
        let records = store::enabled(tx).await?;
        let heard = fields::heard(tx.conn().await?).await?;
        let mut ready = self.ready.lock().unwrap_or_else(PoisonError::into_inner);
        let (fields, mut known) = if ready.0 == heard {
            let known = ready.1.definitions.iter().map(|definition| (definition.id, Arc::clone(definition))).collect();
            (ready.1.fields.clone(), known)
        } else {
            // What was made ready is for other fields.
            (fields::schema(&heard), HashMap::new())
        };
        let made = records.into_iter().filter_map(|record| {
            let id: Uuid = record.id.parse().ok()?;
            match known.remove(&id) {
                Some(known) if known.version == record.version() => Some(known),
                _ => make(id, record, &fields).map(Arc::new),
            }
        });
        let definitions = made.collect();
        let enabled = Arc::new(Enabled { fields, definitions });
        *ready = (heard, Arc::clone(&enabled));
        Ok(enabled)
    }
}

fn make(id: Uuid, record: NotificationDefinition, fields: &Schema) -> Option<Ready> {
    let event_type = record.event_type();
    let compiled = criteria::compile(fields, record.criteria.as_ref(), "criteria");
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

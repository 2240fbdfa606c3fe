//! Records of other services that a definition names.

use std::collections::HashSet;
use std::time::Duration;

use concierge_proto::Violations;
use concierge_proto::error::Reason;
use concierge_proto::notification::{NotificationDefinition, NotificationRecipients};
use concierge_runtime::Error;
use concierge_runtime::program::Host;
use futures::StreamExt as _;

use crate::live::{Kind, is_missing};

/// So many questions are under way at a time.
const AT_ONCE: usize = 16;
/// After so long nothing more is asked: what is left is believed.
const LONGEST: Duration = Duration::from_secs(2);

/// What a definition names, and where.
struct Named {
    kind: Kind,
    id: String,
    field: String,
}

/// Refuses names of what does not exist, or is deleted; what was named before is not asked for again.
pub(super) async fn check(
    host: &Host,
    before: Option<&NotificationDefinition>,
    after: &NotificationDefinition,
) -> Result<(), Error> {
    let known: HashSet<String> = before.map(named).unwrap_or_default().into_iter().map(|n| n.id).collect();
    let asked = named(after).into_iter().filter(|n| !known.contains(&n.id));
    let patience = [&host.directory, &host.ticket_rule].into_iter().flatten().map(|u| u.patience(LONGEST)).max();
    let end = tokio::time::Instant::now() + patience.unwrap_or(LONGEST);
    let missing: Vec<Named> = futures::stream::iter(asked.map(|named| async move {
        let asked = tokio::time::timeout_at(end, is_missing(host, named.kind, &named.id)).await;
        asked.unwrap_or(false).then_some(named)
    }))
    .buffered(AT_ONCE)
    .filter_map(|missing| async { missing })
    .collect()
    .await;
    let mut violations = Violations::default();
    for named in missing {
        let field = format!("notification_definition.{}", named.field);
        violations.add(field, format!("there is no live {} {}", named.kind.words(), named.id));
    }
    if violations.is_empty() {
        Ok(())
    } else {
        Err(Error::InvalidBecause { reason: Reason::ReferenceNotFound, violations })
    }
}

fn named(definition: &NotificationDefinition) -> Vec<Named> {
    let mut all = Vec::new();
    if !definition.rule_id.is_empty() {
        all.push(Named { kind: Kind::Rule, id: definition.rule_id.clone(), field: "rule_id".to_owned() });
    }
    let nobody = NotificationRecipients::default();
    let recipients = definition.recipients.as_ref().unwrap_or(&nobody);
    let types = recipients.site_contacts.as_ref().map(|c| c.type_ids.as_slice()).unwrap_or_default();
    for (kind, ids, field) in [
        (Kind::SiteContactType, types, "site_contacts.type_ids"),
        (Kind::Agent, recipients.agent_ids.as_slice(), "agent_ids"),
        (Kind::Team, recipients.team_ids.as_slice(), "team_ids"),
    ] {
        all.extend(ids.iter().enumerate().map(|(index, id)| Named {
            kind,
            id: id.clone(),
            field: format!("recipients.{field}[{index}]"),
        }));
    }
    all
}

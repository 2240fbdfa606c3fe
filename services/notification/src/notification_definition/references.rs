//! Records of other services that a definition names: asked for there, and believed to exist when no answer comes.

use std::collections::HashSet;
use std::time::Duration;

use concierge_proto::directory::agent_service_client::AgentServiceClient;
use concierge_proto::directory::site_contact_type_service_client::SiteContactTypeServiceClient;
use concierge_proto::directory::team_service_client::TeamServiceClient;
use concierge_proto::directory::{GetAgentRequest, GetSiteContactTypeRequest, GetTeamRequest};
use concierge_proto::error::Reason;
use concierge_proto::notification::{NotificationDefinition, NotificationRecipients};
use concierge_proto::ticket_rule::GetRuleRequest;
use concierge_proto::ticket_rule::rule_service_client::RuleServiceClient;
use concierge_proto::{Record, Violations};
use concierge_runtime::Error;
use concierge_runtime::program::Host;
use concierge_runtime::upstream::Upstream;
use futures::StreamExt as _;
use tonic::{Code, Status};

/// How long another service has to answer.
const BUDGET: Duration = Duration::from_millis(500);
/// So many questions are under way at a time.
const AT_ONCE: usize = 16;

/// Whom to ask.
#[derive(Clone, Debug)]
pub(super) struct References {
    directory: Option<Upstream>,
    ticket_rule: Option<Upstream>,
}

/// What a definition names, and where.
struct Named {
    kind: Kind,
    id: String,
    field: String,
}

#[derive(Clone, Copy)]
enum Kind {
    Agent,
    Team,
    SiteContactType,
    Rule,
}

impl Kind {
    fn words(self) -> &'static str {
        match self {
            Self::Agent => "agent",
            Self::Team => "team",
            Self::SiteContactType => "site contact type",
            Self::Rule => "rule",
        }
    }
}

impl References {
    pub(super) fn of(host: &Host) -> Self {
        Self { directory: host.directory.clone(), ticket_rule: host.ticket_rule.clone() }
    }

    /// Refuses names of what does not exist, or is deleted; what was named before is not asked for again.
    pub(super) async fn check(
        &self,
        before: Option<&NotificationDefinition>,
        after: &NotificationDefinition,
    ) -> Result<(), Error> {
        let known: HashSet<String> = before.map(named).unwrap_or_default().into_iter().map(|n| n.id).collect();
        let asked = named(after).into_iter().filter(|n| !known.contains(&n.id));
        let answers: Vec<(Named, bool)> = futures::stream::iter(asked.map(|n| async { (self.missing(&n).await, n) }))
            .buffered(AT_ONCE)
            .map(|(missing, named)| (named, missing))
            .collect()
            .await;
        let mut violations = Violations::default();
        for (named, _) in answers.into_iter().filter(|(_, missing)| *missing) {
            let field = format!("notification_definition.{}", named.field);
            violations.add(field, format!("there is no live {} {}", named.kind.words(), named.id));
        }
        if violations.is_empty() {
            Ok(())
        } else {
            Err(Error::InvalidBecause { reason: Reason::ReferenceNotFound, violations })
        }
    }

    /// True when the service that has such records says that this one is not there.
    async fn missing(&self, named: &Named) -> bool {
        let upstream = match named.kind {
            Kind::Rule => &self.ticket_rule,
            _ => &self.directory,
        };
        let Some(upstream) = upstream else { return false };
        let (channel, id) = (upstream.channel(), named.id.clone());
        let answer = match named.kind {
            Kind::Agent => {
                let request = upstream.request_within(GetAgentRequest { id }, BUDGET);
                live(AgentServiceClient::new(channel).get_agent(request).await, |r| r.agent)
            }
            Kind::Team => {
                let request = upstream.request_within(GetTeamRequest { id }, BUDGET);
                live(TeamServiceClient::new(channel).get_team(request).await, |r| r.team)
            }
            Kind::SiteContactType => {
                let request = upstream.request_within(GetSiteContactTypeRequest { id }, BUDGET);
                let answer = SiteContactTypeServiceClient::new(channel).get_site_contact_type(request).await;
                live(answer, |r| r.site_contact_type)
            }
            Kind::Rule => {
                let request = upstream.request_within(GetRuleRequest { id }, BUDGET);
                live(RuleServiceClient::new(channel).get_rule(request).await, |r| r.rule)
            }
        };
        answer == Some(false)
    }
}

/// Whether the record is there and not deleted; `None` when nobody can say.
fn live<A, R: Record>(answer: Result<tonic::Response<A>, Status>, record: impl FnOnce(A) -> Option<R>) -> Option<bool> {
    match answer {
        Ok(answer) => Some(record(answer.into_inner()).is_some_and(|r| r.delete_time().is_none())),
        Err(status) if status.code() == Code::NotFound => Some(false),
        Err(status) => {
            tracing::debug!(%status, "a reference could not be checked and is believed");
            None
        }
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

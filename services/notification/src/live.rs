//! Records of other services that records of ours name: asked for there, and believed to exist when no answer comes.

use std::time::Duration;

use concierge_proto::Record;
use concierge_proto::directory::agent_service_client::AgentServiceClient;
use concierge_proto::directory::customer_service_client::CustomerServiceClient;
use concierge_proto::directory::site_contact_type_service_client::SiteContactTypeServiceClient;
use concierge_proto::directory::site_service_client::SiteServiceClient;
use concierge_proto::directory::team_service_client::TeamServiceClient;
use concierge_proto::directory::user_service_client::UserServiceClient;
use concierge_proto::directory::{
    GetAgentRequest, GetCustomerRequest, GetSiteContactTypeRequest, GetSiteRequest, GetTeamRequest, GetUserRequest,
};
use concierge_proto::ticket_rule::GetRuleRequest;
use concierge_proto::ticket_rule::rule_service_client::RuleServiceClient;
use concierge_runtime::program::Host;
use concierge_runtime::upstream::Upstream;
use tonic::{Code, Response, Status};

/// How long another service has to answer.
const BUDGET: Duration = Duration::from_millis(500);

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Agent,
    Customer,
    Rule,
    Site,
    SiteContactType,
    Team,
    User,
}

impl Kind {
    /// What people call it.
    pub(crate) fn words(self) -> &'static str {
        match self {
            Self::Agent => "agent",
            Self::Customer => "customer",
            Self::Rule => "rule",
            Self::Site => "site",
            Self::SiteContactType => "site contact type",
            Self::Team => "team",
            Self::User => "user",
        }
    }
}

/// True when the service that has such records says that this one is not there, or is deleted. One call of it.
pub(crate) async fn is_missing(host: &Host, kind: Kind, id: &str) -> bool {
    let upstream = match kind {
        Kind::Rule => &host.ticket_rule,
        _ => &host.directory,
    };
    let Some(upstream) = upstream else { return false };
    match tokio::time::timeout(upstream.patience(BUDGET), is_live(upstream, kind, id.to_owned())).await {
        Ok(Ok(live)) => !live,
        Ok(Err(status)) if status.code() == Code::NotFound => true,
        Ok(Err(status)) => {
            tracing::debug!(%status, "a reference could not be checked and is believed");
            false
        }
        Err(_) => false,
    }
}

async fn is_live(upstream: &Upstream, kind: Kind, id: String) -> Result<bool, Status> {
    macro_rules! ask {
        ($client:ident, $get:ident, $request:ident, $record:ident) => {{
            let request = upstream.request_within($request { id }, BUDGET);
            live($client::new(upstream.channel()).$get(request).await, |answer| answer.$record)
        }};
    }
    match kind {
        Kind::Agent => ask!(AgentServiceClient, get_agent, GetAgentRequest, agent),
        Kind::Customer => ask!(CustomerServiceClient, get_customer, GetCustomerRequest, customer),
        Kind::Rule => ask!(RuleServiceClient, get_rule, GetRuleRequest, rule),
        Kind::Site => ask!(SiteServiceClient, get_site, GetSiteRequest, site),
        Kind::SiteContactType => {
            ask!(SiteContactTypeServiceClient, get_site_contact_type, GetSiteContactTypeRequest, site_contact_type)
        }
        Kind::Team => ask!(TeamServiceClient, get_team, GetTeamRequest, team),
        Kind::User => ask!(UserServiceClient, get_user, GetUserRequest, user),
    }
}

fn live<A, R: Record>(
    answer: Result<Response<A>, Status>,
    record: impl FnOnce(A) -> Option<R>,
) -> Result<bool, Status> {
    Ok(record(answer?.into_inner()).is_some_and(|record| record.delete_time().is_none()))
}

//! A service desk for tests: clients, and what directory would have told.

use std::time::Duration;

use concierge_directory::Directory;
use concierge_proto::Record;
use concierge_proto::common::{CriteriaGroup, Criterion, CriterionValue, GroupKind, Operator, criterion_value::Kind};
use concierge_proto::directory::customer_service_client::CustomerServiceClient;
use concierge_proto::directory::{AccessLevel, CreateCustomerRequest, Customer, Site, Team, User};
use concierge_proto::event::{RecordChanged, TicketEvent};
use concierge_proto::ticket_rule::calendar_service_client::CalendarServiceClient;
use concierge_proto::ticket_rule::rule_service_client::RuleServiceClient;
use concierge_proto::ticket_rule::sla_service_client::SlaServiceClient;
use concierge_proto::ticket_rule::status_service_client::StatusServiceClient;
use concierge_proto::ticket_rule::ticket_service_client::TicketServiceClient;
use concierge_proto::ticket_rule::ticket_type_service_client::TicketTypeServiceClient;
use concierge_proto::ticket_rule::{
    AddTicketActionRequest, AddTicketActionResponse, CloseTicketRequest, CreateRuleRequest, GetTicketRequest,
    LogTicketRequest, LogTicketResponse, Rule, RuleOutcomes, Ticket, TicketAction, UpdateTicketRequest,
    UpdateTicketResponse,
};
use concierge_runtime::feed::projection;
use concierge_testkit::{Api, Suite, Who, request_id};
use concierge_ticket_rule::TicketRule;
use prost::Message as _;
use prost_types::{Any, FieldMask};
use tonic::Status;
use tonic_types::StatusExt as _;
use uuid::Uuid;

pub(crate) const NEW: &str = "019b76da-a800-7000-8000-000000000101";
pub(crate) const OPEN: &str = "019b76da-a800-7000-8000-000000000102";
pub(crate) const ON_HOLD: &str = "019b76da-a800-7000-8000-000000000103";
pub(crate) const RESOLVED: &str = "019b76da-a800-7000-8000-000000000104";
pub(crate) const CLOSED: &str = "019b76da-a800-7000-8000-000000000105";
pub(crate) const CRITICAL: &str = "019b76da-a800-7000-8000-000000000201";
pub(crate) const LOW: &str = "019b76da-a800-7000-8000-000000000204";
pub(crate) const INCIDENT: &str = "019b76da-a800-7000-8000-000000000301";
pub(crate) const REQUEST: &str = "019b76da-a800-7000-8000-000000000302";
pub(crate) const OPPORTUNITY: &str = "019b76da-a800-7000-8000-000000000303";

/// A new id.
#[allow(clippy::disallowed_methods)]
pub(crate) fn id() -> String {
    Uuid::now_v7().to_string()
}

/// A running ticket-rule, and maybe directory.
pub(crate) struct Desk {
    pub(crate) suite: Suite,
}

impl Desk {
    /// Directory is not there: nobody answers at its address.
    pub(crate) async fn alone() -> Self {
        let mut suite = Suite::new();
        suite.start::<TicketRule>().await;
        Self { suite }
    }

    /// With directory.
    pub(crate) async fn with_directory() -> Self {
        let mut suite = Suite::new();
        suite.start::<Directory>().await;
        suite.start::<TicketRule>().await;
        Self { suite }
    }

    /// A customer with its main site and a user, made in directory.
    pub(crate) async fn create_one(&self) -> Requester {
        self.create_with(|_| ()).await
    }

    /// The same, with a user that is somehow different.
    pub(crate) async fn create_with(&self, change: impl FnOnce(&mut User)) -> Requester {
        let mut user = User { name: "Ann Lee".to_owned(), ..Default::default() };
        change(&mut user);
        let request = CreateCustomerRequest {
            customer: Some(Customer { name: "Example Ltd".to_owned(), ..Default::default() }),
            main_site: Some(Site { name: "Berlin".to_owned(), ..Default::default() }),
            main_contact: Some(user),
            request_id: request_id(),
        };
        let mut client = CustomerServiceClient::new(self.suite.admin("directory"));
        let created = client.create_customer(request).await.unwrap().into_inner();
        Requester {
            customer: created.customer.unwrap(),
            site: created.main_site.unwrap(),
            user: created.main_contact.unwrap(),
        }
    }

    /// Waits until ticket-rule has heard all that directory has told so far.
    pub(crate) async fn caught_up(&mut self) {
        let directory = self.suite.service("directory").database.pool.clone();
        let pool = self.pool();
        for _ in 0..200 {
            let told: bool = sqlx::query_scalar("select not exists (select from outbox where position is null)")
                .fetch_one(&directory)
                .await
                .unwrap();
            let head: i64 = sqlx::query_scalar("select head from feed").fetch_one(&directory).await.unwrap();
            let heard: Option<i64> = sqlx::query_scalar("select position from feed_cursors where feed = 'directory'")
                .fetch_optional(&pool)
                .await
                .unwrap();
            if told && heard.is_some_and(|heard| heard >= head) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("ticket-rule does not catch up");
    }

    pub(crate) fn tickets(&self) -> TicketServiceClient<Api> {
        TicketServiceClient::new(self.suite.admin("ticket-rule"))
    }

    pub(crate) fn tickets_of(&self, who: &Who) -> TicketServiceClient<Api> {
        TicketServiceClient::new(self.suite.api("ticket-rule", who))
    }

    pub(crate) fn rules(&self) -> RuleServiceClient<Api> {
        RuleServiceClient::new(self.suite.admin("ticket-rule"))
    }

    pub(crate) fn calendars(&self) -> CalendarServiceClient<Api> {
        CalendarServiceClient::new(self.suite.admin("ticket-rule"))
    }

    pub(crate) fn slas(&self) -> SlaServiceClient<Api> {
        SlaServiceClient::new(self.suite.admin("ticket-rule"))
    }

    pub(crate) fn statuses(&self) -> StatusServiceClient<Api> {
        StatusServiceClient::new(self.suite.admin("ticket-rule"))
    }

    pub(crate) fn types(&self) -> TicketTypeServiceClient<Api> {
        TicketTypeServiceClient::new(self.suite.admin("ticket-rule"))
    }

    pub(crate) fn pool(&mut self) -> sqlx::PgPool {
        self.suite.service("ticket-rule").database.pool.clone()
    }

    /// Logs a ticket as an agent who may do everything.
    pub(crate) async fn log(&self, ticket: Ticket) -> Result<LogTicketResponse, Status> {
        log(&mut self.tickets(), ticket).await
    }

    pub(crate) async fn get(&self, id: &str) -> Ticket {
        let request = GetTicketRequest { id: id.to_owned() };
        self.tickets().get_ticket(request).await.unwrap().into_inner().ticket.unwrap()
    }

    pub(crate) async fn update(&self, ticket: Ticket, paths: &[&str]) -> Result<UpdateTicketResponse, Status> {
        self.update_with(ticket, paths, None).await
    }

    pub(crate) async fn update_with(
        &self,
        ticket: Ticket,
        paths: &[&str],
        action: Option<TicketAction>,
    ) -> Result<UpdateTicketResponse, Status> {
        let request = UpdateTicketRequest {
            ticket: Some(ticket),
            update_mask: Some(FieldMask { paths: paths.iter().map(|p| (*p).to_owned()).collect() }),
            request_id: request_id(),
            ticket_action: action,
            changed_time: None,
        };
        Ok(self.tickets().update_ticket(request).await?.into_inner())
    }

    pub(crate) async fn close(&self, id: &str) -> Result<Ticket, Status> {
        let request = CloseTicketRequest { id: id.to_owned(), request_id: request_id(), ..Default::default() };
        Ok(self.tickets().close_ticket(request).await?.into_inner().ticket.unwrap())
    }

    pub(crate) async fn act(&self, ticket_id: &str, action: TicketAction) -> Result<AddTicketActionResponse, Status> {
        act(&mut self.tickets(), ticket_id, action).await
    }

    /// Adds a rule; returns its id.
    pub(crate) async fn rule(&self, rule: Rule) -> String {
        let request = CreateRuleRequest { rule: Some(rule), request_id: request_id() };
        self.rules().create_rule(request).await.unwrap().into_inner().rule.unwrap().id
    }

    /// Lets ticket-rule have heard of a record.
    pub(crate) async fn heard<R: Record>(&mut self, record: &R) {
        let change = RecordChanged {
            record_type: R::TYPE.to_owned(),
            record_id: record.id().to_owned(),
            version: record.version(),
            record: Some(Any {
                type_url: format!("type.googleapis.com/{}", R::FULL_NAME),
                value: record.encode_to_vec(),
            }),
            changed_fields: Vec::new(),
            deleted: record.delete_time().is_some(),
        };
        let mut connection = self.pool().acquire().await.unwrap();
        projection::keep(&mut connection, &change).await.unwrap();
    }

    /// Lets ticket-rule have heard of a customer with one site and one user.
    pub(crate) async fn heard_of_one(&mut self) -> Requester {
        let one = Requester::new();
        self.heard(&one.customer).await;
        self.heard(&one.site).await;
        self.heard(&one.user).await;
        one
    }

    /// The events about tickets so far, with their types, once there are so many.
    pub(crate) async fn events(&mut self, count: usize) -> Vec<(String, TicketEvent)> {
        let pool = self.pool();
        let mut rows: Vec<(String, String, Vec<u8>)> = Vec::new();
        for _ in 0..100 {
            rows = sqlx::query_as(
                "select type, payload_type, payload from outbox where subject like 'ticket/%' order by seq",
            )
            .fetch_all(&pool)
            .await
            .unwrap();
            if rows.len() >= count {
                break;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        assert_eq!(rows.len(), count, "events: {:?}", rows.iter().map(|r| &r.0).collect::<Vec<_>>());
        rows.into_iter()
            .map(|(event_type, payload_type, payload)| {
                assert_eq!(payload_type, "concierge.event.v1.TicketEvent");
                (event_type, TicketEvent::decode(payload.as_slice()).unwrap())
            })
            .collect()
    }
}

/// A customer, its only site, and a user there.
pub(crate) struct Requester {
    pub(crate) customer: Customer,
    pub(crate) site: Site,
    pub(crate) user: User,
}

impl Requester {
    pub(crate) fn new() -> Self {
        let (customer_id, site_id) = (id(), id());
        let customer = Customer {
            id: customer_id.clone(),
            name: "Example Ltd".to_owned(),
            active: Some(true),
            main_site_id: site_id.clone(),
            etag: "1".to_owned(),
            ..Default::default()
        };
        let site = Site {
            id: site_id.clone(),
            customer_id: customer_id.clone(),
            name: "Berlin".to_owned(),
            active: Some(true),
            etag: "1".to_owned(),
            ..Default::default()
        };
        let user = user_at(&site, "Ann Lee");
        Self { customer, site, user }
    }

    /// The user as a caller in the portal.
    pub(crate) fn who(&self) -> Who {
        who(&self.user)
    }

    /// A ticket of the user.
    pub(crate) fn ticket(&self, summary: &str) -> Ticket {
        Ticket { summary: summary.to_owned(), user_id: self.user.id.clone(), ..Default::default() }
    }
}

pub(crate) fn who(user: &User) -> Who {
    Who::user(&user.id, &user.customer_id, &user.site_id).with_scope(&["tickets.read", "tickets.write"])
}

pub(crate) fn user_at(site: &Site, name: &str) -> User {
    User {
        id: id(),
        name: name.to_owned(),
        site_id: site.id.clone(),
        customer_id: site.customer_id.clone(),
        active: Some(true),
        web_access_level: AccessLevel::Own.into(),
        etag: "1".to_owned(),
        ..Default::default()
    }
}

pub(crate) fn team(name: &str) -> Team {
    Team { id: id(), name: name.to_owned(), active: Some(true), etag: "1".to_owned(), ..Default::default() }
}

pub(crate) async fn log(client: &mut TicketServiceClient<Api>, ticket: Ticket) -> Result<LogTicketResponse, Status> {
    let request = LogTicketRequest { ticket: Some(ticket), request_id: request_id() };
    Ok(client.log_ticket(request).await?.into_inner())
}

pub(crate) async fn act(
    client: &mut TicketServiceClient<Api>,
    ticket_id: &str,
    action: TicketAction,
) -> Result<AddTicketActionResponse, Status> {
    let request = AddTicketActionRequest {
        ticket_id: ticket_id.to_owned(),
        ticket_action: Some(action),
        request_id: request_id(),
    };
    Ok(client.add_ticket_action(request).await?.into_inner())
}

/// A rule with one criterion.
pub(crate) fn rule_on(
    name: &str,
    field: &str,
    operator: Operator,
    value: Option<Kind>,
    outcomes: RuleOutcomes,
) -> Rule {
    let values = value.map(|kind| CriterionValue { kind: Some(kind) }).into_iter().collect();
    let criterion = Criterion { field: field.to_owned(), operator: operator.into(), values, case_sensitive: false };
    Rule {
        name: name.to_owned(),
        criteria: Some(CriteriaGroup { kind: GroupKind::All.into(), criteria: vec![criterion], groups: Vec::new() }),
        outcomes: Some(outcomes),
        ..Default::default()
    }
}

/// The reason of a refusal.
pub(crate) fn reason(status: &Status) -> String {
    status.get_details_error_info().map(|info| info.reason).unwrap_or_default()
}

/// An entry of a refusal's metadata.
pub(crate) fn metadata(status: &Status, key: &str) -> String {
    status.get_details_error_info().and_then(|info| info.metadata.get(key).cloned()).unwrap_or_default()
}

/// The fields that a refusal names.
pub(crate) fn fields(status: &Status) -> Vec<String> {
    let bad = status.get_details_bad_request();
    bad.map(|bad| bad.field_violations.into_iter().map(|v| v.field).collect()).unwrap_or_default()
}

/// The names of the rules that matched.
pub(crate) fn matched(evaluation: &Option<concierge_proto::ticket_rule::EvaluationSummary>) -> Vec<String> {
    evaluation.iter().flat_map(|e| &e.matches).map(|m| m.rule_name.clone()).collect()
}

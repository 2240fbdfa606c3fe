//! The world that the rows speak of: customers, sites, users, teams and three rules, made where they are missing.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use anyhow::Context as _;
use concierge_proto::common::{CriteriaGroup, Criterion, CriterionValue, GroupKind, Operator, criterion_value::Kind};
use concierge_proto::directory::customer_service_client::CustomerServiceClient;
use concierge_proto::directory::relationship_service_client::RelationshipServiceClient;
use concierge_proto::directory::site_service_client::SiteServiceClient;
use concierge_proto::directory::team_service_client::TeamServiceClient;
use concierge_proto::directory::user_service_client::UserServiceClient;
use concierge_proto::directory::{
    CreateCustomerRequest, CreateRelationshipRequest, CreateSiteRequest, CreateTeamRequest, CreateUserRequest,
    Customer, ListCustomersRequest, ListRelationshipsRequest, ListSitesRequest, ListTeamsRequest, ListUsersRequest,
    Relationship, RelationshipEntity, Site, Team, User,
};
use concierge_proto::ticket_rule::priority_service_client::PriorityServiceClient;
use concierge_proto::ticket_rule::rule_service_client::RuleServiceClient;
use concierge_proto::ticket_rule::status_service_client::StatusServiceClient;
use concierge_proto::ticket_rule::{
    CreateRuleRequest, ListPrioritiesRequest, ListRulesRequest, ListStatusesRequest, Rule, RuleOutcomes, StatusCategory,
};

use super::rows::Row;
use crate::client::{Suite, explain, request_id};

/// The source of every external id of a replay.
pub(crate) const SOURCE: &str = "replay";
const VIP_DESK: &str = "VIP desk";
const AT_RISK: &str = "At risk";

/// The ids behind the names in the rows.
#[derive(Debug, Default)]
pub(crate) struct World {
    /// By location.
    pub(crate) sites: HashMap<String, String>,
    /// By caller.
    pub(crate) users: HashMap<String, String>,
    /// By assignment group.
    pub(crate) teams: HashMap<String, String>,
    /// From 1, the highest.
    pub(crate) priorities: Vec<String>,
    /// The first status of each category.
    pub(crate) statuses: HashMap<i32, String>,
    /// How many records this run made.
    pub(crate) made: BTreeMap<&'static str, usize>,
}

/// The number in a name such as `Location 143`; 0 when there is none.
fn number(name: &str) -> u64 {
    name.rsplit(' ').next().and_then(|n| n.parse().ok()).unwrap_or(0)
}

/// Every page of a list: calls with the token of the next page until there is none.
macro_rules! all {
    ($client:expr, $method:ident, $request:expr, $field:ident) => {{
        let mut found = Vec::new();
        let mut request = Clone::clone(&$request);
        request.page_size = 1000;
        loop {
            let page = $client.$method(request.clone()).await.map_err(|s| explain(&s))?.into_inner();
            found.extend(page.$field);
            if page.next_page_token.is_empty() {
                break found;
            }
            request.page_token = page.next_page_token;
        }
    }};
}

pub(crate) async fn build(suite: &Suite, rows: &[Row]) -> anyhow::Result<World> {
    let mut world = World::default();
    let relationship = relationship(suite, &mut world).await?;
    places(suite, rows, &relationship, &mut world).await?;
    users(suite, rows, &mut world).await?;
    let vip_desk = teams(suite, rows, &mut world).await?;
    configuration(suite, &mut world).await?;
    rules(suite, &relationship, &vip_desk, &mut world).await?;
    Ok(world)
}

async fn relationship(suite: &Suite, world: &mut World) -> anyhow::Result<String> {
    let mut client = RelationshipServiceClient::new(suite.directory.clone());
    let known = all!(client, list_relationships, ListRelationshipsRequest::default(), relationships);
    let entity = i32::from(RelationshipEntity::Customer);
    if let Some(found) = known.into_iter().find(|r| r.name == AT_RISK && r.entity == entity) {
        return Ok(found.id);
    }
    let relationship = Relationship { name: AT_RISK.to_owned(), entity, ..Default::default() };
    let request = CreateRelationshipRequest { relationship: Some(relationship), request_id: request_id() };
    let made = client.create_relationship(request).await.map_err(|s| explain(&s))?.into_inner();
    *world.made.entry("relationships").or_default() += 1;
    Ok(made.relationship.context("a relationship")?.id)
}

/// Sites, and the customers they belong to. A customer's main site is its first location.
async fn places(suite: &Suite, rows: &[Row], at_risk: &str, world: &mut World) -> anyhow::Result<()> {
    let mut customers = CustomerServiceClient::new(suite.directory.clone());
    let mut sites = SiteServiceClient::new(suite.directory.clone());
    let ours = format!("external_source = \"{SOURCE}\"");
    let mut by_customer: HashMap<String, String> =
        all!(customers, list_customers, ListCustomersRequest { filter: ours.clone(), ..Default::default() }, customers)
            .into_iter()
            .map(|c| (c.external_id, c.id))
            .collect();
    world.sites = all!(sites, list_sites, ListSitesRequest { filter: ours, ..Default::default() }, sites)
        .into_iter()
        .map(|s| (s.external_id, s.id))
        .collect();
    let locations: BTreeSet<String> =
        rows.iter().map(|r| r.location.clone().unwrap_or_else(|| UNKNOWN_LOCATION.to_owned())).collect();
    for location in locations.into_iter().filter(|l| !world.sites.contains_key(l)).collect::<Vec<_>>() {
        let index = number(&location) / 10;
        let name =
            if location == UNKNOWN_LOCATION { "Customer unknown".to_owned() } else { format!("Customer {index}") };
        let site = Site {
            name: location.clone(),
            external_id: location.clone(),
            external_source: SOURCE.to_owned(),
            ..Default::default()
        };
        let id = match by_customer.get(&name) {
            Some(customer_id) => {
                let site = Site { customer_id: customer_id.clone(), ..site };
                let request = CreateSiteRequest { site: Some(site), request_id: request_id() };
                sites.create_site(request).await.map_err(|s| explain(&s))?.into_inner().site.context("a site")?.id
            }
            None => {
                let customer = Customer {
                    name: name.clone(),
                    external_id: name.clone(),
                    external_source: SOURCE.to_owned(),
                    important: index.is_multiple_of(5) && location != UNKNOWN_LOCATION,
                    relationship_ids: if index.is_multiple_of(7) { vec![at_risk.to_owned()] } else { Vec::new() },
                    ..Default::default()
                };
                let request = CreateCustomerRequest {
                    customer: Some(customer),
                    main_site: Some(site),
                    request_id: request_id(),
                    ..Default::default()
                };
                let made = customers.create_customer(request).await.map_err(|s| explain(&s))?.into_inner();
                by_customer.insert(name, made.customer.context("a customer")?.id);
                *world.made.entry("customers").or_default() += 1;
                made.main_site.context("a site")?.id
            }
        };
        world.sites.insert(location, id);
        *world.made.entry("sites").or_default() += 1;
    }
    Ok(())
}

/// Where incidents without a location happen.
pub(crate) const UNKNOWN_LOCATION: &str = "Unknown location";

async fn users(suite: &Suite, rows: &[Row], world: &mut World) -> anyhow::Result<()> {
    let mut client = UserServiceClient::new(suite.directory.clone());
    let request = ListUsersRequest { filter: format!("external_source = \"{SOURCE}\""), ..Default::default() };
    world.users = all!(client, list_users, request, users).into_iter().map(|u| (u.external_id, u.id)).collect();
    for row in rows {
        let Some(caller) = row.caller.as_ref().filter(|c| !world.users.contains_key(*c)) else { continue };
        let site = &world.sites[row.location.as_deref().unwrap_or(UNKNOWN_LOCATION)];
        let user = User {
            name: caller.clone(),
            site_id: site.clone(),
            emails: email(caller).into_iter().collect(),
            important: number(caller).is_multiple_of(20),
            external_id: caller.clone(),
            external_source: SOURCE.to_owned(),
            ..Default::default()
        };
        let request = CreateUserRequest { user: Some(user), request_id: request_id() };
        let made = client.create_user(request).await.map_err(|s| explain(&s))?.into_inner().user.context("a user")?;
        world.users.insert(caller.clone(), made.id);
        *world.made.entry("users").or_default() += 1;
    }
    Ok(())
}

/// The address made from a caller's name, of those that can be part of one.
fn email(caller: &str) -> Option<String> {
    let name = caller.to_lowercase().replace(' ', ".");
    let plain = name.len() <= 60
        && name.split('.').all(|part| !part.is_empty())
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'.' || b == b'-');
    plain.then(|| format!("{name}@replay.example"))
}

async fn teams(suite: &Suite, rows: &[Row], world: &mut World) -> anyhow::Result<String> {
    let mut client = TeamServiceClient::new(suite.directory.clone());
    world.teams =
        all!(client, list_teams, ListTeamsRequest::default(), teams).into_iter().map(|t| (t.name, t.id)).collect();
    let wanted: BTreeSet<&str> =
        rows.iter().filter_map(|r| r.group.as_deref()).chain(std::iter::once(VIP_DESK)).collect();
    for name in wanted {
        if world.teams.contains_key(name) {
            continue;
        }
        let team = Team { name: name.to_owned(), ..Default::default() };
        let request = CreateTeamRequest { team: Some(team), request_id: request_id() };
        let made = client.create_team(request).await.map_err(|s| explain(&s))?.into_inner().team.context("a team")?;
        world.teams.insert(made.name, made.id);
        *world.made.entry("teams").or_default() += 1;
    }
    Ok(world.teams[VIP_DESK].clone())
}

async fn configuration(suite: &Suite, world: &mut World) -> anyhow::Result<()> {
    let mut priorities = PriorityServiceClient::new(suite.ticket_rule.clone());
    let request = ListPrioritiesRequest { order_by: "rank".to_owned(), ..Default::default() };
    world.priorities = all!(priorities, list_priorities, request, priorities).into_iter().map(|p| p.id).collect();
    let mut statuses = StatusServiceClient::new(suite.ticket_rule.clone());
    let request = ListStatusesRequest { order_by: "position".to_owned(), ..Default::default() };
    for status in all!(statuses, list_statuses, request, statuses) {
        world.statuses.entry(status.category).or_insert(status.id);
    }
    for category in [StatusCategory::New, StatusCategory::Open, StatusCategory::OnHold, StatusCategory::Resolved] {
        world
            .statuses
            .get(&i32::from(category))
            .with_context(|| format!("there is no status of category {category:?}"))?;
    }
    Ok(())
}

fn criterion(field: &str, operator: Operator, value: Kind) -> CriteriaGroup {
    CriteriaGroup {
        kind: GroupKind::All.into(),
        criteria: vec![Criterion {
            field: field.to_owned(),
            operator: operator.into(),
            values: vec![CriterionValue { kind: Some(value) }],
            case_sensitive: false,
        }],
        groups: Vec::new(),
    }
}

async fn rules(suite: &Suite, at_risk: &str, vip_desk: &str, world: &mut World) -> anyhow::Result<()> {
    let mut client = RuleServiceClient::new(suite.ticket_rule.clone());
    let known: BTreeSet<String> =
        all!(client, list_rules, ListRulesRequest::default(), rules).into_iter().map(|r| r.name).collect();
    let highest = world.priorities.first().cloned().unwrap_or_default();
    let tag = |name: &str| RuleOutcomes { add_tags: vec![name.to_owned()], ..Default::default() };
    for (name, criteria, outcomes) in [
        (
            "Replay: important user",
            criterion("user.important", Operator::Is, Kind::Flag(true)),
            RuleOutcomes { team_id: vip_desk.to_owned(), priority_id: highest, ..Default::default() },
        ),
        (
            "Replay: important customer",
            criterion("customer.important", Operator::Is, Kind::Flag(true)),
            tag("important-customer"),
        ),
        (
            "Replay: customer at risk",
            criterion("customer.relationships", Operator::Includes, Kind::Id(at_risk.to_owned())),
            tag("retention"),
        ),
    ] {
        if known.contains(name) {
            continue;
        }
        let rule =
            Rule { name: name.to_owned(), criteria: Some(criteria), outcomes: Some(outcomes), ..Default::default() };
        let request = CreateRuleRequest { rule: Some(rule), request_id: request_id() };
        // What was just made in the directory is known to ticket-rule once it has read the directory's feed.
        for attempt in 0.. {
            match client.create_rule(request.clone()).await {
                Ok(_) => break,
                Err(_) if attempt < 50 => tokio::time::sleep(Duration::from_millis(100)).await,
                Err(status) => return Err(explain(&status)),
            }
        }
        *world.made.entry("rules").or_default() += 1;
    }
    Ok(())
}

//! `concierge up --demo`: a small invented world, and the story of one important user's ticket.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, bail};
use concierge_proto::common::{CriteriaGroup, Criterion, CriterionValue, GroupKind, Operator, criterion_value};
use concierge_proto::directory::customer_service_client::CustomerServiceClient;
use concierge_proto::directory::relationship_service_client::RelationshipServiceClient;
use concierge_proto::directory::site_contact_service_client::SiteContactServiceClient;
use concierge_proto::directory::team_service_client::TeamServiceClient;
use concierge_proto::directory::user_role_service_client::UserRoleServiceClient;
use concierge_proto::directory::user_service_client::UserServiceClient;
use concierge_proto::directory::{
    AssignSiteContactRequest, AssignUserRoleRequest, CreateCustomerRequest, CreateRelationshipRequest,
    CreateTeamRequest, CreateUserRequest, CreateUserRoleRequest, Customer, ListRelationshipsRequest, Relationship,
    RelationshipEntity, SearchUsersRequest, Site, Team, User, UserRole,
};
use concierge_proto::notification::delivery_service_client::DeliveryServiceClient;
use concierge_proto::notification::popup_service_client::PopupServiceClient;
use concierge_proto::notification::{
    AttemptOutcome, Delivery, DeliveryState, ListDeliveriesRequest, ListPopupsRequest, PopupSettings,
    UpdatePopupSettingsRequest,
};
use concierge_proto::ticket_rule::priority_service_client::PriorityServiceClient;
use concierge_proto::ticket_rule::rule_service_client::RuleServiceClient;
use concierge_proto::ticket_rule::ticket_service_client::TicketServiceClient;
use concierge_proto::ticket_rule::{
    CreateRuleRequest, ExplainTicketRequest, ListPrioritiesRequest, LogTicketRequest, Rule, RuleOutcomes, RuleVerdict,
    Ticket, TicketSource,
};
use tonic::Status;

use crate::client::{Api, Suite, explain, request_id};

/// Says what happens next, as a heading.
fn step(number: u8, text: &str) {
    println!("\n{number}. {text}");
}

fn said(line: &str) {
    println!("   {line}");
}

fn told(status: Status) -> anyhow::Error {
    explain(&status)
}

/// A value of an enum, in words.
fn words(name: &str, prefix: &str) -> String {
    name.trim_start_matches(prefix).to_lowercase().replace('_', " ")
}

/// Whether it is an e-mail that goes out as soon as there is a sender to send it through: its attempt failed, but
/// nothing about it did.
fn waits_for_sender(delivery: &Delivery) -> bool {
    delivery.attempts.last().is_some_and(|attempt| attempt.outcome() == AttemptOutcome::NoSender)
}

/// What became of a ticket's notifications, once each was tried.
async fn tried(deliveries: &mut DeliveryServiceClient<Api>, ticket_id: &str) -> anyhow::Result<Vec<Delivery>> {
    for _ in 0..100 {
        let filter = format!("ticket_id = \"{ticket_id}\"");
        let request = ListDeliveriesRequest { filter, ..Default::default() };
        let listed = deliveries.list_deliveries(request).await.map_err(told)?.into_inner().deliveries;
        let under_way = |d: &Delivery| matches!(d.state(), DeliveryState::Pending | DeliveryState::Started);
        if !listed.is_empty() && !listed.iter().any(under_way) {
            return Ok(listed);
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    bail!("nobody was told within ten seconds")
}

/// A criterion of one field and one value.
fn criterion(field: &str, operator: Operator, kind: criterion_value::Kind) -> CriteriaGroup {
    CriteriaGroup {
        kind: GroupKind::All.into(),
        criteria: vec![Criterion {
            field: field.to_owned(),
            operator: operator.into(),
            values: vec![CriterionValue { kind: Some(kind) }],
            case_sensitive: false,
        }],
        groups: Vec::new(),
    }
}

/// Loads the world and tells the story.
pub(crate) async fn tell(port: u16, token: PathBuf) -> anyhow::Result<()> {
    let suite = Suite::local(port, token)?;
    let mut relationships = RelationshipServiceClient::new(suite.directory.clone());
    let known = relationships.list_relationships(ListRelationshipsRequest::default()).await.map_err(told)?.into_inner();
    if known.relationships.iter().any(|r| r.name == "At risk (demo)") {
        println!("\nThe demo's world is already here: its story was told at an earlier start.");
        return Ok(());
    }

    step(1, "A customer in one call, with its main site and its main contact; and why somebody is important.");
    let at_risk = relationships
        .create_relationship(CreateRelationshipRequest {
            relationship: Some(Relationship {
                name: "At risk (demo)".to_owned(),
                entity: RelationshipEntity::Customer.into(),
                description: "May leave us: handle with care.".to_owned(),
                ..Default::default()
            }),
            request_id: request_id(),
        })
        .await
        .map_err(told)?
        .into_inner()
        .relationship
        .context("a relationship")?;
    let created = CustomerServiceClient::new(suite.directory.clone())
        .create_customer(CreateCustomerRequest {
            customer: Some(Customer {
                name: "Harbour Logistics".to_owned(),
                important: true,
                time_zone: "Europe/Berlin".to_owned(),
                notes: "Ships at night; call before 06:00 only in an emergency.".to_owned(),
                relationship_ids: vec![at_risk.id.clone()],
                ..Default::default()
            }),
            main_site: Some(Site { name: "Head office".to_owned(), ..Default::default() }),
            main_contact: Some(User {
                name: "Mara Holt".to_owned(),
                emails: vec!["mara.holt@harbour.example".to_owned()],
                ..Default::default()
            }),
            request_id: request_id(),
        })
        .await
        .map_err(told)?
        .into_inner();
    let (customer, site, contact) = (
        created.customer.context("a customer")?,
        created.main_site.context("a site")?,
        created.main_contact.context("a contact")?,
    );
    said(&format!("customer {} ({}), site {}, contact {}", customer.name, customer.id, site.name, contact.name));

    let role = UserRoleServiceClient::new(suite.directory.clone())
        .create_user_role(CreateUserRoleRequest {
            user_role: Some(UserRole { name: "Board (demo)".to_owned(), important: true, ..Default::default() }),
            request_id: request_id(),
        })
        .await
        .map_err(told)?
        .into_inner()
        .user_role
        .context("a role")?;
    let mut users = UserServiceClient::new(suite.directory.clone());
    let mut make = async |name: &str, important: bool| -> anyhow::Result<User> {
        let user = User {
            name: name.to_owned(),
            site_id: site.id.clone(),
            emails: vec![format!("{}@harbour.example", name.to_lowercase().replace(' ', "."))],
            important,
            ..Default::default()
        };
        let request = CreateUserRequest { user: Some(user), request_id: request_id() };
        users.create_user(request).await.map_err(told)?.into_inner().user.context("a user")
    };
    let director = make("Ines Hallberg", false).await?;
    make("Ines Halloran", false).await?;
    let direct = make("Ines Hallstrom", true).await?;
    UserRoleServiceClient::new(suite.directory.clone())
        .assign_user_role(AssignUserRoleRequest {
            user_id: director.id.clone(),
            role_id: role.id.clone(),
            request_id: request_id(),
            ..Default::default()
        })
        .await
        .map_err(told)?;
    said(&format!("{} is important through the role {}, {} by her own flag", director.name, role.name, direct.name));
    SiteContactServiceClient::new(suite.directory.clone())
        .assign_site_contact(AssignSiteContactRequest {
            site_id: site.id.clone(),
            user_id: contact.id.clone(),
            request_id: request_id(),
            ..Default::default()
        })
        .await
        .map_err(told)?;
    let team = TeamServiceClient::new(suite.directory.clone())
        .create_team(CreateTeamRequest {
            team: Some(Team { name: "White glove (demo)".to_owned(), ..Default::default() }),
            request_id: request_id(),
        })
        .await
        .map_err(told)?
        .into_inner()
        .team
        .context("a team")?;

    step(2, "Rules: important users go to a team of their own with the highest priority.");
    let priorities = PriorityServiceClient::new(suite.ticket_rule.clone())
        .list_priorities(ListPrioritiesRequest { order_by: "rank".to_owned(), ..Default::default() })
        .await
        .map_err(told)?
        .into_inner()
        .priorities;
    let critical = priorities.first().context("the priorities that come with the service")?;
    let mut rules = RuleServiceClient::new(suite.ticket_rule.clone());
    let vip = RuleOutcomes {
        team_id: team.id.clone(),
        priority_id: critical.id.clone(),
        popup_html: "<p>Call back within <b>ten minutes</b>.</p>".to_owned(),
        ..Default::default()
    };
    let retention = RuleOutcomes { add_tags: vec!["retention".to_owned()], ..Default::default() };
    for (name, criteria, outcomes) in [
        ("Important user (demo)", criterion("user.important", Operator::Is, criterion_value::Kind::Flag(true)), vip),
        (
            "At risk (demo)",
            criterion("customer.relationships", Operator::Includes, criterion_value::Kind::Id(at_risk.id.clone())),
            retention,
        ),
    ] {
        let rule =
            Rule { name: name.to_owned(), criteria: Some(criteria), outcomes: Some(outcomes), ..Default::default() };
        let request = CreateRuleRequest { rule: Some(rule), request_id: request_id() };
        // The new team is known to ticket-rule as soon as it has read directory's feed.
        let mut tries = 0;
        loop {
            match rules.create_rule(request.clone()).await {
                Ok(_) => break,
                Err(status) if tries < 50 => {
                    tries += 1;
                    tracing::debug!(%status, "trying again");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
                Err(status) => return Err(told(status)),
            }
        }
        said(name);
    }

    step(3, "The director logs a ticket. The facts are fetched, the rules run, the ticket comes back changed.");
    let logged = TicketServiceClient::new(suite.ticket_rule.clone())
        .log_ticket(LogTicketRequest {
            ticket: Some(Ticket {
                summary: "The board's conference line is silent".to_owned(),
                user_id: director.id.clone(),
                source: TicketSource::Phone.into(),
                ..Default::default()
            }),
            request_id: request_id(),
        })
        .await
        .map_err(told)?
        .into_inner();
    let ticket = logged.ticket.context("a ticket")?;
    said(&format!("ticket #{}: team {}, tags {:?}", ticket.number, team.name, ticket.tags));
    for matched in logged.evaluation.iter().flat_map(|e| &e.matches) {
        let fields: Vec<&str> = matched.changes.iter().map(|c| c.field.as_str()).collect();
        said(&format!("matched {}, which set {}", matched.rule_name, fields.join(", ")));
    }
    if ticket.team_id != team.id {
        bail!("the rule for important users did not route the ticket");
    }

    step(4, "Why? For every rule, from the stored input.");
    let explained = rules
        .explain_ticket(ExplainTicketRequest { ticket_id: ticket.id.clone(), ..Default::default() })
        .await
        .map_err(told)?
        .into_inner();
    for trace in &explained.traces {
        let verdict = RuleVerdict::try_from(trace.verdict).unwrap_or(RuleVerdict::Unspecified);
        let verdict = words(verdict.as_str_name(), "RULE_VERDICT_");
        said(&format!("{}: {verdict}", trace.rule_name));
    }

    step(5, "Who was told, and why.");
    let mut deliveries = DeliveryServiceClient::new(suite.notification.clone());
    for delivery in tried(&mut deliveries, &ticket.id).await? {
        let reason = words(delivery.reason().as_str_name(), "DELIVERY_REASON_");
        let channel = words(delivery.channel().as_str_name(), "CHANNEL_");
        let outcome = if waits_for_sender(&delivery) {
            "waits for an e-mail sender".to_owned()
        } else {
            words(delivery.state().as_str_name(), "DELIVERY_STATE_")
        };
        said(&format!("{} by {channel}: {outcome}; why: {reason}", contact.name));
    }
    said(
        "(no e-mail sender is configured yet: EmailSenderService.CreateEmailSender makes one, and the e-mail goes out)",
    );

    step(6, "An agent who opens that ticket sees the right popup, once the setting is on.");
    let mut popups = PopupServiceClient::new(suite.notification.clone());
    popups
        .update_popup_settings(UpdatePopupSettingsRequest {
            popup_settings: Some(PopupSettings { vip_popup_enabled: true, ..Default::default() }),
            update_mask: Some(prost_types::FieldMask { paths: vec!["vip_popup_enabled".to_owned()] }),
            request_id: request_id(),
        })
        .await
        .map_err(told)?;
    let shown = popups
        .list_popups(ListPopupsRequest { ticket_id: ticket.id.clone(), ..Default::default() })
        .await
        .map_err(told)?
        .into_inner();
    for popup in &shown.popups {
        let kind = words(popup.kind().as_str_name(), "POPUP_KIND_");
        said(&format!("{kind}: {}", popup.html));
    }

    step(7, "Important users come first among equals.");
    let found = users
        .search_users(SearchUsersRequest { query: "ines hal".to_owned(), ..Default::default() })
        .await
        .map_err(told)?
        .into_inner();
    for result in &found.results {
        let star = if result.important { "★" } else { " " };
        said(&format!("{star} {}", result.user.as_ref().map_or("", |u| u.name.as_str())));
    }
    println!("\nThat is the story. Everything it made is still there to look at.");
    Ok(())
}

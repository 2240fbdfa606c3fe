//! Step 1: the customer, its people, and those who work for it.

use anyhow::Context as _;
use concierge_proto::directory::agent_role_service_client::AgentRoleServiceClient;
use concierge_proto::directory::agent_service_client::AgentServiceClient;
use concierge_proto::directory::customer_service_client::CustomerServiceClient;
use concierge_proto::directory::relationship_service_client::RelationshipServiceClient;
use concierge_proto::directory::site_contact_service_client::SiteContactServiceClient;
use concierge_proto::directory::team_service_client::TeamServiceClient;
use concierge_proto::directory::user_role_service_client::UserRoleServiceClient;
use concierge_proto::directory::user_service_client::UserServiceClient;
use concierge_proto::directory::{
    AddTeamMemberRequest, Agent, AgentRole, AssignSiteContactRequest, AssignUserRoleRequest, CreateAgentRequest,
    CreateAgentRoleRequest, CreateCustomerRequest, CreateRelationshipRequest, CreateTeamRequest, CreateUserRequest,
    CreateUserRoleRequest, Customer, Relationship, RelationshipEntity, Site, Team, User, UserRole,
};

use super::{SOURCE, World, create, said, starred, told};
use crate::client::{Suite, request_id};

/// Everybody arrives.
pub(super) async fn arrive(suite: &Suite) -> anyhow::Result<World> {
    let (customer, site, contact) = customer(suite).await?;
    said(&starred(true, &format!("customer {} ({})", customer.name, customer.id)));
    said(&format!("  its main site {} in {}, its main contact {}", site.name, customer.time_zone, contact.name));

    let mut users = UserServiceClient::new(suite.directory.clone());
    let mut user = async |name: &str, important: bool| -> anyhow::Result<User> {
        let emails = vec![format!("{}@harbour.example", name.to_lowercase().replace(' ', "."))];
        let user = User { name: name.to_owned(), site_id: site.id.clone(), emails, important, ..Default::default() };
        Ok(create!(users.create_user(CreateUserRequest { user: user })))
    };
    let (director, direct, plain) =
        (user("Ines Hallberg", false).await?, user("Ines Hallstrom", true).await?, user("Ines Halloran", false).await?);
    let role = board(suite, &director).await?;
    said(&starred(true, &format!("{}, by the role {}", director.name, role.name)));
    said(&starred(true, &format!("{}, by her own flag", direct.name)));
    said(&starred(false, &plain.name));
    SiteContactServiceClient::new(suite.directory.clone())
        .assign_site_contact(AssignSiteContactRequest {
            site_id: site.id.clone(),
            user_id: contact.id.clone(),
            request_id: request_id(),
            ..Default::default()
        })
        .await
        .map_err(told)?;
    said(&format!("  {} is assigned to the site as its contact", contact.name));

    let (white_glove, retention) = (team(suite, "White glove (demo)").await?, team(suite, "Retention (demo)").await?);
    let agent = agent(suite, &white_glove).await?;
    said(&format!("  {}, an agent of the first line, works in the team {}", agent.name, white_glove.name));
    Ok(World {
        customer,
        site,
        contact,
        director,
        plain,
        agent_id: agent.id,
        high_value: relationship(suite, "High value (demo)").await?,
        at_risk: relationship(suite, "At risk (demo)").await?,
        white_glove,
        retention,
    })
}

async fn customer(suite: &Suite) -> anyhow::Result<(Customer, Site, User)> {
    let created = CustomerServiceClient::new(suite.directory.clone())
        .create_customer(CreateCustomerRequest {
            customer: Some(Customer {
                name: "Harbour Logistics".to_owned(),
                important: true,
                time_zone: "Europe/Berlin".to_owned(),
                notes: "Ships at night; call before 06:00 only in an emergency.".to_owned(),
                external_id: "harbour".to_owned(),
                external_source: SOURCE.to_owned(),
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
    Ok((
        created.customer.context("a customer")?,
        created.main_site.context("a site")?,
        created.main_contact.context("a contact")?,
    ))
}

/// A role that carries importance, and who has it.
async fn board(suite: &Suite, holder: &User) -> anyhow::Result<UserRole> {
    let mut roles = UserRoleServiceClient::new(suite.directory.clone());
    let role = UserRole { name: "Board (demo)".to_owned(), important: true, ..Default::default() };
    let role = create!(roles.create_user_role(CreateUserRoleRequest { user_role: role }));
    roles
        .assign_user_role(AssignUserRoleRequest {
            user_id: holder.id.clone(),
            role_id: role.id.clone(),
            request_id: request_id(),
            ..Default::default()
        })
        .await
        .map_err(told)?;
    Ok(role)
}

async fn team(suite: &Suite, name: &str) -> anyhow::Result<Team> {
    let mut teams = TeamServiceClient::new(suite.directory.clone());
    Ok(create!(teams.create_team(CreateTeamRequest { team: Team { name: name.to_owned(), ..Default::default() } })))
}

async fn agent(suite: &Suite, team: &Team) -> anyhow::Result<Agent> {
    let mut roles = AgentRoleServiceClient::new(suite.directory.clone());
    let permissions = ["tickets.read", "tickets.write", "users.read", "importance.read", "popups.read"];
    let role = AgentRole {
        name: "First line (demo)".to_owned(),
        permissions: permissions.map(str::to_owned).to_vec(),
        ..Default::default()
    };
    let role = create!(roles.create_agent_role(CreateAgentRoleRequest { agent_role: role }));
    let agent = Agent {
        name: "Avery Quill".to_owned(),
        email: "avery.quill@desk.example".to_owned(),
        role_ids: vec![role.id],
        ..Default::default()
    };
    let mut agents = AgentServiceClient::new(suite.directory.clone());
    let agent = create!(agents.create_agent(CreateAgentRequest { agent: agent }));
    TeamServiceClient::new(suite.directory.clone())
        .add_team_member(AddTeamMemberRequest {
            team_id: team.id.clone(),
            agent_id: agent.id.clone(),
            request_id: request_id(),
            ..Default::default()
        })
        .await
        .map_err(told)?;
    Ok(agent)
}

async fn relationship(suite: &Suite, name: &str) -> anyhow::Result<Relationship> {
    let mut relationships = RelationshipServiceClient::new(suite.directory.clone());
    let entity = RelationshipEntity::Customer.into();
    let relationship = Relationship { name: name.to_owned(), entity, ..Default::default() };
    Ok(create!(relationships.create_relationship(CreateRelationshipRequest { relationship: relationship })))
}

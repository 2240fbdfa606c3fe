//! What the tests of agents, contacts, access and history begin with.

use concierge_directory::Directory;
use concierge_proto::directory::access_service_client::AccessServiceClient;
use concierge_proto::directory::agent_role_service_client::AgentRoleServiceClient;
use concierge_proto::directory::agent_service_client::AgentServiceClient;
use concierge_proto::directory::change_history_service_client::ChangeHistoryServiceClient;
use concierge_proto::directory::custom_field_service_client::CustomFieldServiceClient;
use concierge_proto::directory::customer_service_client::CustomerServiceClient;
use concierge_proto::directory::department_service_client::DepartmentServiceClient;
use concierge_proto::directory::site_contact_service_client::SiteContactServiceClient;
use concierge_proto::directory::site_contact_type_service_client::SiteContactTypeServiceClient;
use concierge_proto::directory::site_service_client::SiteServiceClient;
use concierge_proto::directory::team_service_client::TeamServiceClient;
use concierge_proto::directory::user_role_service_client::UserRoleServiceClient;
use concierge_proto::directory::user_service_client::UserServiceClient;
use concierge_proto::directory::{
    Agent, AgentRole, CreateAgentRequest, CreateAgentRoleRequest, CreateCustomerRequest, CreateSiteContactTypeRequest,
    CreateSiteRequest, CreateUserRequest, CreateUserRoleRequest, Customer, Site, SiteContactType, UpdateAgentRequest,
    UpdateUserRequest, User, UserRole,
};
use concierge_proto::event::Revocation;
use concierge_testkit::{Api, Suite, Who, request_id};
use prost::Message as _;
use prost_types::FieldMask;
use tonic::Status;
use tonic_types::StatusExt as _;
use uuid::Uuid;

/// A directory, and somebody at its desk who may do everything unless the test says otherwise.
pub(crate) struct Desk {
    pub(crate) suite: Suite,
    pub(crate) who: Who,
}

macro_rules! clients {
    ($($name:ident: $client:ident),+ $(,)?) => {
        $(pub(crate) fn $name(&self) -> $client<Api> {
            $client::new(self.suite.api("directory", &self.who))
        })+
    };
}

impl Desk {
    pub(crate) async fn open() -> Self {
        let mut suite = Suite::new();
        suite.start::<Directory>().await;
        Self { suite, who: Who::agent(Uuid::from_u128(0xad)) }
    }

    /// From now on the caller holds these permissions only.
    pub(crate) fn limit(&mut self, scope: &[&str]) {
        self.who = self.who.clone().with_scope(scope);
    }

    clients! {
        access: AccessServiceClient,
        agent_roles: AgentRoleServiceClient,
        agents: AgentServiceClient,
        custom_fields: CustomFieldServiceClient,
        customers: CustomerServiceClient,
        departments: DepartmentServiceClient,
        history: ChangeHistoryServiceClient,
        site_contact_types: SiteContactTypeServiceClient,
        site_contacts: SiteContactServiceClient,
        sites: SiteServiceClient,
        teams: TeamServiceClient,
        user_roles: UserRoleServiceClient,
        users: UserServiceClient,
    }

    pub(crate) async fn role(&self, name: &str, permissions: &[&str]) -> AgentRole {
        self.agent_roles().create_agent_role(role(name, permissions)).await.unwrap().into_inner().agent_role.unwrap()
    }

    pub(crate) async fn agent(&self, name: &str, roles: &[&AgentRole]) -> Agent {
        self.agents().create_agent(agent(name, roles)).await.unwrap().into_inner().agent.unwrap()
    }

    /// Changes the named fields of an agent.
    pub(crate) async fn change_agent(&self, agent: Agent, paths: &[&str]) -> Result<Agent, Status> {
        let request =
            UpdateAgentRequest { agent: Some(agent), update_mask: Some(mask(paths)), request_id: request_id() };
        Ok(self.agents().update_agent(request).await?.into_inner().agent.unwrap())
    }

    pub(crate) async fn customer(&self, name: &str) -> (Customer, Site) {
        let request = CreateCustomerRequest {
            customer: Some(Customer { name: name.to_owned(), ..Default::default() }),
            main_site: Some(Site { name: format!("{name} main site"), ..Default::default() }),
            request_id: request_id(),
            main_contact: None,
        };
        let made = self.customers().create_customer(request).await.unwrap().into_inner();
        (made.customer.unwrap(), made.main_site.unwrap())
    }

    pub(crate) async fn site(&self, customer: &Customer, name: &str) -> Site {
        let site = Site { customer_id: customer.id.clone(), name: name.to_owned(), ..Default::default() };
        let request = CreateSiteRequest { site: Some(site), request_id: request_id() };
        self.sites().create_site(request).await.unwrap().into_inner().site.unwrap()
    }

    /// A user with an e-mail address made from its name.
    pub(crate) async fn user(&self, site: &Site, name: &str) -> User {
        self.user_with(site, name, |_| {}).await
    }

    pub(crate) async fn user_with(&self, site: &Site, name: &str, set: impl FnOnce(&mut User)) -> User {
        let mut user =
            User { site_id: site.id.clone(), name: name.to_owned(), emails: vec![email(name)], ..Default::default() };
        set(&mut user);
        let request = CreateUserRequest { user: Some(user), request_id: request_id() };
        self.users().create_user(request).await.unwrap().into_inner().user.unwrap()
    }

    pub(crate) async fn change_user(&self, user: User, paths: &[&str]) -> User {
        let request = UpdateUserRequest { user: Some(user), update_mask: Some(mask(paths)), request_id: request_id() };
        self.users().update_user(request).await.unwrap().into_inner().user.unwrap()
    }

    pub(crate) async fn user_role(&self, role: UserRole) -> UserRole {
        let request = CreateUserRoleRequest { user_role: Some(role), request_id: request_id() };
        self.user_roles().create_user_role(request).await.unwrap().into_inner().user_role.unwrap()
    }

    /// Whose tokens were revoked since the last time this was asked: `subject/…`, `site/…` or `customer/…`.
    pub(crate) async fn revoked(&mut self) -> Vec<String> {
        let payloads: Vec<Vec<u8>> =
            sqlx::query_scalar("delete from outbox where type = 'revocation.created' returning payload")
                .fetch_all(&self.suite.service("directory").database.pool)
                .await
                .unwrap();
        let told = payloads.iter().map(|bytes| {
            let r = Revocation::decode(bytes.as_slice()).unwrap();
            [("subject", r.subject), ("site", r.site_id), ("customer", r.customer_id)]
                .into_iter()
                .find_map(|(what, id)| (!id.is_empty()).then(|| format!("{what}/{id}")))
                .unwrap()
        });
        let mut told: Vec<String> = told.collect();
        told.sort();
        told
    }

    pub(crate) async fn contact_type(&self, name: &str) -> SiteContactType {
        let request = contact_type(name);
        self.site_contact_types()
            .create_site_contact_type(request)
            .await
            .unwrap()
            .into_inner()
            .site_contact_type
            .unwrap()
    }
}

pub(crate) fn role(name: &str, permissions: &[&str]) -> CreateAgentRoleRequest {
    let permissions = permissions.iter().map(|p| (*p).to_owned()).collect();
    CreateAgentRoleRequest {
        agent_role: Some(AgentRole { name: name.to_owned(), permissions, ..Default::default() }),
        request_id: request_id(),
    }
}

pub(crate) fn agent(name: &str, roles: &[&AgentRole]) -> CreateAgentRequest {
    CreateAgentRequest {
        agent: Some(Agent {
            name: name.to_owned(),
            email: email(name),
            role_ids: roles.iter().map(|r| r.id.clone()).collect(),
            ..Default::default()
        }),
        request_id: request_id(),
        site_id: String::new(),
    }
}

pub(crate) fn contact_type(name: &str) -> CreateSiteContactTypeRequest {
    CreateSiteContactTypeRequest {
        site_contact_type: Some(SiteContactType { name: name.to_owned(), ..Default::default() }),
        request_id: request_id(),
    }
}

pub(crate) fn email(name: &str) -> String {
    format!("{}@example.com", name.to_lowercase().replace(' ', "."))
}

pub(crate) fn mask(paths: &[&str]) -> FieldMask {
    FieldMask { paths: paths.iter().map(|p| (*p).to_owned()).collect() }
}

/// An id that is nobody's.
pub(crate) fn nobody() -> String {
    Uuid::from_u128(0xdead).to_string()
}

/// The reason of an error.
pub(crate) fn reason(status: &Status) -> String {
    status.get_error_details().error_info().map(|info| info.reason.clone()).unwrap_or_default()
}

/// What an error says beside its reason.
pub(crate) fn metadata(status: &Status, key: &str) -> String {
    let details = status.get_error_details();
    details.error_info().and_then(|info| info.metadata.get(key).cloned()).unwrap_or_default()
}

/// The fields at fault.
pub(crate) fn fields(status: &Status) -> Vec<String> {
    let details = status.get_error_details();
    let violations = details.bad_request().map(|b| b.field_violations.clone()).unwrap_or_default();
    violations.into_iter().map(|v| v.field).collect()
}

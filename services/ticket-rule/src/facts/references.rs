//! Records of directory that tickets and rules name: what they are called, and whether they are there.

use std::collections::{HashMap, HashSet};

use concierge_proto::Record;
use concierge_proto::directory::agent_service_client::AgentServiceClient;
use concierge_proto::directory::customer_service_client::CustomerServiceClient;
use concierge_proto::directory::department_service_client::DepartmentServiceClient;
use concierge_proto::directory::relationship_service_client::RelationshipServiceClient;
use concierge_proto::directory::site_service_client::SiteServiceClient;
use concierge_proto::directory::team_service_client::TeamServiceClient;
use concierge_proto::directory::user_role_service_client::UserRoleServiceClient;
use concierge_proto::directory::user_service_client::UserServiceClient;
use concierge_proto::directory::{
    Agent, BatchGetUsersRequest, Customer, Department, GetAgentRequest, GetCustomerRequest, GetDepartmentRequest,
    GetRelationshipRequest, GetSiteRequest, GetTeamRequest, GetUserRoleRequest, Relationship, Site, Team, User,
    UserRole,
};
use concierge_runtime::Error;
use concierge_runtime::upstream::Upstream;
use futures::future::join_all;
use prost::Message as _;
use sqlx::{PgExecutor, Row as _};
use tonic::Code;
use uuid::Uuid;

use super::{Facts, PATIENCE, Source};

/// The records of directory that are named here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A team.
    Team,
    /// An agent.
    Agent,
    /// A user.
    User,
    /// A site.
    Site,
    /// A customer.
    Customer,
    /// A user role; only rules name it.
    UserRole,
    /// A relationship; only rules name it.
    Relationship,
    /// A department; only rules name it.
    Department,
}

impl Kind {
    /// The type of record.
    pub fn record_type(self) -> &'static str {
        match self {
            Self::Team => Team::TYPE,
            Self::Agent => Agent::TYPE,
            Self::User => User::TYPE,
            Self::Site => Site::TYPE,
            Self::Customer => Customer::TYPE,
            Self::UserRole => UserRole::TYPE,
            Self::Relationship => Relationship::TYPE,
            Self::Department => Department::TYPE,
        }
    }

    fn of(record_type: &str) -> Option<Self> {
        const ALL: [Kind; 8] = [
            Kind::Team,
            Kind::Agent,
            Kind::User,
            Kind::Site,
            Kind::Customer,
            Kind::UserRole,
            Kind::Relationship,
            Kind::Department,
        ];
        ALL.into_iter().find(|kind| kind.record_type() == record_type)
    }

    fn read(self, bytes: &[u8]) -> Result<Named, prost::DecodeError> {
        macro_rules! named {
            ($type:ty) => {
                <$type>::decode(bytes).map(Named::from)
            };
        }
        match self {
            Self::Team => named!(Team),
            Self::Agent => named!(Agent),
            Self::User => named!(User),
            Self::Site => named!(Site),
            Self::Customer => named!(Customer),
            Self::UserRole => named!(UserRole),
            Self::Relationship => named!(Relationship),
            Self::Department => named!(Department),
        }
    }
}

/// Whether a record is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Live and active.
    Active,
    /// Live and not active.
    Inactive,
    /// Deleted, or never there.
    Missing,
    /// Never heard of, and directory does not answer: believed to be there.
    Believed,
}

/// A record's name, and whether it is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Named {
    /// Its name; empty when nobody knows it.
    pub name: String,
    /// See [`Standing`].
    pub standing: Standing,
}

macro_rules! named {
    ($($type:ty),*) => {
        $(impl From<$type> for Named {
            fn from(record: $type) -> Self {
                let standing = match (record.delete_time, record.active) {
                    (Some(_), _) => Standing::Missing,
                    (None, Some(false)) => Standing::Inactive,
                    (None, _) => Standing::Active,
                };
                Self { name: record.name, standing }
            }
        })*
    };
}

named!(Team, Agent, User, Site, Customer, UserRole, Relationship, Department);

/// What is known of several records, by kind and id.
#[derive(Clone, Debug, Default)]
pub struct Known(HashMap<(Kind, Uuid), Named>);

impl Known {
    /// What is known of one.
    pub fn get(&self, kind: Kind, id: &str) -> Option<&Named> {
        self.0.get(&(kind, id.parse().ok()?))
    }

    /// Its name; empty when nobody knows it.
    pub fn name(&self, kind: Kind, id: &str) -> String {
        self.get(kind, id).map(|named| named.name.clone()).unwrap_or_default()
    }

    /// Adds a name that is known from elsewhere.
    pub fn put(&mut self, kind: Kind, id: &str, name: &str) {
        if let Ok(id) = id.parse()
            && !name.is_empty()
        {
            self.0.insert((kind, id), Named { name: name.to_owned(), standing: Standing::Active });
        }
    }

    /// Adds the names that come with facts.
    pub fn put_facts(&mut self, facts: &Facts) {
        let facts = &facts.known;
        if let Some(user) = &facts.user {
            self.put(Kind::User, &user.user_id, &user.name);
        }
        if let Some(site) = &facts.site {
            self.put(Kind::Site, &site.site_id, &site.name);
        }
        if let Some(customer) = &facts.customer {
            self.put(Kind::Customer, &customer.customer_id, &customer.name);
        }
    }

    /// What is known of others, too.
    pub fn extend(&mut self, other: Self) {
        self.0.extend(other.0);
    }
}

fn wanted(asked: &[(Kind, &str)]) -> Vec<(Kind, Uuid)> {
    let mut seen = HashSet::with_capacity(asked.len());
    let keys = asked.iter().filter_map(|(kind, id)| Some((*kind, id.parse::<Uuid>().ok()?)));
    keys.filter(|key| seen.insert(*key)).collect()
}

/// What was last heard of these records; those never heard of are believed. One round trip, none for no records.
async fn heard(executor: impl PgExecutor<'_>, wanted: &[(Kind, Uuid)]) -> Result<Known, Error> {
    if wanted.is_empty() {
        return Ok(Known::default());
    }
    let types: Vec<&str> = wanted.iter().map(|(kind, _)| kind.record_type()).collect();
    let ids: Vec<Uuid> = wanted.iter().map(|(_, id)| *id).collect();
    let rows = sqlx::query(
        "select record_type, record_id, deleted, record from projections
         where (record_type, record_id) in (select * from unnest($1::text[], $2::uuid[]))",
    )
    .bind(types)
    .bind(ids)
    .fetch_all(executor)
    .await?;
    let mut known = Known(wanted.iter().map(|key| (*key, BELIEVED)).collect());
    for row in rows {
        let record_type: String = row.try_get(0)?;
        let Some(kind) = Kind::of(&record_type) else { continue };
        let bytes: Vec<u8> = row.try_get(3)?;
        let mut named = kind.read(&bytes).map_err(Error::internal)?;
        if row.try_get(2)? {
            named.standing = Standing::Missing;
        }
        known.0.insert((kind, row.try_get(1)?), named);
    }
    Ok(known)
}

/// The names of records, as they were last heard of. One round trip, none for no records.
pub async fn names(executor: impl PgExecutor<'_>, asked: &[(Kind, &str)]) -> Result<Known, Error> {
    heard(executor, &wanted(asked)).await
}

impl Source {
    /// Whether these teams, agents and users are there, and the names of others. What was never heard of is asked of
    /// directory, and believed when it does not answer; what would be refused is asked of it, too, as it may have come
    /// back a moment ago.
    ///
    /// One round trip; one call more for each such team and agent, and one for every 500 such users, all at once.
    pub async fn check(&self, asked: &[(Kind, &str)], named: &[(Kind, &str)]) -> Result<Known, Error> {
        let both: Vec<(Kind, &str)> = asked.iter().chain(named).copied().collect();
        let mut known = names(self.service().pool(), &both).await?;
        let (mut users, mut calls) = (Vec::new(), Vec::new());
        let usable = |key: &(Kind, Uuid)| known.0.get(key).is_some_and(|named| named.standing == Standing::Active);
        for (kind, id) in wanted(asked).into_iter().filter(|key| !usable(key)) {
            match (kind, self.directory()) {
                (Kind::User, Some(_)) if users.len() < MOST_USERS => users.push(id),
                (kind, Some(directory)) if kind != Kind::User && calls.len() < MOST_CALLS => {
                    calls.push(one(directory, kind, id))
                }
                _ => {}
            }
        }
        let batches = users.chunks(BATCH).map(|batch| many(self.directory(), batch.to_vec()));
        let (one_by_one, together) = tokio::join!(join_all(calls), join_all(batches));
        let told =
            one_by_one.into_iter().chain(together.into_iter().flatten()).filter_map(|(key, told)| Some((key, told?)));
        known.0.extend(told);
        Ok(known)
    }
}

const BELIEVED: Named = Named { name: String::new(), standing: Standing::Believed };
const MISSING: Named = Named { name: String::new(), standing: Standing::Missing };

/// So many records are asked for one by one; more are only unheard of when nothing was ever heard of directory.
const MOST_CALLS: usize = 100;
/// The same of users, who are asked for together.
const MOST_USERS: usize = 10_000;
/// So many users go into one request: what directory takes.
const BATCH: usize = 500;

/// What directory says of a record; `None` when it does not answer.
async fn one(directory: &Upstream, kind: Kind, id: Uuid) -> ((Kind, Uuid), Option<Named>) {
    macro_rules! get {
        ($client:ident.$method:ident($request:ident) -> $record:ident) => {{
            let request = directory.request_within($request { id: id.to_string() }, PATIENCE);
            let answer = $client::new(directory.channel()).$method(request).await?;
            answer.into_inner().$record.map(Named::from)
        }};
    }
    let asked = async {
        Ok(match kind {
            Kind::Team => get!(TeamServiceClient.get_team(GetTeamRequest) -> team),
            Kind::Agent => get!(AgentServiceClient.get_agent(GetAgentRequest) -> agent),
            Kind::Site => get!(SiteServiceClient.get_site(GetSiteRequest) -> site),
            Kind::Customer => get!(CustomerServiceClient.get_customer(GetCustomerRequest) -> customer),
            Kind::UserRole => get!(UserRoleServiceClient.get_user_role(GetUserRoleRequest) -> user_role),
            Kind::Relationship => {
                get!(RelationshipServiceClient.get_relationship(GetRelationshipRequest) -> relationship)
            }
            Kind::Department => get!(DepartmentServiceClient.get_department(GetDepartmentRequest) -> department),
            Kind::User => return Ok(many(Some(directory), vec![id]).await.into_iter().find_map(|(_, named)| named)),
        })
    };
    let answer: Result<Result<Option<Named>, tonic::Status>, _> =
        tokio::time::timeout(directory.patience(PATIENCE), asked).await;
    let named = match answer {
        Ok(Ok(named)) => named,
        Ok(Err(status)) if status.code() == Code::NotFound => Some(MISSING),
        _ => None,
    };
    ((kind, id), named)
}

/// What directory says of users, [`BATCH`] at most; `None` when it does not answer.
async fn many(directory: Option<&Upstream>, ids: Vec<Uuid>) -> Vec<((Kind, Uuid), Option<Named>)> {
    let Some(directory) = directory.filter(|_| !ids.is_empty()) else { return Vec::new() };
    let request = BatchGetUsersRequest { ids: ids.iter().map(Uuid::to_string).collect() };
    let asked = async {
        let request = directory.request_within(request, PATIENCE);
        UserServiceClient::new(directory.channel()).batch_get_users(request).await
    };
    let mut known: HashMap<Uuid, Named> = match tokio::time::timeout(directory.patience(PATIENCE), asked).await {
        Ok(Ok(answer)) => {
            let users = answer.into_inner().users;
            users.into_iter().filter_map(|user| Some((user.id.parse().ok()?, Named::from(user)))).collect()
        }
        _ => return ids.into_iter().map(|id| ((Kind::User, id), None)).collect(),
    };
    ids.into_iter().map(|id| ((Kind::User, id), Some(known.remove(&id).unwrap_or(MISSING)))).collect()
}

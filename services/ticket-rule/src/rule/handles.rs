//! What records that rules name are known by: names, e-mail addresses and ids of other systems, and what has them.

use std::collections::{HashMap, HashSet};

use concierge_proto::directory::{
    Agent, Customer, Department, Relationship, RelationshipEntity, Site, Team, User, UserRole,
};
use concierge_proto::ticket_rule::RuleExternalId;
use concierge_proto::ticket_rule::rule_reference::Handle;
use concierge_proto::{METHODS, Permission, Record};
use concierge_runtime::Error;
use futures::TryStreamExt as _;
use prost::Message as _;
use sqlx::{PgPool, Row as _};
use uuid::Uuid;

use super::references::{Named, Target};
use crate::evaluation::Configuration;
use crate::facts::references::Kind;

/// The records among which a handle is unique: a kind of record and, of relationships, what they are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Scope {
    pub(super) target: Target,
    entity: RelationshipEntity,
}

impl Scope {
    pub(super) fn of(named: &Named<'_>) -> Self {
        let entity = match (named.target, named.field) {
            (Target::Directory(Kind::Relationship), "user.relationships") => RelationshipEntity::User,
            (Target::Directory(Kind::Relationship), _) => RelationshipEntity::Customer,
            _ => RelationshipEntity::Unspecified,
        };
        Self { target: named.target, entity }
    }
}

/// The permission that reading records of directory of this kind needs.
pub(super) fn permission(kind: Kind) -> Option<Permission> {
    let method = match kind {
        Kind::Team => "GetTeam",
        Kind::Agent => "GetAgent",
        Kind::User => "GetUser",
        Kind::Site => "GetSite",
        Kind::Customer => "GetCustomer",
        Kind::UserRole => "GetUserRole",
        Kind::Relationship => "GetRelationship",
        Kind::Department => "GetDepartment",
    };
    METHODS.iter().find(|known| known.name == method).and_then(|known| known.permission)
}

/// Handles in words, as messages show them.
pub(super) fn told(handle: &Handle) -> String {
    match handle {
        Handle::Name(name) => format!("with the name {name:?}"),
        Handle::Email(email) => format!("with the e-mail address {email}"),
        Handle::External(RuleExternalId { source, id }) if source.is_empty() => format!("with the external id {id:?}"),
        Handle::External(RuleExternalId { source, id }) => format!("with the external id {id:?} of {source:?}"),
    }
}

/// What a record is known by.
#[derive(Clone, Debug, Default)]
struct Card {
    id: Uuid,
    name: String,
    emails: Vec<String>,
    external: RuleExternalId,
    entity: RelationshipEntity,
}

impl Card {
    fn read(kind: Kind, id: Uuid, bytes: &[u8]) -> Result<Self, prost::DecodeError> {
        let external = |source, id| RuleExternalId { source, id };
        Ok(match kind {
            Kind::Team => Self { id, name: Team::decode(bytes)?.name, ..Self::default() },
            Kind::UserRole => Self { id, name: UserRole::decode(bytes)?.name, ..Self::default() },
            Kind::Relationship => {
                let Relationship { name, entity, .. } = Relationship::decode(bytes)?;
                Self { id, name, entity: RelationshipEntity::try_from(entity).unwrap_or_default(), ..Self::default() }
            }
            Kind::Department => Self { id, name: Department::decode(bytes)?.name, ..Self::default() },
            Kind::Agent => {
                let Agent { name, email, .. } = Agent::decode(bytes)?;
                Self { id, name, emails: vec![email], ..Self::default() }
            }
            Kind::User => {
                let User { name, emails, external_source, external_id, .. } = User::decode(bytes)?;
                Self { id, name, emails, external: external(external_source, external_id), ..Self::default() }
            }
            Kind::Site => {
                let Site { name, external_source, external_id, .. } = Site::decode(bytes)?;
                Self { id, name, external: external(external_source, external_id), ..Self::default() }
            }
            Kind::Customer => {
                let Customer { name, external_source, external_id, .. } = Customer::decode(bytes)?;
                Self { id, name, external: external(external_source, external_id), ..Self::default() }
            }
        })
    }

    /// Everything that it can be found by, as [`folded`] has it.
    fn found_by(&self) -> impl Iterator<Item = Handle> {
        let name = Handle::Name(self.name.clone());
        let external = Some(&self.external).filter(|known| !known.id.is_empty()).cloned().map(Handle::External);
        let emails = self.emails.iter().map(|email| folded(&Handle::Email(email.clone())));
        std::iter::once(name).chain(external).chain(emails)
    }

    /// What it may be known by, the best first; a name that others may have needs a look.
    fn handles(&self, kind: Kind) -> Vec<Handle> {
        let name = || Some(&self.name).filter(|name| !name.is_empty()).cloned().map(Handle::Name);
        let email = || self.emails.first().filter(|email| !email.is_empty()).cloned().map(Handle::Email);
        let external = || Some(&self.external).filter(|known| !known.id.is_empty()).cloned().map(Handle::External);
        let both = match kind {
            Kind::Team | Kind::UserRole | Kind::Relationship | Kind::Department => [name(), None],
            Kind::Agent => [email(), None],
            Kind::User => [email(), external()],
            Kind::Site | Kind::Customer => [name(), external()],
        };
        both.into_iter().flatten().collect()
    }
}

/// What the live records of this service that rules name are known by: their names, if no other one has them.
pub(super) fn own(configuration: &Configuration, target: Target, id: &str) -> Option<Handle> {
    fn live<R: Record>(record: Option<&R>, name: impl Fn(&R) -> &str) -> Option<Handle> {
        record.filter(|record| record.delete_time().is_none()).map(|record| Handle::Name(name(record).to_owned()))
    }
    match target {
        Target::Status => live(configuration.status(id), |record| &record.name),
        Target::Priority => live(configuration.priority(id), |record| &record.name),
        Target::TicketType => live(configuration.ticket_type(id), |record| &record.name),
        Target::Sla => live(configuration.sla(id), |record| &record.name),
        Target::Calendar => live(configuration.calendar(id), |record| &record.name),
        // Unique below one parent only.
        Target::Category(_) => live(configuration.ticket_category(id), |record| &record.name)
            .filter(|name| matches!(name, Handle::Name(name) if own_named(configuration, target, name).len() == 1)),
        Target::Directory(_) => None,
    }
}

/// The live records of this service with that name.
pub(super) fn own_named(configuration: &Configuration, target: Target, name: &str) -> Vec<Uuid> {
    fn having<'a, R: Record + 'a>(live: impl Iterator<Item = &'a R>, has: impl Fn(&R) -> bool) -> Vec<Uuid> {
        live.filter(|record| has(record)).filter_map(|record| record.id().parse().ok()).collect()
    }
    match target {
        Target::Status => having(configuration.statuses.live(), |record| record.name == name),
        Target::Priority => having(configuration.priorities.live(), |record| record.name == name),
        Target::TicketType => having(configuration.ticket_types.live(), |record| record.name == name),
        Target::Sla => having(configuration.slas.live(), |record| record.name == name),
        Target::Calendar => having(configuration.calendars.live(), |record| record.name == name),
        Target::Category(level) => having(configuration.categories.live(), |record| {
            record.name == name && usize::try_from(record.level()) == Ok(level)
        }),
        Target::Directory(_) => Vec::new(),
    }
}

/// What the live records of directory among these are known by, as last heard. One round trip for each kind, and one more
/// for sites and for customers, whose names others may have.
pub(super) async fn heard(
    pool: &PgPool,
    wanted: &HashSet<(Kind, Uuid)>,
) -> Result<HashMap<(Kind, Uuid), Handle>, Error> {
    let mut ids: HashMap<Kind, Vec<Uuid>> = HashMap::new();
    for (kind, id) in wanted {
        ids.entry(*kind).or_default().push(*id);
    }
    let mut known = HashMap::with_capacity(wanted.len());
    for (kind, ids) in ids {
        let cards = cards(pool, kind, Some(&ids), |_| true).await?;
        let taken: HashSet<&str> = cards.iter().map(|card| card.name.as_str()).collect();
        let mut bearers: HashMap<String, usize> = HashMap::new();
        if matches!(kind, Kind::Site | Kind::Customer) {
            for card in self::cards(pool, kind, None, |card| taken.contains(card.name.as_str())).await? {
                *bearers.entry(card.name).or_default() += 1;
            }
        }
        let shared =
            |handle: &Handle| matches!(handle, Handle::Name(name) if bearers.get(name).is_some_and(|n| *n > 1));
        for card in &cards {
            if let Some(handle) = card.handles(kind).into_iter().find(|handle| !shared(handle)) {
                known.insert((kind, card.id), handle);
            }
        }
    }
    Ok(known)
}

/// What is looked for, by what it is found by.
type Sought<'a> = HashMap<Handle, Vec<&'a (Scope, Handle)>>;

/// The live records of directory that have these handles, as last heard. One round trip for each kind.
pub(super) async fn heard_named(
    pool: &PgPool,
    wanted: &HashSet<(Scope, Handle)>,
) -> Result<HashMap<(Scope, Handle), Vec<Uuid>>, Error> {
    let mut by_kind: HashMap<Kind, Sought<'_>> = HashMap::new();
    for key in wanted {
        if let Target::Directory(kind) = key.0.target {
            by_kind.entry(kind).or_default().entry(folded(&key.1)).or_default().push(key);
        }
    }
    let mut found: HashMap<(Scope, Handle), Vec<Uuid>> = HashMap::new();
    for (kind, keys) in by_kind {
        for card in cards(pool, kind, None, |card| card.found_by().any(|handle| keys.contains_key(&handle))).await? {
            let having = card.found_by().filter_map(|handle| keys.get(&handle)).flatten();
            for key in having.filter(|(scope, _)| scope.entity == card.entity) {
                found.entry((*key).clone()).or_default().push(card.id);
            }
        }
    }
    Ok(found)
}

/// Addresses are the same in upper and lower case.
fn folded(handle: &Handle) -> Handle {
    match handle {
        Handle::Email(email) => Handle::Email(email.to_lowercase()),
        other => other.clone(),
    }
}

/// The live records of a kind, all or these, that somebody wants; the others are let go as they are read.
async fn cards(
    pool: &PgPool,
    kind: Kind,
    ids: Option<&[Uuid]>,
    wanted: impl Fn(&Card) -> bool,
) -> Result<Vec<Card>, Error> {
    let mut rows = sqlx::query(
        "select record_id, record from projections
         where record_type = $1 and not deleted and ($2::uuid[] is null or record_id = any($2))",
    )
    .bind(kind.record_type())
    .bind(ids)
    .fetch(pool);
    let mut cards = Vec::new();
    while let Some(row) = rows.try_next().await? {
        let card = Card::read(kind, row.try_get(0)?, &row.try_get::<Vec<u8>, _>(1)?).map_err(Error::internal)?;
        if wanted(&card) {
            cards.push(card);
        }
    }
    Ok(cards)
}

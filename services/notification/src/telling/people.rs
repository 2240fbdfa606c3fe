//! Who is to be told: people of directory as last heard of, and what is known of the ticket's requester.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use concierge_model::requester::{Known, request_of};
use concierge_proto::Record;
use concierge_proto::directory::{
    AccessLevel, Agent, Customer, GetRequesterFactsRequest, RequesterFacts, Site, SiteContact, Team, User, UserRole,
};
use concierge_proto::notification::{Preferences, RecipientKind, RecipientRole};
use concierge_proto::ticket_rule::{Priority, Ticket};
use concierge_runtime::feed::projection;
use concierge_runtime::{Error, Tx};
use prost::Message as _;
use sqlx::Row as _;
use uuid::Uuid;

use super::definitions::Ready;
use super::occasion::Occasion;
use crate::preference;

/// Somebody who may be told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Person {
    pub(super) kind: RecipientKind,
    /// Of an agent or a user.
    pub(super) id: Option<Uuid>,
    /// Empty where it is not known.
    pub(super) name: String,
    /// The e-mail address; empty if there is none.
    pub(super) address: String,
    pub(super) active: bool,
    pub(super) never_send_emails: bool,
    /// Whose tickets a user sees; not asked of others.
    pub(super) web_access: AccessLevel,
}

impl Person {
    /// What tells one person from another.
    pub(super) fn key(&self) -> (RecipientKind, Option<Uuid>, String) {
        match self.id {
            Some(_) => (self.kind, self.id, String::new()),
            None => (self.kind, None, self.address.to_lowercase()),
        }
    }
}

/// Everybody whom one ticket can concern.
#[derive(Debug)]
pub(super) struct People {
    known: Known,
    facts: RequesterFacts,
    agents: HashMap<String, (Agent, bool)>,
    teams: HashMap<String, (Team, bool)>,
    contacts: Vec<SiteContact>,
    /// Those of users of the ticket's site and customer who want to be told of anything there.
    preferences: Vec<Preferences>,
    priority: Option<Priority>,
    ticket: Ticket,
    misses_any: bool,
}

impl People {
    /// Reads what is needed. Three or four round trips, however many people there are; one or two more where the site
    /// follows from the requester, and two or three where preferences count.
    pub(super) async fn load(
        tx: &mut Tx,
        ticket: &Ticket,
        happened: &[&Arc<Ready>],
        logged: bool,
    ) -> Result<Self, Error> {
        let mut people = Self {
            known: Known::default(),
            facts: RequesterFacts::default(),
            agents: HashMap::new(),
            teams: HashMap::new(),
            contacts: Vec::new(),
            preferences: Vec::new(),
            priority: None,
            ticket: ticket.clone(),
            misses_any: false,
        };
        let mut for_contacts = logged || happened.iter().any(|d| d.recipients.site_contacts.is_some());
        let mut for_preferences =
            happened.iter().any(|d| d.recipients.site_preference || d.recipients.customer_preference);
        let mut asked: HashSet<String> = HashSet::new();
        let mut found: HashSet<String> = HashSet::new();
        loop {
            if for_contacts && let Some(site_id) = people.site_id() {
                people.read_contacts(tx, &site_id).await?;
                for_contacts = false;
            }
            let mut wanted = people.wanted(happened);
            wanted.retain(|id| !asked.contains(id));
            if !wanted.is_empty() {
                people.read(tx, &wanted, &mut found).await?;
                asked.extend(wanted);
            } else if std::mem::take(&mut for_preferences) {
                // Only now it is known where the ticket is.
                let id = |id: Option<String>| id.and_then(|id| id.parse().ok());
                let (site, customer) = (id(people.site_id()), id(people.customer_id()));
                people.preferences = preference::store::of(tx, site, customer).await?;
            } else {
                break;
            }
        }
        // A priority comes on the same way as the ticket: it cannot be late.
        people.misses_any = asked.iter().any(|id| !found.contains(id) && *id != ticket.priority_id);
        people.facts = people.known.facts(&request_of(ticket), None);
        Ok(people)
    }

    /// The ticket's site. Where ticket-rule knew none, because it had not heard of the requester: that of the requester,
    /// as soon as we know it.
    fn site_id(&self) -> Option<String> {
        if !self.ticket.site_id.is_empty() {
            return Some(self.ticket.site_id.clone());
        }
        let site = self.known.facts(&request_of(&self.ticket), None).site;
        site.map(|site| site.site_id)
    }

    /// The ticket's customer, in the same way.
    fn customer_id(&self) -> Option<String> {
        if !self.ticket.customer_id.is_empty() {
            return Some(self.ticket.customer_id.clone());
        }
        let customer = self.known.facts(&request_of(&self.ticket), None).customer;
        customer.map(|customer| customer.customer_id)
    }

    /// The contacts of a site, in the order of their assignment, so that everybody is always told in the same order.
    async fn read_contacts(&mut self, tx: &mut Tx, site_id: &str) -> Result<(), Error> {
        let contacts = projection::naming::<SiteContact>(tx.conn().await?, site_id).await?;
        self.contacts = contacts.into_iter().map(|c| c.record).filter(|contact| contact.site_id == site_id).collect();
        self.contacts.sort_by(|a, b| a.id.cmp(&b.id));
        Ok(())
    }

    /// The ids that are wanted as far as can be told from what is known.
    fn wanted(&self, happened: &[&Arc<Ready>]) -> BTreeSet<String> {
        let mut wanted = BTreeSet::new();
        let mut want = |id: &String| {
            if !id.is_empty() {
                wanted.insert(id.clone());
            }
        };
        want(&self.ticket.priority_id);
        let mut requests = vec![request_of(&self.ticket)];
        requests.extend(self.contacts.iter().map(|contact| request_of_user(&contact.user_id)));
        requests.extend(self.preferences.iter().map(|preferences| request_of_user(&preferences.id)));
        for definition in happened {
            let recipients = &definition.recipients;
            if recipients.followers {
                requests.extend(self.ticket.follower_user_ids.iter().map(|id| request_of_user(id)));
            }
            if recipients.assigned_agent {
                want(&self.ticket.agent_id);
            }
            if recipients.assigned_team {
                want(&self.ticket.team_id);
            }
            recipients.agent_ids.iter().for_each(&mut want);
            recipients.team_ids.iter().for_each(&mut want);
        }
        for (team, _) in self.teams.values() {
            team.agent_ids.iter().for_each(&mut want);
        }
        for request in requests {
            let more = self.known.wanted(&request);
            [more.user_ids, more.role_ids, more.site_ids, more.customer_ids].iter().flatten().for_each(&mut want);
        }
        wanted
    }

    /// Reads records by id, whatever they are. One round trip.
    async fn read(&mut self, tx: &mut Tx, ids: &BTreeSet<String>, found: &mut HashSet<String>) -> Result<(), Error> {
        let types = [User::TYPE, UserRole::TYPE, Site::TYPE, Customer::TYPE, Agent::TYPE, Team::TYPE, Priority::TYPE];
        let ids: Vec<Uuid> = ids.iter().filter_map(|id| id.parse().ok()).collect();
        let rows = sqlx::query(
            "select record_type, record_id, record, deleted from projections
             where record_type = any($1) and record_id = any($2)",
        )
        .bind(types.map(str::to_owned).to_vec())
        .bind(ids)
        .fetch_all(tx.conn().await?)
        .await?;
        for row in rows {
            let (record_type, bytes): (String, Vec<u8>) = (row.try_get(0)?, row.try_get(2)?);
            let (id, deleted): (Uuid, bool) = (row.try_get(1)?, row.try_get(3)?);
            let bytes = bytes.as_slice();
            match record_type.as_str() {
                User::TYPE => self.known.add_user(User::decode(bytes).map_err(Error::internal)?, deleted),
                UserRole::TYPE => self.known.add_role(UserRole::decode(bytes).map_err(Error::internal)?, deleted),
                Site::TYPE => self.known.add_site(Site::decode(bytes).map_err(Error::internal)?, deleted),
                Customer::TYPE => self.known.add_customer(Customer::decode(bytes).map_err(Error::internal)?, deleted),
                Agent::TYPE => {
                    let agent = Agent::decode(bytes).map_err(Error::internal)?;
                    self.agents.insert(agent.id.clone(), (agent, deleted));
                }
                Team::TYPE => {
                    let team = Team::decode(bytes).map_err(Error::internal)?;
                    self.teams.insert(team.id.clone(), (team, deleted));
                }
                _ => self.priority = Some(Priority::decode(bytes).map_err(Error::internal)?),
            }
            found.insert(id.to_string());
        }
        Ok(())
    }

    /// Whether somebody is named of whom nothing was ever heard.
    pub(super) fn misses_any(&self) -> bool {
        self.misses_any
    }

    /// What is known of the ticket's user, site and customer.
    pub(super) fn facts(&self) -> &RequesterFacts {
        &self.facts
    }

    /// The rank of the ticket's priority, if that is known.
    pub(super) fn priority_rank(&self) -> Option<i32> {
        self.priority.as_ref().filter(|p| p.id == self.ticket.priority_id).map(Priority::rank)
    }

    /// The assigned contacts of the ticket's site, of these types or, if none is given, of every type and of none. Each
    /// person once.
    pub(super) fn site_contacts(&self, type_ids: &[String]) -> Vec<Person> {
        let mut seen = HashSet::new();
        self.contacts
            .iter()
            .filter(|contact| type_ids.is_empty() || type_ids.contains(&contact.type_id))
            .filter(|contact| seen.insert(contact.user_id.as_str()))
            .map(|contact| self.user(&contact.user_id))
            .collect()
    }

    /// The users who want to be told of this occasion of other users' tickets, at the ticket's site or at its customer.
    fn preferring(&self, role: RecipientRole, occasion: Occasion) -> impl Iterator<Item = Person> + '_ {
        let at_site = role == RecipientRole::SitePreference;
        let place = if at_site { self.site_id() } else { self.customer_id() };
        self.preferences
            .iter()
            .filter(move |wants| wants.id != self.ticket.user_id && occasion.is_wanted(wants, at_site))
            .filter(move |wants| {
                let user = self.known.facts(&request_of_user(&wants.id), None).user;
                user.is_some_and(|user| Some(if at_site { user.site_id } else { user.customer_id }) == place)
            })
            .map(|wants| self.user(&wants.id))
    }

    /// Everybody whom a definition names on an occasion, each as the first role that applies.
    pub(super) fn recipients(&self, definition: &Ready, occasion: Occasion) -> Vec<(RecipientRole, Person)> {
        let (recipients, ticket) = (&definition.recipients, &self.ticket);
        let mut all: Vec<(RecipientRole, Person)> = Vec::new();
        if let Some(contacts) = &recipients.site_contacts {
            all.extend(self.site_contacts(&contacts.type_ids).into_iter().map(|p| (RecipientRole::SiteContact, p)));
        }
        if recipients.requester && !ticket.user_id.is_empty() {
            all.push((RecipientRole::Requester, self.user(&ticket.user_id)));
        }
        if recipients.followers {
            all.extend(ticket.follower_user_ids.iter().map(|id| (RecipientRole::Follower, self.user(id))));
        }
        if recipients.assigned_agent && !ticket.agent_id.is_empty() {
            all.push((RecipientRole::AssignedAgent, self.agent(&ticket.agent_id)));
        }
        if recipients.assigned_team {
            all.extend(self.members(&ticket.team_id).map(|p| (RecipientRole::AssignedTeam, p)));
        }
        all.extend(recipients.agent_ids.iter().map(|id| (RecipientRole::Agent, self.agent(id))));
        for team in &recipients.team_ids {
            all.extend(self.members(team).map(|p| (RecipientRole::Team, p)));
        }
        all.extend(recipients.email_addresses.iter().map(|a| (RecipientRole::EmailAddress, address(a))));
        let by_preference = [
            (RecipientRole::SitePreference, recipients.site_preference),
            (RecipientRole::CustomerPreference, recipients.customer_preference),
        ];
        for (role, _) in by_preference.into_iter().filter(|(_, is_named)| *is_named) {
            all.extend(self.preferring(role, occasion).map(|person| (role, person)));
        }
        let mut seen = HashSet::new();
        all.retain(|(_, person)| seen.insert(person.key()));
        all
    }

    /// The members of a team; a team that is inactive or deleted is told nothing.
    fn members(&self, team_id: &str) -> impl Iterator<Item = Person> + '_ {
        let team = self.teams.get(team_id).filter(|(team, deleted)| !deleted && team.active != Some(false));
        team.into_iter().flat_map(|(team, _)| &team.agent_ids).map(|id| self.agent(id))
    }

    fn user(&self, id: &str) -> Person {
        let user = self.known.facts(&request_of_user(id), None).user;
        let active = user.as_ref().is_some_and(|u| u.activity.as_ref().is_none_or(|a| a.active));
        let user = user.unwrap_or_default();
        Person {
            kind: RecipientKind::User,
            id: id.parse().ok(),
            name: user.name,
            address: user.primary_email,
            active,
            never_send_emails: user.never_send_emails.is_some_and(|f| f.value),
            web_access: user.web_access.map_or(AccessLevel::Unspecified, |access| access.level()),
        }
    }

    fn agent(&self, id: &str) -> Person {
        let agent = self.agents.get(id);
        Person {
            kind: RecipientKind::Agent,
            id: id.parse().ok(),
            name: agent.map(|(a, _)| a.name.clone()).unwrap_or_default(),
            address: agent.map(|(a, _)| a.email.clone()).unwrap_or_default(),
            active: agent.is_some_and(|(agent, deleted)| !deleted && agent.active != Some(false)),
            never_send_emails: false,
            web_access: AccessLevel::Unspecified,
        }
    }
}

fn address(address: &str) -> Person {
    Person {
        kind: RecipientKind::Address,
        id: None,
        name: String::new(),
        address: address.to_owned(),
        active: true,
        never_send_emails: false,
        web_access: AccessLevel::Unspecified,
    }
}

fn request_of_user(id: &str) -> GetRequesterFactsRequest {
    GetRequesterFactsRequest { user_id: id.to_owned(), ..Default::default() }
}

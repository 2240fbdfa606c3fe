//! Requesters: the facts of a ticket's user, site and customer. One function for whoever knows records: directory from
//! its tables, ticket-rule from what it heard of them.

use std::collections::HashMap;

use concierge_proto::Record;
use concierge_proto::directory::{
    Customer, CustomerFacts, EffectiveUser, GetRequesterFactsRequest, RecordVersion, RequesterFacts,
    RequesterFactsResult, Site, SiteFacts, UnknownRequesterId, User, UserFacts, UserRole,
};
use concierge_proto::ticket_rule::Ticket;
use prost_types::Timestamp;

use crate::user_role::Held;
use crate::{customer, site, user};

/// The request for the facts of a ticket's user, site and customer.
pub fn request_of(ticket: &Ticket) -> GetRequesterFactsRequest {
    GetRequesterFactsRequest {
        user_id: ticket.user_id.clone(),
        site_id: ticket.site_id.clone(),
        customer_id: ticket.customer_id.clone(),
    }
}

/// Records that facts are made from, by id.
#[derive(Clone, Debug, Default)]
pub struct Known {
    users: HashMap<String, User>,
    roles: HashMap<String, UserRole>,
    sites: HashMap<String, Site>,
    customers: HashMap<String, Customer>,
}

/// Records that the facts of a request need, and that are not known yet.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    /// Ids of users.
    pub user_ids: Vec<String>,
    /// Ids of user roles.
    pub role_ids: Vec<String>,
    /// Ids of sites.
    pub site_ids: Vec<String>,
    /// Ids of customers.
    pub customer_ids: Vec<String>,
}

impl Wanted {
    /// True when nothing is wanted.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// A record of which it is known that it is deleted, whether it says so itself or not.
fn marked<R: Record>(mut record: R, deleted: bool) -> R {
    if deleted && record.delete_time().is_none() {
        record.set_delete_time(Some(Timestamp::default()));
    }
    record
}

impl Known {
    /// Adds a user, deleted or not.
    pub fn add_user(&mut self, user: User, deleted: bool) {
        self.users.insert(user.id.clone(), marked(user, deleted));
    }

    /// Adds a user role, deleted or not.
    pub fn add_role(&mut self, role: UserRole, deleted: bool) {
        self.roles.insert(role.id.clone(), marked(role, deleted));
    }

    /// Adds a site, deleted or not.
    pub fn add_site(&mut self, site: Site, deleted: bool) {
        self.sites.insert(site.id.clone(), marked(site, deleted));
    }

    /// Adds a customer, deleted or not.
    pub fn add_customer(&mut self, customer: Customer, deleted: bool) {
        self.customers.insert(customer.id.clone(), marked(customer, deleted));
    }

    /// What is still wanted for the facts of a request, as far as can be told from what is known: a user leads to its
    /// site, a site to its customer. Whoever loads this and asks again, until nothing is wanted that exists, has all.
    pub fn wanted(&self, request: &GetRequesterFactsRequest) -> Wanted {
        let mut wanted = Wanted::default();
        want(&mut wanted.user_ids, &self.users, &request.user_id);
        want(&mut wanted.site_ids, &self.sites, &request.site_id);
        want(&mut wanted.customer_ids, &self.customers, &request.customer_id);
        if let Some(user) = self.users.get(&request.user_id) {
            user.role_ids.iter().for_each(|id| want(&mut wanted.role_ids, &self.roles, id));
            want(&mut wanted.site_ids, &self.sites, &user.site_id);
            want(&mut wanted.customer_ids, &self.customers, &user.customer_id);
        }
        if let Some(site) = self.site(request) {
            want(&mut wanted.customer_ids, &self.customers, &site.customer_id);
        }
        wanted
    }

    /// The site that counts: the one asked for; if none was, the user's own, provided it belongs to the customer asked
    /// for, or none was. Nothing stands in for an unknown one.
    fn site(&self, request: &GetRequesterFactsRequest) -> Option<&Site> {
        if !request.site_id.is_empty() {
            return self.sites.get(&request.site_id);
        }
        let own = self.sites.get(&self.users.get(&request.user_id)?.site_id)?;
        (request.customer_id.is_empty() || request.customer_id == own.customer_id).then_some(own)
    }

    /// The customer that counts: the one asked for; if none was, that of the site.
    fn customer(&self, request: &GetRequesterFactsRequest, site: Option<&Site>) -> Option<&Customer> {
        if !request.customer_id.is_empty() {
            return self.customers.get(&request.customer_id);
        }
        self.customers.get(&site?.customer_id)
    }

    /// The facts of a request. What nobody knows is absent.
    pub fn facts(&self, request: &GetRequesterFactsRequest, read_time: Option<Timestamp>) -> RequesterFacts {
        let user = self.users.get(&request.user_id);
        let roles: Vec<&UserRole> =
            user.map(|u| u.role_ids.iter().filter_map(|id| self.roles.get(id)).collect()).unwrap_or_default();
        let own_site = user.and_then(|u| self.sites.get(&u.site_id));
        let own_customer = user.and_then(|u| self.customers.get(&u.customer_id));
        let site = self.site(request);
        let customer = self.customer(request, site);

        let mut versions = Versions::default();
        user.iter().for_each(|user| versions.add(*user));
        let mut in_order = roles.clone();
        in_order.sort_unstable_by(|a, b| a.id.cmp(&b.id));
        in_order.into_iter().for_each(|role| versions.add(role));
        own_site.iter().for_each(|site| versions.add(*site));
        own_customer.iter().for_each(|customer| versions.add(*customer));
        site.iter().for_each(|site| versions.add(*site));
        let above_site = site.and_then(|s| self.customers.get(&s.customer_id));
        above_site.iter().for_each(|customer| versions.add(*customer));
        customer.iter().for_each(|customer| versions.add(*customer));

        RequesterFacts {
            user: user.map(|user| user_facts(user, &roles, own_site, own_customer)),
            site: site.map(|site| site_facts(site, above_site)),
            customer: customer.map(customer_facts),
            time_zone: site::time_zone(site, customer).to_owned(),
            record_versions: versions.0,
            read_time,
        }
    }

    /// What holds for a user in the end, as far as it is known; `None` for an unknown user.
    pub fn effective_user(&self, id: &str) -> Option<EffectiveUser> {
        let user = self.users.get(id)?;
        let roles = user.role_ids.iter().filter_map(|id| self.roles.get(id));
        Some(user::effective(user, roles, self.sites.get(&user.site_id), self.customers.get(&user.customer_id)))
    }

    /// The facts of a request, and which of its ids are no record: for whoever knows every record there is.
    pub fn result(&self, request: &GetRequesterFactsRequest, read_time: Option<Timestamp>) -> RequesterFactsResult {
        let unknown = |field: &str, id: &str, is_known: bool| {
            (!id.is_empty() && !is_known).then(|| UnknownRequesterId { field: field.to_owned(), id: id.to_owned() })
        };
        let not_found = [
            unknown("user_id", &request.user_id, self.users.contains_key(&request.user_id)),
            unknown("site_id", &request.site_id, self.sites.contains_key(&request.site_id)),
            unknown("customer_id", &request.customer_id, self.customers.contains_key(&request.customer_id)),
        ];
        RequesterFactsResult {
            facts: Some(self.facts(request, read_time)),
            not_found: not_found.into_iter().flatten().collect(),
        }
    }
}

fn want<R>(wanted: &mut Vec<String>, known: &HashMap<String, R>, id: &str) {
    if !id.is_empty() && !known.contains_key(id) && !wanted.iter().any(|w| w == id) {
        wanted.push(id.to_owned());
    }
}

#[derive(Default)]
struct Versions(Vec<RecordVersion>);

impl Versions {
    fn add<R: Record>(&mut self, record: &R) {
        let version = RecordVersion {
            record_type: R::TYPE.to_owned(),
            record_id: record.id().to_owned(),
            version: record.version(),
        };
        if !self.0.contains(&version) {
            self.0.push(version);
        }
    }
}

fn user_facts(user: &User, roles: &[&UserRole], site: Option<&Site>, customer: Option<&Customer>) -> UserFacts {
    let held = Held::of(user, roles.iter().copied());
    UserFacts {
        user_id: user.id.clone(),
        name: user.name.clone(),
        site_id: user.site_id.clone(),
        customer_id: user.customer_id.clone(),
        importance: user::importance(user, &held),
        activity: user::activity(user, site, customer),
        relationship_ids: user.relationship_ids.clone(),
        role_ids: user.role_ids.clone(),
        primary_email: user.emails.first().cloned().unwrap_or_default(),
        never_send_emails: user::never_send_emails(user, &held),
        web_access: user::web_access(user, &held),
        linked_agent_id: user.linked_agent_id.clone(),
        department_id: user.department_id.clone(),
        custom_fields: user.custom_fields.clone(),
    }
}

fn site_facts(site: &Site, customer: Option<&Customer>) -> SiteFacts {
    SiteFacts {
        site_id: site.id.clone(),
        customer_id: site.customer_id.clone(),
        name: site.name.clone(),
        activity: site::activity(site, customer),
        time_zone: site.time_zone.clone(),
        email_domain: site.email_domain.clone(),
        custom_fields: site.custom_fields.clone(),
    }
}

fn customer_facts(customer: &Customer) -> CustomerFacts {
    CustomerFacts {
        customer_id: customer.id.clone(),
        name: customer.name.clone(),
        important: customer.important,
        activity: Some(customer::activity(customer)),
        relationship_ids: customer.relationship_ids.clone(),
        stage: customer.stage,
        time_zone: customer.time_zone.clone(),
        domains: customer.domains.clone(),
        ai_excluded: customer.ai_excluded,
        account_manager_agent_id: customer.account_manager_agent_id.clone(),
        custom_fields: customer.custom_fields.clone(),
    }
}

#[cfg(test)]
mod tests {
    use concierge_proto::directory::InactivityCause;

    use super::*;

    fn known() -> Known {
        let mut known = Known::default();
        for (id, important) in [("c1", true), ("c2", false)] {
            let customer = Customer {
                id: id.into(),
                important,
                active: Some(true),
                time_zone: if important { "Asia/Tokyo".into() } else { String::new() },
                etag: "3".into(),
                ..Default::default()
            };
            known.add_customer(customer, false);
        }
        for (id, customer) in [("s1", "c1"), ("s2", "c2"), ("s3", "c1")] {
            let site = Site { id: id.into(), customer_id: customer.into(), etag: "2".into(), ..Default::default() };
            known.add_site(site, false);
        }
        known.add_role(UserRole { id: "r1".into(), important: true, etag: "7".into(), ..Default::default() }, false);
        known.add_user(
            User {
                id: "u1".into(),
                site_id: "s1".into(),
                customer_id: "c1".into(),
                role_ids: vec!["r1".into()],
                emails: vec!["ann@example.com".into(), "a.lee@example.com".into()],
                etag: "4".into(),
                ..Default::default()
            },
            false,
        );
        known
    }

    fn ask(user: &str, site: &str, customer: &str) -> GetRequesterFactsRequest {
        GetRequesterFactsRequest { user_id: user.into(), site_id: site.into(), customer_id: customer.into() }
    }

    fn ids(facts: &RequesterFacts) -> (&str, &str, &str) {
        (
            facts.user.as_ref().map_or("", |u| &u.user_id),
            facts.site.as_ref().map_or("", |s| &s.site_id),
            facts.customer.as_ref().map_or("", |c| &c.customer_id),
        )
    }

    #[test]
    fn the_site_and_customer_follow_from_the_user_unless_asked_for() {
        let known = known();
        let of = |u, s, c| known.facts(&ask(u, s, c), None);
        assert_eq!(ids(&of("u1", "", "")), ("u1", "s1", "c1"));
        assert_eq!(ids(&of("u1", "s3", "")), ("u1", "s3", "c1"));
        assert_eq!(ids(&of("u1", "s2", "")), ("u1", "s2", "c2"));
        assert_eq!(ids(&of("u1", "", "c1")), ("u1", "s1", "c1"));
        // The user's own site is not one of the other customer's.
        assert_eq!(ids(&of("u1", "", "c2")), ("u1", "", "c2"));
        assert_eq!(ids(&of("", "s2", "")), ("", "s2", "c2"));
        assert_eq!(ids(&of("", "", "c2")), ("", "", "c2"));
        assert_eq!(ids(&of("u1", "s1", "c2")), ("u1", "s1", "c2"));
    }

    #[test]
    fn decision_5_importance_is_of_the_tickets_user_and_the_tickets_customer_each_by_itself() {
        let facts = known().facts(&ask("u1", "", "c2"), None);
        let importance = facts.user.unwrap().importance.unwrap();
        assert_eq!((importance.value, importance.own, importance.role_ids), (true, false, vec!["r1".to_owned()]));
        assert!(!facts.customer.unwrap().important);
        let mut known = known();
        known.add_user(
            User { id: "u2".into(), site_id: "s1".into(), customer_id: "c1".into(), ..Default::default() },
            false,
        );
        let facts = known.facts(&ask("u2", "", ""), None);
        assert!(!facts.user.unwrap().importance.unwrap().value);
        assert!(facts.customer.unwrap().important);
    }

    #[test]
    fn nothing_stands_in_for_an_unknown_id() {
        let result = known().result(&ask("u1", "x", "y"), None);
        assert_eq!(ids(result.facts.as_ref().unwrap()), ("u1", "", ""));
        let unknown: Vec<_> = result.not_found.iter().map(|n| (n.field.as_str(), n.id.as_str())).collect();
        assert_eq!(unknown, [("site_id", "x"), ("customer_id", "y")]);
        let result = known().result(&ask("x", "", ""), None);
        assert_eq!(ids(result.facts.as_ref().unwrap()), ("", "", ""));
        assert_eq!(result.facts.unwrap().time_zone, "UTC");
    }

    #[test]
    fn names_the_version_of_every_record_read_once() {
        let versions = |request| -> Vec<String> {
            let facts = known().facts(&request, None);
            facts.record_versions.iter().map(|v| format!("{}/{}/{}", v.record_type, v.record_id, v.version)).collect()
        };
        assert_eq!(versions(ask("u1", "", "")), ["user/u1/4", "user_role/r1/7", "site/s1/2", "customer/c1/3"]);
        assert_eq!(
            versions(ask("u1", "s3", "c2")),
            ["user/u1/4", "user_role/r1/7", "site/s1/2", "customer/c1/3", "site/s3/2", "customer/c2/3"]
        );
    }

    #[test]
    fn the_user_counts_as_inactive_with_its_own_customer_not_the_tickets() {
        let mut known = known();
        known.add_customer(Customer { id: "c1".into(), active: Some(false), ..Default::default() }, false);
        let facts = known.facts(&ask("u1", "s2", "c2"), None);
        let activity = facts.user.unwrap().activity.unwrap();
        assert_eq!(activity.causes().collect::<Vec<_>>(), [InactivityCause::CustomerInactive]);
        assert!(facts.site.unwrap().activity.unwrap().active);
    }

    #[test]
    fn what_holds_for_a_user_follows_from_what_is_known() {
        let user = known().effective_user("u1").unwrap();
        assert!(user.importance.unwrap().value && user.activity.unwrap().active);
        assert_eq!(user.roles.len(), 1);
        assert_eq!(known().effective_user("x"), None);
    }

    #[test]
    fn a_deleted_record_is_answered_as_inactive() {
        let mut known = known();
        let user = known.users["u1"].clone();
        known.add_user(user, true);
        let result = known.result(&ask("u1", "", ""), None);
        assert!(result.not_found.is_empty());
        let activity = result.facts.unwrap().user.unwrap().activity.unwrap();
        assert_eq!(activity.causes().collect::<Vec<_>>(), [InactivityCause::UserDeleted]);
    }

    #[test]
    fn the_time_zone_is_the_sites_else_the_customers_else_utc() {
        let known = known();
        assert_eq!(known.facts(&ask("u1", "", ""), None).time_zone, "Asia/Tokyo");
        assert_eq!(known.facts(&ask("", "s2", ""), None).time_zone, "UTC");
    }

    #[test]
    fn wants_step_by_step_what_facts_need() {
        let all = known();
        let mut known = Known::default();
        let request = ask("u1", "s2", "");
        let wanted = known.wanted(&request);
        assert_eq!((wanted.user_ids, wanted.site_ids), (vec!["u1".to_owned()], vec!["s2".to_owned()]));
        known.add_user(all.users["u1"].clone(), false);
        known.add_site(all.sites["s2"].clone(), false);
        let wanted = known.wanted(&request);
        assert_eq!(wanted.role_ids, ["r1"]);
        assert_eq!(wanted.site_ids, ["s1"]);
        assert_eq!(wanted.customer_ids, ["c1", "c2"]);
        known.add_role(all.roles["r1"].clone(), false);
        known.add_site(all.sites["s1"].clone(), false);
        known.add_customer(all.customers["c1"].clone(), false);
        known.add_customer(all.customers["c2"].clone(), false);
        assert!(known.wanted(&request).is_empty());
        assert_eq!(known.facts(&request, None), all.facts(&request, None));
    }

    #[test]
    fn what_depends_on_an_unknown_record_is_undecided() {
        let mut known = known();
        known.roles.clear();
        known.customers.clear();
        let facts = known.facts(&ask("u1", "", ""), None);
        let user = facts.user.unwrap();
        assert_eq!((user.importance, user.activity), (None, None));
        assert_eq!((facts.site.unwrap().activity, facts.customer), (None, None));
    }
}

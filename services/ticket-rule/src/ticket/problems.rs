//! What is wrong with what a caller wants of a ticket: everything at once, by reason.

use concierge_model::custom_field;
use concierge_proto::Violations;
use concierge_proto::common::CustomFieldValue;
use concierge_proto::error::Reason;
use concierge_proto::ticket_rule::{Category, Ticket};
use concierge_runtime::Error;

use crate::category::path::{self, LEVELS};
use crate::evaluation::Configuration;
use crate::facts::references::{Kind, Known, Standing};

/// Problems found so far.
#[derive(Debug)]
pub(crate) struct Problems {
    /// The field of the request that holds the ticket.
    path: &'static str,
    invalid: Violations,
    missing: Violations,
    other_customer: Violations,
    other_parent: Violations,
    inactive: Violations,
}

impl Problems {
    /// No problems of the ticket in this field of the request.
    pub(crate) fn of(path: &'static str) -> Self {
        Self {
            path,
            invalid: Violations::default(),
            missing: Violations::default(),
            other_customer: Violations::default(),
            other_parent: Violations::default(),
            inactive: Violations::default(),
        }
    }

    fn place(&self, field: &str) -> String {
        if self.path.is_empty() { field.to_owned() } else { format!("{}.{field}", self.path) }
    }

    /// A field breaks a rule.
    pub(crate) fn invalid(&mut self, field: &str, why: impl Into<String>) {
        self.invalid.add(self.place(field), why);
    }

    /// A field beside the ticket breaks a rule.
    pub(crate) fn invalid_at(&mut self, field: &str, why: impl Into<String>) {
        self.invalid.add(field, why);
    }

    /// A field names a record that is not there.
    pub(crate) fn missing(&mut self, field: &str, what: &str, id: &str) {
        self.missing.add(self.place(field), format!("there is no live {what} {id}"));
    }

    /// A field names a site of another customer.
    pub(crate) fn other_customer(&mut self, field: &str) {
        self.other_customer.add(self.place(field), "is not a site of the ticket's customer");
    }

    /// A field names a record that is not active.
    pub(crate) fn inactive(&mut self, field: &str, what: &str, name: &str) {
        self.inactive.add(self.place(field), format!("the {what} {name} is not active"));
    }

    /// Checks what the ticket newly refers to in this service.
    pub(crate) fn configuration(&mut self, configuration: &Configuration, before: Option<&Ticket>, after: &Ticket) {
        macro_rules! check {
            ($field:ident, $find:ident, $what:literal) => {
                let id = &after.$field;
                if !id.is_empty() && before.is_none_or(|b| b.$field != *id) {
                    match configuration.$find(id) {
                        Some(found) if found.delete_time.is_some() => self.missing(stringify!($field), $what, id),
                        Some(found) if !found.active() => self.inactive(stringify!($field), $what, &found.name),
                        Some(_) => {}
                        None => self.missing(stringify!($field), $what, id),
                    }
                }
            };
        }
        check!(type_id, ticket_type, "ticket type");
        check!(status_id, status, "status");
        check!(priority_id, priority, "priority");
        check!(sla_id, sla, "service level agreement");
        if before.is_none_or(|before| path::of(before) != path::of(after)) {
            self.categories(configuration, before.map(path::of).unwrap_or_default(), path::of(after));
        }
    }

    /// Checks the categories, one of which is another one than before: each of its level, below its parent.
    fn categories(&mut self, configuration: &Configuration, before: [&str; LEVELS], after: [&str; LEVELS]) {
        for (level, id) in after.into_iter().enumerate().filter(|(level, id)| !id.is_empty() && *id != before[*level]) {
            let field = path::COLUMNS[level];
            let of_level = |c: &&Category| c.delete_time.is_none() && usize::try_from(c.level()) == Ok(level + 1);
            match configuration.ticket_category(id).filter(of_level) {
                Some(found) if !found.active() => self.inactive(field, "category", &found.name),
                Some(_) => {}
                None => self.missing(field, &format!("category of level {}", level + 1), id),
            }
        }
        for level in path::unfit(configuration, after) {
            let name = |id: &str| configuration.ticket_category(id).map_or("another one", |c| c.name.as_str());
            let category = configuration.ticket_category(after[level]);
            let parent = category.map_or("", |category| category.parent_id.as_str());
            let why = format!(
                "{} stands below {}, which is not the ticket's category of level {level}",
                name(after[level]),
                name(parent),
            );
            self.other_parent.add(self.place(path::COLUMNS[level]), why);
        }
    }

    /// Checks the values that were sent for custom fields; `before` is `None` where the required ones must be among them.
    pub(crate) fn custom_fields(
        &mut self,
        configuration: &Configuration,
        before: Option<&[CustomFieldValue]>,
        sent: &[CustomFieldValue],
    ) {
        let path = self.place("custom_fields");
        custom_field::check(&configuration.custom_fields(), before, sent, &path, &mut self.invalid);
    }

    /// Checks the team, the agent and the followers that the ticket newly names.
    pub(crate) fn directory(&mut self, known: &Known, before: Option<&Ticket>, after: &Ticket) {
        for (field, kind, id) in newly_named(before, after) {
            let what = kind.record_type();
            match known.get(kind, id).map(|named| (named.standing, named.name.as_str())) {
                Some((Standing::Missing, _)) => self.missing(&field, what, id),
                // Users who left may well follow: they are told nothing.
                Some((Standing::Inactive, name)) if kind != Kind::User => self.inactive(&field, what, name),
                _ => {}
            }
        }
    }

    /// The error that tells the problems, if there are any: those of one reason, as an error has only one.
    pub(crate) fn result(self) -> Result<(), Error> {
        let because = |reason, violations| Err(Error::InvalidBecause { reason, violations });
        if !self.invalid.is_empty() {
            Err(Error::Invalid(self.invalid))
        } else if !self.missing.is_empty() {
            because(Reason::ReferenceNotFound, self.missing)
        } else if !self.other_customer.is_empty() {
            because(Reason::SiteOfOtherCustomer, self.other_customer)
        } else if !self.other_parent.is_empty() {
            because(Reason::CategoryOfOtherParent, self.other_parent)
        } else if !self.inactive.is_empty() {
            Err(crate::Error::ReferenceInactive(self.inactive).into())
        } else {
            Ok(())
        }
    }
}

/// The teams, agents and users that a ticket names and did not name before, with the fields that name them. Its user is
/// not among them: what is asked about it are its facts.
pub(crate) fn newly_named<'a>(before: Option<&Ticket>, after: &'a Ticket) -> Vec<(String, Kind, &'a str)> {
    let mut named = Vec::new();
    if !after.team_id.is_empty() && before.is_none_or(|b| b.team_id != after.team_id) {
        named.push(("team_id".to_owned(), Kind::Team, after.team_id.as_str()));
    }
    if !after.agent_id.is_empty() && before.is_none_or(|b| b.agent_id != after.agent_id) {
        named.push(("agent_id".to_owned(), Kind::Agent, after.agent_id.as_str()));
    }
    for (index, id) in after.follower_user_ids.iter().enumerate() {
        if before.is_none_or(|b| !b.follower_user_ids.contains(id)) {
            named.push((format!("follower_user_ids[{index}]"), Kind::User, id.as_str()));
        }
    }
    named
}

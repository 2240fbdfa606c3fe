//! The records that a rule names, in its criteria and its outcomes.

use concierge_model::custom_field;
use concierge_proto::Record as _;
use concierge_proto::common::criterion_value::Kind as ValueKind;
use concierge_proto::common::custom_field_value::Kind as CustomKind;
use concierge_proto::common::{CriteriaGroup, Criterion, Operator};
use concierge_proto::ticket_rule::{Calendar, Category, Priority, Rule, RuleOutcomes, Sla, Status, TicketType};

use crate::category::path;
use crate::configure::Missing;
use crate::evaluation::Configuration;
use crate::facts::references::Kind;

/// What an id is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Target {
    Status,
    Priority,
    TicketType,
    Sla,
    /// Of a level.
    Category(usize),
    Calendar,
    /// A record of directory.
    Directory(Kind),
}

impl Target {
    /// What the ids of a criterion are of; none for one without ids.
    fn of(criterion: &Criterion) -> Option<Self> {
        match criterion.operator() {
            Operator::WithinHours | Operator::OutsideHours => Some(Self::Calendar),
            _ => Self::of_field(&criterion.field),
        }
    }

    /// What the ids of a field of criteria are of; none for fields without ids.
    fn of_field(field: &str) -> Option<Self> {
        Some(match field {
            "ticket.type" => Self::TicketType,
            "ticket.status" => Self::Status,
            "ticket.priority" => Self::Priority,
            "ticket.sla" => Self::Sla,
            name if path::CRITERIA.contains(&name) => {
                Self::Category(1 + path::CRITERIA.iter().position(|field| *field == name)?)
            }
            "ticket.team" => Self::Directory(Kind::Team),
            "ticket.agent" | "customer.account_manager" => Self::Directory(Kind::Agent),
            "ticket.user" | "ticket.followers" => Self::Directory(Kind::User),
            "ticket.site" => Self::Directory(Kind::Site),
            "ticket.customer" => Self::Directory(Kind::Customer),
            "user.roles" => Self::Directory(Kind::UserRole),
            "user.relationships" | "customer.relationships" => Self::Directory(Kind::Relationship),
            "user.department" => Self::Directory(Kind::Department),
            _ => return None,
        })
    }

    /// The type of record.
    pub(super) fn record_type(self) -> &'static str {
        match self {
            Self::Status => Status::TYPE,
            Self::Priority => Priority::TYPE,
            Self::TicketType => TicketType::TYPE,
            Self::Sla => Sla::TYPE,
            Self::Category(_) => Category::TYPE,
            Self::Calendar => Calendar::TYPE,
            Self::Directory(kind) => kind.record_type(),
        }
    }

    /// Notes an id of this service that is no live record.
    pub(super) fn check(self, configuration: &Configuration, path: &str, id: &str, missing: &mut Missing) {
        match self {
            Self::Status => missing.unless(path, id, configuration.status(id)),
            Self::Priority => missing.unless(path, id, configuration.priority(id)),
            Self::TicketType => missing.unless(path, id, configuration.ticket_type(id)),
            Self::Sla => missing.unless(path, id, configuration.sla(id)),
            Self::Category(level) => {
                missing.unless_category(configuration, path, id, i32::try_from(level).unwrap_or(0));
            }
            Self::Calendar => missing.unless(path, id, configuration.calendar(id)),
            Self::Directory(_) => {}
        }
    }
}

/// A place where a rule names a record.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Named<'a> {
    /// Such as `rule.criteria.groups[1].criteria[0].values[2]`.
    pub(crate) path: String,
    pub(crate) target: Target,
    /// The field of the criterion, or of the outcomes.
    pub(crate) field: &'a str,
    pub(crate) id: &'a str,
    /// False in outcomes.
    pub(crate) in_criteria: bool,
}

/// Every record that a rule names.
pub(crate) fn named(rule: &Rule) -> Vec<Named<'_>> {
    let mut named = Vec::new();
    if let Some(criteria) = &rule.criteria {
        in_group(criteria, "rule.criteria", &mut named);
    }
    if let Some(outcomes) = &rule.outcomes {
        in_outcomes(outcomes, &mut named);
    }
    named
}

/// Whether a rule tests or sets the custom field of tickets with this key; where choices are given, whether it names one
/// of them.
pub(crate) fn names_custom_field(rule: &Rule, key: &str, choices: Option<&[&str]>) -> bool {
    let is_one = |name: &str| choices.is_none_or(|choices| choices.contains(&name));
    let set = rule.outcomes.iter().flat_map(|outcomes| &outcomes.custom_fields).filter(|value| value.key == key);
    let mut set = set.map(|value| match &value.kind {
        Some(CustomKind::Choice(name)) => is_one(name),
        Some(CustomKind::Choices(choices)) => choices.names.iter().any(|name| is_one(name)),
        _ => choices.is_none(),
    });
    let field = custom_field::criterion("ticket", key);
    let tests = |criterion: &Criterion| {
        let mut values = criterion.values.iter().filter_map(|value| value.kind.as_ref());
        let one = |kind: &ValueKind| matches!(kind, ValueKind::Choice(name) | ValueKind::Text(name) if is_one(name));
        criterion.field == field && (choices.is_none() || values.any(one))
    };
    set.any(|named| named) || rule.criteria.as_ref().is_some_and(|group| any_criterion(group, &tests))
}

fn any_criterion(group: &CriteriaGroup, is_so: &dyn Fn(&Criterion) -> bool) -> bool {
    group.criteria.iter().any(is_so) || group.groups.iter().any(|inner| any_criterion(inner, is_so))
}

fn in_group<'a>(group: &'a CriteriaGroup, path: &str, named: &mut Vec<Named<'a>>) {
    for (index, criterion) in group.criteria.iter().enumerate() {
        let Some(target) = Target::of(criterion) else { continue };
        for (value_index, value) in criterion.values.iter().enumerate() {
            if let Some(ValueKind::Id(id)) = &value.kind {
                let path = format!("{path}.criteria[{index}].values[{value_index}]");
                named.push(Named { path, target, field: &criterion.field, id, in_criteria: true });
            }
        }
    }
    for (index, inner) in group.groups.iter().enumerate() {
        in_group(inner, &format!("{path}.groups[{index}]"), named);
    }
}

/// The ids that outcomes may give.
macro_rules! ids {
    ($outcomes:expr, $($borrow:tt)+) => {
        [
            ("type_id", Target::TicketType, $($borrow)+ $outcomes.type_id),
            ("status_id", Target::Status, $($borrow)+ $outcomes.status_id),
            ("priority_id", Target::Priority, $($borrow)+ $outcomes.priority_id),
            ("sla_id", Target::Sla, $($borrow)+ $outcomes.sla_id),
            ("category_1_id", Target::Category(1), $($borrow)+ $outcomes.category_1_id),
            ("category_2_id", Target::Category(2), $($borrow)+ $outcomes.category_2_id),
            ("category_3_id", Target::Category(3), $($borrow)+ $outcomes.category_3_id),
            ("category_4_id", Target::Category(4), $($borrow)+ $outcomes.category_4_id),
            ("team_id", Target::Directory(Kind::Team), $($borrow)+ $outcomes.team_id),
            ("agent_id", Target::Directory(Kind::Agent), $($borrow)+ $outcomes.agent_id),
        ]
    };
}

fn ids_mut(outcomes: &mut RuleOutcomes) -> impl Iterator<Item = (&'static str, Target, &mut String)> {
    ids!(outcomes, &mut).into_iter()
}

fn in_outcomes<'a>(outcomes: &'a RuleOutcomes, named: &mut Vec<Named<'a>>) {
    for (field, target, id) in ids!(outcomes, &) {
        if !id.is_empty() {
            named.push(Named { path: format!("rule.outcomes.{field}"), target, field, id, in_criteria: false });
        }
    }
}

/// Puts other ids where a rule names records: what `replacement` says, if anything.
pub(super) fn replace(rule: &mut Rule, replacement: impl Fn(Named<'_>) -> Option<String>) {
    let new: Vec<Option<String>> = named(rule).into_iter().map(replacement).collect();
    let mut new = new.into_iter();
    // In the order in which they were named.
    if let Some(criteria) = &mut rule.criteria {
        replace_in_group(criteria, &mut new);
    }
    if let Some(outcomes) = &mut rule.outcomes {
        for (_, _, id) in ids_mut(outcomes) {
            if !id.is_empty()
                && let Some(Some(other)) = new.next()
            {
                *id = other;
            }
        }
    }
}

fn replace_in_group(group: &mut CriteriaGroup, new: &mut impl Iterator<Item = Option<String>>) {
    for criterion in group.criteria.iter_mut().filter(|criterion| Target::of(criterion).is_some()) {
        for value in &mut criterion.values {
            if let Some(ValueKind::Id(id)) = &mut value.kind
                && let Some(Some(other)) = new.next()
            {
                *id = other;
            }
        }
    }
    group.groups.iter_mut().for_each(|inner| replace_in_group(inner, new));
}

#[cfg(test)]
mod tests {
    use concierge_criteria::FieldType;
    use concierge_model::criteria::rule_schema;

    use super::*;

    #[test]
    fn every_field_of_ids_says_what_they_are_of() {
        for field in rule_schema().fields() {
            let of_ids = field.kind.element() == FieldType::Id;
            assert_eq!(of_ids, Target::of_field(&field.name).is_some(), "{}", field.name);
        }
    }
}

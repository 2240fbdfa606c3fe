//! In what two versions of a rule differ.

use concierge_proto::Fields as _;
use concierge_proto::common::{CriteriaGroup, GroupKind};
use concierge_proto::ticket_rule::{Rule, RuleOutcomes};

/// The fields in which a rule differs, those of its outcomes by themselves: such as `name` or `outcomes.team_id`. Criteria
/// that always hold are like none.
pub(super) fn changed_fields(before: &Rule, after: &Rule) -> Vec<String> {
    let mut changed = Vec::new();
    for (index, field) in Rule::FIELDS.iter().enumerate() {
        match field.name {
            _ if field.output_only || field.name == "etag" => {}
            "criteria" if asked(before) == asked(after) => {}
            "criteria" => changed.push("criteria".to_owned()),
            "outcomes" => {
                let default = RuleOutcomes::default();
                let (before, after) = (before.outcomes.as_ref(), after.outcomes.as_ref());
                in_outcomes(before.unwrap_or(&default), after.unwrap_or(&default), &mut changed);
            }
            name if before.value(index) != after.value(index) => changed.push(name.to_owned()),
            _ => {}
        }
    }
    changed
}

/// The criteria, if they ask for anything.
fn asked(rule: &Rule) -> Option<&CriteriaGroup> {
    let empty =
        |group: &&CriteriaGroup| group.kind() == GroupKind::All && group.criteria.is_empty() && group.groups.is_empty();
    rule.criteria.as_ref().filter(|group| !empty(group))
}

fn in_outcomes(before: &RuleOutcomes, after: &RuleOutcomes, changed: &mut Vec<String>) {
    macro_rules! compare {
        ($($field:ident),* $(,)?) => {
            // Every field is here, or this does not build.
            let RuleOutcomes { $($field: _),* } = after;
            $(if before.$field != after.$field {
                changed.push(concat!("outcomes.", stringify!($field)).to_owned());
            })*
        };
    }
    compare!(
        type_id,
        status_id,
        priority_id,
        sla_id,
        category_1_id,
        category_2_id,
        category_3_id,
        category_4_id,
        team_id,
        agent_id,
        add_tags,
        custom_fields,
        popup_html
    );
}

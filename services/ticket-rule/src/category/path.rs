//! The four categories of a ticket, and how they fit together: one that has a parent stands below it.

use concierge_proto::ticket_rule::{RuleOutcomes, Ticket};

use crate::evaluation::Configuration;

/// How many levels there are.
pub(crate) const LEVELS: usize = 4;

/// The fields of a ticket, and of a rule's outcomes, from level 1 on.
pub(crate) const COLUMNS: [&str; LEVELS] = ["category_1_id", "category_2_id", "category_3_id", "category_4_id"];

/// The same by the names of criteria.
pub(crate) const CRITERIA: [&str; LEVELS] =
    ["ticket.category_1", "ticket.category_2", "ticket.category_3", "ticket.category_4"];

/// The categories of a ticket, from level 1 on.
pub(crate) fn of(ticket: &Ticket) -> [&str; LEVELS] {
    [&ticket.category_1_id, &ticket.category_2_id, &ticket.category_3_id, &ticket.category_4_id]
}

/// The same, to be changed.
pub(crate) fn of_mut(ticket: &mut Ticket) -> [&mut String; LEVELS] {
    [&mut ticket.category_1_id, &mut ticket.category_2_id, &mut ticket.category_3_id, &mut ticket.category_4_id]
}

/// The categories that a rule gives, from level 1 on: those above the ones it names follow from their parents.
pub(crate) fn given(configuration: &Configuration, outcomes: &RuleOutcomes) -> [String; LEVELS] {
    let mut given = [
        outcomes.category_1_id.clone(),
        outcomes.category_2_id.clone(),
        outcomes.category_3_id.clone(),
        outcomes.category_4_id.clone(),
    ];
    fill(configuration, given.each_mut());
    given
}

/// Whether a rule gives a category.
pub(crate) fn gives_any(outcomes: &RuleOutcomes) -> bool {
    [&outcomes.category_1_id, &outcomes.category_2_id, &outcomes.category_3_id, &outcomes.category_4_id]
        .into_iter()
        .any(|id| !id.is_empty())
}

/// Gives levels without a category the parent of the one below.
pub(crate) fn fill(configuration: &Configuration, path: [&mut String; LEVELS]) {
    for level in (1..LEVELS).rev() {
        let parent = parent(configuration, path[level]).to_owned();
        if path[level - 1].is_empty() {
            *path[level - 1] = parent;
        }
    }
}

/// The places of categories that stand below another parent than the one above them.
pub(crate) fn unfit(configuration: &Configuration, path: [&str; LEVELS]) -> impl Iterator<Item = usize> {
    (1..LEVELS).filter(move |level| {
        let parent = parent(configuration, path[*level]);
        !parent.is_empty() && parent != path[level - 1]
    })
}

/// Takes away what does not fit, from above: what stood below that goes, too. The places that were emptied.
pub(crate) fn prune(configuration: &Configuration, ticket: &mut Ticket) -> Vec<usize> {
    let mut emptied = Vec::new();
    loop {
        let Some(level) = unfit(configuration, of(ticket)).next() else { return emptied };
        of_mut(ticket)[level].clear();
        emptied.push(level);
    }
}

/// The parent of a category; empty for none.
fn parent<'a>(configuration: &'a Configuration, id: &str) -> &'a str {
    configuration.ticket_category(id).map_or("", |category| category.parent_id.as_str())
}

#[cfg(test)]
mod tests {
    use concierge_proto::ticket_rule::Category;
    use uuid::Uuid;

    use super::*;

    fn id(number: u128) -> String {
        Uuid::from_u128(number).to_string()
    }

    /// Network (1) above VPN (2) above Certificate (3); Mail (4) beside Network; Anything (5) of level 2 below none.
    fn configuration() -> Configuration {
        let mut configuration = Configuration::default();
        for (number, level, parent) in [(1, 1, 0), (2, 2, 1), (3, 3, 2), (4, 1, 0), (5, 2, 0)] {
            let parent_id = if parent == 0 { String::new() } else { id(parent) };
            let category = Category { id: id(number), level: Some(level), parent_id, ..Default::default() };
            configuration.categories.put(Uuid::from_u128(number), category);
        }
        configuration
    }

    #[test]
    fn levels_above_follow_from_parents_where_they_are_empty() {
        let configuration = configuration();
        let given = given(&configuration, &RuleOutcomes { category_3_id: id(3), ..Default::default() });
        assert_eq!(given, [id(1), id(2), id(3), String::new()]);
        let mut other = Ticket { category_1_id: id(4), category_2_id: id(2), ..Default::default() };
        fill(&configuration, of_mut(&mut other));
        assert_eq!(other.category_1_id, id(4));
        assert_eq!(unfit(&configuration, of(&other)).collect::<Vec<_>>(), [1]);
    }

    #[test]
    fn what_does_not_fit_goes_with_what_stands_below_it() {
        let configuration = configuration();
        let mut ticket =
            Ticket { category_1_id: id(4), category_2_id: id(2), category_3_id: id(3), ..Default::default() };
        assert_eq!(prune(&configuration, &mut ticket), [1, 2]);
        assert_eq!(ticket, Ticket { category_1_id: id(4), ..Default::default() });
        let mut fitting = Ticket { category_1_id: id(4), category_2_id: id(5), ..Default::default() };
        assert!(prune(&configuration, &mut fitting).is_empty());
    }
}

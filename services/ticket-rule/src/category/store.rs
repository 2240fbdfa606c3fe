//! Categories as a table.

use concierge_proto::Violations;
use concierge_proto::error::Reason;
use concierge_proto::ticket_rule::Category;
use concierge_runtime::resource::Unique;
use concierge_runtime::{Error, Resource, Tx};

use super::path::COLUMNS;
use crate::configure::{Change, Configured, Missing};
use crate::evaluation::{RuleSet, revise};

/// The table of categories.
#[derive(Clone, Copy, Debug)]
pub struct Categories;

impl Resource for Categories {
    type Record = Category;

    const TABLE: &'static str = "categories";
    const UNIQUE: &'static [Unique] =
        &[Unique { constraint: "categories_name", field: "name", reason: Reason::NameTaken }];

    async fn check(_tx: &mut Tx, _before: Option<&Category>, after: &mut Category) -> Result<(), Error> {
        if after.level() == 1 && !after.parent_id.is_empty() {
            let why = "must be empty: there is no level above level 1";
            return Err(Error::Invalid(Violations::one("category.parent_id", why)));
        }
        Ok(())
    }

    async fn stored(tx: &mut Tx, _before: Option<&Category>, after: &Category) -> Result<(), Error> {
        revise(tx, after, true).await
    }
}

impl Configured for Categories {
    fn in_tickets(record: &Category) -> Option<&'static str> {
        COLUMNS.get(usize::try_from(record.level() - 1).ok()?).copied()
    }

    fn find<'a>(set: &'a RuleSet, id: &str) -> Option<&'a Category> {
        set.configuration().ticket_category(id)
    }

    fn admit(change: &Change<'_>, before: Option<&Category>, after: &Category) -> Result<(), Error> {
        let mut missing = Missing::default();
        if before.is_none_or(|before| before.parent_id != after.parent_id) {
            missing.unless_category(
                change.set.configuration(),
                "category.parent_id",
                &after.parent_id,
                after.level() - 1,
            );
        }
        missing.refuse()
    }

    fn users(set: &RuleSet, id: &str) -> Vec<(&'static str, i64)> {
        let below = set.configuration().categories.live().filter(|category| category.parent_id == id).count();
        vec![("category", below as i64), ("rule", set.naming(id))]
    }
}

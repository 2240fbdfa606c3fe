//! Customers as a table.

use concierge_model::search::SearchText;
use concierge_proto::directory::{CustomFieldEntity, Customer, RelationshipEntity};
use concierge_proto::error::Reason;
use concierge_proto::event::Revocation;
use concierge_runtime::resource::{Child, Reference, Unique};
use concierge_runtime::{Error, Gathered, Resource, Tx};
use uuid::Uuid;

use crate::custom_field;
use crate::relationship;

/// The table of customers.
#[derive(Clone, Copy, Debug)]
pub struct Customers;

impl Resource for Customers {
    type Record = Customer;

    const TABLE: &'static str = "customers";
    const REFERENCES: &'static [Reference] = &[
        Reference { field: "relationship_ids", table: "relationships" },
        Reference { field: "account_manager_agent_id", table: "agents" },
    ];
    // What went away while it was deleted must not keep it from coming back.
    const REFERENCES_ON_UNDELETE: bool = false;
    const CHILDREN: &'static [Child] =
        &[Child { record_type: "user", table: "users", column: "customer_id", many: false }];
    const UNIQUE: &'static [Unique] =
        &[Unique { constraint: "customers_external_id", field: "external_id", reason: Reason::ExternalIdTaken }];
    const CUSTOMER: Option<&'static str> = Some("id");
    const SEARCH: bool = true;

    fn search(customer: &Customer) -> String {
        SearchText::named([customer.name.as_str()])
            .texts(customer.domains.iter().map(String::as_str))
            .texts([customer.external_id.as_str()])
            .phones([customer.phone.as_str()])
            .to_string()
    }

    async fn check(tx: &mut Tx, before: Option<&Customer>, after: &mut Customer) -> Result<(), Error> {
        let mut found = Gathered::default();
        let known = before.map_or(&[][..], |b| &b.relationship_ids[..]);
        let field = "customer.relationship_ids";
        let entity = RelationshipEntity::Customer;
        found.take(relationship::check_entity(tx, entity, field, known, &after.relationship_ids).await)?;
        let known = before.map(|b| &b.custom_fields[..]);
        let (entity, field) = (CustomFieldEntity::Customer, "customer.custom_fields");
        found.take(custom_field::accept(tx, entity, field, known, &mut after.custom_fields).await)?;
        found.refuse()
    }

    /// An inactive customer's users count as inactive: their tokens are taken away.
    async fn stored(tx: &mut Tx, before: Option<&Customer>, after: &Customer) -> Result<(), Error> {
        let live = |customer: &Customer| customer.active != Some(false) && customer.delete_time.is_none();
        if before.is_some_and(live) && !live(after) {
            let why = "customer deactivated".to_owned();
            tx.revoke(Revocation { customer_id: after.id.clone(), why, ..Default::default() }).await?;
        }
        Ok(())
    }

    /// Its main site goes with it; any other keeps it.
    async fn check_delete(tx: &mut Tx, customer: &Customer) -> Result<(), Error> {
        let id: Uuid = customer.id.parse().map_err(Error::internal)?;
        let main: Option<Uuid> = customer.main_site_id.parse().ok();
        let count: i64 = sqlx::query_scalar(
            "select count(*) from sites where customer_id = $1 and id is distinct from $2 and delete_time is null",
        )
        .bind(id)
        .bind(main)
        .fetch_one(tx.conn().await?)
        .await?;
        if count > 0 {
            return Err(Error::InUse { record_type: "customer", id: customer.id.clone(), by: "site", count });
        }
        Ok(())
    }
}

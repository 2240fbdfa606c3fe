//! Sites as a table.

use concierge_model::search::SearchText;
use concierge_proto::directory::{CustomFieldEntity, Site};
use concierge_proto::error::Reason;
use concierge_proto::event::Revocation;
use concierge_runtime::resource::{Reference, Unique};
use concierge_runtime::{Error, Gathered, Resource, Tx};
use uuid::Uuid;

use crate::custom_field;
use crate::customer::Customers;

/// The table of sites.
#[derive(Clone, Copy, Debug)]
pub struct Sites;

impl Resource for Sites {
    type Record = Site;

    const TABLE: &'static str = "sites";
    const REFERENCES: &'static [Reference] = &[Reference { field: "customer_id", table: "customers" }];
    const UNIQUE: &'static [Unique] =
        &[Unique { constraint: "sites_external_id", field: "external_id", reason: Reason::ExternalIdTaken }];
    const CUSTOMER: Option<&'static str> = Some("customer_id");
    const SITE: Option<&'static str> = Some("id");
    const SEARCH: bool = true;

    fn search(site: &Site) -> String {
        let address = site.address.iter().flat_map(|a| {
            let parts = [&a.city, &a.region, &a.postal_code, &a.country_code];
            a.lines.iter().chain(parts).map(String::as_str)
        });
        SearchText::named([site.name.as_str()])
            .texts(address)
            .texts([site.email_domain.as_str(), site.external_id.as_str()])
            .phones([site.phone.as_str()])
            .to_string()
    }

    async fn check(tx: &mut Tx, before: Option<&Site>, after: &mut Site) -> Result<(), Error> {
        let mut found = Gathered::default();
        if after.customer_id.is_empty() {
            found.take(Err(Error::field("site.customer_id", "must not be empty")))?;
        }
        let known = before.map(|b| &b.custom_fields[..]);
        let (entity, field) = (CustomFieldEntity::Site, "site.custom_fields");
        found.take(custom_field::accept(tx, entity, field, known, &mut after.custom_fields).await)?;
        found.refuse()
    }

    /// A closed site's users count as inactive: their tokens are taken away.
    async fn stored(tx: &mut Tx, before: Option<&Site>, after: &Site) -> Result<(), Error> {
        let live = |site: &Site| site.active != Some(false) && site.delete_time.is_none();
        if before.is_some_and(live) && !live(after) {
            let why = "site deactivated".to_owned();
            tx.revoke(Revocation { site_id: after.id.clone(), why, ..Default::default() }).await?;
        }
        Ok(())
    }

    /// The main site is replaced, not deleted, whoever is there. `SetMainSite` locks the site it makes the main one, as
    /// this does, so neither overlooks the other.
    async fn check_delete(tx: &mut Tx, site: &Site) -> Result<(), Error> {
        let customer = tx.get::<Customers>(&site.customer_id).await?;
        if customer.main_site_id == site.id && customer.delete_time.is_none() {
            return Err(crate::Error::SiteIsMain { id: site.id.clone(), customer_id: customer.id }.into());
        }
        let id: Uuid = site.id.parse().map_err(Error::internal)?;
        let count: i64 = sqlx::query_scalar("select count(*) from users where site_id = $1 and delete_time is null")
            .bind(id)
            .fetch_one(tx.conn().await?)
            .await?;
        if count > 0 {
            return Err(Error::InUse { record_type: "site", id: site.id.clone(), by: "user", count });
        }
        Ok(())
    }

    async fn check_undelete(tx: &mut Tx, site: &Site) -> Result<(), Error> {
        let customer = tx.get::<Customers>(&site.customer_id).await?;
        if customer.delete_time.is_some() {
            return Err(crate::Error::ParentDeleted { record_type: "customer", id: customer.id }.into());
        }
        Ok(())
    }
}

//! Which site of a customer is its main one.

use concierge_proto::directory::{SetMainSiteRequest, SetMainSiteResponse};
use concierge_proto::error::Reason;
use concierge_runtime::{Error, Tx};

use super::Sites;
use crate::customer::Customers;

pub(super) async fn set(tx: &mut Tx, request: SetMainSiteRequest) -> Result<SetMainSiteResponse, Error> {
    // The customer first, as everywhere: two such changes of one customer wait for each other.
    let before = tx.get_for_update::<Customers>(&request.customer_id).await?;
    tx.check_etag(&before, &request.etag)?;
    let unknown = || {
        let why = format!("there is no live site {}", request.site_id);
        Error::because(Reason::ReferenceNotFound, "site_id", why)
    };
    let site = tx.get_for_update::<Sites>(&request.site_id).await.map_err(|error| match error {
        Error::NotFound { .. } => unknown(),
        other => other,
    })?;
    if site.delete_time.is_some() {
        return Err(unknown());
    }
    if site.customer_id != before.id {
        return Err(crate::Error::SiteOfOtherCustomer {
            field: "site_id".to_owned(),
            id: site.id,
            customer_id: site.customer_id,
        }
        .into());
    }
    if site.active == Some(false) {
        let (field, id) = ("site_id".to_owned(), site.id);
        return Err(crate::Error::ReferenceInactive { field, record_type: "site", id }.into());
    }
    let previous_main_site_id = before.main_site_id.clone();
    let mut after = before.clone();
    after.main_site_id.clone_from(&site.id);
    let customer = tx.change::<Customers>(before, after).await?;
    Ok(SetMainSiteResponse { site: Some(site), previous_main_site_id, customer_etag: customer.etag })
}

//! Who is a contact of which site.

use concierge_proto::Violations;
use concierge_proto::directory::{AssignSiteContactRequest, AssignSiteContactResponse, SiteContact};
use concierge_proto::error::Reason;
use concierge_runtime::{Error, Tx};
use uuid::Uuid;

use super::store::{self, SiteContacts};

/// Makes a user a contact of a site. Five round trips beside those of every write.
pub(super) async fn assign(tx: &mut Tx, request: AssignSiteContactRequest) -> Result<AssignSiteContactResponse, Error> {
    let id = |text: &str| text.parse::<Uuid>().map_err(Error::internal);
    let (site, user) = (id(&request.site_id)?, id(&request.user_id)?);
    let wanted_type = if request.type_id.is_empty() { None } else { Some(id(&request.type_id)?) };

    let user_customer = store::lock_user(tx.conn().await?, user).await?;
    let site_customer = store::share_site(tx.conn().await?, site).await?;
    let type_active = match wanted_type {
        Some(wanted) => store::share_type(tx.conn().await?, wanted).await?,
        None => Some(true),
    };
    let (Some(user_customer), Some(site_customer), Some(type_active)) = (user_customer, site_customer, type_active)
    else {
        let mut violations = Violations::default();
        let mut absent = |is: bool, field: &str, what: &str, id: &str| {
            if is {
                violations.add(field, format!("there is no live {what} {id}"));
            }
        };
        absent(site_customer.is_none(), "site_id", "site", &request.site_id);
        absent(user_customer.is_none(), "user_id", "user", &request.user_id);
        absent(type_active.is_none(), "type_id", "site contact type", &request.type_id);
        return Err(Error::InvalidBecause { reason: Reason::ReferenceNotFound, violations });
    };
    if user_customer != site_customer {
        return Err(crate::Error::UserOfOtherCustomer {
            field: "user_id".to_owned(),
            id: request.user_id,
            customer_id: user_customer.to_string(),
        }
        .into());
    }
    if let Some(existing) = store::find(tx.conn().await?, site, user, wanted_type).await? {
        return Ok(tx.get::<SiteContacts>(&existing.to_string()).await?.into());
    }
    if !type_active {
        return Err(crate::Error::ReferenceInactive {
            field: "type_id".to_owned(),
            record_type: "site_contact_type",
            id: request.type_id,
        }
        .into());
    }
    let contact = SiteContact {
        site_id: request.site_id,
        user_id: request.user_id,
        type_id: request.type_id,
        ..Default::default()
    };
    Ok(tx.insert_own::<SiteContacts>(contact).await?.into())
}

/// Ends every assignment of a user, whose row is locked: it goes to another customer.
pub(crate) async fn end_all_of_user(tx: &mut Tx, user_id: &str) -> Result<(), Error> {
    let user: Uuid = user_id.parse().map_err(Error::internal)?;
    for contact in store::of_user(tx.conn().await?, user).await? {
        tx.delete::<SiteContacts>(&contact.to_string(), "").await?;
    }
    Ok(())
}

//! A customer and its main site go and come back together.

use concierge_proto::directory::{
    DeleteCustomerRequest, DeleteCustomerResponse, UndeleteCustomerRequest, UndeleteCustomerResponse,
};
use concierge_runtime::{Error, Tx};

use super::Customers;
use crate::site::Sites;

pub(super) async fn delete(tx: &mut Tx, request: DeleteCustomerRequest) -> Result<DeleteCustomerResponse, Error> {
    // The main site is locked before users are counted, so that nobody adds one to it meanwhile.
    let before = tx.get_for_update::<Customers>(&request.id).await?;
    tx.get_for_update::<Sites>(&before.main_site_id).await?;
    let customer = tx.delete::<Customers>(&request.id, &request.etag).await?;
    tx.delete::<Sites>(&customer.main_site_id, "").await?;
    Ok(customer.into())
}

pub(super) async fn undelete(tx: &mut Tx, request: UndeleteCustomerRequest) -> Result<UndeleteCustomerResponse, Error> {
    let customer = tx.undelete::<Customers>(&request.id).await?;
    let site = tx.get_for_update::<Sites>(&customer.main_site_id).await?;
    if site.delete_time.is_some() {
        tx.undelete::<Sites>(&site.id).await?;
    }
    Ok(customer.into())
}

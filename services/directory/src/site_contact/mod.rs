//! `SiteContactService`: the users who are told about what happens at a site, and the address book.

mod address_book;
mod assign;
mod store;

use concierge_proto::directory::site_contact_service_server::SiteContactService;
use concierge_proto::directory::{
    AssignSiteContactRequest, AssignSiteContactResponse, ListAddressBookRequest, ListAddressBookResponse,
    ListSiteContactsRequest, ListSiteContactsResponse, RemoveSiteContactRequest, RemoveSiteContactResponse,
};
use concierge_runtime::{Answer, reply};
use tonic::Request;

use crate::Directory;
pub(crate) use assign::end_all_of_user;
pub use store::SiteContacts;

#[tonic::async_trait]
impl SiteContactService for Directory {
    async fn assign_site_contact(
        &self,
        request: Request<AssignSiteContactRequest>,
    ) -> Answer<AssignSiteContactResponse> {
        self.service.write(request, |tx, request| Box::pin(assign::assign(tx, request))).await
    }

    async fn remove_site_contact(
        &self,
        request: Request<RemoveSiteContactRequest>,
    ) -> Answer<RemoveSiteContactResponse> {
        self.service
            .write(request, |tx, request| {
                Box::pin(async move { Ok(tx.delete::<SiteContacts>(&request.id, &request.etag).await?.into()) })
            })
            .await
    }

    async fn list_site_contacts(&self, request: Request<ListSiteContactsRequest>) -> Answer<ListSiteContactsResponse> {
        self.service.list::<SiteContacts, _>(request).await
    }

    async fn list_address_book(&self, request: Request<ListAddressBookRequest>) -> Answer<ListAddressBookResponse> {
        Ok(reply(address_book::page(&self.service, request.get_ref()).await?))
    }
}

//! Step 7: finding people.

use concierge_proto::directory::site_contact_service_client::SiteContactServiceClient;
use concierge_proto::directory::user_service_client::UserServiceClient;
use concierge_proto::directory::{AddressBookKind, ListAddressBookRequest, SearchUsersRequest};

use super::{World, said, starred, told};
use crate::client::Suite;

/// Searches, and opens the address book of the ticket's site.
pub(super) async fn look_up(suite: &Suite, world: &World) -> anyhow::Result<()> {
    said("Searching for \"ines hal\":");
    let request = SearchUsersRequest { query: "ines hal".to_owned(), ..Default::default() };
    let found = UserServiceClient::new(suite.directory.clone()).search_users(request).await.map_err(told)?.into_inner();
    for result in &found.results {
        let name = result.user.as_ref().map_or("", |user| user.name.as_str());
        said(&starred(result.important, name));
    }
    said(&format!("Address book of {}, its contacts and important users:", world.site.name));
    let request = ListAddressBookRequest {
        kind: AddressBookKind::SiteContacts.into(),
        site_id: world.site.id.clone(),
        ..Default::default()
    };
    let book = SiteContactServiceClient::new(suite.directory.clone())
        .list_address_book(request)
        .await
        .map_err(told)?
        .into_inner();
    for entry in &book.entries {
        let assigned = if entry.site_contact { ", assigned" } else { "" };
        said(&starred(entry.important, &format!("{} <{}>{assigned}", entry.name, entry.email)));
    }
    Ok(())
}

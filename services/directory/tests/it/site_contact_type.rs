//! `SiteContactTypeService`.

use concierge_proto::directory::{
    AssignSiteContactRequest, DeleteSiteContactTypeRequest, GetSiteContactTypeRequest, ListSiteContactTypesRequest,
    RemoveSiteContactRequest, SiteContactType, UndeleteSiteContactTypeRequest, UpdateSiteContactTypeRequest,
};
use concierge_testkit::request_id;
use tonic::{Code, Status};

use crate::desk::{Desk, contact_type, mask, nobody, reason};

async fn change(desk: &Desk, changed: SiteContactType, paths: &[&str]) -> Result<SiteContactType, Status> {
    let request = UpdateSiteContactTypeRequest {
        site_contact_type: Some(changed),
        update_mask: Some(mask(paths)),
        request_id: request_id(),
    };
    Ok(desk.site_contact_types().update_site_contact_type(request).await?.into_inner().site_contact_type.unwrap())
}

#[tokio::test]
async fn creates_reads_changes_and_lists() {
    let desk = Desk::open().await;
    let billing = desk.contact_type("Billing").await;
    assert_eq!((billing.active, billing.position), (Some(true), 0));
    let changed = change(&desk, SiteContactType { position: 7, ..billing.clone() }, &["position"]).await.unwrap();
    let get = GetSiteContactTypeRequest { id: billing.id.clone() };
    let got = desk.site_contact_types().get_site_contact_type(get).await.unwrap().into_inner();
    assert_eq!(got.site_contact_type, Some(changed.clone()));
    let emergency = desk.contact_type("Emergency").await;
    let request = ListSiteContactTypesRequest { order_by: "position desc".to_owned(), ..Default::default() };
    let listed = desk.site_contact_types().list_site_contact_types(request).await.unwrap().into_inner();
    assert_eq!(listed.site_contact_types, [changed, emergency]);
    let get = GetSiteContactTypeRequest { id: nobody() };
    let status = desk.site_contact_types().get_site_contact_type(get).await.unwrap_err();
    assert_eq!((status.code(), reason(&status).as_str()), (Code::NotFound, "RECORD_NOT_FOUND"));
}

#[tokio::test]
async fn rejects_taken_name_and_stale_etag() {
    let desk = Desk::open().await;
    let billing = desk.contact_type("Billing").await;
    let status = desk.site_contact_types().create_site_contact_type(contact_type("BILLING")).await.unwrap_err();
    assert_eq!((status.code(), reason(&status).as_str()), (Code::AlreadyExists, "NAME_TAKEN"));
    change(&desk, SiteContactType { position: 1, ..billing.clone() }, &["position"]).await.unwrap();
    let stale = change(&desk, SiteContactType { position: 2, ..billing }, &["position"]).await.unwrap_err();
    assert_eq!((stale.code(), reason(&stale).as_str()), (Code::Aborted, "STALE_ETAG"));
}

#[tokio::test]
async fn a_type_that_a_contact_has_cannot_be_deleted() {
    let desk = Desk::open().await;
    let (_, site) = desk.customer("Example Ltd").await;
    let ann = desk.user(&site, "Ann Lee").await;
    let billing = desk.contact_type("Billing").await;
    let assign = AssignSiteContactRequest {
        site_id: site.id,
        user_id: ann.id,
        type_id: billing.id.clone(),
        request_id: request_id(),
    };
    let contact = desk.site_contacts().assign_site_contact(assign).await.unwrap().into_inner().site_contact.unwrap();
    let delete =
        || DeleteSiteContactTypeRequest { id: billing.id.clone(), etag: String::new(), request_id: request_id() };
    let status = desk.site_contact_types().delete_site_contact_type(delete()).await.unwrap_err();
    assert_eq!((status.code(), reason(&status).as_str()), (Code::FailedPrecondition, "RECORD_IN_USE"));
    let remove = RemoveSiteContactRequest { id: contact.id, etag: contact.etag, request_id: request_id() };
    desk.site_contacts().remove_site_contact(remove).await.unwrap();
    desk.site_contact_types().delete_site_contact_type(delete()).await.unwrap();

    let undelete = || UndeleteSiteContactTypeRequest { id: billing.id.clone(), request_id: request_id() };
    desk.site_contact_types().undelete_site_contact_type(undelete()).await.unwrap();
    let status = desk.site_contact_types().undelete_site_contact_type(undelete()).await.unwrap_err();
    assert_eq!((status.code(), reason(&status).as_str()), (Code::FailedPrecondition, "RECORD_NOT_DELETED"));
}

//! `SiteContactService`: who is a contact of which site.

use concierge_proto::directory::{
    AssignSiteContactRequest, DeleteUserRequest, ListSiteContactsRequest, RemoveSiteContactRequest, Site, SiteContact,
    SiteContactType, UpdateSiteContactTypeRequest, User,
};
use concierge_testkit::request_id;
use tonic::{Code, Status};

use crate::desk::{Desk, fields, mask, metadata, nobody, reason};

fn assignment(site: &Site, user: &User, contact_type: Option<&SiteContactType>) -> AssignSiteContactRequest {
    AssignSiteContactRequest {
        site_id: site.id.clone(),
        user_id: user.id.clone(),
        type_id: contact_type.map(|t| t.id.clone()).unwrap_or_default(),
        request_id: request_id(),
    }
}

async fn assign(desk: &Desk, request: AssignSiteContactRequest) -> Result<SiteContact, Status> {
    Ok(desk.site_contacts().assign_site_contact(request).await?.into_inner().site_contact.unwrap())
}

async fn remove(desk: &Desk, id: &str, etag: &str) -> Result<SiteContact, Status> {
    let request = RemoveSiteContactRequest { id: id.to_owned(), etag: etag.to_owned(), request_id: request_id() };
    Ok(desk.site_contacts().remove_site_contact(request).await?.into_inner().site_contact.unwrap())
}

async fn list(desk: &Desk, filter: String) -> Vec<SiteContact> {
    let request = ListSiteContactsRequest { filter, ..Default::default() };
    desk.site_contacts().list_site_contacts(request).await.unwrap().into_inner().site_contacts
}

#[tokio::test]
async fn a_user_is_a_contact_of_several_sites_and_types_but_once_of_each() {
    let desk = Desk::open().await;
    let (customer, main) = desk.customer("Example Ltd").await;
    let plant = desk.site(&customer, "Plant").await;
    let ann = desk.user(&main, "Ann Lee").await;
    let billing = desk.contact_type("Billing").await;
    let plain = assign(&desk, assignment(&main, &ann, None)).await.unwrap();
    let typed = assign(&desk, assignment(&main, &ann, Some(&billing))).await.unwrap();
    let elsewhere = assign(&desk, assignment(&plant, &ann, None)).await.unwrap();
    assert_eq!(assign(&desk, assignment(&main, &ann, None)).await.unwrap(), plain);
    assert_eq!(assign(&desk, assignment(&main, &ann, Some(&billing))).await.unwrap(), typed);

    assert_eq!(list(&desk, format!("site_id = \"{}\"", main.id)).await, [plain.clone(), typed.clone()]);
    assert_eq!(list(&desk, format!("user_id = \"{}\"", ann.id)).await, [plain, typed.clone(), elsewhere]);

    let removed = remove(&desk, &typed.id, &typed.etag).await.unwrap();
    assert!(removed.delete_time.is_some());
    let again = assign(&desk, assignment(&main, &ann, Some(&billing))).await.unwrap();
    assert_ne!(again.id, typed.id);
}

#[tokio::test]
async fn names_everything_that_is_not_there() {
    let desk = Desk::open().await;
    let (_, site) = desk.customer("Example Ltd").await;
    let ann = desk.user(&site, "Ann Lee").await;
    let request =
        AssignSiteContactRequest { site_id: nobody(), user_id: nobody(), type_id: nobody(), request_id: request_id() };
    let status = assign(&desk, request).await.unwrap_err();
    assert_eq!((status.code(), reason(&status).as_str()), (Code::InvalidArgument, "REFERENCE_NOT_FOUND"));
    assert_eq!(fields(&status), ["site_id", "user_id", "type_id"]);

    let delete = DeleteUserRequest { id: ann.id.clone(), etag: String::new(), request_id: request_id() };
    desk.users().delete_user(delete).await.unwrap();
    let status = assign(&desk, assignment(&site, &ann, None)).await.unwrap_err();
    assert_eq!((reason(&status).as_str(), fields(&status)), ("REFERENCE_NOT_FOUND", vec!["user_id".to_owned()]));
}

#[tokio::test]
async fn refuses_a_user_of_another_customer() {
    let desk = Desk::open().await;
    let (_, here) = desk.customer("Example Ltd").await;
    let (other, there) = desk.customer("Other Ltd").await;
    let ann = desk.user(&there, "Ann Lee").await;
    let status = assign(&desk, assignment(&here, &ann, None)).await.unwrap_err();
    assert_eq!((status.code(), reason(&status).as_str()), (Code::InvalidArgument, "USER_OF_OTHER_CUSTOMER"));
    assert_eq!((fields(&status), metadata(&status, "customer_id")), (vec!["user_id".to_owned()], other.id));
}

#[tokio::test]
async fn an_inactive_type_is_not_given_any_more_but_stays_where_it_is() {
    let desk = Desk::open().await;
    let (_, site) = desk.customer("Example Ltd").await;
    let (ann, bob) = (desk.user(&site, "Ann Lee").await, desk.user(&site, "Bob Ray").await);
    let billing = desk.contact_type("Billing").await;
    let contact = assign(&desk, assignment(&site, &ann, Some(&billing))).await.unwrap();
    let update = UpdateSiteContactTypeRequest {
        site_contact_type: Some(SiteContactType { active: Some(false), ..billing.clone() }),
        update_mask: Some(mask(&["active"])),
        request_id: request_id(),
    };
    desk.site_contact_types().update_site_contact_type(update).await.unwrap();
    let status = assign(&desk, assignment(&site, &bob, Some(&billing))).await.unwrap_err();
    assert_eq!((status.code(), reason(&status).as_str()), (Code::FailedPrecondition, "REFERENCE_INACTIVE"));
    assert_eq!(fields(&status), ["type_id"]);
    assert_eq!(assign(&desk, assignment(&site, &ann, Some(&billing))).await.unwrap(), contact);
}

#[tokio::test]
async fn refuses_to_end_what_is_unknown_ended_or_changed() {
    let desk = Desk::open().await;
    let (_, site) = desk.customer("Example Ltd").await;
    let ann = desk.user(&site, "Ann Lee").await;
    let contact = assign(&desk, assignment(&site, &ann, None)).await.unwrap();
    assert_eq!(reason(&remove(&desk, &nobody(), "").await.unwrap_err()), "RECORD_NOT_FOUND");
    let stale = remove(&desk, &contact.id, "7").await.unwrap_err();
    assert_eq!((stale.code(), reason(&stale).as_str()), (Code::Aborted, "STALE_ETAG"));
    remove(&desk, &contact.id, "").await.unwrap();
    let ended = remove(&desk, &contact.id, "").await.unwrap_err();
    assert_eq!((ended.code(), reason(&ended).as_str()), (Code::FailedPrecondition, "RECORD_DELETED"));
}

#[tokio::test]
async fn the_same_assignment_made_sixteen_times_at_once_is_one() {
    let desk = Desk::open().await;
    let (_, site) = desk.customer("Example Ltd").await;
    let ann = desk.user(&site, "Ann Lee").await;
    let made = (0..16).map(|_| assign(&desk, assignment(&site, &ann, None)));
    let made: Vec<SiteContact> = futures::future::join_all(made).await.into_iter().map(Result::unwrap).collect();
    assert!(made.iter().all(|contact| *contact == made[0]));
    assert_eq!(list(&desk, String::new()).await.len(), 1);
}

#[tokio::test]
async fn assignments_of_inactive_users_are_listed() {
    let desk = Desk::open().await;
    let (_, site) = desk.customer("Example Ltd").await;
    let ann = desk.user(&site, "Ann Lee").await;
    let contact = assign(&desk, assignment(&site, &ann, None)).await.unwrap();
    desk.change_user(User { active: Some(false), ..ann }, &["active"]).await;
    assert_eq!(list(&desk, format!("site_id = \"{}\"", site.id)).await, [contact]);
}

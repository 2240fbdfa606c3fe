//! `SiteContactService/ListAddressBook`.

use concierge_proto::directory::{
    AddressBookEntry, AddressBookKind, AssignSiteContactRequest, Customer, ListAddressBookRequest, Site,
    SiteContactType, UpdateCustomerRequest, UpdateSiteRequest, User, UserRole,
};
use concierge_testkit::request_id;
use tonic::{Code, Status};

use crate::desk::{Desk, email, fields, mask, nobody, reason};

fn of(kind: AddressBookKind, site: &Site) -> ListAddressBookRequest {
    ListAddressBookRequest { kind: kind.into(), site_id: site.id.clone(), ..Default::default() }
}

async fn list(desk: &Desk, request: ListAddressBookRequest) -> Result<Vec<AddressBookEntry>, Status> {
    Ok(desk.site_contacts().list_address_book(request).await?.into_inner().entries)
}

async fn names(desk: &Desk, request: ListAddressBookRequest) -> Vec<String> {
    list(desk, request).await.unwrap().into_iter().map(|entry| entry.name).collect()
}

async fn assign(desk: &Desk, site: &Site, user: &User, contact_type: Option<&SiteContactType>) {
    let request = AssignSiteContactRequest {
        site_id: site.id.clone(),
        user_id: user.id.clone(),
        type_id: contact_type.map(|t| t.id.clone()).unwrap_or_default(),
        request_id: request_id(),
    };
    desk.site_contacts().assign_site_contact(request).await.unwrap();
}

async fn set_active(desk: &Desk, customer: &Customer, active: bool) {
    let request = UpdateCustomerRequest {
        customer: Some(Customer { id: customer.id.clone(), active: Some(active), ..Default::default() }),
        update_mask: Some(mask(&["active"])),
        request_id: request_id(),
    };
    desk.customers().update_customer(request).await.unwrap();
}

#[tokio::test]
async fn decision_7_site_contacts_are_the_assigned_and_the_important_of_the_site() {
    let desk = Desk::open().await;
    let (customer, site) = desk.customer("Example Ltd").await;
    let plant = desk.site(&customer, "Plant").await;
    let important = desk.user_role(UserRole { name: "VIP".into(), important: true, ..Default::default() }).await;
    desk.user_with(&site, "Carl Own", |u| u.important = true).await;
    let dora = desk.user_with(&site, "dora Role", |u| u.role_ids = vec![important.id.clone()]).await;
    desk.user(&site, "Eve Plain").await;
    desk.user_with(&plant, "Fay Elsewhere", |u| u.important = true).await;
    let ann = desk.user(&plant, "Ann Assigned").await;
    let (billing, night) = (desk.contact_type("Billing").await, desk.contact_type("Night").await);
    for contact_type in [None, Some(&billing), Some(&night)] {
        assign(&desk, &site, &ann, contact_type).await;
    }
    assign(&desk, &site, &dora, None).await;

    let entries = list(&desk, of(AddressBookKind::SiteContacts, &site)).await.unwrap();
    let told: Vec<_> = entries.iter().map(|e| (e.name.as_str(), e.important, e.site_contact)).collect();
    assert_eq!(told, [("Ann Assigned", false, true), ("Carl Own", true, false), ("dora Role", true, true)]);
    let mut types = entries[0].site_contact_type_ids.clone();
    types.sort();
    let mut wanted = vec![billing.id, night.id];
    wanted.sort();
    assert_eq!(types, wanted);
    assert!(entries[2].site_contact_type_ids.is_empty());
    assert_eq!((entries[0].email.clone(), entries[0].site_name.as_str()), (email("Ann Assigned"), "Plant"));
    assert_eq!((entries[0].user_id.as_str(), entries[0].agent_id.as_str()), (ann.id.as_str(), ""));
}

#[tokio::test]
async fn decision_7_inactive_people_are_in_neither_and_come_back_with_their_customer() {
    let desk = Desk::open().await;
    let (customer, site) = desk.customer("Example Ltd").await;
    let closed = desk.site(&customer, "Closed").await;
    let ann = desk.user(&site, "Ann Lee").await;
    let bob = desk.user(&site, "Bob Ray").await;
    let carl = desk.user(&closed, "Carl Fox").await;
    desk.user_with(&site, "Dora Day", |u| u.important = true).await;
    let eve = desk.user_with(&site, "Eve Fay", |u| u.important = true).await;
    for user in [&ann, &bob, &carl] {
        assign(&desk, &site, user, None).await;
    }
    assert_eq!(names(&desk, of(AddressBookKind::SiteContacts, &site)).await.len(), 5);
    desk.change_user(User { active: Some(false), ..bob }, &["active"]).await;
    desk.change_user(User { active: Some(false), ..eve }, &["active"]).await;
    let update = UpdateSiteRequest {
        site: Some(Site { id: closed.id, active: Some(false), ..Default::default() }),
        update_mask: Some(mask(&["active"])),
        request_id: request_id(),
    };
    desk.sites().update_site(update).await.unwrap();
    for kind in [AddressBookKind::SiteContacts, AddressBookKind::SiteUsers, AddressBookKind::CustomerUsers] {
        assert_eq!(names(&desk, of(kind, &site)).await, ["Ann Lee", "Dora Day"]);
    }
    set_active(&desk, &customer, false).await;
    assert!(names(&desk, of(AddressBookKind::SiteContacts, &site)).await.is_empty());
    set_active(&desk, &customer, true).await;
    assert_eq!(names(&desk, of(AddressBookKind::SiteContacts, &site)).await, ["Ann Lee", "Dora Day"]);
}

#[tokio::test]
async fn who_may_not_read_importance_sees_the_assigned_only() {
    let mut desk = Desk::open().await;
    let (_, site) = desk.customer("Example Ltd").await;
    let ann = desk.user_with(&site, "Ann Lee", |u| u.important = true).await;
    desk.user_with(&site, "Bob Ray", |u| u.important = true).await;
    assign(&desk, &site, &ann, None).await;
    desk.limit(&["customers.read"]);
    let entries = list(&desk, of(AddressBookKind::SiteContacts, &site)).await.unwrap();
    assert_eq!(entries.len(), 1);
    assert_eq!((entries[0].name.as_str(), entries[0].important), ("Ann Lee", false));
    let everybody = list(&desk, of(AddressBookKind::SiteUsers, &site)).await.unwrap();
    assert!(everybody.iter().all(|entry| !entry.important));
}

#[tokio::test]
async fn each_kind_has_its_own_people() {
    let desk = Desk::open().await;
    let (customer, site) = desk.customer("Example Ltd").await;
    let plant = desk.site(&customer, "Plant").await;
    let (_, other) = desk.customer("Other Ltd").await;
    desk.user_with(&site, "Ann Lee", |u| u.job_title = "Buyer".into()).await;
    desk.user(&plant, "Bob Ray").await;
    desk.user(&other, "Carl Fox").await;
    desk.user_with(&site, "Dora Silent", |u| u.emails.clear()).await;
    let agent = desk.agent("Zoe Agent", &[]).await;
    let mut gone = desk.agent("Gone Agent", &[]).await;
    gone.active = Some(false);
    desk.change_agent(gone, &["active"]).await.unwrap();

    assert_eq!(names(&desk, of(AddressBookKind::SiteUsers, &site)).await, ["Ann Lee"]);
    assert_eq!(names(&desk, of(AddressBookKind::CustomerUsers, &plant)).await, ["Ann Lee", "Bob Ray"]);
    let by_customer = ListAddressBookRequest {
        kind: AddressBookKind::CustomerUsers.into(),
        customer_id: customer.id,
        ..Default::default()
    };
    let people = list(&desk, by_customer).await.unwrap();
    assert_eq!((people.len(), people[0].job_title.as_str()), (2, "Buyer"));
    let agents = ListAddressBookRequest { kind: AddressBookKind::Agents.into(), ..Default::default() };
    let agents = list(&desk, agents).await.unwrap();
    assert_eq!(agents.len(), 1);
    assert_eq!((agents[0].agent_id.as_str(), agents[0].user_id.as_str()), (agent.id.as_str(), ""));
    assert_eq!((agents[0].email.clone(), agents[0].site_name.as_str()), (agent.email, ""));
}

#[tokio::test]
async fn says_who_is_sent_no_e_mail() {
    let desk = Desk::open().await;
    let (_, site) = desk.customer("Example Ltd").await;
    let silent = UserRole { name: "Silent".into(), never_send_emails: true, ..Default::default() };
    let silent = desk.user_role(silent).await;
    desk.user_with(&site, "Ann Own", |u| u.never_send_emails = true).await;
    desk.user_with(&site, "Bob Role", |u| u.role_ids = vec![silent.id]).await;
    desk.user(&site, "Carl Open").await;
    let entries = list(&desk, of(AddressBookKind::SiteUsers, &site)).await.unwrap();
    assert_eq!(entries.iter().map(|e| e.never_send_emails).collect::<Vec<_>>(), [true, true, false]);
}

#[tokio::test]
async fn finds_people_by_how_a_word_begins() {
    let desk = Desk::open().await;
    let (_, site) = desk.customer("Example Ltd").await;
    for (name, address) in [("Ann Lee", "u1"), ("Joann Smith-Lee", "u2"), ("Östen O'Hara", "u3"), ("Bob Ray", "u11")] {
        desk.user_with(&site, name, |u| u.emails = vec![format!("{address}@mail.test")]).await;
    }
    let query =
        |query: &str| ListAddressBookRequest { query: query.to_owned(), ..of(AddressBookKind::SiteUsers, &site) };
    for (text, found) in [
        ("ann", &["Ann Lee"][..]),
        ("LEE", &["Ann Lee", "Joann Smith-Lee"]),
        ("ann l", &["Ann Lee"]),
        ("öst", &["Östen O'Hara"]),
        ("o'h", &["Östen O'Hara"]),
        ("u1", &["Ann Lee", "Bob Ray"]),
        ("u2@mail", &["Joann Smith-Lee"]),
        ("mail.t", &["Ann Lee", "Bob Ray", "Joann Smith-Lee", "Östen O'Hara"]),
        (".*", &[]),
        ("ee", &[]),
        ("(", &[]),
        ("\\", &[]),
    ] {
        assert_eq!(names(&desk, query(text)).await, found, "{text}");
    }
}

#[tokio::test]
async fn pages_neither_skip_nor_repeat() {
    let desk = Desk::open().await;
    let (_, site) = desk.customer("Example Ltd").await;
    for number in 0..7 {
        // Several of the same name.
        let name = format!("Ann {}", number / 3);
        desk.user_with(&site, &name, |u| u.emails = vec![format!("a{number}@example.com")]).await;
    }
    let mut request = ListAddressBookRequest { page_size: 2, ..of(AddressBookKind::SiteUsers, &site) };
    let mut found = Vec::new();
    loop {
        let page = desk.site_contacts().list_address_book(request.clone()).await.unwrap().into_inner();
        found.extend(page.entries.into_iter().map(|e| (e.name, e.user_id)));
        if page.next_page_token.is_empty() {
            break;
        }
        request.page_token = page.next_page_token;
    }
    let mut sorted = found.clone();
    sorted.sort();
    sorted.dedup();
    assert_eq!((found.len(), &found), (7, &sorted));
    request.query = "ann".to_owned();
    let status = desk.site_contacts().list_address_book(request).await.unwrap_err();
    assert_eq!((status.code(), reason(&status).as_str()), (Code::InvalidArgument, "PAGE_TOKEN_INVALID"));
}

#[tokio::test]
async fn refuses_unknown_places_and_none() {
    let desk = Desk::open().await;
    let nowhere = Site { id: nobody(), ..Default::default() };
    for kind in [AddressBookKind::SiteContacts, AddressBookKind::SiteUsers, AddressBookKind::CustomerUsers] {
        let status = list(&desk, of(kind, &nowhere)).await.unwrap_err();
        assert_eq!((status.code(), reason(&status).as_str()), (Code::NotFound, "RECORD_NOT_FOUND"));
        let none = ListAddressBookRequest { kind: kind.into(), ..Default::default() };
        let status = list(&desk, none).await.unwrap_err();
        assert_eq!((status.code(), reason(&status).as_str()), (Code::InvalidArgument, "INVALID_FIELD"));
        assert_eq!(fields(&status).len(), 1);
    }
    let unknown = ListAddressBookRequest {
        kind: AddressBookKind::CustomerUsers.into(),
        customer_id: nobody(),
        ..Default::default()
    };
    assert_eq!(reason(&list(&desk, unknown).await.unwrap_err()), "RECORD_NOT_FOUND");
}

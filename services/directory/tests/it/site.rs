//! `SiteService`: sites, and which is the main one.

use concierge_proto::directory::{
    CreateSiteRequest, Customer, DeleteCustomerRequest, DeleteSiteRequest, GetSiteOverviewRequest, GetSiteRequest,
    ListSitesRequest, SearchSitesRequest, SetMainSiteRequest, SetMainSiteResponse, Site, UndeleteSiteRequest,
    UpdateCustomerRequest, UpdateSiteRequest,
};
use concierge_testkit::{Who, request_id};
use tonic::{Code, Status};

use crate::desk::{Desk, fields, mask, metadata, nobody, reason};

fn delete(site: &Site) -> DeleteSiteRequest {
    DeleteSiteRequest { id: site.id.clone(), etag: String::new(), request_id: request_id() }
}

#[tokio::test]
async fn the_main_site_is_replaced_before_it_can_go() {
    let desk = Desk::open().await;
    let (customer, main) = desk.customer("Acme").await;
    let plant = desk.site(&customer, "Plant").await;
    let status = desk.sites().delete_site(delete(&main)).await.unwrap_err();
    assert_eq!((status.code(), reason(&status).as_str()), (Code::FailedPrecondition, "SITE_IS_MAIN"));
    let set = SetMainSiteRequest {
        customer_id: customer.id.clone(),
        site_id: plant.id.clone(),
        request_id: request_id(),
        ..Default::default()
    };
    let answer = desk.sites().set_main_site(set).await.unwrap().into_inner();
    assert_eq!((answer.previous_main_site_id, answer.site.unwrap().id), (main.id.clone(), plant.id));
    desk.sites().delete_site(delete(&main)).await.unwrap();
}

#[tokio::test]
async fn a_site_of_another_customer_cannot_be_the_main_one() {
    let desk = Desk::open().await;
    let (customer, _) = desk.customer("Acme").await;
    let (_, other) = desk.customer("Other").await;
    let set = SetMainSiteRequest {
        customer_id: customer.id,
        site_id: other.id,
        request_id: request_id(),
        ..Default::default()
    };
    let status = desk.sites().set_main_site(set).await.unwrap_err();
    assert_eq!((status.code(), reason(&status).as_str()), (Code::InvalidArgument, "SITE_OF_OTHER_CUSTOMER"));
}

#[tokio::test]
async fn needs_a_customer_that_is_there() {
    let desk = Desk::open().await;
    let site = Site { name: "Nowhere".to_owned(), ..Default::default() };
    let create = |site| CreateSiteRequest { site: Some(site), request_id: request_id() };
    let status = desk.sites().create_site(create(site.clone())).await.unwrap_err();
    assert_eq!((status.code(), reason(&status).as_str()), (Code::InvalidArgument, "INVALID_FIELD"));
    let customer_id = "0190a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b".to_owned();
    let status = desk.sites().create_site(create(Site { customer_id, ..site })).await.unwrap_err();
    assert_eq!((status.code(), reason(&status).as_str()), (Code::InvalidArgument, "REFERENCE_NOT_FOUND"));
}

#[tokio::test]
async fn with_live_users_stays_and_is_counted_and_found() {
    let desk = Desk::open().await;
    let (customer, _) = desk.customer("Acme").await;
    let plant = desk.site(&customer, "Plant").await;
    desk.user(&plant, "Ann Lee").await;
    let status = desk.sites().delete_site(delete(&plant)).await.unwrap_err();
    assert_eq!((status.code(), reason(&status).as_str()), (Code::FailedPrecondition, "RECORD_IN_USE"));
    let overview = desk.sites().get_site_overview(GetSiteOverviewRequest { id: plant.id.clone() }).await.unwrap();
    let overview = overview.into_inner().overview.unwrap();
    assert_eq!((overview.user_count, overview.active_user_count, overview.open_ticket_count), (1, 1, 0));
    let request = SearchSitesRequest { query: "acme plant".to_owned(), ..Default::default() };
    let found = desk.sites().search_sites(request).await.unwrap().into_inner().results;
    assert_eq!(found.len(), 1);
    assert_eq!((found[0].customer_name.as_str(), found[0].main), ("Acme", false));
}

async fn update(desk: &Desk, site: Site, paths: &[&str]) -> Result<Site, Status> {
    let request = UpdateSiteRequest { site: Some(site), update_mask: Some(mask(paths)), request_id: request_id() };
    Ok(desk.sites().update_site(request).await?.into_inner().site.unwrap())
}

async fn restore(desk: &Desk, id: &str) -> Result<Site, Status> {
    let request = UndeleteSiteRequest { id: id.to_owned(), request_id: request_id() };
    Ok(desk.sites().undelete_site(request).await?.into_inner().site.unwrap())
}

async fn set_main(desk: &Desk, customer_id: &str, site_id: &str, etag: &str) -> Result<SetMainSiteResponse, Status> {
    let request = SetMainSiteRequest {
        customer_id: customer_id.to_owned(),
        site_id: site_id.to_owned(),
        etag: etag.to_owned(),
        request_id: request_id(),
    };
    Ok(desk.sites().set_main_site(request).await?.into_inner())
}

async fn remove_customer(desk: &Desk, id: &str) {
    let request = DeleteCustomerRequest { id: id.to_owned(), etag: String::new(), request_id: request_id() };
    desk.customers().delete_customer(request).await.unwrap();
}

fn told(status: &Status) -> (Code, String) {
    (status.code(), reason(status))
}

#[tokio::test]
async fn a_main_site_is_told_as_such_before_who_is_there() {
    let desk = Desk::open().await;
    let (_, main) = desk.customer("Acme").await;
    desk.user(&main, "Ann Lee").await;
    let status = desk.sites().delete_site(delete(&main)).await.unwrap_err();
    assert_eq!(told(&status), (Code::FailedPrecondition, "SITE_IS_MAIN".to_owned()));
    assert_eq!((metadata(&status, "id"), metadata(&status, "customer_id")), (main.id, main.customer_id));
}

#[tokio::test]
async fn setting_the_main_site_refuses_what_cannot_be_one() {
    let desk = Desk::open().await;
    let (customer, main) = desk.customer("Acme").await;
    let plant = desk.site(&customer, "Plant").await;
    let old = desk.site(&customer, "Old plant").await;
    desk.sites().delete_site(delete(&old)).await.unwrap();

    let same = set_main(&desk, &customer.id, &main.id, "").await.unwrap();
    assert_eq!((same.previous_main_site_id, same.customer_etag), (main.id.clone(), customer.etag.clone()));
    let status = set_main(&desk, &nobody(), &plant.id, "").await.unwrap_err();
    assert_eq!(told(&status), (Code::NotFound, "RECORD_NOT_FOUND".to_owned()));
    for gone in [&old.id, &nobody()] {
        let status = set_main(&desk, &customer.id, gone, "").await.unwrap_err();
        assert_eq!(told(&status), (Code::InvalidArgument, "REFERENCE_NOT_FOUND".to_owned()));
        assert_eq!(fields(&status), ["site_id"]);
    }
    update(&desk, Site { id: plant.id.clone(), active: Some(false), ..Default::default() }, &["active"]).await.unwrap();
    let status = set_main(&desk, &customer.id, &plant.id, "").await.unwrap_err();
    assert_eq!(told(&status), (Code::FailedPrecondition, "REFERENCE_INACTIVE".to_owned()));
    update(&desk, Site { id: plant.id.clone(), active: Some(true), ..Default::default() }, &["active"]).await.unwrap();
    let done = set_main(&desk, &customer.id, &plant.id, &customer.etag).await.unwrap();
    assert_eq!((done.previous_main_site_id, done.customer_etag.as_str()), (main.id.clone(), "2"));
    let status = set_main(&desk, &customer.id, &main.id, &customer.etag).await.unwrap_err();
    assert_eq!(told(&status), (Code::Aborted, "STALE_ETAG".to_owned()));

    desk.sites().delete_site(delete(&main)).await.unwrap();
    remove_customer(&desk, &customer.id).await;
    let status = set_main(&desk, &customer.id, &plant.id, "").await.unwrap_err();
    assert_eq!(told(&status), (Code::FailedPrecondition, "RECORD_DELETED".to_owned()));
}

#[tokio::test]
async fn a_customer_never_loses_its_main_site_to_a_deletion_meanwhile() {
    let desk = Desk::open().await;
    for n in 0..8 {
        let (customer, _) = desk.customer(&format!("Acme {n}")).await;
        let plant = desk.site(&customer, "Plant").await;
        let (mut sites, mut again) = (desk.sites(), desk.sites());
        let set = SetMainSiteRequest {
            customer_id: customer.id.clone(),
            site_id: plant.id.clone(),
            request_id: request_id(),
            ..Default::default()
        };
        let (deleted, made) = tokio::join!(sites.delete_site(delete(&plant)), again.set_main_site(set));
        assert_ne!(deleted.is_ok(), made.is_ok());
        for status in [deleted.err(), made.err()].into_iter().flatten() {
            assert!(["SITE_IS_MAIN", "REFERENCE_NOT_FOUND"].contains(&reason(&status).as_str()), "{status:?}");
        }
    }
}

#[tokio::test]
async fn closing_a_site_revokes_its_tokens() {
    let mut desk = Desk::open().await;
    let (_, main) = desk.customer("Acme").await;
    desk.revoked().await;
    let closed = Site { active: Some(false), etag: String::new(), ..main.clone() };
    let closed = update(&desk, closed, &["active"]).await.unwrap();
    assert_eq!(desk.revoked().await, [format!("site/{}", main.id)]);
    update(&desk, Site { name: "Other".into(), ..closed.clone() }, &["name"]).await.unwrap();
    assert!(desk.revoked().await.is_empty());
    let status = update(&desk, closed, &["name"]).await.unwrap_err();
    assert_eq!(told(&status), (Code::Aborted, "STALE_ETAG".to_owned()));
    let moved = UpdateSiteRequest {
        site: Some(Site { id: main.id, customer_id: nobody(), ..Default::default() }),
        update_mask: Some(mask(&["customer_id"])),
        request_id: request_id(),
    };
    assert_eq!(reason(&desk.sites().update_site(moved).await.unwrap_err()), "INVALID_FIELD");
}

#[tokio::test]
async fn comes_back_only_under_a_live_customer_and_over_nobodys_external_id() {
    let desk = Desk::open().await;
    let (customer, _) = desk.customer("Acme").await;
    let keyed = |name: &str| Site {
        customer_id: customer.id.clone(),
        name: name.to_owned(),
        external_id: "P-1".to_owned(),
        ..Default::default()
    };
    let create = async |site: Site| {
        let request = CreateSiteRequest { site: Some(site), request_id: request_id() };
        Ok::<_, Status>(desk.sites().create_site(request).await?.into_inner().site.unwrap())
    };
    let plant = create(keyed("Plant")).await.unwrap();
    let status = create(keyed("Twin")).await.unwrap_err();
    assert_eq!(told(&status), (Code::AlreadyExists, "EXTERNAL_ID_TAKEN".to_owned()));
    assert_eq!(fields(&status), ["site.external_id"]);
    assert_eq!(reason(&restore(&desk, &plant.id).await.unwrap_err()), "RECORD_NOT_DELETED");
    let gone = desk.sites().delete_site(delete(&plant)).await.unwrap().into_inner().site.unwrap();
    assert_eq!(
        told(&update(&desk, gone, &["name"]).await.unwrap_err()),
        (Code::FailedPrecondition, "RECORD_DELETED".into())
    );

    let twin = create(keyed("Twin")).await.unwrap();
    assert_eq!(reason(&restore(&desk, &plant.id).await.unwrap_err()), "EXTERNAL_ID_TAKEN");
    desk.sites().delete_site(delete(&twin)).await.unwrap();
    remove_customer(&desk, &customer.id).await;
    let status = restore(&desk, &plant.id).await.unwrap_err();
    assert_eq!(told(&status), (Code::FailedPrecondition, "PARENT_DELETED".to_owned()));
    let status = create(keyed("Third")).await.unwrap_err();
    assert_eq!(
        (reason(&status).as_str(), fields(&status)),
        ("REFERENCE_NOT_FOUND", vec!["site.customer_id".to_owned()])
    );
}

#[tokio::test]
async fn people_in_the_portal_see_the_sites_of_their_customer_only() {
    let mut desk = Desk::open().await;
    let (own, main) = desk.customer("Acme").await;
    let plant = desk.site(&own, "Plant").await;
    let (_, other) = desk.customer("Other").await;
    let ann = desk.user(&main, "Ann Lee").await;
    desk.who = Who::user(&ann.id, &own.id, &main.id);
    let listed = desk.sites().list_sites(ListSitesRequest::default()).await.unwrap().into_inner().sites;
    assert_eq!(listed.iter().map(|s| s.id.as_str()).collect::<Vec<_>>(), [&main.id, &plant.id]);
    let get = async |id: &str| desk.sites().get_site(GetSiteRequest { id: id.to_owned() }).await;
    assert!(get(&plant.id).await.is_ok());
    let (theirs, nobodys) = (get(&other.id).await.unwrap_err(), get(&nobody()).await.unwrap_err());
    assert_eq!(told(&theirs), (Code::NotFound, "RECORD_NOT_FOUND".to_owned()));
    assert_eq!(theirs.message().replace(&other.id, ""), nobodys.message().replace(&nobody(), ""));
    let request = SearchSitesRequest { query: "plant".into(), ..Default::default() };
    assert_eq!(reason(&desk.sites().search_sites(request).await.unwrap_err()), "CALLER_KIND_REFUSED");
}

#[tokio::test]
async fn is_found_by_its_own_words_and_its_customers_name() {
    let desk = Desk::open().await;
    let (customer, _) = desk.customer("Acme").await;
    let site = Site {
        customer_id: customer.id.clone(),
        name: "Würzburg plant".into(),
        email_domain: "plant.example".into(),
        phone: "+49 931 1234567".into(),
        address: Some(concierge_proto::common::Address {
            lines: vec!["Hauptstraße 5".into()],
            postal_code: "97070".into(),
            ..Default::default()
        }),
        ..Default::default()
    };
    let request = CreateSiteRequest { site: Some(site), request_id: request_id() };
    desk.sites().create_site(request).await.unwrap();
    let (other, _) = desk.customer("Other").await;
    desk.site(&other, "Depot").await;
    let find = async |query: &str| {
        let request = SearchSitesRequest { query: query.to_owned(), ..Default::default() };
        desk.sites().search_sites(request).await.unwrap().into_inner().results
    };
    for query in ["wurz", "hauptstrasse 5", "97070", "plant.example", "0931 1234567", "acme plant", "hauptstr acm"] {
        let found = find(query).await;
        let names: Vec<&str> = found.iter().filter_map(|r| r.site.as_ref()).map(|s| s.name.as_str()).collect();
        assert_eq!(names, ["Würzburg plant"], "{query}");
        assert!(!found[0].main && found[0].active && found[0].customer_name == "Acme");
    }
    let all = find("acme").await;
    let told: Vec<_> = all.iter().map(|r| (r.site.as_ref().unwrap().name.as_str(), r.main, r.relevance)).collect();
    assert_eq!(told, [("Acme main site", true, 0.75), ("Würzburg plant", false, 0.5)]);

    let request = UpdateCustomerRequest {
        customer: Some(Customer { id: customer.id, name: "Zeta".into(), active: Some(false), ..Default::default() }),
        update_mask: Some(mask(&["name", "active"])),
        request_id: request_id(),
    };
    desk.customers().update_customer(request).await.unwrap();
    assert!(find("acme plant").await.is_empty());
    assert!(!find("zeta plant").await[0].active);
}

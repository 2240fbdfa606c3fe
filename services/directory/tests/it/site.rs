//! `SiteService`: sites, and which is the main one.

use concierge_proto::directory::{
    CreateSiteRequest, DeleteSiteRequest, GetSiteOverviewRequest, SearchSitesRequest, SetMainSiteRequest, Site,
};
use concierge_testkit::request_id;
use tonic::Code;

use crate::desk::{Desk, reason};

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

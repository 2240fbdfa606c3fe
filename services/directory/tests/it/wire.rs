//! What answers look like on the wire, whatever was asked.

use concierge_proto::directory::customer_service_client::CustomerServiceClient;
use concierge_proto::directory::{
    BatchGetUsersRequest, Customer, GetCustomerRequest, ListCustomersRequest, UpdateCustomerRequest,
};
use concierge_proto::ticket_rule::ListTicketsRequest;
use concierge_proto::ticket_rule::ticket_service_client::TicketServiceClient;
use concierge_testkit::{Who, request_id};
use tonic::{Code, Request};
use tonic_types::StatusExt as _;

use crate::desk::{Desk, fields, mask, metadata, reason};

#[tokio::test]
async fn a_method_that_there_is_not_says_so() {
    let desk = Desk::open().await;
    let mut grpc = tonic::client::Grpc::new(desk.suite.channel("directory"));
    grpc.ready().await.unwrap();
    let mut request = Request::new(GetCustomerRequest::default());
    let token = desk.suite.token("directory", &desk.who);
    request.metadata_mut().insert("authorization", format!("Bearer {token}").parse().unwrap());
    let codec = tonic_prost::ProstCodec::<GetCustomerRequest, Customer>::default();
    let path = "/concierge.directory.v1.CustomerService/DropCustomer".parse().unwrap();
    let status = grpc.unary(request, path, codec).await.unwrap_err();
    assert_eq!((status.code(), reason(&status).as_str()), (Code::Unimplemented, "UNKNOWN_METHOD"));
    assert!(status.message().contains("DropCustomer") && !metadata(&status, "request_id").is_empty());
}

#[tokio::test]
async fn a_method_of_another_service_says_whose_it_is() {
    let desk = Desk::open().await;
    let mut elsewhere = TicketServiceClient::new(desk.suite.admin("directory"));
    let status = elsewhere.list_tickets(ListTicketsRequest::default()).await.unwrap_err();
    assert_eq!((status.code(), reason(&status).as_str()), (Code::Unimplemented, "UNKNOWN_METHOD"));
    assert!(status.message().contains("ticket-rule has it"), "{}", status.message());
}

#[tokio::test]
async fn a_compression_that_is_not_read_is_no_unknown_method() {
    let desk = Desk::open().await;
    let mut request = Request::new(GetCustomerRequest { id: crate::desk::nobody() });
    request.metadata_mut().insert("grpc-encoding", "deflate".parse().unwrap());
    let status = desk.customers().get_customer(request).await.unwrap_err();
    assert_eq!((status.code(), reason(&status).as_str()), (Code::Unimplemented, "UNKNOWN_ENCODING"));
}

/// What common clients take of headers and trailers together.
const MOST_TRAILERS: usize = 8 << 10;

#[tokio::test]
async fn however_much_is_wrong_the_answer_fits_into_trailers() {
    let desk = Desk::open().await;
    let ids = (0..500).map(|n| format!("nobody {n}")).collect();
    let status = desk.users().batch_get_users(BatchGetUsersRequest { ids }).await.unwrap_err();
    assert_eq!((status.code(), reason(&status).as_str()), (Code::InvalidArgument, "INVALID_FIELD"));
    assert!(status.message().contains("and 499 more"), "{}", status.message());
    assert!(status.details().len() * 4 / 3 + status.message().len() < MOST_TRAILERS);
    assert!(fields(&status).len() > 20);

    let paths: Vec<String> = (0..20).map(|n| format!("no_field_{n}")).collect();
    let paths: Vec<&str> = paths.iter().map(String::as_str).collect();
    let request = UpdateCustomerRequest {
        customer: Some(Customer { id: crate::desk::nobody(), ..Default::default() }),
        update_mask: Some(mask(&paths)),
        request_id: request_id(),
    };
    let status = desk.customers().update_customer(request).await.unwrap_err();
    assert_eq!(fields(&status).len(), 20, "all of them, and which there are only once");
    assert!(status.details().len() * 4 / 3 + status.message().len() < MOST_TRAILERS);
}

#[tokio::test]
async fn other_libraries_read_our_tokens() {
    use base64::Engine as _;
    let desk = Desk::open().await;
    let token = desk.suite.token("directory", &Who::service("replay"));
    let claims = token.split('.').nth(1).unwrap();
    let claims = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(claims).unwrap();
    let claims: serde_json::Value = serde_json::from_slice(&claims).unwrap();
    // RFC 7519: seconds, with a fraction where one is needed.
    let (iat, exp) = (claims["iat"].as_f64().unwrap(), claims["exp"].as_f64().unwrap());
    assert!(iat <= exp && exp - iat <= 900.0, "{iat} {exp}");
    let status = desk.customers().get_customer(GetCustomerRequest { id: "x".into() }).await.unwrap_err();
    assert!(status.get_error_details().error_info().is_some());
}

#[tokio::test]
async fn an_order_by_what_there_is_not_is_told_beside_a_filter_by_it() {
    let desk = Desk::open().await;
    let list = |filter: &str, order_by: &str| {
        let request = ListCustomersRequest { filter: filter.into(), order_by: order_by.into(), ..Default::default() };
        let mut customers = desk.customers();
        async move { customers.list_customers(request).await.map(drop) }
    };
    let status = list("", "colour desc").await.unwrap_err();
    assert_eq!((status.code(), reason(&status).as_str()), (Code::InvalidArgument, "ORDER_BY_INVALID"));
    assert_eq!(fields(&status), ["order_by"]);
    let status = list("colour = 1", "name upwards").await.unwrap_err();
    assert_eq!(
        (reason(&status).as_str(), fields(&status).as_slice()),
        ("FILTER_INVALID", &["filter", "order_by"].map(String::from)[..])
    );
    list("name = \"Acme\"", "name desc").await.unwrap();
}

#[tokio::test]
async fn only_services_name_whom_they_act_for() {
    let desk = Desk::open().await;
    let (customer, _) = desk.customer("Acme").await;
    let get = async |who: &Who, original: &'static str| {
        let mut request = Request::new(GetCustomerRequest { id: customer.id.clone() });
        request.metadata_mut().insert("concierge-on-behalf-of", original.parse().unwrap());
        CustomerServiceClient::new(desk.suite.api("directory", who)).get_customer(request).await.map(drop)
    };
    let agent = "agent:0195e0c4-7a1c-7d3e-9b0a-3f1f6f0c2a11";
    let service = Who::service("ticket-rule");
    get(&service, agent).await.unwrap();
    for (who, original) in [(&desk.who, agent), (&service, "somebody"), (&service, "")] {
        let status = get(who, original).await.unwrap_err();
        assert_eq!((status.code(), reason(&status).as_str()), (Code::PermissionDenied, "ON_BEHALF_OF_REFUSED"));
    }
}

#[tokio::test]
async fn the_request_id_of_the_header_is_that_of_the_answer_and_of_the_error() {
    let desk = Desk::open().await;
    let (customer, _) = desk.customer("Acme").await;
    let get = async |id: &str, request_id: Option<&str>| {
        let mut request = Request::new(GetCustomerRequest { id: id.to_owned() });
        if let Some(request_id) = request_id {
            request.metadata_mut().insert("x-request-id", request_id.parse().unwrap());
        }
        desk.customers().get_customer(request).await
    };
    let told =
        |metadata: &tonic::metadata::MetadataMap| metadata.get("x-request-id").unwrap().to_str().unwrap().to_owned();
    assert_eq!(told(get(&customer.id, Some("mine-1")).await.unwrap().metadata()), "mine-1");
    let status = get(&crate::desk::nobody(), Some("mine-2")).await.unwrap_err();
    assert_eq!((told(status.metadata()), metadata(&status, "request_id")), ("mine-2".to_owned(), "mine-2".to_owned()));
    // None given, or none that can be used: one of its own.
    for given in [None, Some("with a space")] {
        let status = get(&crate::desk::nobody(), given).await.unwrap_err();
        assert_eq!(told(status.metadata()), metadata(&status, "request_id"));
        assert!(metadata(&status, "request_id").parse::<uuid::Uuid>().is_ok());
    }
}

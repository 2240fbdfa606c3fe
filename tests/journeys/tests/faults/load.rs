//! What is written while processes are killed.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use concierge_journeys::process::Api;
use concierge_proto::directory::customer_service_client::CustomerServiceClient;
use concierge_proto::directory::{CreateCustomerRequest, Customer, Site, UpdateCustomerRequest};
use concierge_proto::ticket_rule::ticket_service_client::TicketServiceClient;
use concierge_proto::ticket_rule::{LogTicketRequest, Ticket};
use concierge_testkit::request_id;
use prost_types::FieldMask;
use tonic::{Code, Request, Status};

/// The source of every external id of the load.
pub(crate) const SOURCE: &str = "faults";

/// What one writer writes.
#[derive(Clone, Debug)]
pub(crate) enum Load {
    /// Tickets of this site.
    Tickets(String),
    /// Customers, each changed once after it was created.
    Customers,
}

/// The ids that were acknowledged.
pub(crate) type Acknowledged = Arc<Mutex<Vec<String>>>;

fn within<T>(message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.set_timeout(Duration::from_secs(5));
    request
}

impl Load {
    /// Writes one, under these request ids; answers with its id.
    async fn write(&self, api: Api, external_id: &str, request_ids: &[String; 2]) -> Result<String, Status> {
        match self {
            Self::Tickets(site) => {
                let ticket = Ticket {
                    summary: format!("Ticket {external_id}"),
                    site_id: site.clone(),
                    external_id: external_id.to_owned(),
                    external_source: SOURCE.to_owned(),
                    ..Default::default()
                };
                let log = LogTicketRequest { ticket: Some(ticket), request_id: request_ids[0].clone() };
                let logged = TicketServiceClient::new(api).log_ticket(within(log)).await?.into_inner();
                Ok(logged.ticket.unwrap().id)
            }
            Self::Customers => {
                let mut customers = CustomerServiceClient::new(api);
                let customer = Customer {
                    name: format!("Customer {external_id}"),
                    external_id: external_id.to_owned(),
                    external_source: SOURCE.to_owned(),
                    ..Default::default()
                };
                let create = CreateCustomerRequest {
                    customer: Some(customer),
                    main_site: Some(Site { name: "Head office".to_owned(), ..Default::default() }),
                    main_contact: None,
                    request_id: request_ids[0].clone(),
                };
                let id = customers.create_customer(within(create)).await?.into_inner().customer.unwrap().id;
                let update = UpdateCustomerRequest {
                    customer: Some(Customer { id: id.clone(), important: true, ..Default::default() }),
                    update_mask: Some(FieldMask { paths: vec!["important".to_owned()] }),
                    request_id: request_ids[1].clone(),
                };
                customers.update_customer(within(update)).await?;
                Ok(id)
            }
        }
    }
}

/// Writes until told to stop; each under request ids of its own, tried again at another replica until it is
/// acknowledged.
pub(crate) async fn write(apis: Vec<Api>, load: Load, writer: usize, to: Acknowledged, stop: Arc<AtomicBool>) {
    let mut turn = 0;
    for n in 0.. {
        let external_id = format!("{writer}/{n}");
        let request_ids = [request_id(), request_id()];
        let until = Instant::now() + Duration::from_secs(60);
        loop {
            if stop.load(Ordering::Relaxed) {
                return;
            }
            turn += 1;
            match load.write(apis[turn % apis.len()].clone(), &external_id, &request_ids).await {
                Ok(id) => {
                    to.lock().unwrap().push(id);
                    break;
                }
                Err(status) => {
                    // What a killed process or database may cause; anything else is a bug.
                    let fine = matches!(
                        status.code(),
                        Code::Unavailable
                            | Code::DeadlineExceeded
                            | Code::Cancelled
                            | Code::Aborted
                            | Code::Unknown
                            | Code::ResourceExhausted
                    );
                    assert!(fine, "{status:?}");
                    assert!(Instant::now() < until, "no answer for a minute: {status:?}");
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
            }
        }
    }
}

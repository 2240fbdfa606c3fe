//! What is known of a ticket's user, site and customer: asked of directory, else what was last heard of it.

use std::time::Duration;

use concierge_model::requester::Known;
use concierge_proto::directory::requester_service_client::RequesterServiceClient;
use concierge_proto::directory::{
    BatchGetRequesterFactsRequest, Customer, GetRequesterFactsRequest, RequesterFacts, Site, User, UserRole,
};
use concierge_runtime::Error;
use concierge_runtime::feed::projection;
use concierge_runtime::program::Host;

/// How long directory has to answer: an agent who opens a ticket does not wait longer for it.
const BUDGET: Duration = Duration::from_millis(250);

/// The facts of a requester. One call of directory; if it does not answer, some round trips to our own database.
pub(super) async fn ask(host: &Host, requester: &GetRequesterFactsRequest) -> Result<RequesterFacts, Error> {
    if *requester == GetRequesterFactsRequest::default() {
        return Ok(RequesterFacts::default());
    }
    match of_directory(host, requester).await {
        Some(facts) => Ok(facts),
        None => heard(host, requester).await,
    }
}

/// `None` when directory does not answer in time.
async fn of_directory(host: &Host, requester: &GetRequesterFactsRequest) -> Option<RequesterFacts> {
    let directory = host.directory.as_ref()?;
    // A batch of one: an unknown id leaves the other facts alone.
    let batch = BatchGetRequesterFactsRequest { requests: vec![requester.clone()] };
    let mut client = RequesterServiceClient::new(directory.channel());
    let asked = client.batch_get_requester_facts(directory.request_within(batch, BUDGET));
    match tokio::time::timeout(directory.patience(BUDGET), asked).await {
        Ok(Ok(answer)) => answer.into_inner().results.pop()?.facts,
        Ok(Err(status)) => {
            tracing::warn!(code = ?status.code(), message = status.message(), "no facts from directory");
            None
        }
        Err(_) => {
            tracing::warn!("no facts from directory in time");
            None
        }
    }
}

/// The facts as last heard: a user leads to its roles and its site, a site to its customer.
async fn heard(host: &Host, requester: &GetRequesterFactsRequest) -> Result<RequesterFacts, Error> {
    let mut known = Known::default();
    let mut connection = host.service.pool().acquire().await?;
    let mut asked_before = None;
    loop {
        let wanted = known.wanted(requester);
        // What was asked for and is wanted still was never heard of.
        if wanted.is_empty() || asked_before.as_ref() == Some(&wanted) {
            return Ok(known.facts(requester, None));
        }
        for user in projection::get_many::<User>(&mut connection, &ids(&wanted.user_ids)).await? {
            known.add_user(user.record, user.deleted);
        }
        for role in projection::get_many::<UserRole>(&mut connection, &ids(&wanted.role_ids)).await? {
            known.add_role(role.record, role.deleted);
        }
        for site in projection::get_many::<Site>(&mut connection, &ids(&wanted.site_ids)).await? {
            known.add_site(site.record, site.deleted);
        }
        for customer in projection::get_many::<Customer>(&mut connection, &ids(&wanted.customer_ids)).await? {
            known.add_customer(customer.record, customer.deleted);
        }
        asked_before = Some(wanted);
    }
}

fn ids(all: &[String]) -> Vec<&str> {
    all.iter().map(String::as_str).collect()
}

/// The main site of a customer as last heard; empty when nothing was. One round trip.
pub(super) async fn main_site(host: &Host, customer_id: &str) -> Result<String, Error> {
    let mut connection = host.service.pool().acquire().await?;
    let customer = projection::get::<Customer>(&mut connection, customer_id).await?;
    Ok(customer.map(|heard| heard.record.main_site_id).unwrap_or_default())
}

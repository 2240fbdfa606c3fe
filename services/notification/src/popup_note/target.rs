//! The customer, site or user that a note is about: asked of directory, and believed to exist when no answer comes.

use std::time::Duration;

use concierge_proto::directory::customer_service_client::CustomerServiceClient;
use concierge_proto::directory::site_service_client::SiteServiceClient;
use concierge_proto::directory::user_service_client::UserServiceClient;
use concierge_proto::directory::{GetCustomerRequest, GetSiteRequest, GetUserRequest};
use concierge_proto::error::Reason;
use concierge_proto::notification::PopupNote;
use concierge_runtime::Error;
use concierge_runtime::upstream::Upstream;
use tonic::{Code, Status};

/// How long directory has to answer.
const BUDGET: Duration = Duration::from_millis(500);

/// Refuses a target that does not exist, or is deleted. One call of directory.
pub(super) async fn check(directory: Option<&Upstream>, note: &PopupNote) -> Result<(), Error> {
    let Some(directory) = directory else { return Ok(()) };
    let (field, what, id) = match note {
        PopupNote { customer_id, .. } if !customer_id.is_empty() => ("customer_id", "customer", customer_id),
        PopupNote { site_id, .. } if !site_id.is_empty() => ("site_id", "site", site_id),
        _ => ("user_id", "user", &note.user_id),
    };
    let live = match tokio::time::timeout(directory.patience(BUDGET), live(directory, what, id.clone())).await {
        Ok(Ok(live)) => live,
        Ok(Err(status)) if status.code() == Code::NotFound => false,
        Ok(Err(status)) => {
            tracing::debug!(%status, "the target of a popup note could not be checked and is believed");
            true
        }
        Err(_) => true,
    };
    if live {
        return Ok(());
    }
    let why = format!("there is no live {what} {id}");
    Err(Error::because(Reason::ReferenceNotFound, format!("popup_note.{field}"), why))
}

async fn live(directory: &Upstream, what: &str, id: String) -> Result<bool, Status> {
    let channel = directory.channel();
    Ok(match what {
        "customer" => {
            let request = directory.request_within(GetCustomerRequest { id }, BUDGET);
            let answer = CustomerServiceClient::new(channel).get_customer(request).await?.into_inner();
            answer.customer.is_some_and(|c| c.delete_time.is_none())
        }
        "site" => {
            let request = directory.request_within(GetSiteRequest { id }, BUDGET);
            let answer = SiteServiceClient::new(channel).get_site(request).await?.into_inner();
            answer.site.is_some_and(|s| s.delete_time.is_none())
        }
        _ => {
            let request = directory.request_within(GetUserRequest { id }, BUDGET);
            let answer = UserServiceClient::new(channel).get_user(request).await?.into_inner();
            answer.user.is_some_and(|u| u.delete_time.is_none())
        }
    })
}

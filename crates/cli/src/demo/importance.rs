//! Step 2, and the end of step 7: what a customer is, and what its people are by it.

use anyhow::Context as _;
use concierge_proto::directory::customer_service_client::CustomerServiceClient;
use concierge_proto::directory::user_service_client::UserServiceClient;
use concierge_proto::directory::{Customer, GetEffectiveUserRequest, UpdateCustomerRequest, UpdateUserRequest, User};

use super::{World, mask, said, told, words};
use crate::client::{Suite, request_id};

/// Sets relationships on the customer.
pub(super) async fn relate(suite: &Suite, world: &World) -> anyhow::Result<()> {
    let relationship_ids = vec![world.high_value.id.clone(), world.at_risk.id.clone()];
    let customer = Customer { id: world.customer.id.clone(), relationship_ids, ..Default::default() };
    update(suite, customer, "relationship_ids").await?;
    said(&format!("{} is {} and {}", world.customer.name, world.high_value.name, world.at_risk.name));
    Ok(())
}

/// Makes the customer inactive and active again: what its users count as follows, what they are themselves stays.
pub(super) async fn deactivate(suite: &Suite, world: &World) -> anyhow::Result<()> {
    let mut users = UserServiceClient::new(suite.directory.clone());
    let plain = User { id: world.plain.id.clone(), active: Some(false), ..Default::default() };
    let request = UpdateUserRequest { user: Some(plain), update_mask: mask("active"), request_id: request_id() };
    users.update_user(request).await.map_err(told)?;
    for (active, word) in [(false, "inactive"), (true, "active again")] {
        let customer = Customer { id: world.customer.id.clone(), active: Some(active), ..Default::default() };
        update(suite, customer, "active").await?;
        said(&format!("{} is {word}:", world.customer.name));
        for user in [&world.director, &world.plain] {
            let request = GetEffectiveUserRequest { id: user.id.clone() };
            let answer = users.get_effective_user(request).await.map_err(told)?.into_inner();
            let activity = answer.effective_user.and_then(|user| user.activity).context("an activity")?;
            let causes: Vec<String> =
                activity.causes().map(|cause| words(cause.as_str_name(), "INACTIVITY_CAUSE_")).collect();
            let counts = if activity.active { "active" } else { "inactive: " };
            said(&format!("  {} counts as {counts}{}", user.name, causes.join(", ")));
        }
    }
    Ok(())
}

async fn update(suite: &Suite, customer: Customer, path: &str) -> anyhow::Result<()> {
    let request = UpdateCustomerRequest { customer: Some(customer), update_mask: mask(path), request_id: request_id() };
    CustomerServiceClient::new(suite.directory.clone()).update_customer(request).await.map_err(told)?;
    Ok(())
}

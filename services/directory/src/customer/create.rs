//! A customer with its main site and its main contact, or none of the three.

use concierge_proto::directory::{CreateCustomerRequest, CreateCustomerResponse, CustomFieldEntity};
use concierge_proto::{Permission, Violations};
use concierge_runtime::{Error, Gathered, Tx};

use super::Customers;
use crate::custom_field;
use crate::site::Sites;
use crate::user::Users;

/// Adds all of them or none. What does not exist, and what is wrong with values of custom
/// fields, is told of all of them at once.
pub(super) async fn create(tx: &mut Tx, request: CreateCustomerRequest) -> Result<CreateCustomerResponse, Error> {
    if request.main_contact.is_some()
        && let Some(permission) = Permission::named("users.write")
    {
        tx.call.require(permission, Some("main_contact"))?;
    }
    // The ids are made here, so that the customer names its main site from its first version on.
    let mut customer = tx.accept::<Customers>(request.customer.unwrap_or_default())?;
    customer.id = tx.new_id().to_string();
    customer.main_site_id = tx.new_id().to_string();
    let mut site = tx.accept::<Sites>(request.main_site.unwrap_or_default()).map_err(in_site)?;
    site.id.clone_from(&customer.main_site_id);
    site.customer_id.clone_from(&customer.id);
    let mut contact = request.main_contact.map(|c| tx.accept::<Users>(c)).transpose().map_err(in_contact)?;

    let mut found = Gathered::default();
    found.take(tx.check_references::<Customers>(None, &customer).await)?;
    if let Some(contact) = &mut contact {
        // Its site is not there yet, and not to be looked for.
        contact.site_id.clear();
        found.take(tx.check_references::<Users>(None, contact).await.map_err(in_contact))?;
        contact.site_id.clone_from(&site.id);
    }
    let (customers, of_customer) = (CustomFieldEntity::Customer, &mut customer.custom_fields);
    found.take(custom_field::accept(tx, customers, "customer.custom_fields", None, of_customer).await)?;
    let (sites, of_site) = (CustomFieldEntity::Site, &mut site.custom_fields);
    found.take(custom_field::accept(tx, sites, "main_site.custom_fields", None, of_site).await)?;
    if let Some(contact) = &mut contact {
        let (users, of_contact) = (CustomFieldEntity::User, &mut contact.custom_fields);
        found.take(custom_field::accept(tx, users, "main_contact.custom_fields", None, of_contact).await)?;
    }
    found.refuse()?;

    let customer = tx.insert_own::<Customers>(customer).await?;
    let site = tx.insert_own::<Sites>(site).await.map_err(in_site)?;
    let contact = match contact {
        Some(contact) => Some(tx.insert_own::<Users>(contact).await.map_err(in_contact)?),
        None => None,
    };
    Ok(CreateCustomerResponse { customer: Some(customer), main_site: Some(site), main_contact: contact })
}

fn in_site(error: Error) -> Error {
    renamed(error, "site", "main_site")
}

fn in_contact(error: Error) -> Error {
    renamed(error, "user", "main_contact")
}

/// What is wrong with a record is wrong with the request, under the name that the request has for it.
fn renamed(error: Error, from: &str, to: &str) -> Error {
    let field = |field: String| match field.strip_prefix(from) {
        Some(rest) if rest.starts_with('.') => format!("{to}{rest}"),
        _ => field,
    };
    let all = |violations: Violations| {
        let mut renamed = Violations::default();
        for violation in violations {
            renamed.add(field(violation.field), violation.description);
        }
        renamed
    };
    match error {
        Error::Invalid(violations) => Error::Invalid(all(violations)),
        Error::InvalidBecause { reason, violations } => Error::InvalidBecause { reason, violations: all(violations) },
        Error::Taken { reason, field: name } => Error::Taken { reason, field: field(name) },
        Error::PermissionMissing { permission, field: name } => {
            Error::PermissionMissing { permission, field: name.map(field) }
        }
        other => other,
    }
}

//! The people an e-mail about a site can be sent to. An agent sees assigned contacts and important users; who is
//! notified is another matter, and only the former.

use concierge_proto::directory::{AddressBookEntry, AddressBookKind, ListAddressBookRequest, ListAddressBookResponse};
use concierge_proto::{Permission, Violations};
use concierge_runtime::query::{Fingerprint, QueryErrors, page_size};
use concierge_runtime::{Call, Error, Service};
use uuid::Uuid;

use super::store::{self, Part, Person, Users};

/// One page of one part. Two round trips.
pub(super) async fn page(
    service: &Service,
    request: &ListAddressBookRequest,
) -> Result<ListAddressBookResponse, Error> {
    let call = Call::current();
    let sees_importance = Permission::named("importance.read")
        .zip(call.as_ref())
        .is_some_and(|(permission, call)| call.permissions().holds(permission));
    let kind = request.kind();
    let site: Option<Uuid> = request.site_id.parse().ok();
    let customer: Option<Uuid> = request.customer_id.parse().ok();
    require(kind, site, customer)?;

    let tokens = service.page_tokens().await?;
    let query = request.query.trim();
    let fingerprint = Fingerprint::of([
        b"address book".as_slice(),
        kind.as_str_name().as_bytes(),
        request.site_id.as_bytes(),
        request.customer_id.as_bytes(),
        query.as_bytes(),
    ]);
    let after = match request.page_token.as_str() {
        "" => None,
        token => match tokens.open(token, fingerprint).map_err(QueryErrors::from)?.as_slice() {
            [concierge_proto::Value::Text(name), concierge_proto::Value::Id(id)] => Some((name.clone(), *id)),
            _ => return Err(QueryErrors::from(concierge_runtime::query::PageTokenError::Outdated).into()),
        },
    };
    let limit = usize::from(page_size(request.page_size));
    let pattern = (!query.is_empty()).then(|| word_beginning(query));
    // One more than the page has, to know whether there is another.
    let part = Part { pattern, after, limit: i64::try_from(limit + 1).unwrap_or(i64::MAX) };

    let pool = service.pool();
    if let Some(call) = &call {
        call.remaining()?;
    }
    let absent = |record_type, id: &str| Error::NotFound { record_type, id: id.to_owned() };
    let customer_of_site = match site {
        Some(id) => {
            let customer = store::customer_of_site(pool, id).await?;
            Some(customer.ok_or_else(|| absent("site", &request.site_id))?)
        }
        None => None,
    };
    let which = match (kind, site) {
        (AddressBookKind::SiteContacts, Some(site)) => Some(Users::ContactsOfSite { site, important: sees_importance }),
        (AddressBookKind::SiteUsers, Some(site)) => Some(Users::OfSite(site)),
        (AddressBookKind::CustomerUsers, _) => match customer {
            Some(id) if !store::is_customer(pool, id).await? => return Err(absent("customer", &request.customer_id)),
            given => given.or(customer_of_site).map(Users::OfCustomer),
        },
        _ => None,
    };
    let mut people = match which {
        Some(which) => store::users(pool, which, site, &part).await?,
        None => store::agents(pool, &part).await?,
    };
    let more = people.len() > limit;
    people.truncate(limit);
    let next_page_token = match people.last() {
        Some(last) if more => {
            let position = [concierge_proto::Value::Text(last.sort.clone()), concierge_proto::Value::Id(last.id)];
            tokens.seal(fingerprint, &position)
        }
        _ => String::new(),
    };
    let is_agent = which.is_none();
    Ok(ListAddressBookResponse { entries: people.into_iter().map(|p| entry(p, is_agent)).collect(), next_page_token })
}

fn require(kind: AddressBookKind, site: Option<Uuid>, customer: Option<Uuid>) -> Result<(), Error> {
    let mut violations = Violations::default();
    match kind {
        AddressBookKind::SiteContacts | AddressBookKind::SiteUsers if site.is_none() => {
            violations.add("site_id", "must be given for this kind");
        }
        AddressBookKind::CustomerUsers if site.or(customer).is_none() => {
            violations.add("customer_id", "must be given for this kind, or site_id");
        }
        _ => {}
    }
    if violations.is_empty() { Ok(()) } else { Err(Error::Invalid(violations)) }
}

/// A regular expression for texts that have a word which begins so.
fn word_beginning(query: &str) -> String {
    let mut pattern = "(^|[^[:alnum:]])".to_owned();
    for c in query.chars() {
        // A backslash before a letter or digit would mean something else.
        if c.is_ascii() && !c.is_ascii_alphanumeric() {
            pattern.push('\\');
        }
        pattern.push(c);
    }
    pattern
}

fn entry(person: Person, is_agent: bool) -> AddressBookEntry {
    let id = person.id.to_string();
    let (user_id, agent_id) = if is_agent { (String::new(), id) } else { (id, String::new()) };
    AddressBookEntry {
        user_id,
        agent_id,
        name: person.name,
        email: person.email,
        job_title: person.job_title,
        site_name: person.site_name,
        important: person.important,
        site_contact: person.assigned,
        site_contact_type_ids: person.type_ids.iter().map(Uuid::to_string).collect(),
        never_send_emails: person.never_send_emails,
    }
}

//! What an agent is shown on a ticket or a draft.

use chrono::NaiveDate;
use chrono_tz::Tz;
use concierge_model::requester::request_of;
use concierge_proto::directory::{GetRequesterFactsRequest, RequesterFacts};
use concierge_proto::notification::{ListPopupsRequest, ListPopupsResponse, Popup, PopupKind};
use concierge_proto::ticket_rule::TicketDraft;
use concierge_proto::{Permission, Violations};
use concierge_runtime::html::sanitize;
use concierge_runtime::{Call, Error};

use super::rules::{self, RulePopups};
use super::{facts, heard, store};
use crate::Notification;
use crate::popup_note::{self, Opening};

/// What is opened: whose it is, and what is known about them.
struct Opened {
    ids: GetRequesterFactsRequest,
    facts: RequesterFacts,
    /// What the rules last knew, for when nobody else does.
    user_important: bool,
    /// As `user_important`.
    customer_important: bool,
    rules: RulePopups,
}

/// Beside the calls of the other services, two round trips: the settings and the notes.
pub(super) async fn list(service: &Notification, request: ListPopupsRequest) -> Result<ListPopupsResponse, Error> {
    let opened = match (request.ticket_id, request.draft) {
        (ticket_id, None) if !ticket_id.is_empty() => ticket(service, &ticket_id).await?,
        (ticket_id, Some(draft)) if ticket_id.is_empty() => self::draft(service, draft).await?,
        (_, both) => return Err(not_one(both.is_some())),
    };
    let call = Call::current();
    let settings = store::settings(service.service.pool()).await?;
    let sees_importance = Permission::named("importance.read")
        .is_some_and(|permission| call.as_ref().is_some_and(|call| call.permissions().holds(permission)));

    let mut popups = Vec::new();
    if settings.vip_popup_enabled && sees_importance && opened.user_important() {
        popups.push(opened.vip_user());
    }
    if settings.vip_customer_popup_enabled && sees_importance && opened.customer_important() {
        popups.push(opened.vip_customer());
    }
    let opening = Opening {
        agent: call.as_ref().and_then(|call| call.caller.as_ref()).map_or("", |caller| &caller.subject),
        customer_id: &opened.ids.customer_id,
        site_id: &opened.ids.site_id,
        user_id: &opened.ids.user_id,
        day: opened.day(service),
    };
    if let Some(call) = &call {
        call.remaining()?;
    }
    popups.extend(popup_note::shown(service.service.pool(), &opening).await?);
    popups.extend(opened.rules.popups);
    Ok(ListPopupsResponse { popups, rules_missing: opened.rules.missing })
}

fn not_one(both: bool) -> Error {
    let mut violations = Violations::default();
    let fields: &[&str] = if both { &["ticket_id", "draft"] } else { &["ticket_id"] };
    for field in fields {
        violations.add(*field, "exactly one of ticket_id and draft must be set");
    }
    Error::Invalid(violations)
}

/// A ticket as ticket-rule has it, else as it was last heard of.
async fn ticket(service: &Notification, id: &str) -> Result<Opened, Error> {
    let (told, rules) = tokio::join!(rules::ticket(&service.host, id), rules::of_ticket(&service.host, id));
    let ticket = match told? {
        Some(ticket) => ticket,
        None => heard::ticket(service.service.pool(), id)
            .await?
            .ok_or(Error::UpstreamUnavailable { service: "ticket-rule" })?,
    };
    let ids = request_of(&ticket);
    let facts = facts::ask(&service.host, &ids).await?;
    Ok(Opened {
        ids,
        facts,
        user_important: ticket.user_important(),
        customer_important: ticket.customer_important(),
        rules,
    })
}

/// A draft, with the site and the customer that it would get if it were logged now.
async fn draft(service: &Notification, draft: TicketDraft) -> Result<Opened, Error> {
    let host = &service.host;
    let asked = GetRequesterFactsRequest {
        user_id: draft.user_id.clone(),
        site_id: draft.site_id.clone(),
        customer_id: draft.customer_id.clone(),
    };
    let (evaluated, facts) = tokio::join!(rules::of_draft(host, draft), facts::ask(host, &asked));
    let ((rules, logged), mut facts) = (evaluated?, facts?);
    let mut ids = match &logged {
        Some(ticket) => request_of(ticket),
        None => asked,
    };
    if ids.site_id.is_empty() {
        ids.site_id = facts.site.as_ref().map(|site| site.site_id.clone()).unwrap_or_default();
    }
    if ids.customer_id.is_empty() {
        ids.customer_id = facts.customer.as_ref().map(|customer| customer.customer_id.clone()).unwrap_or_default();
    }
    if ids.site_id.is_empty() && !ids.customer_id.is_empty() {
        ids.site_id = facts::main_site(host, &ids.customer_id).await?;
    }
    // The customer's main site stands in for the site of its user, which is another customer's.
    if !ids.site_id.is_empty() && facts.site.as_ref().is_none_or(|site| site.site_id != ids.site_id) {
        facts = facts::ask(host, &ids).await?;
    }
    Ok(Opened { ids, facts, user_important: false, customer_important: false, rules })
}

impl Opened {
    fn user_important(&self) -> bool {
        let known = self.facts.user.as_ref().and_then(|user| user.importance.as_ref());
        known.map_or(self.user_important, |importance| importance.value)
    }

    fn customer_important(&self) -> bool {
        self.facts.customer.as_ref().map_or(self.customer_important, |customer| customer.important)
    }

    fn vip_user(&self) -> Popup {
        let name = self.facts.user.as_ref().map_or("", |user| &user.name);
        Popup {
            kind: PopupKind::VipUser.into(),
            html: important("user", name),
            user_id: self.ids.user_id.clone(),
            ..Default::default()
        }
    }

    fn vip_customer(&self) -> Popup {
        let name = self.facts.customer.as_ref().map_or("", |customer| &customer.name);
        Popup {
            kind: PopupKind::VipCustomer.into(),
            html: important("customer", name),
            customer_id: self.ids.customer_id.clone(),
            ..Default::default()
        }
    }

    /// Today, in the time zone of the ticket's site, else of its customer, else in UTC.
    fn day(&self, service: &Notification) -> NaiveDate {
        let site = self.facts.site.as_ref().filter(|site| site.site_id == self.ids.site_id);
        let customer = self.facts.customer.as_ref().filter(|customer| customer.customer_id == self.ids.customer_id);
        let zones = [site.map(|site| &site.time_zone), customer.map(|customer| &customer.time_zone)];
        let zone = zones.into_iter().flatten().find_map(|zone| zone.parse::<Tz>().ok()).unwrap_or(Tz::UTC);
        service.service.clock().now().with_timezone(&zone).date_naive()
    }
}

/// A sentence that names who is important; without a name where nobody knows it any more.
fn important(what: &str, name: &str) -> String {
    let html = match name {
        "" => format!("The {what} is important."),
        name => format!("<strong>{}</strong> is an important {what}.", ammonia::clean_text(name)),
    };
    // Writes plain what was escaped out of caution only, such as spaces.
    sanitize(&html)
}

#[cfg(test)]
mod tests {
    use super::important;

    #[test]
    fn a_name_is_text_whatever_is_in_it() {
        assert_eq!(important("user", "Ann Lee"), "<strong>Ann Lee</strong> is an important user.");
        assert_eq!(
            important("customer", "<img src=x onerror=alert(1)> & Sons"),
            "<strong>&lt;img src=x onerror=alert(1)&gt; &amp; Sons</strong> is an important customer."
        );
        assert_eq!(important("user", ""), "The user is important.");
    }
}

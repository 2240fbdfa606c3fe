//! Which tickets a caller reaches.

use concierge_proto::directory::AccessLevel;
use concierge_proto::ticket_rule::Ticket;
use concierge_proto::{CallerKind, Record as _};
use concierge_runtime::resource::Only;
use concierge_runtime::{Call, Error};
use uuid::Uuid;

use super::Tickets;
use crate::TicketRule;
use crate::facts::{Facts, Requester};

/// How far a caller sees.
#[derive(Clone, Debug)]
pub(crate) enum Reach {
    /// Every ticket: agents and services.
    Everything,
    /// Tickets of a portal user's customer, as far as its web access goes.
    Portal(Portal),
}

/// A portal user.
#[derive(Clone, Debug)]
pub(crate) struct Portal {
    /// The user.
    pub(crate) user_id: Uuid,
    /// Its name; empty when nobody knows it.
    pub(crate) name: String,
    /// Its customer, as its token says.
    pub(crate) customer_id: Option<Uuid>,
    /// Its site, as its token says.
    pub(crate) site_id: Option<Uuid>,
    level: AccessLevel,
}

impl Portal {
    /// True when the tickets of a user of that site and customer are within reach. Each level has all of the one below.
    pub(crate) fn sees(&self, user_id: &str, site_id: &str, customer_id: &str) -> bool {
        let is = |text: &str, own: Option<Uuid>| own.is_some_and(|own| text.parse() == Ok(own));
        let own = is(user_id, Some(self.user_id));
        is(customer_id, self.customer_id)
            && match self.level {
                AccessLevel::Customer => true,
                AccessLevel::Site => own || is(site_id, self.site_id),
                AccessLevel::Own => own,
                AccessLevel::None | AccessLevel::Unspecified => false,
            }
    }
}

impl Reach {
    /// True when the caller may know of the ticket.
    pub(crate) fn holds(&self, ticket: &Ticket) -> bool {
        match self {
            Self::Everything => true,
            Self::Portal(portal) => portal.sees(&ticket.user_id, &ticket.site_id, &ticket.customer_id),
        }
    }

    /// The ticket, or that there is none.
    pub(crate) fn check(&self, ticket: Ticket) -> Result<Ticket, Error> {
        if self.holds(&ticket) { Ok(ticket) } else { Err(Error::NotFound { record_type: Ticket::TYPE, id: ticket.id }) }
    }

    /// Leaves of a list what the caller reaches; the customer is narrowed by the scope of the method.
    pub(crate) fn narrow(&self, only: Only) -> Only {
        let Self::Portal(portal) = self else { return only };
        let nobody = Uuid::nil();
        match portal.level {
            AccessLevel::Customer => only,
            AccessLevel::Site => {
                only.or_id("user_id", portal.user_id).or_id("site_id", portal.site_id.unwrap_or(nobody))
            }
            AccessLevel::Own => only.or_id("user_id", portal.user_id),
            AccessLevel::None | AccessLevel::Unspecified => only.or_id("user_id", nobody),
        }
    }

    /// The portal user who calls.
    pub(crate) fn portal(&self) -> Option<&Portal> {
        match self {
            Self::Everything => None,
            Self::Portal(portal) => Some(portal),
        }
    }
}

impl TicketRule {
    /// How far the caller sees. For portal users one call of directory, as for any facts.
    pub(crate) async fn reach(&self) -> Result<Reach, Error> {
        let call = Call::current();
        let Some(caller) = call.as_ref().and_then(|call| call.caller.clone()).filter(|c| c.kind == CallerKind::User)
        else {
            return Ok(Reach::Everything);
        };
        let facts = self.facts.ask(Requester::user(&caller.subject)).await?;
        Ok(Reach::Portal(Portal {
            user_id: caller.subject.parse().unwrap_or_default(),
            name: facts.known.user.as_ref().map(|user| user.name.clone()).unwrap_or_default(),
            customer_id: caller.customer_id,
            site_id: caller.site_id,
            level: level(&facts),
        }))
    }

    /// One ticket, if the caller may know of it. One round trip, shared with whoever else reads tickets.
    pub(crate) async fn reached(&self, reach: &Reach, id: &str) -> Result<Ticket, Error> {
        reach.check(self.service.read::<Tickets>(id).await?)
    }
}

/// The web access of a portal user. Of one that nobody knows anything about, its own tickets are known to be its own.
fn level(facts: &Facts) -> AccessLevel {
    if facts.is_missing("user_id") {
        return AccessLevel::None;
    }
    let access = facts.known.user.as_ref().and_then(|user| user.web_access.as_ref());
    access.map_or(AccessLevel::Own, |access| access.level())
}

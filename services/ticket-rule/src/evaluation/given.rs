//! What rules give, checked against what was last heard of directory: a team or an agent that is gone is given to no
//! ticket.

use std::collections::BTreeSet;

use concierge_proto::ticket_rule::Ticket;
use concierge_runtime::Error;
use concierge_runtime::tx::Actor;
use sqlx::PgConnection;
use uuid::Uuid;

use super::rule_set::RuleSet;
use super::walk::{Evaluated, Input, evaluate};
use crate::facts::references::{Kind, Known, Standing, names};
use crate::ticket::named;

/// Runs the rules as [`evaluate`] does, and again without the teams and agents that they would give and that are known to
/// be gone, which `input` withholds from then on. The names that an event of `teller` needs are read along with
/// theirs.
///
/// One round trip, none when all is known; one more for each time that rules would give what is gone.
pub(crate) async fn evaluate_given(
    connection: &mut PgConnection,
    set: &RuleSet,
    input: &mut Input<'_>,
    known: &mut Known,
    teller: Option<&Actor>,
) -> Result<Evaluated, Error> {
    loop {
        let evaluated = evaluate(set, input);
        let given = given(input.ticket, &evaluated.ticket);
        let mut wanted = teller.map(|actor| named(&evaluated.ticket, actor)).unwrap_or_default();
        wanted.extend(&given);
        wanted.retain(|(kind, id)| known.get(*kind, id).is_none());
        known.extend(names(&mut *connection, &wanted).await?);
        let gone: BTreeSet<Uuid> =
            given.iter().filter(|(kind, id)| is_gone(known, *kind, id)).filter_map(|(_, id)| id.parse().ok()).collect();
        if gone.is_empty() {
            return Ok(evaluated);
        }
        input.withheld.extend(gone);
    }
}

/// The team and the agent that the ticket has now and had not.
fn given<'a>(before: &Ticket, after: &'a Ticket) -> Vec<(Kind, &'a str)> {
    let both = [
        (Kind::Team, before.team_id.as_str(), after.team_id.as_str()),
        (Kind::Agent, before.agent_id.as_str(), after.agent_id.as_str()),
    ];
    both.into_iter().filter(|(_, was, is)| !is.is_empty() && was != is).map(|(kind, _, is)| (kind, is)).collect()
}

/// Whether a record was last heard of as deleted or not active. What nobody knows is believed to be there.
pub(crate) fn is_gone(known: &Known, kind: Kind, id: &str) -> bool {
    known.get(kind, id).is_some_and(|named| matches!(named.standing, Standing::Missing | Standing::Inactive))
}

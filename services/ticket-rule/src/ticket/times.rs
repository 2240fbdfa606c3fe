//! What follows from a ticket's status, priority and service level agreement: its use and category, its times.

use chrono::{DateTime, TimeDelta, Utc};
use concierge_proto::record::{datetime, timestamp};
use concierge_proto::ticket_rule::{Sla, SlaTarget, StatusCategory, Ticket};

use crate::evaluation::Configuration;

/// When a change happens, and what the ticket itself does not tell of its past.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Moment {
    /// When the change was made.
    pub(crate) at: DateTime<Utc>,
    /// How long the ticket was on hold before its first response; of use once it was responded to.
    pub(crate) held_before_response: TimeDelta,
}

/// Sets everything that follows, from the ticket as it was before the change (`None` for a new one) and as the caller
/// and the rules want it. Sets it anew each time, so it can be called before the rules and after them.
///
/// Returns how long the ticket was on hold before its first response, if it is responded to now.
pub(crate) fn settle(
    configuration: &Configuration,
    before: Option<&Ticket>,
    after: &mut Ticket,
    moment: Moment,
) -> Option<TimeDelta> {
    after.set_use(configuration.ticket_use(&after.type_id));
    let category = match configuration.category(&after.status_id) {
        // A status that nobody knows any more: the ticket stays what it was.
        StatusCategory::Unspecified => before.map_or(StatusCategory::New, Ticket::status_category),
        known => known,
    };
    after.set_status_category(category);
    let was = before.map_or(StatusCategory::Unspecified, Ticket::status_category);
    let times = Times::of(before);
    hold(&times, was, category, after, moment.at);
    ends(&times, was, category, after, moment.at);
    let (held, answered) = held_before_response(&times, after, moment);
    due(configuration, before, &times, after, held);
    answered.then_some(held)
}

/// The times of the ticket before the change.
#[derive(Clone, Copy, Debug, Default)]
struct Times {
    response_due: Option<DateTime<Utc>>,
    resolution_due: Option<DateTime<Utc>>,
    responded: Option<DateTime<Utc>>,
    resolved: Option<DateTime<Utc>>,
    closed: Option<DateTime<Utc>>,
    hold_start: Option<DateTime<Utc>>,
    held: TimeDelta,
}

impl Times {
    fn of(before: Option<&Ticket>) -> Self {
        let Some(ticket) = before else { return Self::default() };
        let time = |time: &Option<prost_types::Timestamp>| time.as_ref().and_then(datetime);
        Self {
            response_due: time(&ticket.response_due_time),
            resolution_due: time(&ticket.resolution_due_time),
            responded: time(&ticket.responded_time),
            resolved: time(&ticket.resolved_time),
            closed: time(&ticket.closed_time),
            hold_start: time(&ticket.hold_start_time),
            held: delta(ticket.held_duration.as_ref()),
        }
    }

    /// How long the hold that began before the change has lasted at a time.
    fn holding(&self, until: DateTime<Utc>) -> TimeDelta {
        self.hold_start.map_or(TimeDelta::zero(), |start| (until - start).max(TimeDelta::zero()))
    }
}

fn hold(times: &Times, was: StatusCategory, is: StatusCategory, after: &mut Ticket, at: DateTime<Utc>) {
    let goes_on = was == StatusCategory::OnHold && is == StatusCategory::OnHold;
    let start = match is {
        StatusCategory::OnHold if goes_on => times.hold_start.or(Some(at)),
        StatusCategory::OnHold => Some(at),
        _ => None,
    };
    let ended = if goes_on { TimeDelta::zero() } else { times.holding(at) };
    after.hold_start_time = start.map(timestamp);
    after.held_duration = Some(duration(times.held + ended));
}

fn ends(times: &Times, was: StatusCategory, is: StatusCategory, after: &mut Ticket, at: DateTime<Utc>) {
    let done = |category| matches!(category, StatusCategory::Resolved | StatusCategory::Closed);
    let kept = |kept: Option<DateTime<Utc>>| kept.unwrap_or(at);
    after.resolved_time = done(is).then(|| if done(was) { kept(times.resolved) } else { at }).map(timestamp);
    let closed = StatusCategory::Closed;
    after.closed_time = (is == closed).then(|| if was == closed { kept(times.closed) } else { at }).map(timestamp);
}

/// The time on hold before the first response, as far as it has come; and whether this change is the response.
fn held_before_response(times: &Times, after: &Ticket, moment: Moment) -> (TimeDelta, bool) {
    match (times.responded, after.responded_time.as_ref().and_then(datetime)) {
        (Some(_), _) => (moment.held_before_response, false),
        (None, Some(responded)) => (times.held + times.holding(responded), true),
        (None, None) => (delta(after.held_duration.as_ref()), false),
    }
}

/// Due times are counted anew when the priority or the agreement is another one, and move on by what was on hold
/// otherwise: a change of the agreement itself leaves them alone.
fn due(
    configuration: &Configuration,
    before: Option<&Ticket>,
    times: &Times,
    after: &mut Ticket,
    held_before_response: TimeDelta,
) {
    let held = delta(after.held_duration.as_ref());
    let same = before.filter(|b| b.priority_id == after.priority_id && b.sla_id == after.sla_id);
    let (response, resolution) = if same.is_some() {
        let on_hold_before = if times.responded.is_some() { held_before_response } else { times.held };
        (
            times.response_due.map(|due| due + (held_before_response - on_hold_before)),
            times.resolution_due.map(|due| due + (held - times.held)),
        )
    } else {
        let logged = after.logged_time.as_ref().and_then(datetime);
        let target = configuration.sla(&after.sla_id).and_then(|sla| target(sla, &after.priority_id));
        let counted =
            |promised: Option<&prost_types::Duration>, held: TimeDelta| Some(logged? + delta(Some(promised?)) + held);
        (
            counted(target.and_then(|t| t.response.as_ref()), held_before_response),
            counted(target.and_then(|t| t.resolution.as_ref()), held),
        )
    };
    after.response_due_time = response.map(timestamp);
    after.resolution_due_time = resolution.map(timestamp);
}

/// What an agreement promises to tickets of a priority: the target of that priority, else the one without priority.
fn target<'a>(sla: &'a Sla, priority_id: &str) -> Option<&'a SlaTarget> {
    let of = |id: &str| sla.targets.iter().find(|target| target.priority_id == id);
    of(priority_id).or_else(|| of(""))
}

/// A length of time as the database keeps it: cut to microseconds.
pub(crate) fn delta(duration: Option<&prost_types::Duration>) -> TimeDelta {
    duration.map_or(TimeDelta::zero(), |d| {
        TimeDelta::seconds(d.seconds) + TimeDelta::microseconds(i64::from(d.nanos / 1_000))
    })
}

fn duration(delta: TimeDelta) -> prost_types::Duration {
    prost_types::Duration { seconds: delta.num_seconds(), nanos: delta.subsec_nanos() }
}

#[cfg(test)]
mod tests {
    use concierge_proto::ticket_rule::{Status, TicketType, TicketTypeUse};
    use uuid::Uuid;

    use super::*;

    const PRIORITY: Uuid = Uuid::from_u128(1);
    const OTHER: Uuid = Uuid::from_u128(2);
    const SLA: Uuid = Uuid::from_u128(3);
    const SALES: Uuid = Uuid::from_u128(4);

    const CATEGORIES: [StatusCategory; 5] = [
        StatusCategory::New,
        StatusCategory::Open,
        StatusCategory::OnHold,
        StatusCategory::Resolved,
        StatusCategory::Closed,
    ];

    fn hours(hours: i64) -> prost_types::Duration {
        duration(TimeDelta::hours(hours))
    }

    fn configuration() -> Configuration {
        let mut configuration = Configuration::default();
        for (index, category) in CATEGORIES.into_iter().enumerate() {
            let id = Uuid::from_u128(200 + index as u128);
            configuration.statuses.put(id, Status { category: category.into(), ..Default::default() });
        }
        let targets = vec![
            SlaTarget { priority_id: PRIORITY.to_string(), response: Some(hours(1)), resolution: Some(hours(4)) },
            SlaTarget { priority_id: String::new(), response: Some(hours(8)), resolution: None },
        ];
        configuration.slas.put(SLA, Sla { targets, ..Default::default() });
        let sales = TicketType { r#use: TicketTypeUse::Sales.into(), ..Default::default() };
        configuration.ticket_types.put(SALES, sales);
        configuration
    }

    fn of(category: StatusCategory) -> String {
        let index = CATEGORIES.iter().position(|c| *c == category).unwrap();
        Uuid::from_u128(200 + index as u128).to_string()
    }

    fn at(hour: i64) -> DateTime<Utc> {
        DateTime::UNIX_EPOCH + TimeDelta::days(20_000) + TimeDelta::hours(hour)
    }

    fn moment(hour: i64) -> Moment {
        Moment { at: at(hour), held_before_response: TimeDelta::zero() }
    }

    fn logged() -> Ticket {
        let mut ticket = Ticket {
            status_id: of(StatusCategory::New),
            priority_id: PRIORITY.to_string(),
            sla_id: SLA.to_string(),
            logged_time: Some(timestamp(at(0))),
            ..Default::default()
        };
        settle(&configuration(), None, &mut ticket, moment(0));
        ticket
    }

    fn moved(before: &Ticket, to: StatusCategory, hour: i64) -> Ticket {
        let mut after = Ticket { status_id: of(to), ..before.clone() };
        settle(&configuration(), Some(before), &mut after, moment(hour));
        after
    }

    fn due(ticket: &Ticket) -> (Option<DateTime<Utc>>, Option<DateTime<Utc>>) {
        let time = |t: &Option<prost_types::Timestamp>| t.as_ref().and_then(datetime);
        (time(&ticket.response_due_time), time(&ticket.resolution_due_time))
    }

    #[test]
    fn due_times_come_from_the_target_of_the_priority_or_the_one_for_all_others() {
        let ticket = logged();
        assert_eq!(due(&ticket), (Some(at(1)), Some(at(4))));
        let mut other = Ticket { priority_id: OTHER.to_string(), ..ticket.clone() };
        settle(&configuration(), Some(&ticket), &mut other, moment(2));
        assert_eq!(due(&other), (Some(at(8)), None));
        let mut none = Ticket { sla_id: String::new(), ..ticket.clone() };
        settle(&configuration(), Some(&ticket), &mut none, moment(2));
        assert_eq!(due(&none), (None, None));
    }

    #[test]
    fn a_hold_moves_due_times_on_when_it_ends() {
        let held = moved(&logged(), StatusCategory::OnHold, 1);
        assert_eq!(held.hold_start_time, Some(timestamp(at(1))));
        assert_eq!(due(&held), (Some(at(1)), Some(at(4))));
        let back = moved(&held, StatusCategory::Open, 3);
        assert_eq!((back.hold_start_time, back.held_duration), (None, Some(hours(2))));
        assert_eq!(due(&back), (Some(at(3)), Some(at(6))));
        let again = moved(&moved(&back, StatusCategory::OnHold, 5), StatusCategory::Open, 6);
        assert_eq!(due(&again), (Some(at(4)), Some(at(7))));
    }

    #[test]
    fn a_hold_after_the_first_response_leaves_the_response_due_time_alone() {
        let held = moved(&logged(), StatusCategory::OnHold, 1);
        let mut answered = Ticket { responded_time: Some(timestamp(at(2))), ..held.clone() };
        let before_response = settle(&configuration(), Some(&held), &mut answered, moment(2));
        assert_eq!(before_response, Some(TimeDelta::hours(1)));
        assert_eq!(due(&answered), (Some(at(2)), Some(at(4))));
        let mut back = Ticket { status_id: of(StatusCategory::Open), ..answered.clone() };
        let known = Moment { at: at(5), held_before_response: TimeDelta::hours(1) };
        assert_eq!(settle(&configuration(), Some(&answered), &mut back, known), None);
        assert_eq!(due(&back), (Some(at(2)), Some(at(8))));
        // Counted anew, the response keeps the hold before it and no more.
        let mut other = Ticket { priority_id: OTHER.to_string(), ..back.clone() };
        settle(&configuration(), Some(&back), &mut other, known);
        assert_eq!(due(&other), (Some(at(9)), None));
    }

    #[test]
    fn a_changed_agreement_moves_no_due_time_until_priority_or_agreement_change() {
        let ticket = logged();
        let mut changed = configuration();
        let targets =
            vec![SlaTarget { priority_id: String::new(), response: Some(hours(2)), resolution: Some(hours(3)) }];
        changed.slas.put(SLA, Sla { targets, ..Default::default() });
        let mut same = Ticket { summary: "other".to_owned(), ..ticket.clone() };
        settle(&changed, Some(&ticket), &mut same, moment(1));
        assert_eq!(due(&same), (Some(at(1)), Some(at(4))));
        let mut other = Ticket { priority_id: OTHER.to_string(), ..ticket.clone() };
        settle(&changed, Some(&ticket), &mut other, moment(1));
        assert_eq!(due(&other), (Some(at(2)), Some(at(3))));
    }

    #[test]
    fn resolving_closing_and_reopening_set_and_clear_their_times() {
        let resolved = moved(&logged(), StatusCategory::Resolved, 1);
        assert_eq!((resolved.resolved_time, resolved.closed_time), (Some(timestamp(at(1))), None));
        let closed = moved(&resolved, StatusCategory::Closed, 2);
        assert_eq!((closed.resolved_time, closed.closed_time), (Some(timestamp(at(1))), Some(timestamp(at(2)))));
        let open = moved(&closed, StatusCategory::Open, 3);
        assert_eq!((open.resolved_time, open.closed_time), (None, None));
        let straight = moved(&open, StatusCategory::Closed, 4);
        assert_eq!((straight.resolved_time, straight.closed_time), (Some(timestamp(at(4))), Some(timestamp(at(4)))));
    }

    #[test]
    fn settling_twice_is_settling_once() {
        let held = moved(&logged(), StatusCategory::OnHold, 1);
        let once = moved(&held, StatusCategory::Open, 3);
        let mut twice = once.clone();
        settle(&configuration(), Some(&held), &mut twice, moment(3));
        assert_eq!(once, twice);
    }

    #[test]
    fn the_use_follows_the_type() {
        let mut ticket = Ticket { type_id: SALES.to_string(), ..logged() };
        settle(&configuration(), None, &mut ticket, moment(0));
        assert_eq!(ticket.r#use(), TicketTypeUse::Sales);
        assert_eq!(logged().r#use(), TicketTypeUse::Support);
    }
}

//! What follows from a ticket's status, priority and service level agreement: its use and category, its times.

use chrono::{DateTime, TimeDelta, Utc};
use concierge_model::calendar::WorkingTime;
use concierge_proto::record::{datetime, timestamp};
use concierge_proto::ticket_rule::{Sla, SlaTarget, StatusCategory, Ticket};

use crate::evaluation::Configuration;

/// When a change happens, and what the ticket itself does not tell of its past.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Moment {
    /// When the change was made.
    pub(crate) at: DateTime<Utc>,
    /// How long the ticket was on hold before its first response, as its due times count; of use once it was responded
    /// to.
    pub(crate) held_before_response: TimeDelta,
}

/// Sets everything that follows, from the ticket as it was before the change (`None` for a new one) and as the caller
/// and the rules want it. Sets it anew each time, so it can be called before the rules and after them.
///
/// Returns how long the ticket was on hold before its first response, as due times count, if it is responded to now.
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
    let times = Times::of(configuration, before);
    hold(&times, was, category, after, moment.at);
    ends(&times, was, category, after, moment.at);
    let (held, answered) = held_before_response(&times, after, moment);
    due(configuration, before, &times, after, held);
    answered.then_some(held)
}

/// The times of the ticket before the change.
#[derive(Clone, Debug, Default)]
struct Times {
    response_due: Option<DateTime<Utc>>,
    resolution_due: Option<DateTime<Utc>>,
    responded: Option<DateTime<Utc>>,
    resolved: Option<DateTime<Utc>>,
    closed: Option<DateTime<Utc>>,
    hold_start: Option<DateTime<Utc>>,
    /// How long it was on hold by the clock.
    held: TimeDelta,
    /// How much of that counts.
    held_working: TimeDelta,
    /// How its holds count.
    counting: Counting,
}

/// How time counts for a ticket: in the working hours of its agreement's calendar, or by the clock without one.
#[derive(Clone, Debug, Default)]
struct Counting(Option<WorkingTime>);

impl Counting {
    fn of(configuration: &Configuration, sla_id: &str) -> Self {
        let calendar = configuration.sla(sla_id).and_then(|sla| configuration.calendar(&sla.calendar_id));
        Self(calendar.and_then(WorkingTime::of))
    }

    fn between(&self, from: DateTime<Utc>, until: DateTime<Utc>) -> TimeDelta {
        match &self.0 {
            Some(working) => working.between(from, until),
            None => (until - from).max(TimeDelta::zero()),
        }
    }

    fn after(&self, from: DateTime<Utc>, time: TimeDelta) -> Option<DateTime<Utc>> {
        match &self.0 {
            Some(working) => working.after(from, time),
            None => Some(from + time),
        }
    }
}

impl Times {
    fn of(configuration: &Configuration, before: Option<&Ticket>) -> Self {
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
            held_working: held_working(ticket),
            counting: Counting::of(configuration, &ticket.sla_id),
        }
    }

    /// How long the hold that began before the change has lasted at a time, as due times count.
    fn holding(&self, until: DateTime<Utc>) -> TimeDelta {
        self.hold_start.map_or(TimeDelta::zero(), |start| self.counting.between(start, until))
    }
}

fn hold(times: &Times, was: StatusCategory, is: StatusCategory, after: &mut Ticket, at: DateTime<Utc>) {
    let goes_on = was == StatusCategory::OnHold && is == StatusCategory::OnHold;
    let start = match is {
        StatusCategory::OnHold if goes_on => times.hold_start.or(Some(at)),
        StatusCategory::OnHold => Some(at),
        _ => None,
    };
    let ended = times.hold_start.filter(|_| !goes_on);
    let by_the_clock = ended.map_or(TimeDelta::zero(), |start| (at - start).max(TimeDelta::zero()));
    let counted = ended.map_or(TimeDelta::zero(), |_| times.holding(at));
    after.hold_start_time = start.map(timestamp);
    after.held_duration = Some(duration(times.held + by_the_clock));
    after.held_working_duration = Some(duration(times.held_working + counted));
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
        (None, Some(responded)) => (times.held_working + times.holding(responded), true),
        (None, None) => (held_working(after), false),
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
    let held = held_working(after);
    let counting = Counting::of(configuration, &after.sla_id);
    let same = before.filter(|b| b.priority_id == after.priority_id && b.sla_id == after.sla_id);
    let (response, resolution) = if same.is_some() {
        let on_hold_before = if times.responded.is_some() { held_before_response } else { times.held_working };
        (
            times.response_due.and_then(|due| counting.after(due, held_before_response - on_hold_before)),
            times.resolution_due.and_then(|due| counting.after(due, held - times.held_working)),
        )
    } else {
        let logged = after.logged_time.as_ref().and_then(datetime);
        let target = configuration.sla(&after.sla_id).and_then(|sla| target(sla, &after.priority_id));
        let counted = |promised: Option<&prost_types::Duration>, held: TimeDelta| {
            counting.after(logged?, delta(Some(promised?)) + held)
        };
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

/// How long a ticket was on hold as its due times count, the present hold not counted.
fn held_working(ticket: &Ticket) -> TimeDelta {
    delta(ticket.held_working_duration.as_ref().or(ticket.held_duration.as_ref()))
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
    use concierge_proto::ticket_rule::{Calendar, DayOfWeek, Status, TicketType, TicketTypeUse, WorkingHours};
    use uuid::Uuid;

    use super::*;

    const PRIORITY: Uuid = Uuid::from_u128(1);
    const OTHER: Uuid = Uuid::from_u128(2);
    const SLA: Uuid = Uuid::from_u128(3);
    const SALES: Uuid = Uuid::from_u128(4);
    const OFFICE: Uuid = Uuid::from_u128(5);

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

    /// The same agreement in the hours of an office that works from 00:00 to 02:00 each day, as long as two targets.
    fn office() -> Configuration {
        let mut configuration = configuration();
        let day = |day| WorkingHours { day, start_time: "00:00".to_owned(), end_time: "02:00".to_owned() };
        let working_hours = (DayOfWeek::Monday.into()..=DayOfWeek::Sunday.into()).map(day).collect();
        let calendar = Calendar { time_zone: "UTC".to_owned(), working_hours, ..Default::default() };
        configuration.calendars.put(OFFICE, calendar);
        let sla = Sla { calendar_id: OFFICE.to_string(), ..configuration.sla(&SLA.to_string()).unwrap().clone() };
        configuration.slas.put(SLA, sla);
        configuration
    }

    #[test]
    fn due_times_and_holds_count_in_the_working_hours_of_the_agreements_calendar() {
        let office = office();
        let moved = |before: &Ticket, to, hour| {
            let mut after = Ticket { status_id: of(to), ..before.clone() };
            settle(&office, Some(before), &mut after, moment(hour));
            after
        };
        let mut ticket = logged();
        settle(&office, None, &mut ticket, moment(0));
        assert_eq!(due(&ticket), (Some(at(1)), Some(at(26))));
        // From 01:00 to 01:00 the next day two hours are worked.
        let back = moved(&moved(&ticket, StatusCategory::OnHold, 1), StatusCategory::Open, 25);
        assert_eq!((back.held_duration, back.held_working_duration), (Some(hours(24)), Some(hours(2))));
        assert_eq!(due(&back), (Some(at(25)), Some(at(50))));
        // A night counts for nothing.
        let later = moved(&moved(&back, StatusCategory::OnHold, 26), StatusCategory::Open, 48);
        assert_eq!((later.held_duration, later.held_working_duration), (Some(hours(46)), Some(hours(2))));
        assert_eq!(due(&later), due(&back));
        // Counted anew, what was held is kept: eight hours for the response and two of hold are five days.
        let mut other = Ticket { priority_id: OTHER.to_string(), ..later.clone() };
        settle(&office, Some(&later), &mut other, moment(48));
        assert_eq!(due(&other), (Some(at(4 * 24 + 2)), None));
    }

    #[test]
    fn a_hold_of_the_release_before_counts_in_full() {
        let back = moved(&moved(&logged(), StatusCategory::OnHold, 1), StatusCategory::Open, 3);
        let old = Ticket { held_working_duration: None, ..back };
        let mut other = Ticket { priority_id: OTHER.to_string(), ..old.clone() };
        settle(&configuration(), Some(&old), &mut other, moment(4));
        assert_eq!(due(&other), (Some(at(10)), None));
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

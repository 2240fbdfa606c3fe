//! `CalendarService`.

use concierge_proto::common::Operator;
use concierge_proto::ticket_rule::{
    Calendar, CreateCalendarRequest, CreateRuleRequest, CreateSlaRequest, DayOfWeek, DeleteCalendarRequest,
    DeleteSlaRequest, ExplainTicketRequest, GetCalendarRequest, Holiday, ListCalendarsRequest, LogTicketRequest,
    RuleVerdict, Sla, SlaTarget, Ticket, UndeleteCalendarRequest, UpdateCalendarRequest, UpdateSlaRequest,
    WorkingHours,
};
use concierge_testkit::request_id;
use prost_types::{Duration, Timestamp};
use tonic::Code;

use crate::desk::{Desk, ON_HOLD, OPEN, fields, id, matched};
use crate::support::{because, criterion, id_of, mask, refused, rule, tag};

fn hours(day: DayOfWeek, start: &str, end: &str) -> WorkingHours {
    WorkingHours { day: day.into(), start_time: start.to_owned(), end_time: end.to_owned() }
}

/// Monday and Tuesday from 9 to 17 in Berlin.
fn office() -> Calendar {
    Calendar {
        name: "Office hours".to_owned(),
        description: "Of the desk in Berlin".to_owned(),
        time_zone: "Europe/Berlin".to_owned(),
        working_hours: vec![hours(DayOfWeek::Monday, "09:00", "17:00"), hours(DayOfWeek::Tuesday, "09:00", "17:00")],
        holidays: vec![Holiday { date: "2026-12-25".to_owned(), name: "Christmas Day".to_owned(), yearly: true }],
        ..Default::default()
    }
}

async fn create(desk: &Desk, calendar: Calendar) -> Result<Calendar, tonic::Status> {
    let request = CreateCalendarRequest { calendar: Some(calendar), request_id: request_id() };
    Ok(desk.calendars().create_calendar(request).await?.into_inner().calendar.unwrap())
}

async fn promise(desk: &Desk, calendar_id: &str) -> Result<Sla, tonic::Status> {
    let target = SlaTarget { resolution: Some(Duration { seconds: 10 * 3_600, nanos: 0 }), ..Default::default() };
    let sla = Sla {
        name: "Gold".to_owned(),
        targets: vec![target],
        calendar_id: calendar_id.to_owned(),
        ..Default::default()
    };
    let request = CreateSlaRequest { sla: Some(sla), request_id: request_id() };
    Ok(desk.slas().create_sla(request).await?.into_inner().sla.unwrap())
}

#[tokio::test]
async fn keeps_what_it_is_given_and_changes_what_the_mask_names() {
    let desk = Desk::alone().await;
    let calendar = create(&desk, office()).await.unwrap();
    assert_eq!((calendar.active, &calendar.holidays), (Some(true), &office().holidays));
    let got = desk.calendars().get_calendar(GetCalendarRequest { id: calendar.id.clone() }).await.unwrap();
    assert_eq!(got.into_inner().calendar.as_ref(), Some(&calendar));
    let request = UpdateCalendarRequest {
        calendar: Some(Calendar { id: calendar.id.clone(), name: "Early".to_owned(), ..Default::default() }),
        update_mask: mask(&["name", "holidays"]),
        request_id: request_id(),
    };
    let changed = desk.calendars().update_calendar(request).await.unwrap().into_inner().calendar.unwrap();
    assert_eq!((changed.holidays.len(), &changed.working_hours), (0, &calendar.working_hours));
    let listed = desk.calendars().list_calendars(ListCalendarsRequest::default()).await.unwrap().into_inner().calendars;
    assert_eq!(listed, [changed]);
    let refusal = refused(create(&desk, Calendar { name: "EARLY".to_owned(), ..office() }).await);
    assert_eq!(refusal, because(Code::AlreadyExists, "NAME_TAKEN"));
}

#[tokio::test]
async fn refuses_hours_and_days_that_cannot_be() {
    let desk = Desk::alone().await;
    let nothing = create(&desk, Calendar::default()).await.unwrap_err();
    assert_eq!(fields(&nothing), ["calendar.name", "calendar.time_zone", "calendar.working_hours"]);
    let malformed = Calendar {
        time_zone: "Berlin".to_owned(),
        working_hours: vec![hours(DayOfWeek::Unspecified, "9:00", "24:01")],
        ..office()
    };
    let malformed = create(&desk, malformed).await.unwrap_err();
    let place = |field: &str| format!("calendar.working_hours[0].{field}");
    let expected = ["calendar.time_zone".to_owned(), place("day"), place("start_time"), place("end_time")];
    assert_eq!(fields(&malformed), expected);
    let impossible = Calendar {
        working_hours: vec![hours(DayOfWeek::Monday, "09:00", "12:00"), hours(DayOfWeek::Monday, "11:00", "10:00")],
        holidays: vec![Holiday { date: "2026-02-29".to_owned(), ..Default::default() }],
        ..office()
    };
    let impossible = create(&desk, impossible).await.unwrap_err();
    assert_eq!(fields(&impossible), ["calendar.working_hours[1].end_time", "calendar.holidays[0].date"]);
    assert_eq!(refused::<()>(Err(impossible)), because(Code::InvalidArgument, "INVALID_FIELD"));
}

#[tokio::test]
async fn stays_while_an_agreement_names_it() {
    let desk = Desk::alone().await;
    let unknown = promise(&desk, &id()).await.unwrap_err();
    assert_eq!(fields(&unknown), ["sla.calendar_id"]);
    assert_eq!(refused::<()>(Err(unknown)), because(Code::InvalidArgument, "REFERENCE_NOT_FOUND"));
    let calendar = create(&desk, office()).await.unwrap();
    let sla = promise(&desk, &calendar.id).await.unwrap();
    let delete = || DeleteCalendarRequest { id: calendar.id.clone(), etag: String::new(), request_id: request_id() };
    let refusal = refused(desk.calendars().delete_calendar(delete()).await);
    assert_eq!(refusal, because(Code::FailedPrecondition, "RECORD_IN_USE"));
    let request = DeleteSlaRequest { id: sla.id, etag: String::new(), request_id: request_id() };
    desk.slas().delete_sla(request).await.unwrap();
    desk.calendars().delete_calendar(delete()).await.unwrap();
    let undelete = UndeleteCalendarRequest { id: calendar.id.clone(), request_id: request_id() };
    let live = desk.calendars().undelete_calendar(undelete).await.unwrap().into_inner().calendar.unwrap();
    assert!(live.delete_time.is_none());
}

/// When it is so late in UTC on a day of November 2025. The 23rd was a Sunday; in winter Berlin is an hour ahead.
fn at(day: u32, hour: u32) -> Timestamp {
    let date = chrono::NaiveDate::from_ymd_opt(2025, 11, day).and_then(|date| date.and_hms_opt(hour, 0, 0));
    Timestamp { seconds: date.unwrap().and_utc().timestamp(), nanos: 0 }
}

#[tokio::test]
async fn rules_ask_for_its_hours_as_they_were_and_keep_it() {
    let mut desk = Desk::alone().await;
    let one = desk.heard_of_one().await;
    let calendar = create(&desk, office()).await.unwrap();
    let logged = |operator, id: &str| vec![criterion("ticket.logged_time", operator, [id_of(id)])];
    let unknown = rule("nowhere", logged(Operator::WithinHours, &id()), tag("x"));
    let request = CreateRuleRequest { rule: Some(unknown), request_id: request_id() };
    let unknown = desk.rules().create_rule(request).await.unwrap_err();
    assert_eq!(fields(&unknown), ["rule.criteria.criteria[0].values[0]"]);
    assert_eq!(refused::<()>(Err(unknown)), because(Code::InvalidArgument, "REFERENCE_NOT_FOUND"));

    desk.rule(rule("at work", logged(Operator::WithinHours, &calendar.id), tag("work"))).await;
    desk.rule(rule("at night", logged(Operator::OutsideHours, &calendar.id), tag("night"))).await;
    let log = |time| Ticket { logged_time: Some(time), ..one.ticket("Printer") };
    let monday = desk.log(log(at(24, 8))).await.unwrap();
    assert_eq!(matched(&monday.evaluation), ["at work"]);
    for night in [at(23, 12), at(24, 7), at(24, 16)] {
        assert_eq!(matched(&desk.log(log(night)).await.unwrap().evaluation), ["at night"]);
    }

    // Other hours are for other tickets; what was decided is explained by those it was decided by.
    let request = UpdateCalendarRequest {
        calendar: Some(Calendar {
            id: calendar.id.clone(),
            working_hours: vec![hours(DayOfWeek::Friday, "09:00", "17:00")],
            ..Default::default()
        }),
        update_mask: mask(&["working_hours"]),
        request_id: request_id(),
    };
    desk.calendars().update_calendar(request).await.unwrap();
    assert_eq!(matched(&desk.log(log(at(24, 8))).await.unwrap().evaluation), ["at night"]);
    let request = ExplainTicketRequest { ticket_id: monday.ticket.unwrap().id, ..Default::default() };
    let told = desk.rules().explain_ticket(request).await.unwrap().into_inner().traces;
    let verdicts: Vec<_> = told.iter().map(|trace| (trace.rule_name.as_str(), trace.verdict())).collect();
    assert_eq!(verdicts, [("at work", RuleVerdict::Matched), ("at night", RuleVerdict::NotMatched)]);

    let request = DeleteCalendarRequest { id: calendar.id, etag: String::new(), request_id: request_id() };
    let refusal = refused(desk.calendars().delete_calendar(request).await);
    assert_eq!(refusal, because(Code::FailedPrecondition, "RECORD_IN_USE"));
}

#[tokio::test]
async fn tickets_are_due_in_its_hours() {
    let mut desk = Desk::alone().await;
    let one = desk.heard_of_one().await;
    let calendar = create(&desk, office()).await.unwrap();
    let sla = promise(&desk, &calendar.id).await.unwrap();
    let ticket = Ticket { sla_id: sla.id.clone(), logged_time: Some(at(23, 12)), ..one.ticket("Printer") };
    let request = LogTicketRequest { ticket: Some(ticket), request_id: request_id() };
    let logged = desk.tickets().log_ticket(request).await.unwrap().into_inner().ticket.unwrap();
    // Eight hours of Monday and two of Tuesday.
    assert_eq!(logged.resolution_due_time, Some(at(25, 10)));

    // A hold takes the hour that the clock is moved on by, and as long as the calls do.
    let about = |ticket: &Ticket, time: Timestamp| {
        let later = ticket.resolution_due_time.unwrap().seconds - time.seconds;
        assert!((0..120).contains(&later), "{later} s later");
    };
    // The agreement goes by the clock from now on, which tells on tickets when their agreement changes next.
    let request = UpdateSlaRequest {
        sla: Some(Sla { id: sla.id.clone(), ..Default::default() }),
        update_mask: mask(&["calendar_id"]),
        request_id: request_id(),
    };
    desk.slas().update_sla(request).await.unwrap();
    let held =
        desk.update(Ticket { id: logged.id, status_id: ON_HOLD.to_owned(), ..Default::default() }, &["status_id"]);
    let held = held.await.unwrap().ticket.unwrap();
    assert_eq!(held.resolution_due_time, Some(at(25, 10)));
    desk.suite.clock.advance(chrono::TimeDelta::hours(1));
    let back = desk.update(Ticket { id: held.id, status_id: OPEN.to_owned(), ..Default::default() }, &["status_id"]);
    let back = back.await.unwrap().ticket.unwrap();
    about(&back, at(25, 11));
    let without = Ticket { id: back.id, ..Default::default() };
    let without = desk.update(without, &["sla_id"]).await.unwrap().ticket.unwrap();
    assert_eq!(without.resolution_due_time, None);
    let again = Ticket { id: without.id, sla_id: sla.id, ..Default::default() };
    let again = desk.update(again, &["sla_id"]).await.unwrap().ticket.unwrap();
    about(&again, at(23, 23));
}

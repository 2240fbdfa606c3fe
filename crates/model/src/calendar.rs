//! Calendars: counting working time.

use std::collections::{BTreeMap, HashSet};

use chrono::{DateTime, Datelike as _, Days, LocalResult, NaiveDate, NaiveTime, TimeDelta, TimeZone as _, Utc};
use chrono_tz::Tz;
use concierge_proto::Violations;
use concierge_proto::ticket_rule::{Calendar, DayOfWeek, Holiday, WorkingHours};

/// How many days ahead work is looked for: 20 years.
const HORIZON: u64 = 7_305;

/// The minutes of a day; a span may end with it.
const MIDNIGHT: u32 = 24 * 60;

/// The hours in which work is done, ready to count.
#[derive(Clone, Debug)]
pub struct WorkingTime {
    zone: Tz,
    /// For each day of the week, from Monday on: the spans of work in minutes from midnight, in order.
    week: [Vec<(u32, u32)>; 7],
    holidays: HashSet<NaiveDate>,
    /// Month and day.
    yearly: HashSet<(u32, u32)>,
}

impl WorkingTime {
    /// The hours of a calendar; `None` if it cannot be read.
    pub fn of(calendar: &Calendar) -> Option<Self> {
        let mut week: [Vec<(u32, u32)>; 7] = Default::default();
        for hours in &calendar.working_hours {
            week.get_mut(weekday(hours)?)?.push(span(hours)?);
        }
        week.iter_mut().for_each(|day| day.sort_unstable());
        let (mut holidays, mut yearly) = (HashSet::new(), HashSet::new());
        for holiday in &calendar.holidays {
            let date = date(holiday)?;
            if holiday.yearly {
                yearly.insert((date.month(), date.day()));
            } else {
                holidays.insert(date);
            }
        }
        Some(Self { zone: calendar.time_zone.parse().ok()?, week, holidays, yearly })
    }

    /// When so much work is done that begins at a time; the time itself for none. `None` when that is more than 20
    /// years ahead.
    pub fn after(&self, from: DateTime<Utc>, work: TimeDelta) -> Option<DateTime<Utc>> {
        if work <= TimeDelta::zero() {
            return Some(from);
        }
        let mut left = work;
        for (start, end) in self.spans(from, HORIZON) {
            let start = start.max(from);
            if start + left <= end {
                return Some(start + left);
            }
            left -= (end - start).max(TimeDelta::zero());
        }
        None
    }

    /// How much work is done between two times; none if the second is not later.
    pub fn between(&self, from: DateTime<Utc>, until: DateTime<Utc>) -> TimeDelta {
        let days = (until - from).num_days().clamp(0, 4_000_000).unsigned_abs() + 2;
        self.spans(from, days)
            .take_while(|(start, _)| *start < until)
            .map(|(start, end)| (end.min(until) - start.max(from)).max(TimeDelta::zero()))
            .sum()
    }

    /// Whether work is done at a time.
    pub fn contains(&self, at: DateTime<Utc>) -> bool {
        self.spans(at, 2).any(|(start, end)| start <= at && at < end)
    }

    /// The spans of work in order, from the day before a time on.
    fn spans(&self, from: DateTime<Utc>, days: u64) -> impl Iterator<Item = (DateTime<Utc>, DateTime<Utc>)> {
        let first = from.with_timezone(&self.zone).date_naive();
        (0..=days)
            .map_while(move |day| first.checked_add_days(Days::new(day)))
            .filter(|date| !self.holidays.contains(date) && !self.yearly.contains(&(date.month(), date.day())))
            .flat_map(move |date| {
                let day = &self.week[date.weekday().num_days_from_monday() as usize];
                day.iter()
                    .filter_map(move |(start, end)| Some((self.instant(date, *start)?, self.instant(date, *end)?)))
            })
    }

    /// When it is so many minutes after midnight: the first time, if it comes twice; the end of the gap, if never.
    fn instant(&self, date: NaiveDate, minutes: u32) -> Option<DateTime<Utc>> {
        let date = if minutes == MIDNIGHT { date.succ_opt()? } else { date };
        let mut local = date.and_time(NaiveTime::default()) + TimeDelta::minutes(i64::from(minutes % MIDNIGHT));
        // The longest gap there ever was is a day.
        for _ in 0..=MIDNIGHT {
            match self.zone.from_local_datetime(&local) {
                LocalResult::Single(found) | LocalResult::Ambiguous(found, _) => return Some(found.to_utc()),
                LocalResult::None => local += TimeDelta::minutes(1),
            }
        }
        None
    }
}

/// Everything that is wrong with a calendar's hours and holidays by themselves.
pub fn check(calendar: &Calendar) -> Violations {
    let mut violations = Violations::default();
    let mut seen: BTreeMap<(i32, (u32, u32)), usize> = BTreeMap::new();
    for (index, hours) in calendar.working_hours.iter().enumerate() {
        // What has no form at all was refused before.
        let Some((start, end)) = span(hours) else { continue };
        if end <= start {
            violations.add(format!("calendar.working_hours[{index}].end_time"), "must be after start_time");
            continue;
        }
        let other = seen.iter().find(|((day, (s, e)), _)| *day == hours.day && *s < end && start < *e);
        if let Some((_, other)) = other {
            let place = format!("calendar.working_hours[{index}]");
            violations.add(place, format!("overlaps working_hours[{other}]"));
        }
        seen.insert((hours.day, (start, end)), index);
    }
    let mut dates = HashSet::new();
    for (index, holiday) in calendar.holidays.iter().enumerate() {
        let place = || format!("calendar.holidays[{index}].date");
        match date(holiday) {
            None => violations.add(place(), format!("{} is not a day of the calendar", holiday.date)),
            Some(date) if !dates.insert(date) => violations.add(place(), "another holiday is on this date"),
            Some(_) => {}
        }
    }
    violations
}

/// The place of the day in a week that begins on Monday.
fn weekday(hours: &WorkingHours) -> Option<usize> {
    let day = hours.day();
    (day != DayOfWeek::Unspecified).then(|| (day as usize) - 1)
}

fn span(hours: &WorkingHours) -> Option<(u32, u32)> {
    Some((minutes(&hours.start_time)?, minutes(&hours.end_time)?))
}

fn minutes(text: &str) -> Option<u32> {
    let (hour, minute) = text.split_once(':')?;
    let (hour, minute): (u32, u32) = (hour.parse().ok()?, minute.parse().ok()?);
    (minute < 60 && hour * 60 + minute <= MIDNIGHT).then_some(hour * 60 + minute)
}

fn date(holiday: &Holiday) -> Option<NaiveDate> {
    NaiveDate::parse_from_str(&holiday.date, "%Y-%m-%d").ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    fn hours(day: DayOfWeek, start: &str, end: &str) -> WorkingHours {
        WorkingHours { day: day.into(), start_time: start.to_owned(), end_time: end.to_owned() }
    }

    fn holiday(date: &str, yearly: bool) -> Holiday {
        Holiday { date: date.to_owned(), yearly, ..Default::default() }
    }

    /// Monday to Friday, 9 to 17 with a break at noon.
    fn office(zone: &str) -> Calendar {
        let days =
            [DayOfWeek::Monday, DayOfWeek::Tuesday, DayOfWeek::Wednesday, DayOfWeek::Thursday, DayOfWeek::Friday];
        let working_hours =
            days.into_iter().flat_map(|day| [hours(day, "13:00", "17:00"), hours(day, "09:00", "12:00")]).collect();
        Calendar { time_zone: zone.to_owned(), working_hours, ..Default::default() }
    }

    fn working(calendar: &Calendar) -> WorkingTime {
        WorkingTime::of(calendar).unwrap()
    }

    #[test]
    fn work_goes_on_after_the_break_the_night_and_the_weekend() {
        let time = working(&office("UTC"));
        // A Friday.
        let noon = at("2026-11-20T11:30:00Z");
        assert_eq!(time.after(noon, TimeDelta::minutes(30)), Some(at("2026-11-20T12:00:00Z")));
        assert_eq!(time.after(noon, TimeDelta::hours(1)), Some(at("2026-11-20T13:30:00Z")));
        assert_eq!(time.after(noon, TimeDelta::hours(5)), Some(at("2026-11-23T09:30:00Z")));
        assert_eq!(time.after(at("2026-11-21T03:00:00Z"), TimeDelta::minutes(1)), Some(at("2026-11-23T09:01:00Z")));
        assert_eq!(time.after(noon, TimeDelta::zero()), Some(noon));
        assert!(time.contains(noon) && !time.contains(at("2026-11-20T12:00:00Z")));
    }

    #[test]
    fn what_is_counted_on_is_what_lies_between() {
        let time = working(&office("America/New_York"));
        let from = at("2026-10-30T12:34:56Z");
        for minutes in [1, 59, 60, 7 * 60, 35 * 60, 1_000 * 60] {
            let until = time.after(from, TimeDelta::minutes(minutes)).unwrap();
            assert_eq!(time.between(from, until), TimeDelta::minutes(minutes));
        }
        assert_eq!(time.between(from, from), TimeDelta::zero());
        assert_eq!(time.between(from, from - TimeDelta::days(9)), TimeDelta::zero());
    }

    #[test]
    fn hours_are_those_of_the_time_zone_and_its_clock_changes() {
        let nights =
            (1..=7).map(|day| WorkingHours { day, start_time: "00:00".to_owned(), end_time: "24:00".to_owned() });
        let always =
            Calendar { time_zone: "Europe/Berlin".to_owned(), working_hours: nights.collect(), ..Default::default() };
        let time = working(&always);
        // 23 and 25 hours long.
        let day = |date: &str, hours| {
            let from = at(date);
            assert_eq!(time.between(from, from + TimeDelta::hours(hours)), TimeDelta::hours(hours), "{date}");
        };
        day("2026-03-28T23:00:00Z", 23);
        day("2026-10-24T22:00:00Z", 25);
        let mut early = Calendar { working_hours: vec![hours(DayOfWeek::Sunday, "02:15", "04:00")], ..always };
        let spring = at("2026-03-29T00:00:00Z");
        // From 02:00 to 03:00 there is no time at all.
        assert_eq!(working(&early).between(spring, spring + TimeDelta::hours(6)), TimeDelta::hours(1));
        early.working_hours =
            vec![hours(DayOfWeek::Sunday, "01:00", "02:30"), hours(DayOfWeek::Sunday, "02:30", "04:00")];
        let autumn = at("2026-10-24T22:00:00Z");
        assert_eq!(working(&early).between(autumn, autumn + TimeDelta::hours(9)), TimeDelta::hours(4));
    }

    #[test]
    fn no_work_is_done_on_holidays() {
        let mut calendar = office("UTC");
        // A Thursday, a Friday, and a date of another year.
        calendar.holidays =
            vec![holiday("2020-12-24", true), holiday("2026-12-25", false), holiday("2025-12-28", false)];
        let time = working(&calendar);
        let from = at("2026-12-23T16:00:00Z");
        assert_eq!(time.after(from, TimeDelta::hours(2)), Some(at("2026-12-28T10:00:00Z")));
    }

    #[test]
    fn what_is_never_done_has_no_end() {
        let mut calendar = office("UTC");
        calendar.working_hours.truncate(1);
        assert_eq!(working(&calendar).after(at("2026-01-01T00:00:00Z"), TimeDelta::days(3_000)), None);
        calendar.time_zone = "Nowhere/At_All".to_owned();
        assert!(WorkingTime::of(&calendar).is_none());
    }

    #[test]
    fn everything_that_is_wrong_is_told_at_once() {
        let calendar = Calendar {
            working_hours: vec![
                hours(DayOfWeek::Monday, "09:00", "12:00"),
                hours(DayOfWeek::Monday, "11:59", "13:00"),
                hours(DayOfWeek::Tuesday, "11:00", "13:00"),
                hours(DayOfWeek::Friday, "18:00", "02:00"),
                hours(DayOfWeek::Monday, "12:00", "12:00"),
            ],
            holidays: vec![holiday("2026-02-30", true), holiday("2026-05-01", true), holiday("2026-05-01", false)],
            ..Default::default()
        };
        let found: Vec<String> = check(&calendar).iter().map(|v| v.field.clone()).collect();
        assert_eq!(
            found,
            [
                "calendar.working_hours[1]",
                "calendar.working_hours[3].end_time",
                "calendar.working_hours[4].end_time",
                "calendar.holidays[0].date",
                "calendar.holidays[2].date",
            ]
        );
    }
}

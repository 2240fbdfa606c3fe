//! What must hold of a popup note by itself.

use chrono::NaiveDate;
use concierge_proto::Violations;
use concierge_proto::notification::PopupNote;
use concierge_runtime::Error;
use concierge_runtime::html::{sanitize, shows_nothing};

/// Sanitises the text and tells everything that is wrong.
pub(super) fn check(note: &mut PopupNote) -> Result<(), Error> {
    let mut violations = Violations::default();
    targets(note, &mut violations);
    note.text_html = sanitize(&note.text_html);
    if shows_nothing(&note.text_html) {
        violations.add("popup_note.text_html", "must hold something to read");
    }
    let from = day("popup_note.from_date", &note.from_date, &mut violations);
    let until = day("popup_note.until_date", &note.until_date, &mut violations);
    if from.zip(until).is_some_and(|(from, until)| until < from) {
        violations.add("popup_note.until_date", "must not be before from_date");
    }
    if violations.is_empty() { Ok(()) } else { Err(Error::Invalid(violations)) }
}

fn targets(note: &PopupNote, violations: &mut Violations) {
    let all = [("customer_id", &note.customer_id), ("site_id", &note.site_id), ("user_id", &note.user_id)];
    let set: Vec<&str> = all.iter().filter(|(_, id)| !id.is_empty()).map(|(field, _)| *field).collect();
    if set.len() == 1 {
        return;
    }
    let at_fault = if set.is_empty() { all.map(|(field, _)| field).to_vec() } else { set };
    for field in at_fault {
        violations.add(format!("popup_note.{field}"), "exactly one of customer_id, site_id and user_id must be set");
    }
}

/// The day that a text names; none for an empty text, and for one that is no day.
fn day(field: &str, text: &str, violations: &mut Violations) -> Option<NaiveDate> {
    if text.is_empty() {
        return None;
    }
    let day = NaiveDate::parse_from_str(text, "%Y-%m-%d").ok();
    if day.is_none() {
        violations.add(field, format!("{text} is not a day of the calendar"));
    }
    day
}

#[cfg(test)]
mod tests {
    use super::*;

    fn note() -> PopupNote {
        PopupNote { user_id: "u".into(), text_html: "<p>Call back</p>".into(), ..Default::default() }
    }

    fn wrong(mut note: PopupNote) -> Vec<String> {
        match check(&mut note) {
            Err(Error::Invalid(violations)) => violations.iter().map(|v| v.field.clone()).collect(),
            Err(other) => panic!("{other}"),
            Ok(()) => Vec::new(),
        }
    }

    #[test]
    fn a_day_must_be_in_the_calendar() {
        let window =
            |from: &str, until: &str| wrong(PopupNote { from_date: from.into(), until_date: until.into(), ..note() });
        assert!(window("", "").is_empty());
        assert!(window("2028-02-29", "2028-02-29").is_empty());
        assert_eq!(window("2026-02-29", ""), ["popup_note.from_date"]);
        assert_eq!(window("2026-00-10", "2026-13-01"), ["popup_note.from_date", "popup_note.until_date"]);
        assert_eq!(window("2026-03-02", "2026-03-01"), ["popup_note.until_date"]);
    }

    #[test]
    fn a_text_must_show_something() {
        for nothing in [
            "&nbsp;",
            "<br>",
            "\u{200b}",
            "<p>\u{feff}&#8203;&shy;</p>",
            "<p><svg><g onload=x()></g></svg></p>",
            "<p title=\"x\"></p>",
        ] {
            assert_eq!(wrong(PopupNote { text_html: nothing.into(), ..note() }), ["popup_note.text_html"], "{nothing}");
        }
    }

    #[test]
    fn every_problem_is_told_at_once() {
        let note = PopupNote {
            site_id: "s".into(),
            text_html: "<script>alert(1)</script> ".into(),
            from_date: "2026-02-30".into(),
            ..note()
        };
        let told = wrong(note);
        assert_eq!(told, ["popup_note.site_id", "popup_note.user_id", "popup_note.text_html", "popup_note.from_date"]);
    }
}

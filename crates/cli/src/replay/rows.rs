//! The incident log as rows: what can be used, and what is wrong with the rest.

use std::collections::HashSet;
use std::fmt;
use std::fs::File;
use std::io;
use std::path::Path;

use anyhow::{Context as _, bail};
use chrono::{DateTime, NaiveDateTime, Utc};

/// The columns that a replay needs.
const COLUMNS: [&str; 16] = [
    "number",
    "incident_state",
    "sys_mod_count",
    "caller_id",
    "opened_at",
    "sys_updated_at",
    "contact_type",
    "location",
    "category",
    "subcategory",
    "u_symptom",
    "impact",
    "urgency",
    "priority",
    "assignment_group",
    "closed_at",
];

/// One change of an incident.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    pub(crate) line: u64,
    pub(crate) number: String,
    /// Which change of its incident this is, from 0.
    pub(crate) index: usize,
    pub(crate) state: String,
    pub(crate) caller: Option<String>,
    pub(crate) opened: DateTime<Utc>,
    pub(crate) updated: DateTime<Utc>,
    pub(crate) closed: Option<DateTime<Utc>>,
    pub(crate) contact: Option<String>,
    pub(crate) location: Option<String>,
    pub(crate) category: Option<String>,
    pub(crate) subcategory: Option<String>,
    pub(crate) symptom: Option<String>,
    /// 1 (high) to 3 (low).
    pub(crate) impact: Option<u8>,
    pub(crate) urgency: Option<u8>,
    /// 1 (critical) to 4 (low).
    pub(crate) priority: Option<u8>,
    pub(crate) group: Option<String>,
}

impl Row {
    /// When this change happened, as far as the order of all rows is concerned.
    pub(crate) fn time(&self) -> DateTime<Utc> {
        if self.index == 0 { self.opened } else { self.updated.max(self.opened) }
    }

    /// What the action of this row carries.
    pub(crate) fn action_id(&self) -> String {
        format!("{}/{}", self.number, self.index)
    }
}

/// A row that cannot be used.
#[derive(Clone, Debug)]
pub(crate) struct Bad {
    pub(crate) line: u64,
    pub(crate) column: &'static str,
    pub(crate) why: String,
}

impl fmt::Display for Bad {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}, column {}: {}", self.line, self.column, self.why)
    }
}

/// What a file holds.
#[derive(Debug, Default)]
pub(crate) struct Read {
    /// In order of time.
    pub(crate) rows: Vec<Row>,
    pub(crate) bad: Vec<Bad>,
}

impl Read {
    /// How many rows cannot be used, however much is wrong with each.
    pub(crate) fn bad_rows(&self) -> usize {
        self.bad.iter().map(|bad| bad.line).collect::<HashSet<_>>().len()
    }
}

/// Reads a file; `limit` keeps the first so many incidents.
pub(crate) fn read(file: &Path, limit: Option<usize>) -> anyhow::Result<Read> {
    let bytes = File::open(file).with_context(|| format!("cannot read {}", file.display()))?;
    parse(bytes, file, limit)
}

fn parse(bytes: impl io::Read, file: &Path, limit: Option<usize>) -> anyhow::Result<Read> {
    let mut reader = csv::ReaderBuilder::new().flexible(true).from_reader(bytes);
    let header = reader.headers().with_context(|| format!("{} is no CSV file in UTF-8", file.display()))?.clone();
    let missing: Vec<&str> = COLUMNS.iter().copied().filter(|c| !header.iter().any(|h| h == *c)).collect();
    if !missing.is_empty() {
        bail!(
            "{} has no column {}: is it an incident log? See `concierge replay --help`",
            file.display(),
            missing.join(", ")
        );
    }
    let place = |name: &str| header.iter().position(|h| h == name).unwrap_or(usize::MAX);
    let places = COLUMNS.map(place);
    let mut read = Read::default();
    let mut seen: Vec<String> = Vec::new();
    let mut known: HashSet<String> = HashSet::new();
    let mut counts: std::collections::HashMap<String, usize> = std::collections::HashMap::new();
    let mut record = csv::StringRecord::new();
    loop {
        let more = match reader.read_record(&mut record) {
            Ok(more) => more,
            Err(error) => {
                let line = error.position().map_or(0, csv::Position::line);
                read.bad.push(Bad { line, column: "(row)", why: "is not valid CSV in UTF-8".to_owned() });
                continue;
            }
        };
        if !more {
            break;
        }
        let line = record.position().map_or(0, csv::Position::line);
        if record.len() != header.len() {
            let mut why = format!("has {} columns, the header {}", record.len(), header.len());
            // What a quote opens goes on to the next one, over lines and to the end of the file.
            let end = reader.position().line().saturating_sub(1);
            if end > line {
                why += &format!("; it ends on line {end}: a quote may be left open, and no row in between was read");
            }
            read.bad.push(Bad { line, column: "(row)", why });
            continue;
        }
        let cells = places.map(|p| record.get(p).unwrap_or("").trim());
        match row(line, &cells) {
            Err(bad) => read.bad.extend(bad),
            Ok(mut row) => {
                if known.insert(row.number.clone()) {
                    seen.push(row.number.clone());
                }
                if limit.is_some_and(|limit| seen.len() > limit) {
                    known.remove(&row.number);
                    seen.pop();
                    continue;
                }
                let count = counts.entry(row.number.clone()).or_default();
                row.index = *count;
                *count += 1;
                read.rows.push(row);
            }
        }
    }
    read.rows.sort_by_key(|row| (row.time(), row.line));
    Ok(read)
}

fn known(cell: &str) -> Option<String> {
    (!cell.is_empty() && cell != "?").then(|| cell.to_owned())
}

fn row(line: u64, cells: &[&str; 16]) -> Result<Row, Vec<Bad>> {
    let [
        number,
        state,
        _,
        caller,
        opened,
        updated,
        contact,
        location,
        category,
        subcategory,
        symptom,
        impact,
        urgency,
        priority,
        group,
        closed,
    ] = *cells;
    let mut bad = Vec::new();
    let mut complain = |column: &'static str, why: String| bad.push(Bad { line, column, why });
    if known(number).is_none() {
        complain("number", "must not be empty".to_owned());
    }
    const STATES: [&str; 9] = [
        "New",
        "Active",
        "Awaiting User Info",
        "Awaiting Problem",
        "Awaiting Vendor",
        "Awaiting Evidence",
        "Resolved",
        "Closed",
        "-100",
    ];
    if !STATES.contains(&state) {
        complain("incident_state", format!("{state:?} is no state of an incident"));
    }
    let mut time = |column, cell: &str, required: bool| match known(cell) {
        None if required => {
            complain(column, "must be a time such as 29-02-2016 01:16".to_owned());
            None
        }
        None => None,
        Some(text) => match NaiveDateTime::parse_from_str(&text, "%d-%m-%Y %H:%M") {
            Ok(time) => Some(time.and_utc()),
            Err(_) => {
                complain(column, format!("{text:?} must be a time such as 29-02-2016 01:16"));
                None
            }
        },
    };
    let (opened, updated, closed) =
        (time("opened_at", opened, true), time("sys_updated_at", updated, true), time("closed_at", closed, false));
    let mut level = |column, cell: &str, most: u8| {
        let text = known(cell)?;
        let level = text.split(' ').next().and_then(|d| d.parse::<u8>().ok()).filter(|d| (1..=most).contains(d));
        if level.is_none() {
            complain(column, format!("{text:?} must begin with a number from 1 to {most}"));
        }
        level
    };
    let (impact, urgency, priority) =
        (level("impact", impact, 3), level("urgency", urgency, 3), level("priority", priority, 4));
    // What the directory takes as the names of sites, users and teams, and as external ids.
    for (column, cell, most) in [
        ("number", number, 150),
        ("caller_id", caller, 150),
        ("location", location, 150),
        ("assignment_group", group, 100),
    ] {
        if cell.chars().count() > most {
            complain(column, format!("must have at most {most} characters"));
        }
        if cell.chars().any(char::is_control) {
            complain(column, "must be one line without control characters".to_owned());
        }
    }
    if let (true, Some(opened), Some(updated)) = (bad.is_empty(), opened, updated) {
        return Ok(Row {
            line,
            number: number.to_owned(),
            index: 0,
            state: state.to_owned(),
            caller: known(caller),
            opened,
            updated,
            closed,
            contact: known(contact),
            location: known(location),
            category: known(category),
            subcategory: known(subcategory),
            symptom: known(symptom),
            impact,
            urgency,
            priority,
            group: known(group),
        });
    }
    Err(bad)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A change of the incident INC1.
    pub(crate) fn row_at(index: usize) -> Row {
        Row { index, ..row(2, &cells("New", "29-02-2016 01:16", "2 - Medium")).unwrap() }
    }

    fn cells<'a>(state: &'a str, opened: &'a str, impact: &'a str) -> [&'a str; 16] {
        [
            "INC1",
            state,
            "0",
            "Caller 1",
            opened,
            "01-03-2016 10:00",
            "Phone",
            "Location 143",
            "Category 1",
            "Subcategory 2",
            "?",
            impact,
            "2 - Medium",
            "3 - Moderate",
            "Group 5",
            "?",
        ]
    }

    #[test]
    fn reads_a_row_and_leaves_out_what_is_unknown() {
        let row = row(2, &cells("New", "29-02-2016 01:16", "2 - Medium")).unwrap();
        assert_eq!((row.symptom, row.closed, row.impact), (None, None, Some(2)));
    }

    #[test]
    fn tells_every_bad_column_of_a_row() {
        let bad = row(7, &cells("Newish", "31-02-2016 01:16", "9 - Huge")).unwrap_err();
        let columns: Vec<&str> = bad.iter().map(|b| b.column).collect();
        assert_eq!(columns, ["incident_state", "opened_at", "impact"]);
        assert!(bad[0].to_string().starts_with("line 7, column incident_state: "));
        assert_eq!(Read { bad, ..Read::default() }.bad_rows(), 1);
    }

    #[test]
    fn names_that_no_record_takes_are_bad_cells_and_stop_nothing() {
        let long = "x".repeat(151);
        let mut cells = cells("New", "29-02-2016 01:16", "2 - Medium");
        (cells[3], cells[7]) = (&long, "Location\t143");
        let bad = row(2, &cells).unwrap_err();
        assert_eq!(bad.iter().map(|b| b.column).collect::<Vec<_>>(), ["caller_id", "location"]);
    }

    #[test]
    fn a_quote_left_open_says_which_lines_it_took() {
        let row = "INC1,New,0,?,29-02-2016 01:16,29-02-2016 01:16,?,?,?,?,?,?,?,?,?,?\n";
        let text = format!("{}\n{row}\"{row}{row}", COLUMNS.join(","));
        let read = parse(text.as_bytes(), Path::new("log.csv"), None).unwrap();
        assert_eq!((read.rows.len(), read.bad.len()), (1, 1));
        assert!(read.bad[0].to_string().contains("line 3") && read.bad[0].why.contains("a quote may be left open"));
        let binary = parse([0xff, 0xfe, 0].as_slice(), Path::new("log.csv"), None).unwrap_err();
        let binary = format!("{binary:#}");
        assert!(binary.contains("is no CSV file in UTF-8"), "{binary}");
    }
}

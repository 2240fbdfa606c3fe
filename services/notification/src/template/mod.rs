//! Templates: text with placeholders such as `{{ticket.number}}`, checked when they are written.

mod placeholder;

pub(crate) use placeholder::Placeholder;

/// A template ready to be filled in.
#[derive(Clone, Debug, Default)]
pub(crate) struct Template {
    parts: Vec<Part>,
}

#[derive(Clone, Debug)]
enum Part {
    Text(String),
    Value {
        placeholder: Placeholder,
        /// True inside a tag of HTML, where a line break cannot be shown.
        in_tag: bool,
    },
}

/// Something wrong with a template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Problem {
    /// The line it is in, from 1.
    pub(crate) line: usize,
    /// What, as a sentence.
    pub(crate) what: String,
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "line {}: {}", self.line, self.what)
    }
}

/// A value that had to be cut ends with this.
const CUT: char = '…';

impl Template {
    /// Reads a template whose placeholders are among those `allowed`; tells everything that is wrong with it.
    pub(crate) fn parse(text: &str, allowed: impl Fn(Placeholder) -> bool) -> Result<Self, Vec<Problem>> {
        let mut parts = Vec::new();
        let mut problems = Vec::new();
        let (mut rest, mut line, mut in_tag) = (text, 1, false);
        while let Some(start) = rest.find("{{") {
            let (before, opened) = rest.split_at(start);
            line += before.matches('\n').count();
            in_tag = tag_state(in_tag, before);
            if !before.is_empty() {
                parts.push(Part::Text(before.to_owned()));
            }
            let Some(end) = opened.find("}}") else {
                problems.push(Problem { line, what: "a {{ is not closed by }}".to_owned() });
                rest = "";
                break;
            };
            let inside = &opened[2..end];
            let name = inside.trim();
            match Placeholder::named(name).filter(|p| allowed(*p)) {
                Some(placeholder) => parts.push(Part::Value { placeholder, in_tag }),
                None => problems.push(Problem { line, what: unknown(name, &allowed) }),
            }
            line += inside.matches('\n').count();
            rest = &opened[end + 2..];
        }
        if !rest.is_empty() {
            parts.push(Part::Text(rest.to_owned()));
        }
        if problems.is_empty() { Ok(Self { parts }) } else { Err(problems) }
    }

    /// Whether it uses this value.
    pub(crate) fn uses(&self, wanted: Placeholder) -> bool {
        self.parts.iter().any(|part| matches!(part, Part::Value { placeholder, .. } if *placeholder == wanted))
    }

    /// Fills in plain text of one line, of at most `longest` characters.
    pub(crate) fn line(&self, longest: usize, value: impl Fn(Placeholder) -> String) -> String {
        let mut line = String::new();
        for part in &self.parts {
            match part {
                Part::Text(text) => line.push_str(text),
                Part::Value { placeholder, .. } => line.push_str(&value(*placeholder)),
            }
        }
        // What a value brings in must not end the line, nor begin a header.
        let one_line: String = line.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        cut(one_line.trim(), longest)
    }

    /// Fills in HTML: values are escaped, and cut where they would make it longer than about `longest` characters.
    pub(crate) fn html(&self, longest: usize, value: impl Fn(Placeholder) -> String) -> String {
        let fixed: usize = self.parts.iter().map(|p| if let Part::Text(text) = p { text.len() } else { 0 }).sum();
        let mut left = longest.saturating_sub(fixed);
        let mut html = String::with_capacity(fixed + 1_000);
        for part in &self.parts {
            match part {
                Part::Text(text) => html.push_str(text),
                Part::Value { placeholder, in_tag } => escape(&value(*placeholder), *in_tag, &mut left, &mut html),
            }
        }
        html
    }
}

fn unknown(name: &str, allowed: impl Fn(Placeholder) -> bool) -> String {
    let name: String = name.chars().take(100).collect();
    let near = Placeholder::ALL
        .into_iter()
        .filter(|p| allowed(*p))
        .map(|p| (distance(p.name(), &name), p.name()))
        .min()
        .filter(|(distance, _)| *distance <= 2)
        .map_or(String::new(), |(_, near)| format!("; did you mean {near}?"));
    format!("there is no value {name:?} here{near}")
}

/// How many letters must change to make one name of another.
fn distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.chars().count()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, y) in b.chars().enumerate() {
            let changed = diagonal + usize::from(x != y);
            diagonal = row[j + 1];
            row[j + 1] = changed.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row.last().copied().unwrap_or(0)
}

/// Whether a text that follows one ends inside a tag.
fn tag_state(in_tag: bool, text: &str) -> bool {
    match (text.rfind('<'), text.rfind('>')) {
        (Some(open), Some(close)) => open > close,
        (Some(_), None) => true,
        (None, Some(_)) => false,
        (None, None) => in_tag,
    }
}

fn cut(text: &str, longest: usize) -> String {
    if text.len() <= longest || text.chars().count() <= longest {
        return text.to_owned();
    }
    text.chars().take(longest.saturating_sub(1)).chain([CUT]).collect()
}

fn escape(value: &str, in_tag: bool, left: &mut usize, html: &mut String) {
    for character in value.chars() {
        let mut own = [0; 4];
        let written: &str = match character {
            '&' => "&amp;",
            '<' => "&lt;",
            '>' => "&gt;",
            '"' => "&quot;",
            '\'' => "&#39;",
            '\n' if !in_tag => "<br>",
            '\r' => continue,
            other => other.encode_utf8(&mut own),
        };
        if written.len() > *left {
            *left = 0;
            html.push(CUT);
            return;
        }
        *left -= written.len();
        html.push_str(written);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn any(_: Placeholder) -> bool {
        true
    }

    fn words(placeholder: Placeholder) -> String {
        match placeholder {
            Placeholder::TicketNumber => "1042".to_owned(),
            Placeholder::TicketSummary => "<b>VPN</b> & \"mail\"\r\nBcc: all@example.com".to_owned(),
            _ => String::new(),
        }
    }

    #[test]
    fn fills_in_values_and_leaves_the_rest_alone() {
        let template = Template::parse("Ticket {{ticket.number}} { } {{ ticket.number }}{{ticket.sla}}!", any).unwrap();
        assert_eq!(template.line(100, words), "Ticket 1042 { } 1042!");
    }

    #[test]
    fn names_every_unknown_placeholder_with_its_line() {
        let problems = Template::parse("{{ticket.sumary}}\n\n{{nobody}} {{ticket.number}} {{", any).unwrap_err();
        let told: Vec<String> = problems.iter().map(ToString::to_string).collect();
        assert_eq!(
            told,
            [
                "line 1: there is no value \"ticket.sumary\" here; did you mean ticket.summary?",
                "line 3: there is no value \"nobody\" here",
                "line 3: a {{ is not closed by }}",
            ]
        );
        assert!(Template::parse("{{rule.name}}", |p| p != Placeholder::RuleName).is_err());
    }

    #[test]
    fn a_value_cannot_bring_in_tags_or_lines() {
        let template = Template::parse("<p title=\"{{ticket.summary}}\">{{ticket.summary}}</p>", any).unwrap();
        let escaped = "&lt;b&gt;VPN&lt;/b&gt; &amp; &quot;mail&quot;";
        assert_eq!(
            template.html(1_000, words),
            format!("<p title=\"{escaped}\nBcc: all@example.com\">{escaped}<br>Bcc: all@example.com</p>")
        );
        let subject = Template::parse("{{ticket.summary}}", any).unwrap();
        assert_eq!(subject.line(100, words), "<b>VPN</b> & \"mail\"  Bcc: all@example.com");
    }

    #[test]
    fn long_values_are_cut_where_the_text_would_become_too_long() {
        let template = Template::parse(&"{{ticket.summary}}".repeat(2_000), any).unwrap();
        let html = template.html(1_000, |_| "<".repeat(50_000));
        assert!(html.len() <= 1_000 + 3 * 2_000, "{}", html.len());
        assert_eq!(template.line(10, |_| "abc".to_owned()), "abcabcabc…");
    }
}

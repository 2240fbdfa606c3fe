//! Regular expressions in criteria. They take time in proportion to the text, whatever they are; what is bounded is
//! how long they are, how much memory they take and how many there are.

use regex::{Regex, RegexBuilder};
use regex_syntax::ParserBuilder;
use regex_syntax::hir::{Class, Hir, HirKind};

use crate::fold::{fold, folded};
use crate::problem::ProblemKind;

/// How many characters a pattern may have.
pub const MAX_PATTERN_LENGTH: usize = 1_000;

/// How many bytes a pattern may take when it is compiled.
pub const MAX_PATTERN_SIZE: usize = 128 << 10;

/// How many patterns the rules of one set may have, and so how much memory they take: see
/// [`RuleSet::check_patterns`](crate::RuleSet::check_patterns).
pub const MAX_PATTERNS: usize = 1_000;

/// A pattern, ready to match.
#[derive(Debug)]
pub(crate) struct Matcher {
    pub(crate) regex: Regex,
    /// Texts, folded, one of which occurs, folded, in every text that the pattern matches; none if there are no such
    /// texts, or too many.
    pub(crate) required: Vec<String>,
}

impl Matcher {
    pub(crate) fn new(pattern: &str, case_sensitive: bool) -> Result<Matcher, ProblemKind> {
        if pattern.chars().count() > MAX_PATTERN_LENGTH {
            return Err(ProblemKind::PatternTooLong);
        }
        let made = RegexBuilder::new(pattern).case_insensitive(!case_sensitive).size_limit(MAX_PATTERN_SIZE).build();
        match made {
            Ok(regex) => Ok(Matcher { required: few_required(pattern, case_sensitive).unwrap_or_default(), regex }),
            Err(regex::Error::CompiledTooBig(_)) => Err(ProblemKind::PatternTooLarge),
            Err(other) => Err(ProblemKind::BadPattern(last_line(&other.to_string()))),
        }
    }
}

/// One of so many texts is looked for instead of the pattern.
const MOST_REQUIRED: usize = 16;
/// A shorter one is in too many texts to be worth it.
const LEAST_LENGTH: usize = 2;

fn few_required(pattern: &str, case_sensitive: bool) -> Option<Vec<String>> {
    let mut parser = ParserBuilder::new().case_insensitive(!case_sensitive).build();
    let required = required(&parser.parse(pattern).ok()?)?;
    (required.len() <= MOST_REQUIRED && shortest(&required) >= LEAST_LENGTH).then_some(required)
}

/// The regex crate draws an arrow to the place; the last line says what is wrong there.
fn last_line(text: &str) -> String {
    text.lines().last().unwrap_or(text).trim_start_matches("error: ").to_owned()
}

fn shortest(texts: &[String]) -> usize {
    texts.iter().map(String::len).min().unwrap_or(0)
}

/// Texts one of which is in all that an expression matches.
fn required(hir: &Hir) -> Option<Vec<String>> {
    if let Some(text) = exact(hir) {
        return Some(vec![text]);
    }
    match hir.kind() {
        HirKind::Capture(capture) => required(&capture.sub),
        HirKind::Repetition(repetition) if repetition.min > 0 => required(&repetition.sub),
        HirKind::Alternation(items) => {
            let each: Option<Vec<Vec<String>>> = items.iter().map(required).collect();
            each.map(|each| each.into_iter().flatten().collect())
        }
        HirKind::Concat(items) => {
            // The longest run of neighbours that are fixed, or the best of what single ones require.
            let runs = items.chunk_by(|a, b| exact(a).is_some() && exact(b).is_some());
            let best = runs.filter_map(|run| match run {
                [one] => required(one),
                several => Some(vec![several.iter().filter_map(exact).collect()]),
            });
            best.max_by_key(|texts| shortest(texts))
        }
        _ => None,
    }
}

/// The one text that an expression matches, folded; none if it matches several that are not the same then.
fn exact(hir: &Hir) -> Option<String> {
    match hir.kind() {
        HirKind::Literal(literal) => Some(fold(std::str::from_utf8(&literal.0).ok()?).collect()),
        HirKind::Class(Class::Unicode(class)) => {
            let mut folded = class.iter().take(4).flat_map(|range| range.start()..=range.end()).take(8).map(folded);
            let first = folded.next()?;
            (class.ranges().len() <= 4 && folded.all(|other| other == first)).then(|| first.to_string())
        }
        HirKind::Capture(capture) => exact(&capture.sub),
        HirKind::Concat(items) => items.iter().map(exact).collect(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn needs(pattern: &str) -> Vec<String> {
        Matcher::new(pattern, false).unwrap().required
    }

    #[test]
    fn pattern_tells_what_must_occur() {
        assert_eq!(needs("VPN"), ["vpn"]);
        assert_eq!(needs("^(vpn|wlan)\\b.*down$"), ["down"]);
        assert_eq!(needs("(mail|portal) *"), ["mail", "portal"]);
        assert_eq!(needs("(?:error)+ ?[0-9]+"), ["error"]);
        assert_eq!(needs("k\u{212A}"), ["kk"], "the sign for kelvin is a k without case");
        assert_eq!(needs("pass"), ["pass"], "so is the long s an s");
        for open in [".*", "[a-z]+", "a?", "(vpn)?", "x|.", "\\d\\d"] {
            assert!(needs(open).is_empty(), "{open}");
        }
    }
}

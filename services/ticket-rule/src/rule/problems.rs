//! Everything that is wrong with several rules, to be told at once.

use concierge_proto::error::Reason;
use concierge_proto::ticket_rule::Rule;
use concierge_proto::{Record as _, Violations};
use concierge_runtime::Error;

/// What is wrong, and the error that is none of a field.
#[derive(Default)]
pub(super) struct Problems {
    violations: Violations,
    reason: Option<Reason>,
    other: Option<Error>,
}

impl Problems {
    /// A field of the request breaks a rule.
    pub(super) fn invalid(&mut self, field: impl Into<String>, description: &str) {
        self.violations.add(field, description);
    }

    /// A rule of the request names what is not there.
    pub(super) fn missing(&mut self, index: usize, path: &str, description: String) {
        self.reason.get_or_insert(Reason::ReferenceNotFound);
        self.violations.add(placed(index, path), description);
    }

    /// The request names a rule that is not there.
    pub(super) fn no_rule(&mut self, field: impl Into<String>, id: &str) {
        self.reason.get_or_insert(Reason::ReferenceNotFound);
        self.violations.add(field, format!("there is no live {} {id}", Rule::TYPE));
    }

    /// What is wrong, of a message that stands in this field of the request.
    pub(super) fn within(self, field: &str) -> Self {
        let mut violations = Violations::default();
        for violation in self.violations {
            violations.add(format!("{field}.{}", violation.field), violation.description);
        }
        Self { violations, ..self }
    }

    /// A rule of the request is refused.
    pub(super) fn of_rule(&mut self, index: usize, error: Error) {
        self.take(error, |path| placed(index, path));
    }

    /// The request is refused.
    pub(super) fn add(&mut self, error: Error) {
        self.take(error, str::to_owned);
    }

    fn take(&mut self, error: Error, place: impl Fn(&str) -> String) {
        let violations = match error {
            Error::Invalid(violations) => violations,
            Error::InvalidBecause { reason, violations } => {
                // What criteria cannot be comes before what they name.
                if self.reason != Some(Reason::CriteriaInvalid) {
                    self.reason = Some(reason);
                }
                violations
            }
            other => {
                self.other.get_or_insert(other);
                return;
            }
        };
        let mut placed = Violations::default();
        for violation in violations {
            placed.add(place(&violation.field), violation.description);
        }
        self.violations.extend(placed);
    }

    /// Refuses if anything is wrong.
    pub(super) fn result(self) -> Result<(), Error> {
        match (self.other, self.reason) {
            (Some(other), _) => Err(other),
            (None, _) if self.violations.is_empty() => Ok(()),
            (None, Some(reason)) => Err(Error::InvalidBecause { reason, violations: self.violations }),
            (None, None) => Err(Error::Invalid(self.violations)),
        }
    }
}

/// `rule.criteria.criteria[0]` of the fourth rule is `rules[3].criteria.criteria[0]`.
fn placed(index: usize, path: &str) -> String {
    format!("rules[{index}]{}", path.strip_prefix(Rule::TYPE).unwrap_or(path))
}

//! What several checks find, as one failure.

use concierge_proto::Violations;
use concierge_proto::error::Reason;
use tonic::Code;

use super::{Error, Failure as _};

/// Gathers what checks find wrong with fields, so that the answer names all of it.
#[derive(Debug, Default)]
pub struct Gathered {
    found: Option<Error>,
}

impl Gathered {
    /// Keeps what a check found wrong with fields. Any other failure is the answer at once, unless fields are wrong
    /// already: then it may have come of those.
    pub fn take(&mut self, checked: Result<(), Error>) -> Result<(), Error> {
        let Err(error) = checked else { return Ok(()) };
        if !is_of_fields(&error) {
            return Err(self.found.take().unwrap_or(error));
        }
        self.found = Some(match self.found.take() {
            None => error,
            Some(first) => both(first, error),
        });
        Ok(())
    }

    /// True when nothing was found wrong so far.
    pub fn is_empty(&self) -> bool {
        self.found.is_none()
    }

    /// Fails with all that was found.
    pub fn refuse(self) -> Result<(), Error> {
        self.found.map_or(Ok(()), Err)
    }
}

fn is_of_fields(error: &Error) -> bool {
    error.code() == Code::InvalidArgument && !error.violations().is_empty()
}

/// Two failures over fields as one; the reason that they share, if they do. What the second says of fields that are
/// wrong already comes of that.
fn both(first: Error, second: Error) -> Error {
    let known = first.violations();
    if second.violations().iter().all(|again| known.iter().any(|known| known.field == again.field)) {
        return first;
    }
    let reason = if first.reason() == second.reason() { first.reason() } else { Reason::InvalidField };
    let mut violations: Violations = first.violations();
    violations.extend(second.violations());
    match reason {
        Reason::InvalidField => Error::Invalid(violations),
        reason => Error::InvalidBecause { reason, violations },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn missing(field: &str) -> Error {
        Error::because(Reason::ReferenceNotFound, field, "there is no live site")
    }

    fn fields(error: &Error) -> Vec<String> {
        error.violations().into_iter().map(|violation| violation.field).collect()
    }

    #[test]
    fn all_that_is_wrong_with_fields_is_one_failure() {
        let mut gathered = Gathered::default();
        assert!(gathered.is_empty());
        for checked in [Ok(()), Err(missing("a")), Ok(()), Err(missing("b"))] {
            gathered.take(checked).unwrap();
        }
        gathered.take(Err(Error::field("a", "must not be empty"))).unwrap();
        gathered.take(Err(Error::field("c", "must not be empty"))).unwrap();
        let error = gathered.refuse().unwrap_err();
        assert_eq!(
            (error.reason(), fields(&error)),
            (Reason::InvalidField, ["a", "b", "c"].map(String::from).to_vec())
        );

        let mut alike = Gathered::default();
        alike.take(Err(missing("a"))).unwrap();
        alike.take(Err(missing("b"))).unwrap();
        assert_eq!(alike.refuse().unwrap_err().reason(), Reason::ReferenceNotFound);
        Gathered::default().refuse().unwrap();
    }

    #[test]
    fn another_failure_is_the_answer_unless_fields_are_wrong() {
        let mut gathered = Gathered::default();
        assert!(matches!(gathered.take(Err(Error::Conflict)), Err(Error::Conflict)));
        gathered.take(Err(missing("a"))).unwrap();
        let error = gathered.take(Err(Error::internal("no row"))).unwrap_err();
        assert_eq!(fields(&error), ["a"]);
    }
}

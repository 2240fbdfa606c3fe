//! Kleene's three truth values.

use std::ops::Not;

/// The answer to a criterion. The order is Kleene's: false, then UNKNOWN, then true, so that ALL is the least of its
/// items and ANY the greatest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Truth {
    /// It fails.
    False,
    /// It neither holds nor fails, because a fact is not known.
    Unknown,
    /// It holds.
    True,
}

impl Truth {
    /// Both: false if either is, else UNKNOWN if either is.
    #[must_use]
    pub fn and(self, other: Truth) -> Truth {
        self.min(other)
    }

    /// Either: true if one is, else UNKNOWN if one is.
    #[must_use]
    pub fn or(self, other: Truth) -> Truth {
        self.max(other)
    }
}

impl From<bool> for Truth {
    fn from(holds: bool) -> Truth {
        if holds { Truth::True } else { Truth::False }
    }
}

impl Not for Truth {
    type Output = Truth;

    fn not(self) -> Truth {
        match self {
            Truth::False => Truth::True,
            Truth::Unknown => Truth::Unknown,
            Truth::True => Truth::False,
        }
    }
}

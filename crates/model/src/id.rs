//! Ids that know what they are ids of.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::marker::PhantomData;
use std::str::FromStr;

use uuid::Uuid;

/// The id of a `T`: a UUID that cannot be mistaken for that of another type of record.
pub struct Id<T>(Uuid, PhantomData<fn() -> T>);

/// A text that is no id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotAnId;

impl<T> Id<T> {
    /// The UUID.
    pub fn uuid(self) -> Uuid {
        self.0
    }
}

impl<T> From<Uuid> for Id<T> {
    fn from(id: Uuid) -> Self {
        Self(id, PhantomData)
    }
}

impl<T> TryFrom<&str> for Id<T> {
    type Error = NotAnId;

    fn try_from(text: &str) -> Result<Self, NotAnId> {
        text.parse().map(|id| Self(id, PhantomData)).map_err(|_| NotAnId)
    }
}

impl<T> FromStr for Id<T> {
    type Err = NotAnId;

    fn from_str(text: &str) -> Result<Self, NotAnId> {
        Self::try_from(text)
    }
}

impl<T> From<Id<T>> for String {
    fn from(id: Id<T>) -> Self {
        id.to_string()
    }
}

impl fmt::Display for NotAnId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("must be a UUID")
    }
}

impl std::error::Error for NotAnId {}

// Derived, these would ask the same of `T`, of which an id holds nothing.
impl<T> Clone for Id<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Id<T> {}

impl<T> PartialEq for Id<T> {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}

impl<T> Eq for Id<T> {}

impl<T> PartialOrd for Id<T> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<T> Ord for Id<T> {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.cmp(&other.0)
    }
}

impl<T> Hash for Id<T> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.hash(state);
    }
}

impl<T> fmt::Display for Id<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl<T> fmt::Debug for Id<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Thing;

    #[test]
    fn reads_and_writes_the_text_of_the_contract() {
        let text = "0195e0c4-7a1c-7d3e-9b0a-3f1f6f0c2a11";
        let id: Id<Thing> = text.try_into().unwrap();
        assert_eq!(id.to_string(), text);
        assert_eq!(String::from(id), text);
        assert_eq!(text.parse::<Id<Thing>>(), Ok(id));
        for bad in ["", "x", "0195e0c4-7a1c-7d3e-9b0a"] {
            assert_eq!(Id::<Thing>::try_from(bad), Err(NotAnId), "{bad}");
        }
    }

    #[test]
    fn compares_by_the_uuid() {
        let (one, two) = (Id::<Thing>::from(Uuid::from_u128(1)), Id::<Thing>::from(Uuid::from_u128(2)));
        assert!(one < two && one != two);
        assert_eq!(one.uuid(), Uuid::from_u128(1));
    }
}

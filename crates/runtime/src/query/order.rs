//! `order_by` as AIP-132 has it, typed against the fields of a record.

use concierge_proto::{Field, Kind, PermissionSet};

use super::fields::{UnknownField, Visible, excerpt};

/// So many fields an order can name.
const MOST_FIELDS: usize = 5;

/// One field of an order.
#[derive(Clone, Copy, Debug)]
pub struct Order {
    /// Its index among the fields of the record.
    pub index: usize,
    /// The field.
    pub field: &'static Field,
    /// Greatest first, absent values before all others; otherwise least first and absent values last.
    pub descending: bool,
}

/// What is wrong with an order.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OrderError {
    /// Two commas with nothing between them, or one at an end.
    #[error("expected a field before and after each comma")]
    Empty,
    /// Something after the field that is no direction.
    #[error("expected asc, desc or a comma after {field}, found {found}")]
    Direction {
        /// The field.
        field: String,
        /// What stands after it.
        found: String,
    },
    /// The caller sees no such field.
    #[error(transparent)]
    UnknownField(UnknownField),
    /// A list or a message.
    #[error("records cannot be ordered by {field}, which is a {kind}")]
    Unordered {
        /// The field.
        field: &'static str,
        /// What it is.
        kind: &'static str,
    },
    /// A field that stands there already.
    #[error("{field} stands there twice")]
    Repeated {
        /// The field.
        field: &'static str,
    },
    /// Too many fields.
    #[error("an order has {MOST_FIELDS} fields at most")]
    TooMany,
    /// The caller's fields lack the one that tells records apart.
    #[error("records without an id that the caller may read cannot be listed")]
    NoId,
}

impl Order {
    /// Reads an order, or takes `default` when there is none. It always ends with the id, which no two records share,
    /// in the direction of the field before, so that one index serves both ways.
    pub fn parse(
        order_by: &str,
        default: &str,
        fields: &'static [Field],
        permissions: PermissionSet,
    ) -> Result<Vec<Self>, Vec<OrderError>> {
        let visible = Visible::new(fields, permissions);
        let text = if order_by.trim().is_empty() { default } else { order_by };
        let mut orders: Vec<Self> = Vec::new();
        let mut errors = Vec::new();
        let items = if text.trim().is_empty() { 0 } else { text.split(',').count() };
        for item in text.split(',').take(items.min(MOST_FIELDS)) {
            match Self::item(item, visible) {
                Ok(order) if orders.iter().any(|o| o.index == order.index) => {
                    errors.push(OrderError::Repeated { field: order.field.name });
                }
                Ok(order) => orders.push(order),
                Err(error) => errors.push(error),
            }
        }
        if items > MOST_FIELDS {
            errors.push(OrderError::TooMany);
        }
        if !orders.iter().any(|order| order.field.name == "id") {
            let descending = orders.last().is_some_and(|order| order.descending);
            match visible.find("id", orderable) {
                Ok((index, field)) => orders.push(Self { index, field, descending }),
                Err(_) => errors.push(OrderError::NoId),
            }
        }
        if errors.is_empty() { Ok(orders) } else { Err(errors) }
    }

    fn item(item: &str, visible: Visible) -> Result<Self, OrderError> {
        let mut words = item.split_whitespace();
        let name = words.next().ok_or(OrderError::Empty)?;
        let (index, field) = visible.find(name, orderable).map_err(OrderError::UnknownField)?;
        if !orderable(field.kind) {
            let kind = if field.kind == Kind::Message { "message" } else { "list" };
            return Err(OrderError::Unordered { field: field.name, kind });
        }
        let found = |word: &str| OrderError::Direction { field: name.to_owned(), found: excerpt(word) };
        let descending = match words.next() {
            None => false,
            Some(word) if word.eq_ignore_ascii_case("asc") => false,
            Some(word) if word.eq_ignore_ascii_case("desc") => true,
            Some(word) => return Err(found(word)),
        };
        match words.next() {
            None => Ok(Self { index, field, descending }),
            Some(word) => Err(found(word)),
        }
    }
}

fn orderable(kind: Kind) -> bool {
    !matches!(kind, Kind::Message | Kind::Texts | Kind::Ids | Kind::Enums(_))
}

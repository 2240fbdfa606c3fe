//! Lists: filters (AIP-160), orders (AIP-132) and pages (AIP-158), from the text of a request to SQL.
//!
//! ```text
//! let query = ListQuery::parse(Customer::FIELDS, permissions, &ListParams::new(&request, path, scope), &tokens)?;
//! let mut sql = QueryBuilder::new("SELECT … FROM customers WHERE delete_time IS NULL");
//! query.push_where(&mut sql);
//! query.push_order_limit(&mut sql);
//! let (customers, next_page_token) = query.page(rows, rows_that_fit, &tokens);
//! ```

mod fields;
mod filter;
mod filter_lex;
mod filter_parse;
mod filter_sql;
mod filter_value;
mod keyset;
mod order;
mod page;
mod sql;
#[cfg(test)]
mod tests;

pub use fields::UnknownField;
pub use filter::{Check, Comparison, Expr, FilterError, FilterProblem, Operator};
pub use order::{Order, OrderError};
pub use page::{Fingerprint, PageTokenError, PageTokens};

use concierge_proto::{Field, Fields, Kind, ListRequest, PermissionSet, Value};
use sqlx::{Postgres, QueryBuilder};

/// What a request for a page says, and what it is bound to.
#[derive(Clone, Copy, Debug)]
pub struct ListParams<'a> {
    /// How many at most; see [`page_size`].
    pub page_size: i32,
    /// Where to go on; empty for the first page.
    pub page_token: &'a str,
    /// An AIP-160 filter.
    pub filter: &'a str,
    /// Fields to order by.
    pub order_by: &'a str,
    /// The order of a request that states none.
    pub default_order: &'a str,
    /// True when deleted records are wanted too. Whoever writes the statement acts on it.
    pub show_deleted: bool,
    /// The path of the method: a token of one method is none of another.
    pub method_path: &'a str,
    /// What else decides which records there are, such as the caller's customer or the request's parent.
    pub scope_fingerprint: &'a [u8],
}

impl<'a> ListParams<'a> {
    /// What a standard list request says.
    pub fn new(request: &'a impl ListRequest, method_path: &'a str, scope_fingerprint: &'a [u8]) -> Self {
        Self {
            page_size: request.page_size(),
            page_token: request.page_token(),
            filter: request.filter(),
            order_by: request.order_by(),
            default_order: "create_time",
            show_deleted: request.show_deleted(),
            method_path,
            scope_fingerprint,
        }
    }
}

/// How many records a page has: 50 unless stated, never more than 1,000. A negative number is refused before.
pub fn page_size(requested: i32) -> u16 {
    const USUAL: u16 = 50;
    const MOST: u16 = 1_000;
    if requested <= 0 { USUAL } else { u16::try_from(requested).unwrap_or(MOST).min(MOST) }
}

/// A list that can be asked of a database.
#[derive(Clone, Debug)]
pub struct ListQuery {
    /// Which records; `None` for all.
    pub filter: Option<Expr>,
    /// In which order; it ends with the id.
    pub order: Vec<Order>,
    /// The order values of the last row of the page before; `None` for the first page.
    pub after: Option<Vec<Value>>,
    /// How many records a page has.
    pub limit: u16,
    fingerprint: Fingerprint,
}

impl ListQuery {
    /// Reads a request, telling every error of every field at once. `fields` are those with a column: of a record that
    /// ends with fields which are not stored, the slice before these.
    pub fn parse(
        fields: &'static [Field],
        permissions: PermissionSet,
        params: &ListParams<'_>,
        tokens: &PageTokens,
    ) -> Result<Self, QueryErrors> {
        let filter = Expr::parse(params.filter, fields, permissions);
        let order = Order::parse(params.order_by, params.default_order, fields, permissions);
        let (filter, order) = match (filter, order) {
            (Ok(filter), Ok(order)) => (filter, order),
            (filter, order) => {
                let mut errors: Vec<QueryError> = Vec::new();
                errors.extend(filter.err().into_iter().flatten().map(QueryError::Filter));
                errors.extend(order.err().into_iter().flatten().map(QueryError::OrderBy));
                if !params.page_token.is_empty() {
                    errors.extend(tokens.verify(params.page_token).err().map(QueryError::PageToken));
                }
                return Err(QueryErrors(errors));
            }
        };
        let fingerprint = fingerprint(params, &order);
        let after = match params.page_token {
            "" => None,
            token => Some(open(tokens, token, fingerprint, &order)?),
        };
        Ok(Self { filter, order, after, limit: page_size(params.page_size), fingerprint })
    }

    /// Writes ` AND …` for the filter and ` AND …` for where the page begins, behind a WHERE that is there already.
    /// Statements differ from filter to filter: a caller that prepares them should not keep them.
    pub fn push_where(&self, query: &mut QueryBuilder<Postgres>) {
        if let Some(filter) = &self.filter {
            query.push(" AND ");
            filter.push(query);
        }
        if let Some(last) = &self.after {
            query.push(" AND ");
            keyset::push_after(query, &self.order, last);
        }
    }

    /// Writes ` ORDER BY … LIMIT …`: one row more than the page has, to know whether there is another page.
    pub fn push_order_limit(&self, query: &mut QueryBuilder<Postgres>) {
        keyset::push_order_by(query, &self.order);
        query.push(" LIMIT ");
        query.push_bind(i64::from(self.limit) + 1);
    }

    /// The token of the page after a row, whose fields `value` gives by their index.
    pub fn next_token(&self, tokens: &PageTokens, value: impl Fn(usize) -> Value) -> String {
        let values: Vec<_> = self.order.iter().map(|by| value(by.index)).collect();
        tokens.seal(self.fingerprint, &values)
    }

    /// Makes a page of the rows that the statement gave, of `most` at most: drops those too many, and makes the token of
    /// the next page if there is one. Fields must be as they were read, those ordered by at least.
    pub fn page<R: Fields>(&self, mut rows: Vec<R>, most: usize, tokens: &PageTokens) -> (Vec<R>, String) {
        let limit = usize::from(self.limit).min(most);
        if rows.len() <= limit {
            return (rows, String::new());
        }
        rows.truncate(limit);
        let token = rows.last().map(|last| self.next_token(tokens, |index| last.value(index)));
        (rows, token.unwrap_or_default())
    }
}

/// What a page token is bound to. The size of the page is not: it may change from page to page.
fn fingerprint(params: &ListParams<'_>, order: &[Order]) -> Fingerprint {
    let order: Vec<_> = order.iter().map(|by| format!("{} {}", by.field.name, by.descending)).collect();
    Fingerprint::of([
        params.method_path.as_bytes(),
        params.filter.trim().as_bytes(),
        order.join(",").as_bytes(),
        &[u8::from(params.show_deleted)],
        params.scope_fingerprint,
    ])
}

/// Opens a token and sees that its values are still of the kinds that the order has.
fn open(
    tokens: &PageTokens,
    token: &str,
    fingerprint: Fingerprint,
    order: &[Order],
) -> Result<Vec<Value>, PageTokenError> {
    let values = tokens.open(token, fingerprint)?;
    let fits = |(by, value): (&Order, &Value)| {
        matches!(
            (by.field.kind, value),
            (_, Value::Null)
                | (Kind::Text, Value::Text(_))
                | (Kind::Id, Value::Id(_))
                | (Kind::Bool, Value::Bool(_))
                | (Kind::Int | Kind::Enum(_) | Kind::Duration, Value::Int(_))
                | (Kind::Float, Value::Float(_))
                | (Kind::Time, Value::Time(_))
        )
    };
    if values.len() == order.len() && order.iter().zip(&values).all(fits) {
        Ok(values)
    } else {
        Err(PageTokenError::Outdated)
    }
}

/// One thing that is wrong with a list request.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum QueryError {
    /// With its filter.
    #[error(transparent)]
    Filter(FilterError),
    /// With its order.
    #[error(transparent)]
    OrderBy(OrderError),
    /// With its page token.
    #[error(transparent)]
    PageToken(PageTokenError),
}

impl QueryError {
    /// The field of the request that is wrong.
    pub fn request_field(&self) -> &'static str {
        match self {
            Self::Filter(_) => "filter",
            Self::OrderBy(_) => "order_by",
            Self::PageToken(_) => "page_token",
        }
    }
}

/// Everything that is wrong with a list request; never empty.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", self.sentences())]
pub struct QueryErrors(pub Vec<QueryError>);

impl QueryErrors {
    fn sentences(&self) -> String {
        let sentences: Vec<_> = self.0.iter().map(|error| format!("{}: {error}", error.request_field())).collect();
        sentences.join("; ")
    }
}

impl From<PageTokenError> for QueryErrors {
    fn from(error: PageTokenError) -> Self {
        Self(vec![QueryError::PageToken(error)])
    }
}

//! What searches share: words as a text query, results in pages.

use concierge_model::search::Query;
use concierge_proto::{Fields, Permission, PermissionSet, Value};
use concierge_runtime::query::{Expr, Fingerprint, PageTokens, QueryError, QueryErrors, page_size};
use concierge_runtime::{Call, Error};
use sqlx::{Postgres, QueryBuilder};

/// What a search asks for, beside its words.
#[derive(Debug)]
pub(crate) struct Search {
    /// The words; `None` when there is none, so that nothing fits.
    pub(crate) query: Option<Query>,
    /// What results must pass as well.
    pub(crate) filter: Option<Expr>,
    /// The order values of the last result of the page before.
    pub(crate) after: Option<Vec<Value>>,
    /// How many results a page has.
    pub(crate) limit: u16,
    /// Whether important records come first among equals: only for those who may know which they are.
    pub(crate) sees_importance: bool,
    fingerprint: Fingerprint,
}

impl Search {
    /// Reads a search of records `R`, telling every error at once.
    pub(crate) fn parse<R: Fields>(
        text: &str,
        filter: &str,
        page_token: &str,
        requested: i32,
        tokens: &PageTokens,
    ) -> Result<Self, Error> {
        let call = Call::current();
        let permissions = call.as_ref().map_or(PermissionSet::ALL, |c| c.permissions());
        let method = call.as_ref().and_then(|c| c.method).map_or("", |m| m.path);
        let sees_importance = Permission::named("importance.read").is_none_or(|p| permissions.holds(p));
        let order = [u8::from(sees_importance)];
        let fingerprint = Fingerprint::of([method.as_bytes(), text.as_bytes(), filter.trim().as_bytes(), &order]);
        let mut errors = Vec::new();
        let filter = Expr::parse(filter, R::FIELDS, permissions).unwrap_or_else(|problems| {
            errors.extend(problems.into_iter().map(QueryError::Filter));
            None
        });
        let after = match page_token {
            "" => None,
            token => tokens.open(token, fingerprint).map_err(|e| errors.push(QueryError::PageToken(e))).ok(),
        };
        if !errors.is_empty() {
            return Err(QueryErrors(errors).into());
        }
        Ok(Self { query: Query::parse(text), filter, after, limit: page_size(requested), sees_importance, fingerprint })
    }

    /// Writes the condition that every word is found, or the digits of a telephone number: `found` writes it for one.
    pub(crate) fn push_all_found(
        &self,
        sql: &mut QueryBuilder<Postgres>,
        query: &Query,
        found: impl Fn(&mut QueryBuilder<Postgres>, &str),
    ) {
        for (index, word) in query.words.iter().enumerate() {
            sql.push(if index > 0 { " and " } else { "" });
            found(sql, word);
        }
        if let Some(digits) = &query.digits {
            sql.push(" or ");
            found(sql, digits);
        }
    }

    /// Refuses to send a statement after the caller's deadline.
    pub(crate) fn check_deadline(&self) -> Result<(), Error> {
        Call::current().map_or(Ok(()), |call| call.remaining().map(drop))
    }

    /// The token of the page after a result with these order values.
    pub(crate) fn token(&self, tokens: &PageTokens, values: &[Value]) -> String {
        tokens.seal(self.fingerprint, values)
    }
}

/// The words as a text query that finds names only: all of them, each found by what begins with it. Words are letters
/// and digits only (`concierge_model::search::words`), so that nothing in them is syntax.
pub(crate) fn own_names(query: &Query) -> String {
    let words: Vec<String> = query.words.iter().map(|word| format!("'{word}':*A")).collect();
    words.join(" & ")
}

/// The words as a text query: all of them, or the digits of a telephone number; each finds what begins with it.
pub(crate) fn anywhere(query: &Query) -> String {
    let words: Vec<String> = query.words.iter().map(|word| format!("'{word}':*")).collect();
    let words = words.join(" & ");
    query.digits.as_ref().map_or(words.clone(), |digits| format!("({words}) | '{digits}':*"))
}

/// How well a record fits, the best first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tier {
    /// It has just this name.
    Name = 0,
    /// Every word begins a word of its names.
    Names = 1,
    /// Every word begins a word by which it is found.
    Anything = 2,
}

impl Tier {
    /// Writes the tier of a record whose search text is in `column`.
    pub(crate) fn push(sql: &mut QueryBuilder<Postgres>, query: &Query, column: &str) {
        sql.push(format_args!("case when search_names({column}) = ")).push_bind(query.names.clone());
        sql.push(format_args!(" then {} when search_words({column}) @@ ", Self::Name as i32));
        sql.push_bind(own_names(query)).push("::tsquery");
        sql.push(format_args!(" then {} else {} end", Self::Names as i32, Self::Anything as i32));
    }

    /// As the contract tells it: 0 to 1, more is better.
    pub(crate) fn relevance(tier: i32) -> f64 {
        match tier {
            t if t == Self::Name as i32 => 1.0,
            t if t == Self::Names as i32 => 0.75,
            _ => 0.5,
        }
    }
}

//! Filters as conditions of SQL.

use concierge_proto::{Field, Kind, Value};
use sqlx::{Postgres, QueryBuilder};

use super::fields::nullable;
use super::filter::{Check, Comparison, Expr};
use super::sql::{bind, column, ordered_column};

impl Expr {
    /// Writes the condition, in parentheses where it needs them.
    pub fn push(&self, query: &mut QueryBuilder<Postgres>) {
        match self {
            Self::All(parts) => join(parts, " AND ", query),
            Self::Any(parts) => join(parts, " OR ", query),
            // A comparison with null is neither true nor false in SQL; here it does not hold.
            Self::Not(part) => {
                query.push("((");
                part.push(query);
                query.push(") IS NOT TRUE)");
            }
            Self::Test(field, check) => push_check(field, check, query),
        }
    }
}

fn join(parts: &[Expr], operator: &str, query: &mut QueryBuilder<Postgres>) {
    query.push("(");
    for (index, part) in parts.iter().enumerate() {
        if index > 0 {
            query.push(operator);
        }
        part.push(query);
    }
    query.push(")");
}

fn push_check(field: &Field, check: &Check, query: &mut QueryBuilder<Postgres>) {
    match check {
        Check::IsNull => after_column(field, " IS NULL", query),
        Check::IsNotNull => after_column(field, " IS NOT NULL", query),
        Check::IsNotEmpty => match field.kind {
            Kind::Text => after_column(field, " <> ''", query),
            Kind::Enum(_) => after_column(field, " <> 0", query),
            _ => {
                query.push("cardinality(");
                after_column(field, ") > 0", query);
            }
        },
        Check::Compare(comparison, value) => compare(field, *comparison, value, query),
        // By code points: the same answer as in any other order, and an index in that order can serve it.
        Check::Like(pattern) => like(field, " COLLATE \"C\" LIKE ", pattern, query),
        Check::NotLike(pattern) => like(field, " COLLATE \"C\" NOT LIKE ", pattern, query),
        Check::LikeInAnyCase(pattern) => like(field, " ILIKE ", pattern, query),
        Check::Includes(item) => {
            after_column(field, " @> ", query);
            bind(query, field.kind, item);
        }
        Check::IncludesLike(pattern) => {
            query.push("EXISTS (SELECT FROM unnest(");
            after_column(field, ") AS item WHERE item LIKE ", query);
            query.push_bind(pattern.as_str());
            query.push(")");
        }
    }
}

fn after_column(field: &Field, text: &str, query: &mut QueryBuilder<Postgres>) {
    column(query, field);
    query.push(text);
}

fn like(field: &Field, operator: &str, pattern: &str, query: &mut QueryBuilder<Postgres>) {
    after_column(field, operator, query);
    query.push_bind(pattern);
}

fn compare(field: &Field, comparison: Comparison, value: &Value, query: &mut QueryBuilder<Postgres>) {
    let operator = match comparison {
        Comparison::Equal => " = ",
        Comparison::NotEqual if nullable(field) => " IS DISTINCT FROM ",
        Comparison::NotEqual => " <> ",
        Comparison::Less => " < ",
        Comparison::LessOrEqual => " <= ",
        Comparison::Greater => " > ",
        Comparison::GreaterOrEqual => " >= ",
    };
    // Equality leaves the column its own order, which unique indexes have.
    if matches!(comparison, Comparison::Equal | Comparison::NotEqual) {
        column(query, field);
    } else {
        ordered_column(query, field);
    }
    query.push(operator);
    bind(query, field.kind, value);
}

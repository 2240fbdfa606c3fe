//! Paging by the values of the last row, never by counting: a page goes on after that row, whatever came or went.
//!
//! Absent values stand last in ascending and first in descending order, as Postgres has it by default.

use concierge_proto::Value;
use sqlx::{Postgres, QueryBuilder};

use super::fields::nullable;
use super::order::Order;
use super::sql::{bind, ordered_column};

/// Writes ` ORDER BY …`.
pub(super) fn push_order_by(query: &mut QueryBuilder<Postgres>, order: &[Order]) {
    query.push(" ORDER BY ");
    for (index, by) in order.iter().enumerate() {
        if index > 0 {
            query.push(", ");
        }
        ordered_column(query, by.field);
        if by.descending {
            query.push(" DESC");
        }
    }
}

/// Writes the condition that a row comes after the row with these values.
pub(super) fn push_after(query: &mut QueryBuilder<Postgres>, order: &[Order], last: &[Value]) {
    let Some(first) = order.first() else {
        query.push("FALSE");
        return;
    };
    let plain = |(by, value): (&Order, &Value)| !nullable(by.field) && *value != Value::Null;
    if order.iter().zip(last).all(plain) && order.iter().all(|by| by.descending == first.descending) {
        push_row_after(query, order, last, first.descending);
        return;
    }
    query.push("(");
    if order.len() > 1 && order.iter().zip(last).next().is_some_and(plain) {
        // Follows from the rest; said because an index can begin there.
        ordered_column(query, first.field);
        query.push(if first.descending { " <= " } else { " >= " });
        bind(query, first.field.kind, &last[0]);
        query.push(" AND ");
    }
    // (a after) OR (a equal AND ((b after) OR (b equal AND (c after))))
    for (index, (by, value)) in order.iter().zip(last).enumerate() {
        query.push("(");
        push_column_after(query, by, value);
        if index + 1 < order.len() {
            query.push(" OR ");
            push_equal(query, by, value);
            query.push(" AND ");
        }
    }
    for _ in order {
        query.push(")");
    }
    query.push(")");
}

/// One comparison of rows, which an index in that order answers.
fn push_row_after(query: &mut QueryBuilder<Postgres>, order: &[Order], last: &[Value], descending: bool) {
    query.push("(");
    for (index, by) in order.iter().enumerate() {
        if index > 0 {
            query.push(", ");
        }
        ordered_column(query, by.field);
    }
    query.push(if descending { ") < (" } else { ") > (" });
    for (index, (by, value)) in order.iter().zip(last).enumerate() {
        if index > 0 {
            query.push(", ");
        }
        bind(query, by.field.kind, value);
    }
    query.push(")");
}

fn push_column_after(query: &mut QueryBuilder<Postgres>, by: &Order, value: &Value) {
    match (value, by.descending) {
        // Absent values are the last: none comes after them.
        (Value::Null, false) => {
            query.push("FALSE");
        }
        (Value::Null, true) => {
            ordered_column(query, by.field);
            query.push(" IS NOT NULL");
        }
        (value, false) if nullable(by.field) => {
            query.push("(");
            ordered_column(query, by.field);
            query.push(" > ");
            bind(query, by.field.kind, value);
            query.push(" OR ");
            ordered_column(query, by.field);
            query.push(" IS NULL)");
        }
        (value, descending) => {
            ordered_column(query, by.field);
            query.push(if descending { " < " } else { " > " });
            bind(query, by.field.kind, value);
        }
    }
}

fn push_equal(query: &mut QueryBuilder<Postgres>, by: &Order, value: &Value) {
    ordered_column(query, by.field);
    if *value == Value::Null {
        query.push(" IS NULL");
    } else {
        query.push(" = ");
        bind(query, by.field.kind, value);
    }
}

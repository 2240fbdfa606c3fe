//! Finding customers by their own words and those of their sites.

use concierge_proto::directory::{Customer, CustomerSearchResult, SearchCustomersRequest, SearchCustomersResponse};
use concierge_proto::{Fields as _, Permission, Value};
use concierge_runtime::resource::decode;
use concierge_runtime::{Call, Error, Service};
use sqlx::{Postgres, QueryBuilder, Row as _};
use uuid::Uuid;

use crate::search::{Search, words};

/// Best fit first, important ones first among equals, then by name. One round trip.
///
/// A customer of that name is the best fit (1), then one whose name begins so (0.8), one whose own words it has (0.6),
/// and one that needs the words of a site to fit (0.4).
pub(super) async fn search(
    service: &Service,
    request: &SearchCustomersRequest,
) -> Result<SearchCustomersResponse, Error> {
    let tokens = service.page_tokens().await?;
    let search =
        Search::parse::<Customer>(&request.query, &request.filter, &request.page_token, request.page_size, tokens)?;
    let Some(query) = &search.query else { return Ok(SearchCustomersResponse::default()) };
    let columns: Vec<String> = Customer::FIELDS.iter().map(|f| format!("\"{}\"", f.name)).collect();
    let columns = columns.join(", ");
    let mut sql = QueryBuilder::<Postgres>::new(format!(
        "with found as (select {columns}, version, search_names(search) collate \"C\" as names_, \
         case when search_names(search) = "
    ));
    sql.push_bind(query.names.clone()).push(" then 1.0 when starts_with(search_names(search), ");
    sql.push_bind(query.names.clone()).push(") then 0.8 when search_words(search) @@ ");
    sql.push_bind(words(query, " & ")).push("::tsquery then 0.6 else 0.4 end::float8 as fit_, ");
    sql.push(if sees_importance() { "case when important then 0 else 1 end" } else { "1" });
    sql.push("::bigint as rank_ from customers c where delete_time is null and (search_words(search) @@ ");
    sql.push_bind(words(query, " & ")).push("::tsquery or exists (select from sites s where s.customer_id = c.id and ");
    // Either index finds the few that can fit.
    sql.push("s.delete_time is null and (search_words(c.search) || search_words(s.search)) @@ ");
    sql.push_bind(words(query, " & ")).push("::tsquery)) and (search_words(search) @@ ");
    sql.push_bind(words(query, " | ")).push("::tsquery or id in (select customer_id from sites where ");
    sql.push("delete_time is null and search_words(search) @@ ").push_bind(words(query, " | "));
    sql.push("::tsquery))) select ").push(columns).push(", version, names_, fit_, rank_ from found where true");
    if let Some(filter) = &search.filter {
        sql.push(" and ");
        filter.push(&mut sql);
    }
    if let Some([Value::Float(fit), Value::Int(rank), Value::Text(names), Value::Id(id)]) = search.after.as_deref() {
        sql.push(" and (-fit_, rank_, names_, id) > (").push_bind(-fit).push(", ").push_bind(*rank).push(", ");
        sql.push_bind(names.clone()).push(", ").push_bind(*id).push(")");
    }
    sql.push(" order by fit_ desc, rank_, names_, id limit ").push_bind(i64::from(search.limit) + 1);

    let rows = sql.build().persistent(false).fetch_all(service.pool()).await?;
    let width = Customer::FIELDS.len() + 1;
    let mut results = Vec::new();
    let mut last = Vec::new();
    for row in rows.iter().take(usize::from(search.limit)) {
        let customer: Customer = decode(row)?;
        let (names, relevance, rank): (String, f64, i64) =
            (row.try_get(width)?, row.try_get(width + 1)?, row.try_get(width + 2)?);
        let id: Uuid = customer.id.parse().map_err(Error::internal)?;
        last = vec![Value::Float(relevance), Value::Int(rank), Value::Text(names), Value::Id(id)];
        results.push(CustomerSearchResult { customer: Some(customer), relevance });
    }
    let more = rows.len() > usize::from(search.limit);
    let next_page_token = if more { search.token(tokens, &last) } else { String::new() };
    Ok(SearchCustomersResponse { results, next_page_token })
}

/// Who may not know who is important must not learn it from an order.
pub(crate) fn sees_importance() -> bool {
    let permissions = Call::current().map(|call| call.permissions()).unwrap_or_default();
    Permission::named("importance.read").is_some_and(|p| permissions.holds(p))
}

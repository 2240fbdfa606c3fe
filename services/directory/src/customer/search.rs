//! Finding customers by their own words and those of their sites.

use concierge_proto::directory::{Customer, CustomerSearchResult, SearchCustomersRequest, SearchCustomersResponse};
use concierge_proto::{Fields as _, Value};
use concierge_runtime::resource::decode;
use concierge_runtime::{Error, Service};
use sqlx::{Postgres, QueryBuilder, Row as _};
use uuid::Uuid;

use crate::search::{Search, Tier};

/// Best fit first, then important ones if the caller may know, then by name. One round trip.
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
    let rank = if search.sees_importance { "case when important then 0 else 1 end" } else { "0" };
    let mut sql = QueryBuilder::<Postgres>::new(format!("with found as (select {columns}, version, "));
    Tier::push(&mut sql, query, "search");
    sql.push(format_args!(" as tier_, {rank} as rank_, search_names(search) collate \"C\" as names_ from customers "));
    sql.push("where delete_time is null and (");
    search.push_all_found(&mut sql, query, |sql, word| {
        // Words of a site's name have weight A: a customer is not found by what its sites are called.
        sql.push("id in (select id from customers where delete_time is null and search_words(search) @@ ");
        sql.push_bind(format!("'{word}':*"));
        sql.push(
            "::tsquery union select customer_id from sites where delete_time is null and search_words(search) @@ ",
        );
        sql.push_bind(format!("'{word}':*D")).push("::tsquery)");
    });
    sql.push(")) select ").push(columns).push(", version, tier_, rank_, names_ from found where true");
    if let Some(filter) = &search.filter {
        sql.push(" and ");
        filter.push(&mut sql);
    }
    if let Some([Value::Int(tier), Value::Int(rank), Value::Text(names), Value::Id(id)]) = search.after.as_deref() {
        sql.push(" and (tier_, rank_, names_, id) > (").push_bind(*tier).push(", ").push_bind(*rank).push(", ");
        sql.push_bind(names.clone()).push(", ").push_bind(*id).push(")");
    }
    sql.push(" order by tier_, rank_, names_, id limit ").push_bind(i64::from(search.limit) + 1);

    search.check_deadline()?;
    let rows = sql.build().persistent(false).fetch_all(service.pool()).await?;
    let width = Customer::FIELDS.len() + 1;
    let mut results = Vec::new();
    let mut last = Vec::new();
    for row in rows.iter().take(usize::from(search.limit)) {
        let customer: Customer = decode(row)?;
        let (tier, rank): (i32, i32) = (row.try_get(width)?, row.try_get(width + 1)?);
        let names = row.try_get(width + 2)?;
        let id: Uuid = customer.id.parse().map_err(Error::internal)?;
        last = vec![Value::Int(tier.into()), Value::Int(rank.into()), Value::Text(names), Value::Id(id)];
        results.push(CustomerSearchResult { customer: Some(customer), relevance: Tier::relevance(tier) });
    }
    let more = rows.len() > usize::from(search.limit);
    let next_page_token = if more { search.token(tokens, &last) } else { String::new() };
    Ok(SearchCustomersResponse { results, next_page_token })
}

//! Finding users, as when a ticket is logged: important ones first among equals.

use concierge_proto::directory::{SearchUsersRequest, SearchUsersResponse, User, UserSearchResult};
use concierge_proto::{Fields as _, Value};
use concierge_runtime::resource::decode;
use concierge_runtime::{Error, Service};
use sqlx::{Postgres, QueryBuilder, Row as _};
use uuid::Uuid;

use crate::customer::search::sees_importance;
use crate::search::{Search, words};

/// Best fit first, important ones first among equals, then by name. One round trip.
///
/// A user of that name is the best fit (1), then one whose names begin so (0.8), then one whose words it has (0.6).
pub(super) async fn search(service: &Service, request: &SearchUsersRequest) -> Result<SearchUsersResponse, Error> {
    let tokens = service.page_tokens().await?;
    let search =
        Search::parse::<User>(&request.query, &request.filter, &request.page_token, request.page_size, tokens)?;
    let Some(query) = &search.query else { return Ok(SearchUsersResponse::default()) };
    let sees_importance = sees_importance();
    let columns: Vec<String> = User::FIELDS.iter().map(|f| format!("\"{}\"", f.name)).collect();
    let columns = columns.join(", ");
    let of_user: Vec<String> = User::FIELDS.iter().map(|f| format!("u.\"{}\"", f.name)).collect();
    let mut sql = QueryBuilder::<Postgres>::new(format!(
        "with found as (select {}, u.version, n.names as names_, n.rank = 0 as important_, \
         u.active and s.active and s.delete_time is null and c.active and c.delete_time is null as active_, \
         s.name as site_, c.name as customer_, case when n.names = ",
        of_user.join(", ")
    ));
    sql.push_bind(query.names.clone()).push(" then 1.0 when starts_with(n.names, ");
    sql.push_bind(query.names.clone()).push(") then 0.8 else 0.6 end::float8 as fit_, ");
    sql.push(if sees_importance { "n.rank" } else { "1" });
    sql.push("::bigint as rank_ from user_search n join users u on u.id = n.user_id join sites s on s.id = u.site_id ");
    sql.push("join customers c on c.id = s.customer_id where n.words @@ ");
    sql.push_bind(words(query, " & ")).push("::tsquery");
    if let Some(digits) = &query.digits {
        sql.push(" or n.words @@ ").push_bind(format!("'{digits}':*")).push("::tsquery");
    }
    sql.push(") select ").push(columns);
    sql.push(", version, names_, important_, active_, site_, customer_, fit_, rank_ from found where true");
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
    let width = User::FIELDS.len() + 1;
    let mut results = Vec::new();
    let mut last = Vec::new();
    for row in rows.iter().take(usize::from(search.limit)) {
        let user: User = decode(row)?;
        let (relevance, rank): (f64, i64) = (row.try_get(width + 5)?, row.try_get(width + 6)?);
        let id: Uuid = user.id.parse().map_err(Error::internal)?;
        last = vec![Value::Float(relevance), Value::Int(rank), Value::Text(row.try_get(width)?), Value::Id(id)];
        results.push(UserSearchResult {
            user: Some(user),
            relevance,
            important: row.try_get(width + 1)?,
            active: row.try_get(width + 2)?,
            site_name: row.try_get(width + 3)?,
            customer_name: row.try_get(width + 4)?,
        });
    }
    let more = rows.len() > usize::from(search.limit);
    let next_page_token = if more { search.token(tokens, &last) } else { String::new() };
    Ok(SearchUsersResponse { results, next_page_token })
}

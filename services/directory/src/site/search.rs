//! Finding sites by their own words and their customer's name.

use concierge_proto::directory::{SearchSitesRequest, SearchSitesResponse, Site, SiteSearchResult};
use concierge_proto::{Fields as _, Value};
use concierge_runtime::resource::decode;
use concierge_runtime::{Error, Service};
use sqlx::{Postgres, QueryBuilder, Row as _};
use uuid::Uuid;

use crate::search::{Search, words};

/// Best fit first, then by name. One round trip.
///
/// A site of that name is the best fit (1), then one whose name begins so (0.8), one whose own words it has (0.6), and
/// one that needs its customer's name to fit (0.4).
pub(super) async fn search(service: &Service, request: &SearchSitesRequest) -> Result<SearchSitesResponse, Error> {
    let tokens = service.page_tokens().await?;
    let search =
        Search::parse::<Site>(&request.query, &request.filter, &request.page_token, request.page_size, tokens)?;
    let Some(query) = &search.query else { return Ok(SearchSitesResponse::default()) };
    let columns: Vec<String> = Site::FIELDS.iter().map(|f| format!("\"{}\"", f.name)).collect();
    let columns = columns.join(", ");
    let of_site: Vec<String> = Site::FIELDS.iter().map(|f| format!("s.\"{}\"", f.name)).collect();
    let mut sql = QueryBuilder::<Postgres>::new(format!(
        "with found as (select {}, s.version, search_names(s.search) collate \"C\" as names_, c.name as customer_, \
         c.main_site_id = s.id as main_, c.active and c.delete_time is null as customer_active_, \
         case when search_names(s.search) = ",
        of_site.join(", ")
    ));
    sql.push_bind(query.names.clone()).push(" then 1.0 when starts_with(search_names(s.search), ");
    sql.push_bind(query.names.clone()).push(") then 0.8 when search_words(s.search) @@ ");
    sql.push_bind(words(query, " & ")).push("::tsquery then 0.6 else 0.4 end::float8 as fit_ ");
    sql.push("from sites s join customers c on c.id = s.customer_id where s.delete_time is null and (");
    // Either index finds the few that can fit; then all words must be found in both together.
    sql.push("search_words(s.search) @@ ").push_bind(words(query, " | ")).push("::tsquery or s.customer_id in (");
    sql.push("select id from customers where delete_time is null and search_words(search) @@ ");
    sql.push_bind(words(query, " | ")).push("::tsquery)) and (search_words(s.search) || search_words(c.search)) @@ ");
    sql.push_bind(words(query, " & ")).push("::tsquery) select ");
    sql.push(columns).push(", version, names_, customer_, main_, customer_active_, fit_ from found where true");
    if let Some(filter) = &search.filter {
        sql.push(" and ");
        filter.push(&mut sql);
    }
    if let Some([Value::Float(fit), Value::Text(names), Value::Id(id)]) = search.after.as_deref() {
        sql.push(" and (-fit_, names_, id) > (").push_bind(-fit).push(", ").push_bind(names.clone()).push(", ");
        sql.push_bind(*id).push(")");
    }
    sql.push(" order by fit_ desc, names_, id limit ").push_bind(i64::from(search.limit) + 1);

    let rows = sql.build().persistent(false).fetch_all(service.pool()).await?;
    let width = Site::FIELDS.len() + 1;
    let mut results = Vec::new();
    let mut last = Vec::new();
    for row in rows.iter().take(usize::from(search.limit)) {
        let site: Site = decode(row)?;
        let names: String = row.try_get(width)?;
        let relevance: f64 = row.try_get(width + 4)?;
        let id: Uuid = site.id.parse().map_err(Error::internal)?;
        last = vec![Value::Float(relevance), Value::Text(names), Value::Id(id)];
        results.push(SiteSearchResult {
            relevance,
            customer_name: row.try_get(width + 1)?,
            main: row.try_get::<Option<bool>, _>(width + 2)?.unwrap_or(false),
            active: site.active != Some(false) && row.try_get(width + 3)?,
            site: Some(site),
        });
    }
    let more = rows.len() > usize::from(search.limit);
    let next_page_token = if more { search.token(tokens, &last) } else { String::new() };
    Ok(SearchSitesResponse { results, next_page_token })
}

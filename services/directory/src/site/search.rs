//! Finding sites by their own words and their customer's name.

use concierge_proto::directory::{SearchSitesRequest, SearchSitesResponse, Site, SiteSearchResult};
use concierge_proto::{Fields as _, Value};
use concierge_runtime::resource::decode;
use concierge_runtime::{Error, Service};
use sqlx::{Postgres, QueryBuilder, Row as _};
use uuid::Uuid;

use crate::search::{Search, Tier};

/// Best fit first, then by name. One round trip.
pub(super) async fn search(service: &Service, request: &SearchSitesRequest) -> Result<SearchSitesResponse, Error> {
    let tokens = service.page_tokens().await?;
    let search =
        Search::parse::<Site>(&request.query, &request.filter, &request.page_token, request.page_size, tokens)?;
    let Some(query) = &search.query else { return Ok(SearchSitesResponse::default()) };
    let columns: Vec<String> = Site::FIELDS.iter().map(|f| format!("\"{}\"", f.name)).collect();
    let columns = columns.join(", ");
    let of_site: Vec<String> = Site::FIELDS.iter().map(|f| format!("s.\"{}\"", f.name)).collect();
    let mut sql = QueryBuilder::<Postgres>::new(format!("with found as (select {}, s.version, ", of_site.join(", ")));
    Tier::push(&mut sql, query, "s.search");
    sql.push(" as tier_, search_names(s.search) collate \"C\" as names_, c.name as customer_, ");
    sql.push("coalesce(c.main_site_id = s.id, false) as main_, ");
    sql.push("s.active and c.active and c.delete_time is null as active_ ");
    sql.push("from sites s join customers c on c.id = s.customer_id where s.delete_time is null and (");
    search.push_all_found(&mut sql, query, |sql, word| {
        sql.push("s.id in (select id from sites where delete_time is null and search_words(search) @@ ");
        sql.push_bind(format!("'{word}':*"));
        sql.push("::tsquery union select p.id from sites p join customers o on o.id = p.customer_id ");
        // Words of a name have weight A.
        sql.push("where p.delete_time is null and o.delete_time is null and search_words(o.search) @@ ");
        sql.push_bind(format!("'{word}':*A")).push("::tsquery)");
    });
    sql.push(")) select ")
        .push(columns)
        .push(", version, tier_, names_, customer_, main_, active_ from found where true");
    if let Some(filter) = &search.filter {
        sql.push(" and ");
        filter.push(&mut sql);
    }
    if let Some([Value::Int(tier), Value::Text(names), Value::Id(id)]) = search.after.as_deref() {
        sql.push(" and (tier_, names_, id) > (").push_bind(*tier).push(", ").push_bind(names.clone()).push(", ");
        sql.push_bind(*id).push(")");
    }
    sql.push(" order by tier_, names_, id limit ").push_bind(i64::from(search.limit) + 1);

    search.check_deadline()?;
    let rows = sql.build().persistent(false).fetch_all(service.pool()).await?;
    let width = Site::FIELDS.len() + 1;
    let mut results = Vec::new();
    let mut last = Vec::new();
    for row in rows.iter().take(usize::from(search.limit)) {
        let site: Site = decode(row)?;
        let tier: i32 = row.try_get(width)?;
        let id: Uuid = site.id.parse().map_err(Error::internal)?;
        last = vec![Value::Int(tier.into()), Value::Text(row.try_get(width + 1)?), Value::Id(id)];
        results.push(SiteSearchResult {
            site: Some(site),
            relevance: Tier::relevance(tier),
            customer_name: row.try_get(width + 2)?,
            main: row.try_get(width + 3)?,
            active: row.try_get(width + 4)?,
        });
    }
    let more = rows.len() > usize::from(search.limit);
    let next_page_token = if more { search.token(tokens, &last) } else { String::new() };
    Ok(SearchSitesResponse { results, next_page_token })
}

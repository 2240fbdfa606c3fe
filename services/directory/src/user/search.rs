//! Finding users by what somebody types, as when a ticket is logged.
//!
//! Up to three statements, each only when those before did not fill the page: names by the lists of `user_names`, where
//! a page is the first rows of a range; names by words, for what the lists are too coarse for; then everything else. A
//! fourth, small one looks whether a list of important users ended too early for the others behind them to be right.

use concierge_proto::directory::{SearchUsersRequest, SearchUsersResponse, User, UserSearchResult};
use concierge_proto::{Fields as _, Value};
use concierge_runtime::resource::decode;
use concierge_runtime::{Error, Service};
use sqlx::postgres::PgRow;
use sqlx::{Postgres, QueryBuilder, Row as _};
use uuid::Uuid;

use super::search_sql::{Position, Statement};
use crate::search::{Search, Tier};

/// A user that was found.
struct Hit {
    position: Position,
    rank: i16,
    result: UserSearchResult,
}

/// Best fit first, then important ones if the caller may know, then by name.
pub(super) async fn search(service: &Service, request: &SearchUsersRequest) -> Result<SearchUsersResponse, Error> {
    let tokens = service.page_tokens().await?;
    let search =
        Search::parse::<User>(&request.query, &request.filter, &request.page_token, request.page_size, tokens)?;
    let Some(query) = &search.query else { return Ok(SearchUsersResponse::default()) };
    let after = search.after.as_deref().and_then(Position::of);
    let statement = Statement { query, search: &search, after: after.as_ref() };

    let wanted = usize::from(search.limit) + 1;
    let mut hits = read(service, &search, statement.listed_names()).await?;
    let may_miss = !statement.lists_are_exact();
    if may_miss && (hits.len() < wanted || missed(service, &search, &statement, &hits).await?) {
        hits.retain(|hit| hit.position.tier == Tier::Name as i32);
        hits.extend(read(service, &search, statement.other_names()).await?);
    }
    if hits.len() < wanted {
        hits.extend(read(service, &search, statement.anything()).await?);
    }

    // Each statement is in order, and what it finds fits less well than what those before found.
    let more = hits.len() >= wanted;
    hits.truncate(usize::from(search.limit));
    let next_page_token = match hits.last() {
        Some(last) if more => search.token(tokens, &last.position.values()),
        _ => String::new(),
    };
    Ok(SearchUsersResponse { results: hits.into_iter().map(|hit| hit.result).collect(), next_page_token })
}

/// Whether hits that belong before some of these were not looked for.
async fn missed(service: &Service, search: &Search, statement: &Statement<'_>, hits: &[Hit]) -> Result<bool, Error> {
    let found = hits.iter().map(|hit| (hit.position.tier, hit.rank));
    let Some(mut sql) = statement.missed(found) else { return Ok(false) };
    search.check_deadline()?;
    Ok(sql.build_query_scalar().persistent(false).fetch_one(service.pool()).await?)
}

async fn read(service: &Service, search: &Search, sql: Option<QueryBuilder<Postgres>>) -> Result<Vec<Hit>, Error> {
    let Some(mut sql) = sql else { return Ok(Vec::new()) };
    search.check_deadline()?;
    // Planned for its own words: those that many users have are found in another way than those of few.
    let rows = sql.build().persistent(false).fetch_all(service.pool()).await?;
    rows.iter().map(|row| hit(row, search)).collect()
}

/// Reads a row of the user's columns, `version`, then what [`Statement`] adds.
fn hit(row: &PgRow, search: &Search) -> Result<Hit, Error> {
    let user: User = decode(row)?;
    let at = User::FIELDS.len() + 1;
    let tier: i32 = row.try_get(at)?;
    let rank: i16 = row.try_get(at + 1)?;
    let id: Uuid = user.id.parse().map_err(Error::internal)?;
    let result = UserSearchResult {
        user: Some(user),
        relevance: Tier::relevance(tier),
        important: rank == 0,
        active: row.try_get(at + 5)?,
        site_name: row.try_get(at + 3)?,
        customer_name: row.try_get(at + 4)?,
    };
    // A token can be read: it must not say who is important.
    let told = if search.sees_importance { rank } else { 0 };
    Ok(Hit { position: Position { tier, rank: told, names: row.try_get(at + 2)?, id }, rank, result })
}

impl Position {
    /// The position that a token holds.
    fn of(values: &[Value]) -> Option<Self> {
        match values {
            [Value::Int(tier), Value::Int(rank), Value::Text(names), Value::Id(id)] => Some(Self {
                tier: i32::try_from(*tier).ok()?,
                rank: i16::try_from(*rank).ok()?,
                names: names.clone(),
                id: *id,
            }),
            _ => None,
        }
    }

    fn values(&self) -> [Value; 4] {
        [
            Value::Int(self.tier.into()),
            Value::Int(self.rank.into()),
            Value::Text(self.names.clone()),
            Value::Id(self.id),
        ]
    }
}

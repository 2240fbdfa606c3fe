//! Preferences as a table: a row for each user who ever chose something.

use concierge_proto::notification::Preferences;
use concierge_proto::{Fields as _, Record as _};
use concierge_runtime::resource::decode;
use concierge_runtime::{Error, Resource, Tx};
use uuid::Uuid;

/// The table of preferences.
#[derive(Clone, Copy, Debug)]
pub struct UserPreferences;

impl Resource for UserPreferences {
    type Record = Preferences;

    const TABLE: &'static str = "preferences";
    const USER: Option<&'static str> = Some("id");
}

/// What holds for a user who never chose anything.
pub(super) fn unwritten(id: &str) -> Preferences {
    Preferences { id: id.to_owned(), etag: "0".to_owned(), ..Default::default() }
}

/// Changes the named preferences of a user. Two round trips when nothing differs, three otherwise.
pub(super) async fn change(tx: &mut Tx, new: &Preferences, paths: &[String]) -> Result<Preferences, Error> {
    // Two who write the first preferences of a user at the same time would not see each other.
    sqlx::query("select pg_advisory_xact_lock(hashtextextended($1, 0))")
        .bind(format!("preferences of {}", new.id))
        .execute(tx.conn().await?)
        .await?;
    let stored = match tx.get_for_update::<UserPreferences>(&new.id).await {
        Err(Error::NotFound { .. }) => None,
        found => Some(found?),
    };
    let before = stored.clone().unwrap_or_else(|| unwritten(&new.id));
    tx.check_etag(&before, new.etag())?;
    let mut after = before.clone();
    for index in paths.iter().filter_map(|path| Preferences::index_of(path)) {
        after.set_value(index, new.value(index));
    }
    match stored {
        Some(before) => tx.change::<UserPreferences>(before, after).await,
        None if after == before => Ok(before),
        None => tx.insert_own::<UserPreferences>(after).await,
    }
}

/// The preferences of the users of a site and of a customer who want to be told anything of tickets there, in the order
/// of the users. One round trip, however many users there are: it looks for users by what they name.
pub(crate) async fn of(tx: &mut Tx, site: Option<Uuid>, customer: Option<Uuid>) -> Result<Vec<Preferences>, Error> {
    let rows = sqlx::query(
        "select p.id, p.site_new, p.site_action, p.site_closed, p.customer_new, p.customer_action, p.customer_closed,
             p.create_time, p.update_time, p.version
         from projections u join preferences p on p.id = u.record_id
         where u.record_type = 'user' and not u.deleted
           and (u.refs @> array[$1] and (p.site_new or p.site_action or p.site_closed)
                or u.refs @> array[$2] and (p.customer_new or p.customer_action or p.customer_closed))
         order by p.id",
    )
    .bind(site)
    .bind(customer)
    .fetch_all(tx.conn().await?)
    .await?;
    rows.iter().map(decode).collect()
}

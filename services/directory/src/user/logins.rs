//! Who logs in with what: by a login name, or by the primary e-mail address. No login name of one live user is an e-mail
//! address of another, so that what is typed names one of them.
//!
//! Both sides take the address in `user_emails` before they look at the other side, so whoever comes second waits for
//! the first and sees what it wrote.

use concierge_proto::Record as _;
use concierge_proto::directory::User;
use concierge_proto::error::Reason;
use concierge_runtime::{Error, Tx};
use uuid::Uuid;

use super::emails::{folded, held};

/// The login name of a live user, if it could be an e-mail address.
fn login_name(user: Option<&User>) -> Option<&str> {
    let live = user.filter(|user| user.delete_time().is_none());
    live.map(|user| user.login_name.as_str()).filter(|name| name.contains('@'))
}

/// Refuses what somebody else logs in with. The user's own addresses are kept already. One round trip for new e-mail
/// addresses, two for a new login name that could be one; none when nothing changed.
pub(super) async fn check(tx: &mut Tx, before: Option<&User>, after: &User) -> Result<(), Error> {
    let own: Uuid = after.id.parse().map_err(Error::internal)?;
    let old = held(before);
    let new: Vec<String> = held(Some(after)).into_iter().filter(|email| !old.contains(email)).collect();
    if !new.is_empty() {
        check_emails(tx, own, after, new).await?;
    }
    match login_name(Some(after)) {
        Some(name) if login_name(before) != Some(name) => check_login_name(tx, own, after, name).await,
        _ => Ok(()),
    }
}

/// New addresses that are others' login names.
async fn check_emails(tx: &mut Tx, own: Uuid, after: &User, new: Vec<String>) -> Result<(), Error> {
    let taken: Vec<String> = sqlx::query_scalar(
        "select lower(login_name) from users
         where lower(login_name) = any($1) and login_name <> '' and delete_time is null and id <> $2",
    )
    .bind(new)
    .bind(own)
    .fetch_all(tx.conn().await?)
    .await?;
    match after.emails.iter().position(|email| taken.contains(&folded(email))) {
        None => Ok(()),
        Some(index) => Err(Error::Taken { reason: Reason::EmailTaken, field: format!("user.emails[{index}]") }),
    }
}

/// A new login name that is another's address.
async fn check_login_name(tx: &mut Tx, own: Uuid, after: &User, name: &str) -> Result<(), Error> {
    let name = name.to_lowercase();
    if held(Some(after)).contains(&name) {
        return Ok(());
    }
    // Waits for whoever is just taking the address, and lets nobody take it until this is committed.
    let taking = "insert into user_emails (email, user_id) values ($1, $2) on conflict (email) do nothing";
    let taken = sqlx::query(taking).bind(&name).bind(own).execute(tx.conn().await?).await?.rows_affected() == 0;
    if taken {
        return Err(Error::Taken { reason: Reason::LoginNameTaken, field: "user.login_name".to_owned() });
    }
    // It is no address of the user. Who waits for it goes on when this is committed, and finds the login name.
    let giving_back = "delete from user_emails where email = $1 and user_id = $2";
    sqlx::query(giving_back).bind(name).bind(own).execute(tx.conn().await?).await?;
    Ok(())
}

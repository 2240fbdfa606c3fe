//! E-mail addresses of live users: each belongs to one of them, whoever comes first.

use concierge_proto::directory::User;
use concierge_proto::error::Reason;
use concierge_proto::{Record as _, Violations};
use concierge_runtime::{Error, Tx};
use uuid::Uuid;

/// As addresses are compared. They are ASCII by the contract's rules.
pub(super) fn folded(email: &str) -> String {
    email.to_ascii_lowercase()
}

/// Refuses a user that has one address twice, in different letters.
pub(super) fn check_distinct(emails: &[String]) -> Result<(), Error> {
    let mut violations = Violations::default();
    for (index, email) in emails.iter().enumerate() {
        if emails[..index].iter().any(|other| other.eq_ignore_ascii_case(email)) {
            violations.add(format!("user.emails[{index}]"), "stands in the list more than once");
        }
    }
    if violations.is_empty() { Ok(()) } else { Err(Error::Invalid(violations)) }
}

pub(super) fn held(user: Option<&User>) -> Vec<String> {
    let live = user.filter(|u| u.delete_time().is_none());
    // In one order everywhere: two users who take each other's addresses must not wait for each other.
    let mut emails: Vec<String> = live.map(|u| u.emails.iter().map(|e| folded(e)).collect()).unwrap_or_default();
    emails.sort_unstable();
    emails
}

/// Gives back the addresses that a user no longer has, and takes those it has now. An address that somebody else is
/// just taking is waited for. At most two round trips, none when nothing changed.
pub(super) async fn keep(tx: &mut Tx, before: Option<&User>, after: &User) -> Result<(), Error> {
    let (old, new) = (held(before), held(Some(after)));
    let id: Uuid = after.id.parse().map_err(Error::internal)?;
    let lost: Vec<&str> = old.iter().filter(|e| !new.contains(e)).map(String::as_str).collect();
    if !lost.is_empty() {
        sqlx::query("delete from user_emails where email = any($1) and user_id = $2")
            .bind(lost)
            .bind(id)
            .execute(tx.conn().await?)
            .await?;
    }
    let wanted: Vec<&str> = new.iter().filter(|e| !old.contains(e)).map(String::as_str).collect();
    if wanted.is_empty() {
        return Ok(());
    }
    let taken: Vec<String> = sqlx::query_scalar(
        "insert into user_emails (email, user_id) select email, $2 from unnest($1::text[]) as email
         on conflict (email) do nothing returning email",
    )
    .bind(&wanted)
    .bind(id)
    .fetch_all(tx.conn().await?)
    .await?;
    match after.emails.iter().position(|e| wanted.contains(&folded(e).as_str()) && !taken.contains(&folded(e))) {
        None => Ok(()),
        Some(index) => Err(Error::Taken { reason: Reason::EmailTaken, field: format!("user.emails[{index}]") }),
    }
}

//! E-mail senders as a table, and as what sends e-mails.

use concierge_proto::Violations;
use concierge_proto::error::Reason;
use concierge_proto::notification::{EmailSecurity, EmailSender};
use concierge_runtime::resource::{Child, Unique};
use concierge_runtime::{Error, Resource, Tx};
use sqlx::postgres::PgRow;
use sqlx::{PgExecutor, Row as _};
use uuid::Uuid;

use crate::sending::are_certificates;

/// The table of e-mail senders.
#[derive(Clone, Copy, Debug)]
pub struct EmailSenders;

impl Resource for EmailSenders {
    type Record = EmailSender;

    const TABLE: &'static str = "email_senders";
    const CHILDREN: &'static [Child] = &[Child {
        record_type: "notification_definition",
        table: "notification_definitions",
        column: "email_sender_id",
        many: false,
    }];
    const UNIQUE: &'static [Unique] =
        &[Unique { constraint: "email_senders_name", field: "name", reason: Reason::NameTaken }];

    async fn check(_tx: &mut Tx, before: Option<&EmailSender>, after: &mut EmailSender) -> Result<(), Error> {
        let mut violations = Violations::default();
        if after.security() == EmailSecurity::None {
            for (field, value) in [("username", &after.username), ("password", &after.password)] {
                if !value.is_empty() {
                    violations.add(format!("email_sender.{field}"), "must be empty where there is no TLS");
                }
            }
        }
        // Where it is already told to be empty, there is no more to say of it.
        if after.security() != EmailSecurity::None && before.is_some_and(|before| takes_password_along(before, after)) {
            violations.add(
                "email_sender.password",
                "must be given again, in the mask too, with a change of host, port, security, username or \
                 ca_certificate",
            );
        }
        if !after.ca_certificate.is_empty() && !are_certificates(&after.ca_certificate) {
            violations.add("email_sender.ca_certificate", "must be certificates in PEM");
        }
        if violations.is_empty() { Ok(()) } else { Err(Error::Invalid(violations)) }
    }
}

/// True when a stored password would go to another server, or over a connection that is trusted for other reasons, than
/// the one that it was given for: who may change a sender must not learn its password so.
fn takes_password_along(before: &EmailSender, after: &EmailSender) -> bool {
    let way = |sender: &EmailSender| {
        let EmailSender { host, port, username, ca_certificate, .. } = sender;
        (host.clone(), *port, sender.security(), username.clone(), ca_certificate.clone())
    };
    // The same text sealed twice differs: what is equal was not given.
    !before.password.is_empty() && before.password == after.password && way(before) != way(after)
}

/// A live e-mail sender, as sending e-mails needs it.
#[derive(Clone, Debug)]
pub(crate) struct Account {
    pub(crate) id: Uuid,
    pub(crate) version: i64,
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) security: EmailSecurity,
    pub(crate) username: String,
    /// Sealed.
    pub(crate) password: String,
    pub(crate) from_address: String,
    pub(crate) from_name: String,
    pub(crate) reply_to_address: String,
    pub(crate) enabled: bool,
    /// In PEM; empty for none.
    pub(crate) ca_certificate: String,
}

/// The live e-mail senders, in the order in which they are taken. One round trip.
pub(crate) async fn accounts(executor: impl PgExecutor<'_>) -> Result<Vec<Account>, Error> {
    let rows = sqlx::query(
        "select id, version, host, port, security, username, password, from_address, from_name, reply_to_address,
             enabled, ca_certificate
         from email_senders where delete_time is null order by position, create_time, id",
    )
    .fetch_all(executor)
    .await?;
    rows.iter().map(account).collect()
}

fn account(row: &PgRow) -> Result<Account, Error> {
    let port: i64 = row.try_get(3)?;
    let security = EmailSecurity::try_from(row.try_get::<i32, _>(4)?).unwrap_or_default();
    Ok(Account {
        id: row.try_get(0)?,
        version: row.try_get(1)?,
        host: row.try_get(2)?,
        port: u16::try_from(port).map_err(Error::internal)?,
        security: if security == EmailSecurity::Unspecified { EmailSecurity::Starttls } else { security },
        username: row.try_get(5)?,
        password: row.try_get(6)?,
        from_address: row.try_get(7)?,
        from_name: row.try_get(8)?,
        reply_to_address: row.try_get(9)?,
        enabled: row.try_get(10)?,
        ca_certificate: row.try_get(11)?,
    })
}

/// The sender that an e-mail goes through: the one that is wanted, else the first; if it is enabled.
pub(crate) fn choose(accounts: &[Account], wanted: Option<Uuid>) -> Result<&Account, NoSender> {
    match wanted {
        None => accounts.iter().find(|a| a.enabled).ok_or(NoSender::NoneEnabled),
        Some(id) => match accounts.iter().find(|a| a.id == id) {
            Some(account) if account.enabled => Ok(account),
            Some(_) => Err(NoSender::Disabled(id)),
            None => Err(NoSender::Deleted(id)),
        },
    }
}

/// Why an e-mail has to wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NoSender {
    #[error("no e-mail sender is enabled")]
    NoneEnabled,
    #[error("the e-mail sender {0} is not enabled")]
    Disabled(Uuid),
    #[error("the e-mail sender {0} is deleted")]
    Deleted(Uuid),
}

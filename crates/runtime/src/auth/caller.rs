//! The caller that a token speaks for.

use chrono::{DateTime, Utc};
use concierge_proto::{CallerKind, PermissionSet};
use uuid::Uuid;

/// Who calls, as a verified token says it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// What the caller is.
    pub kind: CallerKind,
    /// The id of the agent or user, the id of the API client, or the name of the service.
    pub subject: String,
    /// What the token grants.
    pub permissions: PermissionSet,
    /// The customer of a user or an API client; `None` for agents and services.
    pub customer_id: Option<Uuid>,
    /// The site of a user; `None` for everyone else.
    pub site_id: Option<Uuid>,
    /// When the token was issued.
    pub issued_at: DateTime<Utc>,
    /// When the token stops being good.
    pub expires_at: DateTime<Utc>,
    /// The key that signed it.
    pub key_id: String,
    /// Whom a service acts for, in the form of [`Caller::actor`]. A fact of the call, not of the token: `None` until
    /// [`Caller::acting_for`].
    pub on_behalf_of: Option<String>,
}

impl Caller {
    /// This caller as an actor: `agent:0190…`, `service:ticket-rule`.
    pub fn actor(&self) -> String {
        format!("{}:{}", kind_name(self.kind), self.subject)
    }

    /// Whoever started the chain of calls: the original caller if a service named one, else this caller.
    pub fn origin(&self) -> String {
        self.on_behalf_of.clone().unwrap_or_else(|| self.actor())
    }

    /// This caller, acting for another. `None` unless this is a service and the other is an actor: nobody else may name
    /// an original caller.
    #[must_use]
    pub fn acting_for(&self, actor: &str) -> Option<Self> {
        if self.kind != CallerKind::Service {
            return None;
        }
        parse_actor(actor)?;
        Some(Self { on_behalf_of: Some(actor.to_owned()), ..self.clone() })
    }
}

/// Takes an actor apart: `agent:0190…` is the agent `0190…`.
pub fn parse_actor(actor: &str) -> Option<(CallerKind, &str)> {
    let (kind, subject) = actor.split_once(':')?;
    let kind = kind_named(kind)?;
    is_subject(subject).then_some((kind, subject))
}

/// True for what may stand in `sub`: it goes into metadata and logs as it is.
pub(super) fn is_subject(subject: &str) -> bool {
    !subject.is_empty() && subject.len() <= 200 && subject.bytes().all(|b| b.is_ascii_graphic())
}

/// A subject in the one form that it is compared in: ids in lower case with hyphens, whatever form a token has them in.
pub(super) fn canonical(subject: String) -> String {
    match subject.parse::<Uuid>() {
        Ok(id) => id.to_string(),
        Err(_) => subject,
    }
}

/// The name of a kind in tokens: `agent`, `user`, `api_client`, `service`.
pub fn kind_name(kind: CallerKind) -> &'static str {
    match kind {
        CallerKind::Unspecified => "unspecified",
        CallerKind::Agent => "agent",
        CallerKind::User => "user",
        CallerKind::ApiClient => "api_client",
        CallerKind::Service => "service",
    }
}

/// The kind of a name in tokens.
pub fn kind_named(name: &str) -> Option<CallerKind> {
    match name {
        "agent" => Some(CallerKind::Agent),
        "user" => Some(CallerKind::User),
        "api_client" => Some(CallerKind::ApiClient),
        "service" => Some(CallerKind::Service),
        _ => None,
    }
}

//! Tokens of an OpenID provider.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use concierge_proto::{CallerKind, PermissionSet};
use serde_json::Value;
use uuid::Uuid;

use super::Caller;
use super::caller::kind_named;
use super::keys::PublicKey;
use super::token_error::TokenError;

/// An OpenID provider whose tokens are accepted, and where in them we find what we need.
///
/// A claim is named as it stands in the token, or by its path with dots (`realm_access.roles`).
#[derive(Clone, Debug)]
pub struct OpenIdProvider {
    /// What its tokens have in `iss`.
    pub issuer: String,
    /// What its tokens have in `aud`; `None`: this service's name, as in our own tokens.
    pub audience: Option<String>,
    /// Its public keys. They are good for its own tokens only.
    pub keys: Vec<PublicKey>,
    /// The claim with the subject's id with us.
    pub subject_claim: String,
    /// The claim with the kind of caller; `None`: all are agents.
    pub kind_claim: Option<String>,
    /// The claim with scopes, groups or roles.
    pub scope_claim: String,
    /// What each of them grants. Empty: they are permissions themselves.
    pub grants: BTreeMap<String, Vec<String>>,
    /// The claim with the customer's id.
    pub customer_claim: String,
    /// The claim with the site's id.
    pub site_claim: String,
}

impl OpenIdProvider {
    /// A provider whose claims have the names that ours have.
    pub fn new(issuer: impl Into<String>, keys: Vec<PublicKey>) -> Self {
        Self {
            issuer: issuer.into(),
            audience: None,
            keys,
            subject_claim: "sub".to_owned(),
            kind_claim: None,
            scope_claim: "scope".to_owned(),
            grants: BTreeMap::new(),
            customer_claim: "customer_id".to_owned(),
            site_claim: "site_id".to_owned(),
        }
    }

    pub(super) fn key(&self, id: &str) -> Option<&PublicKey> {
        self.keys.iter().find(|key| key.id() == id)
    }

    /// The caller that a token with a good signature speaks for.
    pub(super) fn caller(&self, payload: &Value, key_id: String, service: &str) -> Result<Caller, TokenError> {
        let audience = self.audience.as_deref().unwrap_or(service);
        if !words(payload.get("aud")).any(|word| word == audience) {
            return Err(TokenError::WrongAudience { audience: audience.to_owned() });
        }
        let kind = match &self.kind_claim {
            None => CallerKind::Agent,
            Some(path) => {
                let kind = find(payload, path).and_then(Value::as_str).and_then(kind_named);
                // Services speak for others; only our own keys make one.
                kind.filter(|kind| *kind != CallerKind::Service).ok_or(TokenError::Claim("kind"))?
            }
        };
        let subject = find(payload, &self.subject_claim).and_then(Value::as_str).ok_or(TokenError::Claim("sub"))?;
        let scope = || words(find(payload, &self.scope_claim));
        let permissions = if self.grants.is_empty() {
            PermissionSet::of(scope())
        } else {
            PermissionSet::of(scope().filter_map(|word| self.grants.get(word)).flatten().map(String::as_str))
        };
        Caller {
            kind,
            subject: subject.to_owned(),
            permissions,
            customer_id: id(payload, &self.customer_claim, "customer_id")?,
            site_id: id(payload, &self.site_claim, "site_id")?,
            issued_at: time(payload, "iat")?,
            expires_at: time(payload, "exp")?,
            key_id,
            on_behalf_of: None,
        }
        .complete()
    }
}

/// Finds a claim by its name, or by its path with dots. Names with dots in them are common (`https://example.com/kind`).
fn find<'a>(payload: &'a Value, path: &str) -> Option<&'a Value> {
    payload.get(path).or_else(|| path.split('.').try_fold(payload, |value, name| value.get(name)))
}

/// The words of a claim that is a string with spaces or a list of strings.
fn words(claim: Option<&Value>) -> impl Iterator<Item = &str> {
    let (text, list) = match claim {
        Some(Value::String(text)) => (text.as_str(), [].as_slice()),
        Some(Value::Array(list)) => ("", list.as_slice()),
        _ => ("", [].as_slice()),
    };
    text.split_ascii_whitespace().chain(list.iter().filter_map(Value::as_str))
}

fn id(payload: &Value, path: &str, name: &'static str) -> Result<Option<Uuid>, TokenError> {
    match find(payload, path) {
        None | Some(Value::Null) => Ok(None),
        Some(value) => value.as_str().and_then(|text| text.parse().ok()).map(Some).ok_or(TokenError::Claim(name)),
    }
}

/// A time in seconds, as RFC 7519 has it: the milliseconds are our own tokens' alone.
fn time(payload: &Value, name: &'static str) -> Result<DateTime<Utc>, TokenError> {
    let seconds = payload.get(name).and_then(Value::as_f64).filter(|s| s.is_finite()).ok_or(TokenError::Claim(name))?;
    #[allow(clippy::cast_possible_truncation)]
    DateTime::from_timestamp_millis((seconds * 1000.0) as i64).ok_or(TokenError::Claim(name))
}

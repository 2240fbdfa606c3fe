//! Checking tokens.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, Utc};
use concierge_proto::{CallerKind, PermissionSet};
use http::HeaderMap;
use http::header::AUTHORIZATION;
use serde::Deserialize;
use serde_json::Value;

use super::cache::Cache;
use super::caller::{canonical, is_subject};
use super::claims::Claims;
use super::keys::{KeySet, PublicKey};
use super::openid::OpenIdProvider;
use super::revocations::Revocations;
use super::token_error::TokenError;
use super::{CLOCK_SKEW, Caller, LONGEST_LIFE};

/// The longest token that is looked at, in bytes.
const LONGEST_TOKEN: usize = 8 * 1024;
/// How many verified tokens are remembered.
const CACHE_CAPACITY: usize = 10_000;
/// How long a verified token is believed without checking its signature again, in milliseconds.
const CACHE_LIFE: i64 = 60_000;

/// What a [`Verifier`] is made of.
#[derive(Debug)]
pub struct VerifierOptions {
    /// This service's name: what tokens must have in `aud`.
    pub audience: String,
    /// What the suite's own tokens have in `iss`.
    pub issuer: String,
    /// The suite's own keys.
    pub keys: Arc<KeySet>,
    /// What was taken back.
    pub revocations: Arc<Revocations>,
    /// OpenID providers whose tokens are accepted too.
    pub providers: Vec<OpenIdProvider>,
}

/// Checks tokens, and remembers for a minute those that passed.
#[derive(Debug)]
pub struct Verifier {
    options: VerifierOptions,
    cache: Cache,
}

#[derive(Deserialize)]
struct Header {
    alg: String,
    #[serde(default)]
    kid: Option<String>,
    #[serde(default)]
    crit: Option<Value>,
}

impl Verifier {
    /// A verifier with an empty cache.
    pub fn new(options: VerifierOptions) -> Self {
        Self { options, cache: Cache::new(CACHE_CAPACITY) }
    }

    /// Checks the token in the headers of a request.
    pub fn verify_headers(&self, headers: &HeaderMap, now: DateTime<Utc>) -> Result<Arc<Caller>, TokenError> {
        let value = headers.get(AUTHORIZATION).ok_or(TokenError::Missing)?;
        let value = value.to_str().map_err(|_| TokenError::Malformed)?;
        match value.split_at_checked(7) {
            Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer ") => self.verify(token.trim(), now),
            _ => Err(TokenError::Missing),
        }
    }

    /// Checks a token (without `Bearer`). The time is the caller's, so that it is taken once a request.
    pub fn verify(&self, token: &str, now: DateTime<Utc>) -> Result<Arc<Caller>, TokenError> {
        if token.is_empty() {
            return Err(TokenError::Missing);
        }
        if token.len() > LONGEST_TOKEN {
            return Err(TokenError::Malformed);
        }
        // Taken before the checks: what changes during them makes the entry stale from the start. Both numbers only
        // grow, so an equal sum means that neither changed, and a hit is as good as looking at the revocations again.
        let generation = self.options.keys.generation() + self.options.revocations.generation();
        let at = now.timestamp_millis();
        let hash = self.cache.hash(token);
        if let Some(caller) = self.cache.get(hash, token, generation, at) {
            return Ok(caller);
        }
        let caller = Arc::new(self.check(token, now)?);
        let until = (at + CACHE_LIFE).min(caller.expires_at.timestamp_millis());
        self.cache.insert(hash, token, Arc::clone(&caller), generation, at, until);
        Ok(caller)
    }

    fn check(&self, token: &str, now: DateTime<Utc>) -> Result<Caller, TokenError> {
        let (message, signature) = token.rsplit_once('.').ok_or(TokenError::Malformed)?;
        let (header, payload) = message.split_once('.').ok_or(TokenError::Malformed)?;
        let header: Header = decode(header)?;
        if header.crit.is_some() {
            return Err(TokenError::Malformed);
        }
        let kid = header.kid.unwrap_or_default();
        // Not believed yet: it only says whose keys to look among, so that no issuer can sign for another.
        let payload: Value = decode(payload)?;
        let issuer = payload.get("iss").and_then(Value::as_str).ok_or(TokenError::Claim("iss"))?;

        let (caller, not_before) = if issuer == self.options.issuer {
            let key = self.options.keys.get(&kid).ok_or_else(|| {
                self.options.keys.miss();
                TokenError::unknown_key(&kid)
            })?;
            check_signature(&key, &header.alg, message, signature)?;
            let not_before = payload.get("nbf").and_then(Value::as_f64);
            (self.own(payload, kid)?, not_before)
        } else {
            let mut providers = self.options.providers.iter().filter(|provider| provider.issuer == issuer).peekable();
            providers.peek().ok_or(TokenError::WrongIssuer)?;
            let (provider, key) = providers
                .find_map(|provider| Some((provider, provider.key(&kid)?)))
                .ok_or_else(|| TokenError::unknown_key(&kid))?;
            check_signature(key, &header.alg, message, signature)?;
            (provider.caller(&payload, kid, &self.options.audience)?, payload.get("nbf").and_then(Value::as_f64))
        };

        if now >= caller.expires_at {
            return Err(TokenError::Expired { at: caller.expires_at });
        }
        if caller.expires_at - caller.issued_at > LONGEST_LIFE {
            return Err(TokenError::TooLong);
        }
        #[allow(clippy::cast_precision_loss)]
        let latest = (now + CLOCK_SKEW).timestamp_millis() as f64 / 1000.0;
        if caller.issued_at > now + CLOCK_SKEW || not_before.is_some_and(|not_before| not_before > latest) {
            return Err(TokenError::NotYetValid);
        }
        if self.options.revocations.revoked(&caller) {
            return Err(TokenError::Revoked);
        }
        Ok(caller)
    }

    /// The caller of one of the suite's own tokens.
    fn own(&self, payload: Value, key_id: String) -> Result<Caller, TokenError> {
        let claims: Claims = Deserialize::deserialize(&payload).map_err(|_| TokenError::Claim(missing(&payload)))?;
        if !claims.aud.0.contains(&self.options.audience) {
            return Err(TokenError::WrongAudience { audience: self.options.audience.clone() });
        }
        let issued_at = DateTime::from_timestamp_millis(claims.iat).ok_or(TokenError::Claim("iat"))?;
        let expires_at = DateTime::from_timestamp(claims.exp, 0).ok_or(TokenError::Claim("exp"))?;
        Caller {
            kind: claims.kind,
            subject: claims.sub,
            permissions: PermissionSet::of(claims.scope.0.iter().map(String::as_str)),
            customer_id: claims.customer_id,
            site_id: claims.site_id,
            issued_at,
            expires_at,
            key_id,
            on_behalf_of: None,
        }
        .complete()
    }
}

impl Caller {
    /// Checks that the caller has what its kind needs, and drops what its kind does not have.
    pub(super) fn complete(mut self) -> Result<Self, TokenError> {
        if !is_subject(&self.subject) {
            return Err(TokenError::Claim("sub"));
        }
        self.subject = canonical(self.subject);
        match self.kind {
            CallerKind::Unspecified => return Err(TokenError::Claim("kind")),
            CallerKind::Agent | CallerKind::Service => (self.customer_id, self.site_id) = (None, None),
            CallerKind::ApiClient => self.site_id = None,
            CallerKind::User => {
                self.site_id.ok_or(TokenError::Claim("site_id"))?;
            }
        }
        if matches!(self.kind, CallerKind::User | CallerKind::ApiClient) {
            self.customer_id.ok_or(TokenError::Claim("customer_id"))?;
        }
        Ok(self)
    }
}

fn check_signature(key: &PublicKey, algorithm: &str, message: &str, signature: &str) -> Result<(), TokenError> {
    if !key.allows(algorithm) {
        return Err(TokenError::WrongAlgorithm);
    }
    if !key.verifies(message.as_bytes(), signature) {
        return Err(TokenError::BadSignature);
    }
    Ok(())
}

fn decode<T: serde::de::DeserializeOwned>(part: &str) -> Result<T, TokenError> {
    let bytes = URL_SAFE_NO_PAD.decode(part).map_err(|_| TokenError::Malformed)?;
    serde_json::from_slice(&bytes).map_err(|_| TokenError::Malformed)
}

/// Which claim of a signed payload keeps it from being read.
fn missing(payload: &Value) -> &'static str {
    let is_id = |name: &str| {
        payload.get(name).is_none_or(|v| v.is_null() || v.as_str().is_some_and(|s| s.parse::<uuid::Uuid>().is_ok()))
    };
    let is_integer = |name: &str| payload.get(name).is_some_and(Value::is_i64);
    let is_words = |name: &str| payload.get(name).is_some_and(|v| v.is_string() || v.is_array());
    let checks: [(&'static str, bool); 7] = [
        ("aud", is_words("aud")),
        ("sub", payload.get("sub").is_some_and(Value::is_string)),
        ("iat", payload.get("iat").is_some_and(Value::is_number)),
        ("exp", is_integer("exp")),
        ("customer_id", is_id("customer_id")),
        ("site_id", is_id("site_id")),
        ("scope", payload.get("scope").is_none() || is_words("scope")),
    ];
    checks.iter().find(|(_, good)| !good).map_or("kind", |(name, _)| name)
}

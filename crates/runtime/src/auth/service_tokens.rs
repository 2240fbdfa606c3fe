//! The tokens that this service shows to others of the suite.

use std::sync::Arc;

use arc_swap::ArcSwapOption;
use chrono::{DateTime, TimeDelta, Utc};
use concierge_proto::CallerKind;
use tonic::metadata::{Ascii, MetadataValue};

use super::claims::{Audience, Claims, ScopeClaim};
use super::signer::Signer;

/// The metadata key of the token.
pub const AUTHORIZATION: &str = "authorization";
/// The metadata key in which a service names the original caller.
pub const ON_BEHALF_OF: &str = "concierge-on-behalf-of";

/// How long a token of ours is good for.
const LIFE: TimeDelta = TimeDelta::minutes(5);
/// How long before its end it is replaced.
const MARGIN: TimeDelta = TimeDelta::minutes(1);

/// Signs this service's own tokens for one other service, and keeps each until a minute before it expires.
#[derive(Debug)]
pub struct ServiceTokens {
    signer: Arc<Signer>,
    service: String,
    audience: String,
    scope: Vec<String>,
    current: ArcSwapOption<Signed>,
}

struct Signed {
    bearer: MetadataValue<Ascii>,
    replace_at: DateTime<Utc>,
    issued_at: DateTime<Utc>,
}

impl std::fmt::Debug for Signed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Signed").field("replace_at", &self.replace_at).finish_non_exhaustive()
    }
}

impl ServiceTokens {
    /// Tokens of `service` for `audience` with the permissions of `scope`.
    pub fn new(
        signer: Arc<Signer>,
        service: impl Into<String>,
        audience: impl Into<String>,
        scope: impl IntoIterator<Item = impl Into<String>>,
    ) -> Self {
        Self {
            signer,
            service: service.into(),
            audience: audience.into(),
            scope: scope.into_iter().map(Into::into).collect(),
            current: ArcSwapOption::empty(),
        }
    }

    /// The value of `authorization`.
    pub fn bearer(&self, now: DateTime<Utc>) -> MetadataValue<Ascii> {
        if let Some(signed) = &*self.current.load()
            && (signed.issued_at..signed.replace_at).contains(&now)
        {
            return signed.bearer.clone();
        }
        // Two at once may both sign; either token is good.
        let expires_at = now + LIFE;
        let token = self.signer.sign(&Claims {
            iss: self.signer.issuer().to_owned(),
            aud: Audience(vec![self.audience.clone()]),
            sub: self.service.clone(),
            kind: CallerKind::Service,
            scope: ScopeClaim(self.scope.clone()),
            customer_id: None,
            site_id: None,
            iat: now.timestamp_millis(),
            exp: expires_at.timestamp(),
            jti: None,
        });
        let mut bearer =
            MetadataValue::try_from(format!("Bearer {token}")).expect("a token is letters, digits, - _ and dots");
        bearer.set_sensitive(true);
        let signed = Signed { bearer: bearer.clone(), replace_at: expires_at - MARGIN, issued_at: now };
        self.current.store(Some(Arc::new(signed)));
        bearer
    }

    /// Forgets the current token: for when the other side says that it was revoked.
    pub fn renew(&self) {
        self.current.store(None);
    }

    /// Puts the token and the original caller (see [`Caller::origin`](super::Caller::origin)) into a request. Deadline and
    /// trace are for the caller to set.
    pub fn authorize<T>(&self, request: &mut tonic::Request<T>, origin: Option<&str>, now: DateTime<Utc>) {
        let metadata = request.metadata_mut();
        metadata.insert(AUTHORIZATION, self.bearer(now));
        if let Some(origin) = origin.and_then(|origin| MetadataValue::try_from(origin).ok()) {
            metadata.insert(ON_BEHALF_OF, origin);
        }
    }
}

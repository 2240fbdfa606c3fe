//! Issuing a token.

use chrono::{DateTime, TimeDelta, Utc};
use concierge_proto::directory::{CreateTokenRequest, CreateTokenResponse};
use concierge_proto::record::timestamp;
use concierge_proto::{CallerKind, Violations};
use concierge_runtime::auth::{Audience, Claims, LONGEST_LIFE, ScopeClaim};
use concierge_runtime::program::Host;
use concierge_runtime::{Error, Tx};
use uuid::Uuid;

use super::{scope, subject};
use crate::grant::ALL;

/// Every service of the suite.
const SERVICES: [&str; 3] = ["directory", "ticket-rule", "notification"];
/// What no token of a service made here holds: nothing deactivates a service, so it would renew itself for ever.
const TO_RENEW: &str = "tokens.write";

/// Issues a token, if its subject may have it and the caller may give it.
pub(super) async fn create(tx: &mut Tx, host: Host, request: CreateTokenRequest) -> Result<CreateTokenResponse, Error> {
    check(&request)?;
    let signer = &host.signer;
    if host.revocations.key_revoked(signer.key_id()) {
        return Err(crate::Error::SigningKeyMissing.into());
    }
    let (kind, id) = (request.kind(), request.subject_id.as_str());
    let subject = match kind {
        CallerKind::Agent => subject::agent(tx, id).await?,
        CallerKind::User => subject::user(tx, id).await?,
        _ => subject::Subject::default(),
    };
    let scope = scope::of(&request.scope, id, subject.permissions, tx.call.permissions())?;
    let mut audience = request.audience.clone();
    if audience.is_empty() {
        audience = SERVICES.map(str::to_owned).to_vec();
    }

    // Taken while what the token depends on is locked: see `Tx::revoke`.
    let now = tx.clock.now();
    let expire_time = end(now, request.lifetime.as_ref());
    let token = signer.sign(&Claims {
        iss: signer.issuer().to_owned(),
        aud: Audience(audience.clone()),
        sub: subject.id.unwrap_or_else(|| id.to_owned()),
        kind,
        scope: ScopeClaim(scope.clone()),
        customer_id: subject.customer_id,
        site_id: subject.site_id,
        iat: now.timestamp_millis(),
        exp: expire_time.timestamp(),
        jti: Some(tx.new_id().to_string()),
    });
    Ok(CreateTokenResponse {
        token,
        expire_time: Some(timestamp(expire_time)),
        kid: signer.key_id().to_owned(),
        scope,
        audience,
    })
}

/// What the contract's rules cannot say, all of it at once.
fn check(request: &CreateTokenRequest) -> Result<(), Error> {
    let mut violations = Violations::default();
    match request.kind() {
        CallerKind::Agent | CallerKind::User => {}
        CallerKind::Service => check_service(request, &mut violations),
        CallerKind::ApiClient | CallerKind::Unspecified => {
            violations.add("kind", "must be one of AGENT, USER, SERVICE: no other kind gets its tokens here");
        }
    }
    for (index, name) in request.audience.iter().enumerate().filter(|(_, name)| !SERVICES.contains(&name.as_str())) {
        violations.add(format!("audience[{index}]"), format!("{name} is none of {}", SERVICES.join(", ")));
    }
    if violations.is_empty() { Ok(()) } else { Err(Error::Invalid(violations)) }
}

/// A program that somebody else starts, with a name of its own.
fn check_service(request: &CreateTokenRequest, violations: &mut Violations) {
    let name = request.subject_id.as_str();
    if SERVICES.contains(&name) {
        violations.add("subject_id", format!("cannot be {name}, a service of the suite, which signs its own tokens"));
    } else if name.parse::<Uuid>().is_ok() {
        violations.add("subject_id", "must be the name of a service, not an id, which is an agent's or a user's");
    }
    if request.scope.is_empty() {
        violations.add("scope", "must be given for a service, which has no roles");
    }
    for (index, granted) in request.scope.iter().enumerate() {
        let field = || format!("scope[{index}]");
        match granted.as_str() {
            TO_RENEW => violations.add(field(), "cannot be tokens.write: the token of a service cannot renew itself"),
            ALL => violations.add(field(), "cannot be * for a service, because that includes tokens.write"),
            _ => {}
        }
    }
}

/// When the token ends: tokens count whole seconds, so up to one more than asked for, as long as no token lives longer
/// than the longest life.
fn end(now: DateTime<Utc>, lifetime: Option<&prost_types::Duration>) -> DateTime<Utc> {
    let asked = lifetime.map(|d| TimeDelta::seconds(d.seconds) + TimeDelta::nanoseconds(i64::from(d.nanos)));
    let exact = now + asked.unwrap_or(LONGEST_LIFE);
    let whole = |time: DateTime<Utc>| DateTime::from_timestamp(time.timestamp(), 0).unwrap_or(time);
    let up = whole(exact + TimeDelta::nanoseconds(999_999_999));
    if up - now > LONGEST_LIFE { whole(exact) } else { up }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_lives_as_long_as_asked_but_never_longer_than_the_longest_life() {
        let now = DateTime::from_timestamp(1_000, 500_000_000).unwrap();
        let lives = |seconds, nanos| end(now, Some(&prost_types::Duration { seconds, nanos })).timestamp();
        assert_eq!(lives(1, 0), 1_002);
        assert_eq!(lives(1, 500_000_000), 1_002);
        assert_eq!(lives(900, 0), 1_900);
        assert_eq!(end(now, None).timestamp(), 1_900);
        assert_eq!(end(DateTime::from_timestamp(1_000, 0).unwrap(), None).timestamp(), 1_900);
    }
}

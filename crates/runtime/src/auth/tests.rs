use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, TimeDelta, Utc};
use concierge_proto::error::Reason;
use concierge_proto::{CallerKind, PermissionSet};
use http::{HeaderMap, HeaderValue};
use secrecy::ExposeSecret;
use serde_json::{Value, json};
use uuid::Uuid;

use super::*;

const RSA_PUBLIC: &str = include_str!("testdata/rsa.pub.pem");
/// Signed with the private half of [`RSA_PUBLIC`], which was thrown away.
const RS256_TOKEN: &str = include_str!("testdata/rs256.jwt");

fn now() -> DateTime<Utc> {
    DateTime::from_timestamp_millis(1_767_225_660_500).unwrap()
}

fn signer(seed: u8) -> Signer {
    Signer::from_pem(&Signer::generate([seed; 32]), "concierge").unwrap()
}

fn claims() -> Claims {
    Claims {
        iss: "concierge".to_owned(),
        aud: Audience(vec!["directory".to_owned()]),
        sub: "0190aaaa-0000-7000-8000-000000000001".to_owned(),
        kind: CallerKind::Agent,
        scope: ScopeClaim(vec!["*".to_owned()]),
        customer_id: None,
        site_id: None,
        iat: now().timestamp_millis(),
        exp: now().timestamp() + 600,
        jti: None,
    }
}

struct Fixture {
    signer: Signer,
    keys: Arc<KeySet>,
    revocations: Arc<Revocations>,
    verifier: Verifier,
}

fn fixture_with(providers: Vec<OpenIdProvider>) -> Fixture {
    let signer = signer(1);
    let keys = Arc::new(KeySet::new([signer.public_key().clone(), PublicKey::from_pem(RSA_PUBLIC).unwrap()]));
    let revocations = Arc::new(Revocations::default());
    let verifier = Verifier::new(VerifierOptions {
        audience: "directory".to_owned(),
        issuer: "concierge".to_owned(),
        keys: Arc::clone(&keys),
        revocations: Arc::clone(&revocations),
        providers,
    });
    Fixture { signer, keys, revocations, verifier }
}

fn fixture() -> Fixture {
    fixture_with(Vec::new())
}

impl Fixture {
    fn verify(&self, claims: &Claims) -> Result<Arc<Caller>, TokenError> {
        self.verifier.verify(&self.signer.sign(claims), now())
    }

    fn verify_json(&self, change: impl FnOnce(&mut Value)) -> Result<Arc<Caller>, TokenError> {
        let mut value = serde_json::to_value(claims()).unwrap();
        change(&mut value);
        self.verifier.verify(&self.signer.sign_any(&value), now())
    }
}

fn raw(header: &Value, claims: &Value, signature: &[u8]) -> String {
    let encode = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
    format!("{}.{}.{}", encode(header.to_string().as_bytes()), encode(claims.to_string().as_bytes()), encode(signature))
}

#[test]
fn accepts_token_of_agent() {
    let caller = fixture().verify(&claims()).unwrap();
    assert_eq!(caller.kind, CallerKind::Agent);
    assert_eq!(caller.permissions, PermissionSet::ALL);
    assert_eq!(caller.issued_at, now());
    assert_eq!(caller.expires_at.timestamp(), now().timestamp() + 600);
    assert_eq!(caller.actor(), "agent:0190aaaa-0000-7000-8000-000000000001");
    assert_eq!(caller.key_id, signer(1).key_id());
}

#[test]
fn accepts_rs256_token_made_elsewhere() {
    let fixture = fixture();
    let caller = fixture.verifier.verify(RS256_TOKEN.trim(), now()).unwrap();
    assert_eq!(caller.subject, "rsa-agent");
    assert_eq!(caller.permissions.names().collect::<Vec<_>>(), ["customers.read"]);
}

#[test]
fn reads_bearer_from_headers() {
    let fixture = fixture();
    let token = fixture.signer.sign(&claims());
    let mut headers = HeaderMap::new();
    assert_eq!(fixture.verifier.verify_headers(&headers, now()), Err(TokenError::Missing));
    headers.insert("authorization", HeaderValue::from_str(&format!("Bearer {token}")).unwrap());
    assert!(fixture.verifier.verify_headers(&headers, now()).is_ok());
    headers.insert("authorization", HeaderValue::from_str(&format!("bearer  {token}")).unwrap());
    assert!(fixture.verifier.verify_headers(&headers, now()).is_ok());
    headers.insert("authorization", HeaderValue::from_static("Basic YTpi"));
    assert_eq!(fixture.verifier.verify_headers(&headers, now()), Err(TokenError::Missing));
    headers.insert("authorization", HeaderValue::from_static("Bearer "));
    assert_eq!(fixture.verifier.verify_headers(&headers, now()), Err(TokenError::Missing));
    headers.insert("authorization", HeaderValue::from_bytes(b"Bearer \xc3\xa9").unwrap());
    assert_eq!(fixture.verifier.verify_headers(&headers, now()), Err(TokenError::Malformed));
}

#[test]
fn refuses_expired_token_also_from_cache() {
    let fixture = fixture();
    let token = fixture.signer.sign(&Claims { exp: now().timestamp() + 2, ..claims() });
    assert!(fixture.verifier.verify(&token, now()).is_ok());
    let at = DateTime::from_timestamp(now().timestamp() + 2, 0).unwrap();
    assert!(fixture.verifier.verify(&token, at - TimeDelta::milliseconds(1)).is_ok());
    let error = fixture.verifier.verify(&token, at).unwrap_err();
    assert_eq!(error, TokenError::Expired { at });
    assert_eq!(error.to_string(), "the token expired at 2026-01-01T00:01:02Z: get another one");
    assert_eq!(error.reason(), Reason::TokenExpired);
}

#[test]
fn refuses_algorithm_none() {
    let fixture = fixture();
    let claims = serde_json::to_value(claims()).unwrap();
    for alg in ["none", "None", "NONE", ""] {
        let header = json!({"alg": alg, "kid": fixture.signer.key_id()});
        assert_eq!(fixture.verifier.verify(&raw(&header, &claims, b""), now()), Err(TokenError::WrongAlgorithm));
    }
}

#[test]
fn refuses_public_key_used_as_shared_secret() {
    let fixture = fixture();
    let rsa = PublicKey::from_pem(RSA_PUBLIC).unwrap();
    for (secret, kid) in [
        (RSA_PUBLIC.as_bytes().to_vec(), rsa.id()),
        (URL_SAFE_NO_PAD.decode(rsa.jwk().n.as_ref().unwrap()).unwrap(), rsa.id()),
        (fixture.signer.public_pem().into_bytes(), fixture.signer.key_id()),
        (
            URL_SAFE_NO_PAD.decode(fixture.signer.public_key().jwk().x.as_ref().unwrap()).unwrap(),
            fixture.signer.key_id(),
        ),
    ] {
        let mut header = jsonwebtoken::Header::new(jsonwebtoken::Algorithm::HS256);
        header.kid = Some(kid.to_owned());
        let key = jsonwebtoken::EncodingKey::from_secret(&secret);
        let token = jsonwebtoken::encode(&header, &claims(), &key).unwrap();
        assert_eq!(fixture.verifier.verify(&token, now()), Err(TokenError::WrongAlgorithm));
    }
}

#[test]
fn pins_algorithm_to_key() {
    let fixture = fixture();
    let claims = serde_json::to_value(claims()).unwrap();
    for (alg, kid) in [
        ("RS256", fixture.signer.key_id()),
        ("RS384", PublicKey::from_pem(RSA_PUBLIC).unwrap().id()),
        ("PS256", PublicKey::from_pem(RSA_PUBLIC).unwrap().id()),
        ("EdDSA", PublicKey::from_pem(RSA_PUBLIC).unwrap().id()),
    ] {
        let token = raw(&json!({"alg": alg, "kid": kid}), &claims, &[7; 64]);
        assert_eq!(fixture.verifier.verify(&token, now()), Err(TokenError::WrongAlgorithm), "{alg}");
    }
}

#[test]
fn refuses_changed_token() {
    let fixture = fixture();
    let token = fixture.signer.sign(&claims());
    let parts: Vec<&str> = token.split('.').collect();
    let other = fixture.signer.sign(&Claims { sub: "x".to_owned(), ..claims() });
    let swapped = format!("{}.{}.{}", parts[0], other.split('.').nth(1).unwrap(), parts[2]);
    assert_eq!(fixture.verifier.verify(&swapped, now()), Err(TokenError::BadSignature));
    // Every single character of the signature matters.
    for index in 0..parts[2].len() {
        let mut signature = parts[2].as_bytes().to_vec();
        signature[index] = if signature[index] == b'A' { b'B' } else { b'A' };
        let changed = format!("{}.{}.{}", parts[0], parts[1], std::str::from_utf8(&signature).unwrap());
        assert_eq!(fixture.verifier.verify(&changed, now()), Err(TokenError::BadSignature));
    }
    let rsa = RS256_TOKEN.trim();
    let cut = &rsa[..rsa.len() - 4];
    assert_eq!(fixture.verifier.verify(cut, now()), Err(TokenError::BadSignature));
}

#[test]
fn refuses_what_is_no_token() {
    let fixture = fixture();
    let long = "a.".repeat(5000);
    for text in ["a", "a.b", "a.b.c", "..", "....", "e30.e30.e30", "é.è.ê", long.as_str()] {
        assert_eq!(fixture.verifier.verify(text, now()), Err(TokenError::Malformed), "{text}");
    }
    let critical = raw(&json!({"alg": "EdDSA", "kid": "k", "crit": ["x"]}), &json!({}), b"");
    assert_eq!(fixture.verifier.verify(&critical, now()), Err(TokenError::Malformed));
    assert_eq!(fixture.verifier.verify("", now()), Err(TokenError::Missing));
}

#[test]
fn refuses_wrong_audience_and_issuer() {
    let fixture = fixture();
    let audience = |names: &[&str]| Audience(names.iter().map(|n| (*n).to_owned()).collect());
    let error = fixture.verify(&Claims { aud: audience(&["ticket-rule"]), ..claims() }).unwrap_err();
    assert_eq!(error, TokenError::WrongAudience { audience: "directory".to_owned() });
    assert_eq!(error.reason(), Reason::TokenWrongAudience);
    assert!(fixture.verify(&Claims { aud: audience(&[]), ..claims() }).is_err());
    assert!(fixture.verify(&Claims { aud: audience(&["ticket-rule", "directory"]), ..claims() }).is_ok());
    assert!(fixture.verify_json(|c| c["aud"] = json!("directory")).is_ok());
    assert_eq!(fixture.verify(&Claims { iss: "other".to_owned(), ..claims() }), Err(TokenError::WrongIssuer));
}

#[test]
fn refuses_unknown_key_without_echoing_noise() {
    let fixture = fixture();
    let token = signer(9).sign(&claims());
    assert_eq!(fixture.verifier.verify(&token, now()), Err(TokenError::UnknownKey(signer(9).key_id().to_owned())));
    let claims = serde_json::to_value(claims()).unwrap();
    for header in [json!({"alg": "EdDSA", "kid": "line\nbreak"}), json!({"alg": "EdDSA"})] {
        let error = fixture.verifier.verify(&raw(&header, &claims, b"x"), now()).unwrap_err();
        assert_eq!(error, TokenError::UnknownKey("given".to_owned()));
    }
}

#[test]
fn refuses_long_life_and_future() {
    let fixture = fixture();
    let seconds = now().timestamp();
    assert_eq!(fixture.verify(&Claims { exp: seconds + 901, ..claims() }), Err(TokenError::TooLong));
    assert!(fixture.verify(&Claims { exp: seconds + 900, ..claims() }).is_ok());
    let ahead = now().timestamp_millis() + 10_001;
    assert_eq!(fixture.verify(&Claims { iat: ahead, ..claims() }), Err(TokenError::NotYetValid));
    assert!(fixture.verify(&Claims { iat: ahead - 1, ..claims() }).is_ok());
    assert_eq!(fixture.verify_json(|c| c["nbf"] = json!(seconds + 20)), Err(TokenError::NotYetValid));
    assert!(fixture.verify_json(|c| c["nbf"] = json!(seconds - 20)).is_ok());
    // Seconds where milliseconds belong are a time in 1970, and a life of decades.
    assert_eq!(fixture.verify(&Claims { iat: seconds, ..claims() }), Err(TokenError::TooLong));
    assert!(fixture.verify(&Claims { iat: i64::MIN, ..claims() }).is_err());
    assert!(fixture.verify(&Claims { exp: i64::MAX, ..claims() }).is_err());
}

#[test]
fn names_claim_at_fault() {
    let fixture = fixture();
    let expect = |name: &'static str, change: &dyn Fn(&mut Value)| {
        assert_eq!(fixture.verify_json(change), Err(TokenError::Claim(name)));
    };
    expect("kind", &|c| c["kind"] = json!("root"));
    expect("kind", &|c| drop(c.as_object_mut().unwrap().remove("kind")));
    expect("iat", &|c| c["iat"] = json!("yesterday"));
    expect("exp", &|c| drop(c.as_object_mut().unwrap().remove("exp")));
    expect("aud", &|c| c["aud"] = json!(7));
    expect("sub", &|c| c["sub"] = json!("two words"));
    expect("sub", &|c| c["sub"] = json!(""));
    expect("sub", &|c| c["sub"] = json!("line\r\nbreak"));
    expect("scope", &|c| c["scope"] = json!(7));
    expect("iss", &|c| drop(c.as_object_mut().unwrap().remove("iss")));
    expect("customer_id", &|c| c["customer_id"] = json!("acme"));
}

#[test]
fn user_needs_customer_and_site() {
    let fixture = fixture();
    let user = Claims { kind: CallerKind::User, ..claims() };
    let (customer, site) = (Uuid::from_u128(1), Uuid::from_u128(2));
    assert_eq!(fixture.verify(&user), Err(TokenError::Claim("site_id")));
    let error = fixture.verify(&Claims { site_id: Some(site), ..user.clone() });
    assert_eq!(error, Err(TokenError::Claim("customer_id")));
    let both = Claims { site_id: Some(site), customer_id: Some(customer), ..user };
    let caller = fixture.verify(&both).unwrap();
    assert_eq!((caller.customer_id, caller.site_id), (Some(customer), Some(site)));
    let client = fixture.verify(&Claims { kind: CallerKind::ApiClient, ..both.clone() }).unwrap();
    assert_eq!((client.customer_id, client.site_id), (Some(customer), None));
    let agent = fixture.verify(&Claims { kind: CallerKind::Agent, ..both }).unwrap();
    assert_eq!((agent.customer_id, agent.site_id), (None, None));
}

#[test]
fn scope_is_words_or_list() {
    let fixture = fixture();
    let names = |caller: Arc<Caller>| caller.permissions.names().collect::<Vec<_>>();
    let words = fixture.verify_json(|c| c["scope"] = json!("customers.read  users.read nonsense")).unwrap();
    assert_eq!(names(words), ["customers.read", "users.read"]);
    let list = fixture.verify_json(|c| c["scope"] = json!(["users.read"])).unwrap();
    assert_eq!(names(list), ["users.read"]);
    let none = fixture.verify_json(|c| drop(c.as_object_mut().unwrap().remove("scope"))).unwrap();
    assert!(names(none).is_empty());
}

#[test]
fn revocation_acts_on_cached_tokens() {
    let fixture = fixture();
    let (customer, site) = (Uuid::from_u128(1), Uuid::from_u128(2));
    let user = Claims { kind: CallerKind::User, customer_id: Some(customer), site_id: Some(site), ..claims() };
    let revoke = |fixture: &Fixture, target: RevocationTarget, issued_before: DateTime<Utc>| {
        fixture.revocations.add([Revocation { target, issued_before }]);
    };
    for target in [
        RevocationTarget::Subject(user.sub.clone()),
        RevocationTarget::Site(site),
        RevocationTarget::Customer(customer),
        RevocationTarget::Key(fixture.signer.key_id().to_owned()),
    ] {
        let fixture = self::fixture();
        let token = fixture.signer.sign(&user);
        assert!(fixture.verifier.verify(&token, now()).is_ok());
        let is_key = matches!(target, RevocationTarget::Key(_));
        if !is_key {
            revoke(&fixture, target.clone(), now() - TimeDelta::milliseconds(1));
            assert!(fixture.verifier.verify(&token, now()).is_ok(), "issued after the revocation");
        }
        revoke(&fixture, target.clone(), now());
        let error = fixture.verifier.verify(&token, now()).unwrap_err();
        assert_eq!(error, TokenError::Revoked, "{target:?}");
        assert_eq!(error.reason(), Reason::TokenRevoked);
        // An earlier revocation that arrives late changes nothing.
        revoke(&fixture, target.clone(), now() - TimeDelta::hours(1));
        assert_eq!(fixture.verifier.verify(&token, now()), Err(TokenError::Revoked));
        let next = Claims { iat: user.iat + 1, ..user.clone() };
        assert_eq!(fixture.verify(&next).is_ok(), !is_key, "{target:?}");
    }
    revoke(&fixture, RevocationTarget::Subject("somebody-else".to_owned()), now());
    revoke(&fixture, RevocationTarget::Customer(site), now());
    assert!(fixture.verify(&user).is_ok());
}

#[test]
fn forgets_revocations_when_tokens_have_expired() {
    let revocations = Revocations::default();
    revocations.add([
        Revocation { target: RevocationTarget::Subject("a".to_owned()), issued_before: now() },
        Revocation { target: RevocationTarget::Key("k".to_owned()), issued_before: now() },
    ]);
    revocations.prune(now() + LONGEST_LIFE);
    assert_eq!(revocations.len(), 2);
    revocations.prune(now() + LONGEST_LIFE + CLOCK_SKEW + TimeDelta::seconds(1));
    assert_eq!(revocations.len(), 1, "the key stays revoked");
}

#[test]
fn learns_and_drops_keys_while_running() {
    let fixture = fixture();
    let other = signer(2);
    let token = other.sign(&claims());
    assert!(matches!(fixture.verifier.verify(&token, now()), Err(TokenError::UnknownKey(_))));
    fixture.keys.learn([other.public_key().clone()]);
    assert!(fixture.verifier.verify(&token, now()).is_ok());
    assert_eq!(fixture.keys.jwks().keys.len(), 3);
    fixture.keys.learn([]);
    assert!(matches!(fixture.verifier.verify(&token, now()), Err(TokenError::UnknownKey(_))), "not from the cache");
    assert!(fixture.verify(&claims()).is_ok(), "configured keys stay");
}

#[test]
fn learned_key_does_not_hide_configured_one() {
    let fixture = fixture();
    let mut jwk = signer(2).public_key().jwk().clone();
    jwk.kid = Some(fixture.signer.key_id().to_owned());
    fixture.keys.learn(PublicKey::from_jwk(&jwk).unwrap());
    assert!(fixture.verify(&claims()).is_ok());
    assert_eq!(fixture.keys.jwks().keys.len(), 2);
}

#[test]
fn jwks_has_keys_that_verify_after_a_round_trip() {
    let fixture = fixture();
    let json = serde_json::to_string(&fixture.keys.jwks()).unwrap();
    let keys = PublicKey::from_jwks(&json).unwrap();
    assert_eq!(
        keys.iter().map(|k| k.id().to_owned()).collect::<Vec<_>>(),
        [fixture.signer.key_id().to_owned(), PublicKey::from_pem(RSA_PUBLIC).unwrap().id().to_owned()]
    );
    let verifier = Verifier::new(VerifierOptions {
        audience: "directory".to_owned(),
        issuer: "concierge".to_owned(),
        keys: Arc::new(KeySet::new(keys)),
        revocations: Arc::default(),
        providers: Vec::new(),
    });
    assert!(verifier.verify(&fixture.signer.sign(&claims()), now()).is_ok());
    assert!(verifier.verify(RS256_TOKEN.trim(), now()).is_ok());
}

#[test]
fn key_sets_may_hold_keys_of_other_kinds() {
    let json = json!({"keys": [
        {"kty": "EC", "crv": "P-256", "x": "a", "y": "b", "kid": "1"},
        {"kty": "oct", "k": "c2VjcmV0", "alg": "HS256", "kid": "2"},
        {"kty": "OKP", "crv": "X25519", "x": "AA", "kid": "3"},
        {"kty": "RSA", "use": "enc", "n": "AA", "e": "AQAB", "kid": "4"},
        {"kty": "RSA", "alg": "RS512", "n": "AA", "e": "AQAB", "kid": "5"},
    ]});
    assert!(PublicKey::from_jwks(&json.to_string()).unwrap().is_empty());
    let short = json!({"keys": [{"kty": "OKP", "crv": "Ed25519", "x": "AAAA"}]});
    assert_eq!(PublicKey::from_jwks(&short.to_string()).unwrap_err(), KeyError::Unreadable);
    assert!(matches!(PublicKey::from_jwks("{}"), Err(KeyError::NotJwks(_))));
}

#[test]
fn refuses_bad_key_files() {
    assert_eq!(PublicKey::from_pem(Signer::generate([3; 32]).expose_secret()).unwrap_err(), KeyError::Private);
    assert_eq!(PublicKey::from_pem("hello").unwrap_err(), KeyError::Unreadable);
    assert_eq!(PublicKey::from_pem(include_str!("testdata/rsa_1024.pub.pem")).unwrap_err(), KeyError::TooShort);
    // The point of order one: everything verifies under it.
    let weak = json!({"keys": [{"kty": "OKP", "crv": "Ed25519", "x": URL_SAFE_NO_PAD.encode([1u8].iter().chain(&[0; 31]).copied().collect::<Vec<u8>>())}]});
    assert_eq!(PublicKey::from_jwks(&weak.to_string()).unwrap_err(), KeyError::Unreadable);
    assert_eq!(Signer::from_pem(&signer(1).public_pem().into(), "x").unwrap_err(), KeyError::NotPrivate);
}

#[test]
fn key_id_is_derived_from_public_key() {
    let signer = signer(1);
    let public = PublicKey::from_pem(&signer.public_pem()).unwrap();
    assert_eq!(public.id(), signer.key_id());
    assert_eq!(public.id().len(), 16);
    assert!(public.id().bytes().all(|b| b.is_ascii_hexdigit()));
    assert_ne!(self::signer(2).key_id(), signer.key_id());
}

#[test]
fn debug_shows_no_secret() {
    let signer = signer(1);
    let text = format!("{signer:?}");
    assert!(text.contains(signer.key_id()));
    assert!(text.len() < 100, "{text}");
    let tokens = ServiceTokens::new(Arc::new(signer), "ticket-rule", "directory", ["facts.read"]);
    let bearer = tokens.bearer(now());
    assert!(!format!("{tokens:?}").contains(bearer.to_str().unwrap().rsplit('.').next().unwrap()));
    assert!(bearer.is_sensitive());
}

#[test]
fn cache_is_bounded_and_lives_a_minute() {
    let cache = super::cache::Cache::new(160);
    let caller = fixture().verify(&claims()).unwrap();
    for index in 0..1000_i64 {
        let token = format!("token-{index}");
        let hash = cache.hash(&token);
        cache.insert(hash, &token, Arc::clone(&caller), 0, 0, 1000 + index);
        assert!(cache.get(hash, &token, 0, 0).is_some());
        assert!(cache.get(hash, &token, 1, 0).is_none(), "another generation");
        assert!(cache.get(hash, &token, 0, 1000 + index).is_none(), "too late");
    }
    assert!(cache.len() <= 160);
    let newest = "token-999";
    assert!(cache.get(cache.hash(newest), newest, 0, 0).is_some());

    let fixture = fixture();
    let token = fixture.signer.sign(&claims());
    let first = fixture.verifier.verify(&token, now()).unwrap();
    let again = fixture.verifier.verify(&token, now() + TimeDelta::seconds(59)).unwrap();
    assert!(Arc::ptr_eq(&first, &again));
    let later = fixture.verifier.verify(&token, now() + TimeDelta::seconds(60)).unwrap();
    assert!(!Arc::ptr_eq(&first, &later), "checked again after a minute");
}

#[test]
fn only_services_act_for_others() {
    let fixture = fixture();
    let agent = fixture.verify(&claims()).unwrap();
    assert!(agent.acting_for("agent:a").is_none());
    let service =
        fixture.verify(&Claims { kind: CallerKind::Service, sub: "ticket-rule".to_owned(), ..claims() }).unwrap();
    assert_eq!(service.origin(), "service:ticket-rule");
    assert_eq!(service.acting_for("agent:a").unwrap().origin(), "agent:a");
    for wrong in ["", "agent", "root:a", "agent:", "agent:a b", "agent:é"] {
        assert!(service.acting_for(wrong).is_none(), "{wrong}");
    }
    assert_eq!(parse_actor("user:0190"), Some((CallerKind::User, "0190")));
}

#[test]
fn a_subject_is_revoked_whatever_form_its_id_has() {
    let (login, provider) = provider();
    let fixture = fixture_with(vec![provider]);
    let id = "0190abcd-0000-7000-8000-00000000000e";
    let forms = [id.to_owned(), id.to_uppercase(), id.replace('-', ""), format!("urn:uuid:{id}")];
    let of = |form: &str| {
        let mut claims = provider_claims();
        claims["sub"] = json!(form);
        fixture.verifier.verify(&login.sign_any(&claims), now())
    };
    for form in &forms {
        assert_eq!(of(form).unwrap().subject, id);
    }
    let target = RevocationTarget::Subject(id.replace('-', "").to_uppercase());
    fixture.revocations.add([Revocation { target, issued_before: now() }]);
    for form in &forms {
        assert_eq!(of(form), Err(TokenError::Revoked), "{form}");
    }
}

#[test]
fn service_tokens_are_kept_until_a_minute_before_expiry() {
    let fixture = fixture();
    let tokens = ServiceTokens::new(Arc::new(signer(1)), "ticket-rule", "directory", ["customers.read"]);
    let first = tokens.bearer(now());
    assert_eq!(first, tokens.bearer(now() + TimeDelta::seconds(239)));
    let second = tokens.bearer(now() + TimeDelta::seconds(240));
    assert_ne!(first, second);
    assert_ne!(second, tokens.bearer(now()), "a clock set back gets a token of its own time");

    let mut request = tonic::Request::new(());
    tokens.authorize(&mut request, Some("agent:a"), now());
    let headers = request.into_parts().0.into_headers();
    let caller = fixture.verifier.verify_headers(&headers, now()).unwrap();
    assert_eq!((caller.kind, caller.subject.as_str()), (CallerKind::Service, "ticket-rule"));
    assert_eq!(caller.expires_at - caller.issued_at, TimeDelta::milliseconds(300_000 - 500));
    assert_eq!(headers[ON_BEHALF_OF], "agent:a");
}

fn provider() -> (Signer, OpenIdProvider) {
    let signer = signer(5);
    let mut provider = OpenIdProvider::new("https://login.example.com", vec![signer.public_key().clone()]);
    provider.audience = Some("concierge-app".to_owned());
    provider.kind_claim = Some("https://example.com/kind".to_owned());
    provider.scope_claim = "realm_access.roles".to_owned();
    provider.grants = [("helpdesk".to_owned(), vec!["customers.read".to_owned(), "users.read".to_owned()])].into();
    provider.customer_claim = "org.customer".to_owned();
    provider.site_claim = "org.site".to_owned();
    (signer, provider)
}

fn provider_claims() -> Value {
    json!({
        "iss": "https://login.example.com", "aud": ["concierge-app", "other"], "sub": "auth0|42",
        "https://example.com/kind": "agent", "realm_access": {"roles": ["helpdesk", "coffee"]},
        "iat": now().timestamp(), "exp": now().timestamp() + 300,
    })
}

#[test]
fn maps_claims_of_openid_provider() {
    let (signer, provider) = provider();
    let fixture = fixture_with(vec![provider]);
    let caller = fixture.verifier.verify(&signer.sign_any(&provider_claims()), now()).unwrap();
    assert_eq!((caller.kind, caller.subject.as_str()), (CallerKind::Agent, "auth0|42"));
    assert_eq!(caller.permissions.names().collect::<Vec<_>>(), ["customers.read", "users.read"]);
    assert_eq!(caller.issued_at.timestamp(), now().timestamp(), "iat is in seconds there");

    let mut user = provider_claims();
    user["https://example.com/kind"] = json!("user");
    assert_eq!(fixture.verifier.verify(&signer.sign_any(&user), now()), Err(TokenError::Claim("site_id")));
    user["org"] = json!({"customer": Uuid::from_u128(1), "site": Uuid::from_u128(2)});
    let caller = fixture.verifier.verify(&signer.sign_any(&user), now()).unwrap();
    assert_eq!((caller.customer_id, caller.site_id), (Some(Uuid::from_u128(1)), Some(Uuid::from_u128(2))));
}

#[test]
fn openid_provider_signs_for_itself_only() {
    let (signer, provider) = provider();
    let fixture = fixture_with(vec![provider]);
    let refused = |claims: &Value| fixture.verifier.verify(&signer.sign_any(claims), now()).unwrap_err();
    let with = |name: &str, value: Value| {
        let mut claims = provider_claims();
        claims[name] = value;
        claims
    };
    assert!(matches!(refused(&with("iss", json!("concierge"))), TokenError::UnknownKey(_)));
    assert_eq!(refused(&with("iss", json!("https://evil.example.com"))), TokenError::WrongIssuer);
    assert!(matches!(refused(&with("aud", json!("directory"))), TokenError::WrongAudience { .. }));
    assert_eq!(refused(&with("https://example.com/kind", json!("service"))), TokenError::Claim("kind"));
    assert_eq!(refused(&with("exp", json!(now().timestamp() + 3600))), TokenError::TooLong);
    assert_eq!(refused(&with("iat", json!("1"))), TokenError::Claim("iat"));
    // Nor can the suite's own keys sign for the provider.
    let own = fixture.signer.sign_any(&provider_claims());
    assert!(matches!(fixture.verifier.verify(&own, now()), Err(TokenError::UnknownKey(_))));
}

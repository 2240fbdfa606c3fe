//! `AccessService`.

use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use chrono::TimeDelta;
use concierge_directory::Directory;
use concierge_proto::CallerKind;
use concierge_proto::directory::access_service_client::AccessServiceClient;
use concierge_proto::directory::customer_service_client::CustomerServiceClient;
use concierge_proto::directory::{
    AccessLevel, Agent, AgentRole, CreateTokenRequest, CreateTokenResponse, Customer, DeleteAgentRequest,
    GetCustomerRequest, ListAgentRolesRequest, ListSigningKeysRequest, RevocationTarget, RevokeTokensRequest,
    RevokeTokensResponse, Site, UpdateAgentRoleRequest, UpdateCustomerRequest, UpdateSiteRequest, User, UserRole,
};
use concierge_proto::event::SubscribeRequest;
use concierge_proto::event::event_feed_service_client::EventFeedServiceClient;
use concierge_proto::event::event_feed_service_server::EventFeedServiceServer;
use concierge_runtime::auth::{Jwks, PublicKey, Signer};
use concierge_runtime::clock::Clock as _;
use concierge_runtime::program::{Host, Program, Task};
use concierge_testkit::suite::ISSUER;
use concierge_testkit::{Api, Who, request_id};
use sqlx::migrate::Migrator;
use tonic::service::Routes;
use tonic::{Code, Request, Status};

use crate::desk::{Desk, fields, mask, metadata, nobody, reason};

fn token_for(kind: CallerKind, subject_id: &str) -> CreateTokenRequest {
    CreateTokenRequest {
        kind: kind.into(),
        subject_id: subject_id.to_owned(),
        request_id: request_id(),
        ..Default::default()
    }
}

fn with_scope(request: CreateTokenRequest, scope: &[&str]) -> CreateTokenRequest {
    CreateTokenRequest { scope: scope.iter().map(|s| (*s).to_owned()).collect(), ..request }
}

async fn create(desk: &Desk, request: CreateTokenRequest) -> Result<CreateTokenResponse, Status> {
    Ok(desk.access().create_token(request).await?.into_inner())
}

async fn revoke(desk: &Desk, target: RevocationTarget, id: &str) -> Result<RevokeTokensResponse, Status> {
    let request = RevokeTokensRequest {
        target: target.into(),
        target_id: id.to_owned(),
        comment: "lost laptop".to_owned(),
        request_id: request_id(),
    };
    Ok(desk.access().revoke_tokens(request).await?.into_inner())
}

/// What GetCustomer answers to whoever shows the token.
async fn show(desk: &Desk, token: &str, customer: &Customer) -> Result<(), Status> {
    let mut request = Request::new(GetCustomerRequest { id: customer.id.clone() });
    request.metadata_mut().insert("authorization", format!("Bearer {token}").parse().unwrap());
    CustomerServiceClient::new(desk.suite.channel("directory")).get_customer(request).await.map(drop)
}

/// Until the token is refused; a second is the promise.
async fn refused_within_a_second(desk: &Desk, token: &str, customer: &Customer) -> String {
    let started = Instant::now();
    loop {
        match show(desk, token, customer).await {
            Ok(()) if started.elapsed() < Duration::from_secs(1) => tokio::time::sleep(Duration::from_millis(5)).await,
            Ok(()) => return "still accepted".to_owned(),
            Err(status) => return reason(&status),
        }
    }
}

async fn set_customer_active(desk: &Desk, customer: &Customer, active: bool) {
    let request = UpdateCustomerRequest {
        customer: Some(Customer { id: customer.id.clone(), active: Some(active), ..Default::default() }),
        update_mask: Some(mask(&["active"])),
        request_id: request_id(),
    };
    desk.customers().update_customer(request).await.unwrap();
}

async fn set_site_active(desk: &Desk, site: &Site, active: bool) {
    let request = UpdateSiteRequest {
        site: Some(Site { id: site.id.clone(), active: Some(active), ..Default::default() }),
        update_mask: Some(mask(&["active"])),
        request_id: request_id(),
    };
    desk.sites().update_site(request).await.unwrap();
}

#[tokio::test]
async fn an_agents_token_carries_what_its_roles_grant() {
    let desk = Desk::open().await;
    let (customer, _) = desk.customer("Example Ltd").await;
    let readers = desk.role("Readers", &["customers.read", "users.read"]).await;
    let loggers = desk.role("Loggers", &["tickets.write", "customers.read"]).await;
    let ann = desk.agent("Ann Lee", &[&readers, &loggers]).await;
    let made = create(&desk, token_for(CallerKind::Agent, &ann.id)).await.unwrap();
    assert_eq!(made.scope, ["customers.read", "tickets.write", "users.read"]);
    assert_eq!(made.audience, ["directory", "ticket-rule", "notification"]);
    assert_eq!(made.kid, desk.suite.signer.key_id());
    show(&desk, &made.token, &customer).await.unwrap();

    let narrow = with_scope(token_for(CallerKind::Agent, &ann.id), &["users.read"]);
    let narrow = create(&desk, narrow).await.unwrap();
    assert_eq!(narrow.scope, ["users.read"]);
    assert_eq!(reason(&show(&desk, &narrow.token, &customer).await.unwrap_err()), "PERMISSION_MISSING");

    let all = desk.role("Everything", &["*"]).await;
    let zoe = desk.agent("Zoe Wide", &[&all, &readers]).await;
    assert_eq!(create(&desk, token_for(CallerKind::Agent, &zoe.id)).await.unwrap().scope, ["*"]);
}

#[tokio::test]
async fn a_token_is_for_its_audience_and_lives_as_long_as_asked() {
    let desk = Desk::open().await;
    let (customer, _) = desk.customer("Example Ltd").await;
    let service = with_scope(token_for(CallerKind::Service, "replay"), &["customers.read"]);
    let other = CreateTokenRequest { audience: vec!["notification".to_owned()], ..service.clone() };
    let other = create(&desk, other).await.unwrap();
    assert_eq!(reason(&show(&desk, &other.token, &customer).await.unwrap_err()), "TOKEN_WRONG_AUDIENCE");

    let lifetime = Some(prost_types::Duration { seconds: 60, nanos: 0 });
    let short = CreateTokenRequest { lifetime, request_id: request_id(), ..service };
    let short = create(&desk, short).await.unwrap();
    let left = short.expire_time.unwrap().seconds - desk.suite.clock.now().timestamp();
    assert!((59..=61).contains(&left), "{left}");
    show(&desk, &short.token, &customer).await.unwrap();
    desk.suite.clock.advance(TimeDelta::seconds(62));
    assert_eq!(reason(&show(&desk, &short.token, &customer).await.unwrap_err()), "TOKEN_EXPIRED");
}

#[tokio::test]
async fn a_users_token_is_of_its_customer_and_site_and_has_what_the_portal_needs() {
    let desk = Desk::open().await;
    let (customer, site) = desk.customer("Example Ltd").await;
    let (other, _) = desk.customer("Other Ltd").await;
    let ann = desk.user(&site, "Ann Lee").await;
    let made = create(&desk, token_for(CallerKind::User, &ann.id)).await.unwrap();
    let portal =
        ["customers.read", "preferences.read", "preferences.write", "tickets.read", "tickets.write", "users.read"];
    assert_eq!(made.scope, portal);
    show(&desk, &made.token, &customer).await.unwrap();
    assert_eq!(reason(&show(&desk, &made.token, &other).await.unwrap_err()), "RECORD_NOT_FOUND");
    let wide = with_scope(token_for(CallerKind::User, &ann.id), &["customers.read", "notes.read"]);
    let status = create(&desk, wide).await.unwrap_err();
    assert_eq!((status.code(), reason(&status).as_str()), (Code::FailedPrecondition, "SCOPE_TOO_WIDE"));
    assert_eq!(metadata(&status, "permission"), "notes.read");
}

#[tokio::test]
async fn decision_6_who_counts_as_inactive_gets_no_token() {
    let desk = Desk::open().await;
    let (customer, site) = desk.customer("Example Ltd").await;
    let ann = desk.user(&site, "Ann Lee").await;
    let refused = async |what: &str| {
        let status = create(&desk, token_for(CallerKind::User, &ann.id)).await.unwrap_err();
        assert_eq!((status.code(), reason(&status).as_str()), (Code::FailedPrecondition, "SUBJECT_INACTIVE"));
        assert_eq!((metadata(&status, "inactive").as_str(), metadata(&status, "subject_id")), (what, ann.id.clone()));
    };
    set_customer_active(&desk, &customer, false).await;
    refused("customer").await;
    set_site_active(&desk, &site, false).await;
    refused("site").await;
    let inactive = desk.change_user(User { active: Some(false), ..ann.clone() }, &["active"]).await;
    refused("user").await;
    set_customer_active(&desk, &customer, true).await;
    set_site_active(&desk, &site, true).await;
    refused("user").await;
    desk.change_user(User { active: Some(true), ..inactive }, &["active"]).await;
    create(&desk, token_for(CallerKind::User, &ann.id)).await.unwrap();

    let bob = desk.agent("Bob Ray", &[]).await;
    desk.change_agent(Agent { active: Some(false), ..bob.clone() }, &["active"]).await.unwrap();
    let status = create(&desk, token_for(CallerKind::Agent, &bob.id)).await.unwrap_err();
    assert_eq!((reason(&status).as_str(), metadata(&status, "inactive").as_str()), ("SUBJECT_INACTIVE", "agent"));
}

#[tokio::test]
async fn who_has_no_web_access_gets_no_token_unless_a_role_gives_it() {
    let desk = Desk::open().await;
    let (_, site) = desk.customer("Example Ltd").await;
    let ann = desk.user_with(&site, "Ann Lee", |u| u.web_access_level = AccessLevel::None.into()).await;
    let status = create(&desk, token_for(CallerKind::User, &ann.id)).await.unwrap_err();
    assert_eq!((status.code(), reason(&status).as_str()), (Code::FailedPrecondition, "WEB_ACCESS_NONE"));
    let role = UserRole { name: "Portal".into(), web_access_level: AccessLevel::Site.into(), ..Default::default() };
    let role = desk.user_role(role).await;
    desk.change_user(User { role_ids: vec![role.id], ..ann.clone() }, &["role_ids"]).await;
    create(&desk, token_for(CallerKind::User, &ann.id)).await.unwrap();
}

#[tokio::test]
async fn nobody_puts_into_a_token_what_they_do_not_hold() {
    let mut desk = Desk::open().await;
    let all = desk.role("Everything", &["*"]).await;
    let ann = desk.agent("Ann Lee", &[&all]).await;
    let readers = desk.role("Readers", &["customers.read"]).await;
    let bob = desk.agent("Bob Ray", &[&readers]).await;
    desk.limit(&["tokens.write", "customers.read", "users.read"]);
    let made = create(&desk, token_for(CallerKind::Agent, &ann.id)).await.unwrap();
    assert_eq!(made.scope, ["customers.read", "tokens.write", "users.read"]);
    let (agent, service) = (token_for(CallerKind::Agent, &ann.id), token_for(CallerKind::Service, "replay"));
    for (request, scope) in [(&agent, "rules.write"), (&agent, "*"), (&service, "rules.write")] {
        let request = CreateTokenRequest { request_id: request_id(), ..request.clone() };
        let status = create(&desk, with_scope(request, &[scope])).await.unwrap_err();
        assert_eq!((status.code(), reason(&status).as_str()), (Code::PermissionDenied, "GRANT_NOT_HELD"));
        assert_eq!(metadata(&status, "permission"), scope);
    }
    let too_wide = with_scope(token_for(CallerKind::Agent, &bob.id), &["users.read"]);
    assert_eq!(reason(&create(&desk, too_wide).await.unwrap_err()), "SCOPE_TOO_WIDE");
    let unknown = with_scope(token_for(CallerKind::Agent, &bob.id), &["customers.read", "customers.eat"]);
    let status = create(&desk, unknown).await.unwrap_err();
    assert_eq!((status.code(), reason(&status).as_str()), (Code::InvalidArgument, "PERMISSION_UNKNOWN"));
    assert_eq!(fields(&status), ["scope[1]"]);
}

#[tokio::test]
async fn refuses_kinds_lifetimes_and_audiences_that_are_not_given() {
    let desk = Desk::open().await;
    let ann = desk.agent("Ann Lee", &[]).await;
    let agent = || token_for(CallerKind::Agent, &ann.id);
    let lasting =
        |seconds| CreateTokenRequest { lifetime: Some(prost_types::Duration { seconds, nanos: 0 }), ..agent() };
    for (request, field) in [
        (token_for(CallerKind::ApiClient, "x"), "kind"),
        (token_for(CallerKind::Unspecified, "x"), "kind"),
        (token_for(CallerKind::Service, "replay"), "scope"),
        (lasting(0), "lifetime"),
        (lasting(901), "lifetime"),
        (CreateTokenRequest { audience: vec!["direktory".to_owned()], ..agent() }, "audience[0]"),
    ] {
        let status = create(&desk, request).await.unwrap_err();
        assert_eq!((status.code(), reason(&status).as_str()), (Code::InvalidArgument, "INVALID_FIELD"));
        assert_eq!(fields(&status), [field]);
    }
    for kind in [CallerKind::Agent, CallerKind::User] {
        for id in [nobody(), "no-id".to_owned()] {
            let status = create(&desk, token_for(kind, &id)).await.unwrap_err();
            assert_eq!((status.code(), reason(&status).as_str()), (Code::NotFound, "RECORD_NOT_FOUND"));
        }
    }
}

#[tokio::test]
async fn the_token_of_a_service_cannot_renew_itself_nor_pass_for_somebody_else() {
    let desk = Desk::open().await;
    let (_, site) = desk.customer("Example Ltd").await;
    let ann = desk.user(&site, "Ann Lee").await;
    let bare = ann.id.replace('-', "");
    for (name, scope, field) in [
        ("backend", &["customers.read", "tokens.write"][..], "scope[1]"),
        ("backend", &["*"], "scope[0]"),
        ("directory", &["customers.read"], "subject_id"),
        ("ticket-rule", &["customers.read"], "subject_id"),
        ("notification", &["customers.read"], "subject_id"),
        (&ann.id, &["customers.read"], "subject_id"),
        (&bare, &["customers.read"], "subject_id"),
    ] {
        let status = create(&desk, with_scope(token_for(CallerKind::Service, name), scope)).await.unwrap_err();
        assert_eq!((status.code(), reason(&status).as_str()), (Code::InvalidArgument, "INVALID_FIELD"), "{name}");
        assert_eq!(fields(&status), [field], "{name}");
    }
    let own = with_scope(token_for(CallerKind::Service, "backend"), &["customers.read", "tickets.write"]);
    assert_eq!(create(&desk, own).await.unwrap().scope, ["customers.read", "tickets.write"]);
}

#[tokio::test]
async fn the_token_is_shown_once() {
    let mut desk = Desk::open().await;
    let ann = desk.agent("Ann Lee", &[]).await;
    let request = token_for(CallerKind::Agent, &ann.id);
    let first = create(&desk, request.clone()).await.unwrap();
    assert!(!first.token.is_empty());
    let again = create(&desk, request).await.unwrap();
    assert_eq!(again, CreateTokenResponse { token: String::new(), ..first.clone() });
    let signature = first.token.rsplit('.').next().unwrap().to_owned();
    let kept: Vec<Option<Vec<u8>>> =
        sqlx::query_scalar("select answer from answers union all select payload from outbox")
            .fetch_all(&desk.suite.service("directory").database.pool)
            .await
            .unwrap();
    let contains = |bytes: &[u8]| bytes.windows(signature.len()).any(|window| window == signature.as_bytes());
    assert!(!kept.iter().flatten().any(|bytes| contains(bytes)));
}

#[tokio::test]
async fn what_is_taken_from_an_agent_is_taken_from_its_tokens() {
    let desk = Desk::open().await;
    let (customer, _) = desk.customer("Example Ltd").await;
    let readers = desk.role("Readers", &["customers.read", "users.read"]).await;
    let more = desk.role("More", &["customers.read"]).await;
    let token = async |agent: &Agent| create(&desk, token_for(CallerKind::Agent, &agent.id)).await.unwrap().token;

    // A role.
    let ann = desk.agent("Ann Lee", &[&readers, &more]).await;
    let old = token(&ann).await;
    show(&desk, &old, &customer).await.unwrap();
    let ann = desk.change_agent(Agent { role_ids: vec![more.id.clone()], ..ann }, &["role_ids"]).await.unwrap();
    assert_eq!(refused_within_a_second(&desk, &old, &customer).await, "TOKEN_REVOKED");
    // At once another one, with what is left.
    desk.suite.clock.advance(TimeDelta::milliseconds(1));
    let new = token(&ann).await;
    show(&desk, &new, &customer).await.unwrap();
    // More roles, or another name, take nothing away.
    let role_ids = vec![more.id.clone(), readers.id.clone()];
    let ann = desk.change_agent(Agent { role_ids, name: "Ann".into(), ..ann }, &["role_ids", "name"]).await.unwrap();

    // A permission of a role.
    let bob = desk.agent("Bob Ray", &[&readers]).await;
    let (of_ann, of_bob) = (token(&ann).await, token(&bob).await);
    let listed = desk.agent_roles().list_agent_roles(ListAgentRolesRequest::default()).await.unwrap().into_inner();
    assert_eq!(listed.agent_roles.len(), 2);
    let fewer = AgentRole { permissions: vec!["customers.read".into()], ..readers };
    let update = UpdateAgentRoleRequest {
        agent_role: Some(fewer),
        update_mask: Some(mask(&["permissions"])),
        request_id: request_id(),
    };
    desk.agent_roles().update_agent_role(update).await.unwrap();
    assert_eq!(refused_within_a_second(&desk, &of_ann, &customer).await, "TOKEN_REVOKED");
    assert_eq!(refused_within_a_second(&desk, &of_bob, &customer).await, "TOKEN_REVOKED");

    // Everything.
    desk.suite.clock.advance(TimeDelta::milliseconds(1));
    let last = token(&ann).await;
    show(&desk, &last, &customer).await.unwrap();
    desk.change_agent(Agent { active: Some(false), ..ann }, &["active"]).await.unwrap();
    assert_eq!(refused_within_a_second(&desk, &last, &customer).await, "TOKEN_REVOKED");

    // The agent.
    desk.suite.clock.advance(TimeDelta::milliseconds(1));
    let of_bob = token(&bob).await;
    show(&desk, &of_bob, &customer).await.unwrap();
    let delete = DeleteAgentRequest { id: bob.id.clone(), etag: String::new(), request_id: request_id() };
    desk.agents().delete_agent(delete).await.unwrap();
    assert_eq!(refused_within_a_second(&desk, &of_bob, &customer).await, "TOKEN_REVOKED");
    let status = create(&desk, token_for(CallerKind::Agent, &bob.id)).await.unwrap_err();
    assert_eq!((status.code(), reason(&status).as_str()), (Code::NotFound, "RECORD_NOT_FOUND"));
}

#[tokio::test]
async fn tokens_of_a_subject_a_site_and_a_customer_are_taken_back() {
    let desk = Desk::open().await;
    let (customer, site) = desk.customer("Example Ltd").await;
    let (elsewhere, there) = desk.customer("Other Ltd").await;
    let (ann, bob) = (desk.user(&site, "Ann Lee").await, desk.user(&there, "Bob Ray").await);
    for (target, id) in [
        (RevocationTarget::Subject, &ann.id),
        (RevocationTarget::Site, &site.id),
        (RevocationTarget::Customer, &customer.id),
    ] {
        desk.suite.clock.advance(TimeDelta::milliseconds(1));
        let token = create(&desk, token_for(CallerKind::User, &ann.id)).await.unwrap().token;
        let other = create(&desk, token_for(CallerKind::User, &bob.id)).await.unwrap().token;
        show(&desk, &token, &customer).await.unwrap();
        let told = revoke(&desk, target, id).await.unwrap();
        assert_eq!(told.expire_time.unwrap().seconds - told.revoke_time.unwrap().seconds, 15 * 60);
        assert_eq!(refused_within_a_second(&desk, &token, &customer).await, "TOKEN_REVOKED", "{target:?}");
        show(&desk, &other, &elsewhere).await.unwrap();
    }
    // It may be known to another issuer only.
    revoke(&desk, RevocationTarget::Subject, &nobody()).await.unwrap();
    for target in [RevocationTarget::Site, RevocationTarget::Customer] {
        let status = revoke(&desk, target, "berlin").await.unwrap_err();
        assert_eq!((reason(&status).as_str(), fields(&status)), ("INVALID_FIELD", vec!["target_id".to_owned()]));
    }
}

/// Another service, with nothing but what every service has.
struct Other;

impl Program for Other {
    const NAME: &'static str = "ticket-rule";

    fn migrations() -> &'static Migrator {
        static NONE: LazyLock<Migrator> = LazyLock::new(|| Migrator::with_migrations(Vec::new()));
        &NONE
    }

    fn routes(host: &Host) -> Routes {
        concierge_runtime::routes!(host, host.feed.clone(); EventFeedServiceServer<_>)
    }

    fn tasks(_: &Host) -> Vec<Task> {
        Vec::new()
    }
}

#[tokio::test]
async fn every_replica_of_another_service_refuses_a_revoked_token_within_a_second() {
    let mut desk = Desk::open().await;
    desk.suite.start::<Other>().await;
    let replica = desk.suite.replica::<Other>().await;
    // Connections that were made with the token before, one to each replica.
    let connect = |desk: &Desk, who: &Who| {
        [desk.suite.api("ticket-rule", who), desk.suite.api_of(&replica, who)].map(EventFeedServiceClient::new)
    };
    let ask = async |client: &mut EventFeedServiceClient<Api>| {
        client.subscribe(SubscribeRequest::default()).await.map(drop).map_err(|status| reason(&status))
    };
    // Both hear directory, once they have refused a first one.
    let first = Who::service("first");
    let mut clients = connect(&desk, &first);
    revoke(&desk, RevocationTarget::Subject, &first.subject).await.unwrap();
    for client in &mut clients {
        let until = Instant::now() + Duration::from_secs(60);
        while ask(client).await.is_ok() {
            assert!(Instant::now() < until, "it never heard of a revocation");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    let (taken, kept) = (Who::service("taken"), Who::service("kept"));
    let (mut clients, mut others) = (connect(&desk, &taken), connect(&desk, &kept));
    for client in clients.iter_mut().chain(&mut others) {
        assert_eq!(ask(client).await, Ok(()));
    }
    revoke(&desk, RevocationTarget::Subject, &taken.subject).await.unwrap();
    let revoked = Instant::now();
    for client in &mut clients {
        let refused = loop {
            match ask(client).await {
                Ok(()) if revoked.elapsed() < Duration::from_secs(1) => {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
                Ok(()) => break "still accepted".to_owned(),
                Err(reason) => break reason,
            }
        };
        assert_eq!(refused, "TOKEN_REVOKED");
    }
    for client in &mut others {
        assert_eq!(ask(client).await, Ok(()), "nobody else is refused");
    }
}

/// A key that the directory trusts and does not sign with, as the one before a rotation.
fn other_key() -> Signer {
    Signer::from_pem(&Signer::generate([8; 32]), ISSUER).unwrap()
}

fn trust(desk: &mut Desk, key: &Signer) {
    desk.suite.service("directory").host.keys.learn([key.public_key().clone()]);
}

async fn signing_keys(desk: &Desk) -> Vec<String> {
    let mut anybody = AccessServiceClient::new(desk.suite.anonymous("directory"));
    let told = anybody.list_signing_keys(ListSigningKeysRequest {}).await.unwrap().into_inner();
    told.keys.into_iter().map(|key| key.kid).collect()
}

#[tokio::test]
async fn a_revoked_key_stays_revoked_after_a_restart_and_a_clean_up() {
    let mut desk = Desk::open().await;
    let (customer, _) = desk.customer("Example Ltd").await;
    let (own, old) = (desk.suite.signer.key_id().to_owned(), other_key());
    trust(&mut desk, &old);
    let token = old.sign(&desk.suite.claims("directory", &desk.who));
    show(&desk, &token, &customer).await.unwrap();
    assert_eq!(signing_keys(&desk).await, [own.as_str(), old.key_id()]);
    let told = revoke(&desk, RevocationTarget::Key, old.key_id()).await.unwrap();
    assert_eq!(told.expire_time, None);
    assert_eq!(refused_within_a_second(&desk, &token, &customer).await, "TOKEN_REVOKED");

    // Events are kept for seven days.
    desk.suite.clock.advance(TimeDelta::days(8));
    let service = desk.suite.service("directory").host.service.clone();
    concierge_runtime::housekeeping::once(&service).await.unwrap();
    let events: i64 = sqlx::query_scalar("select count(*) from outbox where position is not null")
        .fetch_one(service.pool())
        .await
        .unwrap();
    assert_eq!(events, 0);
    desk.suite.restart::<Directory>().await;
    trust(&mut desk, &old);
    let token = old.sign(&desk.suite.claims("directory", &desk.who));
    assert_eq!(refused_within_a_second(&desk, &token, &customer).await, "TOKEN_REVOKED");
    assert_eq!(signing_keys(&desk).await, [own]);
}

#[tokio::test]
async fn the_key_that_signs_is_revoked_only_once_another_has_taken_its_place() {
    let mut desk = Desk::open().await;
    let (customer, _) = desk.customer("Example Ltd").await;
    let old = Arc::clone(&desk.suite.signer);
    let status = revoke(&desk, RevocationTarget::Key, old.key_id()).await.unwrap_err();
    assert_eq!((status.code(), reason(&status).as_str()), (Code::FailedPrecondition, "SIGNING_KEY_IN_USE"));
    assert_eq!(metadata(&status, "kid"), old.key_id());
    let before = old.sign(&desk.suite.claims("directory", &desk.who));
    show(&desk, &before, &customer).await.unwrap();

    // As a rotation goes: the new key signs, the old one is trusted until its last token has expired, or leaked.
    desk.suite.signer = Arc::new(other_key());
    desk.suite.restart::<Directory>().await;
    trust(&mut desk, &old);
    show(&desk, &before, &customer).await.unwrap();
    revoke(&desk, RevocationTarget::Key, old.key_id()).await.unwrap();
    assert_eq!(refused_within_a_second(&desk, &before, &customer).await, "TOKEN_REVOKED");
    assert_eq!(signing_keys(&desk).await, [desk.suite.signer.key_id()]);
    let ann = desk.agent("Ann Lee", &[]).await;
    create(&desk, token_for(CallerKind::Agent, &ann.id)).await.unwrap();
}

#[tokio::test]
async fn nobody_gets_a_token_signed_with_a_revoked_key() {
    let mut desk = Desk::open().await;
    // A replica that has the new key already revokes the one that this replica still signs with.
    let ann = desk.agent("Ann Lee", &[]).await;
    let old = Arc::clone(&desk.suite.signer);
    desk.suite.signer = Arc::new(other_key());
    let replica = desk.suite.replica::<Directory>().await;
    let new = Arc::clone(&desk.suite.signer);
    trust(&mut desk, &new);
    let ask = async || {
        let api = desk.suite.api("directory", &desk.who);
        AccessServiceClient::new(api).create_token(token_for(CallerKind::Agent, &ann.id)).await
    };
    assert_eq!(ask().await.unwrap().into_inner().kid, old.key_id());
    let request = RevokeTokensRequest {
        target: RevocationTarget::Key.into(),
        target_id: old.key_id().to_owned(),
        request_id: request_id(),
        ..Default::default()
    };
    AccessServiceClient::new(desk.suite.api_of(&replica, &desk.who)).revoke_tokens(request).await.unwrap();
    let until = Instant::now() + Duration::from_secs(60);
    let status = loop {
        match ask().await {
            Ok(_) => assert!(Instant::now() < until, "it goes on signing"),
            Err(status) => break status,
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    };
    assert_eq!((status.code(), reason(&status).as_str()), (Code::FailedPrecondition, "SIGNING_KEY_MISSING"));
}

#[tokio::test]
async fn public_keys_are_told_to_anybody() {
    let desk = Desk::open().await;
    let mut anybody = AccessServiceClient::new(desk.suite.anonymous("directory"));
    let told = anybody.list_signing_keys(ListSigningKeysRequest {}).await.unwrap().into_inner();
    let key = &told.keys[0];
    assert_eq!((key.kid.as_str(), key.kty.as_str()), (desk.suite.signer.key_id(), "OKP"));
    assert_eq!((key.crv.as_str(), key.alg.as_str(), key.r#use.as_str()), ("Ed25519", "EdDSA", "sig"));
    assert_eq!(Some(&key.x), desk.suite.signer.public_key().jwk().x.as_ref());
    let jwks: Jwks = serde_json::from_str(&told.jwks_json).unwrap();
    assert_eq!((jwks.keys.len(), told.keys.len()), (1, 1));
    assert_eq!(PublicKey::from_jwks(&told.jwks_json).unwrap()[0].id(), key.kid);
}

#[tokio::test]
async fn a_token_made_while_its_agent_is_being_deactivated_is_refused_or_revoked() {
    let desk = Desk::open().await;
    let (customer, _) = desk.customer("Example Ltd").await;
    let readers = desk.role("Readers", &["customers.read"]).await;
    for round in 0..10 {
        let ann = desk.agent(&format!("Ann {round}"), &[&readers]).await;
        let off = desk.change_agent(Agent { active: Some(false), ..ann.clone() }, &["active"]);
        let tokens = (0..8).map(|_| create(&desk, token_for(CallerKind::Agent, &ann.id)));
        let (off, tokens) = futures::future::join(off, futures::future::join_all(tokens)).await;
        off.unwrap();
        for made in tokens {
            match made {
                Err(status) => assert_eq!(reason(&status), "SUBJECT_INACTIVE"),
                Ok(made) => {
                    assert_eq!(refused_within_a_second(&desk, &made.token, &customer).await, "TOKEN_REVOKED");
                }
            }
        }
    }
}

#[tokio::test]
async fn however_an_id_is_written_the_token_is_revoked() {
    let desk = Desk::open().await;
    let (customer, site) = desk.customer("Example Ltd").await;
    let ann = desk.user(&site, "Ann Lee").await;
    for (asked, revoked) in [(ann.id.replace('-', ""), ann.id.clone()), (ann.id.clone(), ann.id.replace('-', ""))] {
        let made = create(&desk, token_for(CallerKind::User, &asked)).await.unwrap();
        show(&desk, &made.token, &customer).await.unwrap();
        revoke(&desk, RevocationTarget::Subject, &revoked).await.unwrap();
        assert_eq!(refused_within_a_second(&desk, &made.token, &customer).await, "TOKEN_REVOKED");
        // Tokens count whole milliseconds.
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

//! The directory's public keys in other services.

use std::sync::Arc;

use concierge_proto::directory::access_service_server::{AccessService, AccessServiceServer};
use concierge_proto::directory::{
    CreateTokenRequest, CreateTokenResponse, ListSigningKeysRequest, ListSigningKeysResponse, RevokeTokensRequest,
    RevokeTokensResponse,
};
use concierge_runtime::auth::{Signer, TokenError};
use concierge_runtime::clock::Clock as _;
use concierge_runtime::program::{Host, Program, Task};
use concierge_runtime::routes;
use concierge_testkit::{Suite, Who};
use sqlx::migrate::Migrator;
use tonic::{Request, Response, Status};

use crate::world::{NONE, Teller, until};

/// The directory's keys, which change while it runs.
#[derive(Debug)]
struct Keys(Arc<std::sync::Mutex<String>>);

/// What is shared by those of one host.
#[derive(Debug, Default)]
struct Told(Arc<std::sync::Mutex<String>>);

#[tonic::async_trait]
impl AccessService for Keys {
    async fn create_token(&self, _: Request<CreateTokenRequest>) -> Result<Response<CreateTokenResponse>, Status> {
        Err(Status::unimplemented(""))
    }

    async fn revoke_tokens(&self, _: Request<RevokeTokensRequest>) -> Result<Response<RevokeTokensResponse>, Status> {
        Err(Status::unimplemented(""))
    }

    async fn list_signing_keys(
        &self,
        _: Request<ListSigningKeysRequest>,
    ) -> Result<Response<ListSigningKeysResponse>, Status> {
        let jwks_json = self.0.lock().unwrap().clone();
        Ok(Response::new(ListSigningKeysResponse { jwks_json, ..Default::default() }))
    }
}

struct Directory;

impl Program for Directory {
    const NAME: &'static str = "directory";

    fn migrations() -> &'static Migrator {
        &NONE
    }

    fn routes(host: &Host) -> tonic::service::Routes {
        let told: Arc<Told> = host.service.shared();
        routes!(host, Keys(Arc::clone(&told.0)); AccessServiceServer<_>)
    }

    fn tasks(_: &Host) -> Vec<Task> {
        Vec::new()
    }
}

fn signer(seed: u8) -> Signer {
    Signer::from_pem(&Signer::generate([seed; 32]), "concierge-test").unwrap()
}

fn jwks(signer: &Signer) -> String {
    serde_json::json!({ "keys": [signer.public_key().jwk()] }).to_string()
}

#[tokio::test]
async fn a_token_of_an_unknown_key_makes_a_service_ask_at_once() {
    let mut suite = Suite::new();
    let told = suite.start::<Directory>().await.host.service.shared::<Told>();
    *told.0.lock().unwrap() = jwks(&signer(1));
    let host = suite.start::<Teller>().await.host.clone();
    until("the first key is heard", async || host.keys.get(signer(1).key_id()).is_some()).await;

    *told.0.lock().unwrap() = jwks(&signer(2));
    let token = signer(2).sign(&suite.claims("ticket-rule", &Who::service("x")));
    let began = std::time::Instant::now();
    let refused = host.verifier.verify(&token, suite.clock.now()).unwrap_err();
    assert!(matches!(refused, TokenError::UnknownKey(_)));
    until("the second key is heard", async || host.verifier.verify(&token, suite.clock.now()).is_ok()).await;
    assert!(began.elapsed().as_secs() < 20, "not when it asks anyway");
}

#[tokio::test]
async fn keys_heard_before_are_read_as_soon_as_the_database_answers() {
    let mut suite = Suite::new();
    // No directory; and a database that does not have its table yet.
    let pool = suite.start::<Teller>().await.database.pool.clone();
    sqlx::query("insert into known_keys (one, jwks) values (true, $1)")
        .bind(jwks(&signer(3)))
        .execute(&pool)
        .await
        .unwrap();
    sqlx::query("alter table known_keys rename to away").execute(&pool).await.unwrap();
    suite.restart::<Teller>().await;
    let running = suite.service("ticket-rule");
    let (host, pool) = (running.host.clone(), running.database.pool.clone());
    tokio::time::sleep(std::time::Duration::from_millis(300)).await;
    assert!(host.keys.get(signer(3).key_id()).is_none());
    sqlx::query("alter table away rename to known_keys").execute(&pool).await.unwrap();
    until("the key is read", async || host.keys.get(signer(3).key_id()).is_some()).await;
}

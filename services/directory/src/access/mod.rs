//! `AccessService`: the tokens that callers show, and the keys to check them with.

mod revoke;
mod scope;
mod subject;
mod token;

use concierge_proto::directory::access_service_server::AccessService;
use concierge_proto::directory::{
    CreateTokenRequest, CreateTokenResponse, ListSigningKeysRequest, ListSigningKeysResponse, RevokeTokensRequest,
    RevokeTokensResponse, SigningKey,
};
use concierge_runtime::auth::{Jwk, Jwks};
use concierge_runtime::{Answer, Error, reply};
use tonic::Request;

use crate::Directory;

#[tonic::async_trait]
impl AccessService for Directory {
    async fn create_token(&self, request: Request<CreateTokenRequest>) -> Answer<CreateTokenResponse> {
        let host = self.host.clone();
        self.service.write(request, move |tx, request| Box::pin(token::create(tx, host, request))).await
    }

    async fn revoke_tokens(&self, request: Request<RevokeTokensRequest>) -> Answer<RevokeTokensResponse> {
        let host = self.host.clone();
        self.service.write(request, move |tx, request| Box::pin(revoke::revoke(tx, host, request))).await
    }

    async fn list_signing_keys(&self, _: Request<ListSigningKeysRequest>) -> Answer<ListSigningKeysResponse> {
        let keys = self.signing_keys();
        let jwks_json = serde_json::to_string(&Jwks { keys: keys.clone() }).map_err(Error::internal)?;
        Ok(reply(ListSigningKeysResponse { keys: keys.into_iter().map(signing_key).collect(), jwks_json }))
    }
}

impl Directory {
    /// The public keys of the suite, the one that signs here first, without those that were revoked.
    fn signing_keys(&self) -> Vec<Jwk> {
        let own = self.host.signer.public_key().jwk().clone();
        let others = self.host.keys.jwks().keys.into_iter().filter(|key| key.kid != own.kid).collect::<Vec<_>>();
        let mut keys = vec![own];
        keys.extend(others);
        // Only this type has a place in the contract; services sign with nothing else.
        keys.retain(|key| key.kty == "OKP");
        keys.retain(|key| key.kid.as_deref().is_none_or(|kid| !self.host.revocations.key_revoked(kid)));
        keys
    }
}

fn signing_key(key: Jwk) -> SigningKey {
    SigningKey {
        kid: key.kid.unwrap_or_default(),
        kty: key.kty,
        crv: key.crv.unwrap_or_default(),
        alg: key.alg.unwrap_or_default(),
        x: key.x.unwrap_or_default(),
        r#use: key.usage.unwrap_or_default(),
    }
}

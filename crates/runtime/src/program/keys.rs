//! The directory's public keys: heard while it is there, kept in this service's database for when it is not.

use std::time::Duration;

use concierge_proto::directory::ListSigningKeysRequest;
use concierge_proto::directory::access_service_client::AccessServiceClient;

use super::Host;
use crate::auth::PublicKey;

/// How often the directory is asked.
const ASK: Duration = Duration::from_secs(30);

/// Learns keys until the host stops.
pub(super) async fn learn(host: Host) {
    let Some(directory) = host.directory.clone() else { return };
    let kept: Result<Vec<String>, _> =
        sqlx::query_scalar("select jwks from known_keys").fetch_all(host.service.pool()).await;
    for jwks in kept.into_iter().flatten() {
        host.keys.learn(PublicKey::from_jwks(&jwks).unwrap_or_default());
    }
    let work = async {
        let mut client = AccessServiceClient::new(directory.channel());
        loop {
            let request = directory.request_within(ListSigningKeysRequest::default(), Duration::from_secs(5));
            let heard = match client.list_signing_keys(request).await {
                Ok(answer) => {
                    let jwks = answer.into_inner().jwks_json;
                    if let Ok(keys) = PublicKey::from_jwks(&jwks) {
                        host.keys.learn(keys);
                        let _ = sqlx::query(
                            "insert into known_keys (one, jwks) values (true, $1)
                             on conflict (one) do update set jwks = excluded.jwks where known_keys.jwks <> excluded.jwks",
                        )
                        .bind(jwks)
                        .execute(host.service.pool())
                        .await;
                    }
                    true
                }
                Err(_) => false,
            };
            tokio::time::sleep(if heard { ASK } else { Duration::from_secs(1) }).await;
        }
    };
    tokio::select! {
        () = host.stop.cancelled() => {}
        () = work => {}
    }
}

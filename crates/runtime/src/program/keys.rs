//! The directory's public keys: heard while it is there, kept in this service's database for when it is not.

use std::time::Duration;

use concierge_proto::directory::ListSigningKeysRequest;
use concierge_proto::directory::access_service_client::AccessServiceClient;

use super::Host;
use crate::auth::PublicKey;
use crate::error::Error;
use crate::upstream::Upstream;

/// How often the directory is asked.
const ASK: Duration = Duration::from_secs(30);
/// The shortest time between two questions, whoever shows tokens of unknown keys, and however often.
const PAUSE: Duration = Duration::from_secs(1);

/// Learns keys until the host stops.
pub(super) async fn learn(host: Host, directory: Upstream) {
    let work = async {
        let mut begun = false;
        loop {
            // Until one of both told: the database may come later than we.
            if !begun {
                begun = match kept(&host).await {
                    Ok(keys) => {
                        host.keys.learn(keys);
                        true
                    }
                    Err(error) => {
                        tracing::warn!(error = error.cause(), "cannot read the keys heard of before; trying again");
                        false
                    }
                };
            }
            let heard = ask(&host, &directory).await;
            begun |= heard;
            tokio::time::sleep(PAUSE).await;
            if heard {
                tokio::select! {
                    () = host.keys.missed() => {}
                    () = tokio::time::sleep(ASK) => {}
                }
            }
        }
    };
    tokio::select! {
        () = host.stop.cancelled() => {}
        () = work => {}
    }
}

/// The keys as last heard.
async fn kept(host: &Host) -> Result<Vec<PublicKey>, Error> {
    let kept: Option<String> =
        sqlx::query_scalar("select jwks from known_keys").fetch_optional(host.service.background()).await?;
    Ok(kept.and_then(|jwks| PublicKey::from_jwks(&jwks).ok()).unwrap_or_default())
}

/// Asks the directory, and keeps what it says; true when it answered.
async fn ask(host: &Host, directory: &Upstream) -> bool {
    let mut client = AccessServiceClient::new(directory.channel());
    let request = directory.request_within(ListSigningKeysRequest::default(), Duration::from_secs(5));
    let jwks = match client.list_signing_keys(request).await {
        Ok(answer) => answer.into_inner().jwks_json,
        Err(status) => {
            tracing::debug!(%status, "the directory does not tell its keys; trying again");
            return false;
        }
    };
    match PublicKey::from_jwks(&jwks) {
        Ok(keys) => host.keys.learn(keys),
        Err(error) => {
            tracing::warn!(%error, "the directory's keys cannot be read");
            return true;
        }
    }
    let keeping = sqlx::query(
        "insert into known_keys (one, jwks) values (true, $1)
         on conflict (one) do update set jwks = excluded.jwks where known_keys.jwks <> excluded.jwks",
    )
    .bind(jwks)
    .execute(host.service.background())
    .await;
    if let Err(error) = keeping {
        tracing::warn!(%error, "cannot keep the directory's keys");
    }
    true
}

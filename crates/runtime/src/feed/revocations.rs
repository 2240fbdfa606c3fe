//! Tokens taken away: every replica hears of it by itself, and refuses them within a second.

use std::sync::Arc;
use std::time::Duration;

use concierge_proto::event::event_feed_service_client::EventFeedServiceClient;
use concierge_proto::event::{self, ReadSnapshotRequest, SubscribeRequest};
use concierge_proto::record::datetime;
use prost::Message as _;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::payload;
use crate::auth::{LONGEST_LIFE, Revocation, RevocationTarget, Revocations};
use crate::clock::SharedClock;
use crate::error::Error;
use crate::service::Service;
use crate::upstream::Upstream;

/// Hears directory's revocations until told to stop. While directory is away, expiry is the bound.
pub async fn watch(directory: Upstream, revocations: Arc<Revocations>, clock: SharedClock, stop: CancellationToken) {
    let work = async {
        loop {
            if let Err(status) = hear(&directory, &revocations).await {
                tracing::debug!(%status, "cannot hear of revocations; trying again");
            }
            revocations.prune(clock.now());
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    };
    tokio::select! {
        () = stop.cancelled() => {}
        () = work => {}
    }
}

async fn hear(directory: &Upstream, revocations: &Revocations) -> Result<(), tonic::Status> {
    let mut client = EventFeedServiceClient::new(directory.channel());
    let only = "revocation".to_owned();
    let request = directory.request(ReadSnapshotRequest { record_types: vec![only] });
    let mut snapshot = client.read_snapshot(request).await?.into_inner();
    let mut from = (String::new(), 0);
    while let Some(part) = snapshot.message().await? {
        revocations.add(part.revocations.iter().filter_map(read));
        from = (part.feed_id, part.position);
    }
    let request = directory.request(SubscribeRequest {
        feed_id: from.0,
        after_position: from.1,
        types: vec!["revocation.*".to_owned()],
    });
    let mut stream = client.subscribe(request).await?.into_inner();
    while let Some(part) = stream.message().await? {
        revocations.add(part.events.iter().filter_map(payload::<event::Revocation>).filter_map(|r| read(&r)));
    }
    Ok(())
}

/// Reads a revocation as events carry it.
pub fn read(revocation: &event::Revocation) -> Option<Revocation> {
    let issued_before = datetime(revocation.issued_before.as_ref()?)?;
    let target = if !revocation.subject.is_empty() {
        RevocationTarget::Subject(revocation.subject.clone())
    } else if !revocation.key_id.is_empty() {
        RevocationTarget::Key(revocation.key_id.clone())
    } else if let Ok(site) = revocation.site_id.parse() {
        RevocationTarget::Site(site)
    } else {
        RevocationTarget::Customer(revocation.customer_id.parse().ok()?)
    };
    Some(Revocation { target, issued_before })
}

/// Hears the revocations in this service's own feed until told to stop: what directory does.
pub async fn watch_own(
    service: Service,
    revocations: Arc<Revocations>,
    mut head: watch::Receiver<i64>,
    stop: CancellationToken,
) {
    let work = async {
        // From the beginning: what is kept is at most seven days, and only revocations are looked at.
        let mut position = 0;
        let mut begun = false;
        loop {
            let heard = async {
                if !begun {
                    revocations.add(in_force(&service).await?.iter().filter_map(read));
                }
                own(&service, position).await
            };
            match heard.await {
                Ok(heard) => {
                    begun = true;
                    position = heard.iter().map(|(at, _)| *at).max().unwrap_or(position);
                    revocations.add(heard.iter().filter_map(|(_, r)| read(r)));
                }
                Err(error) => tracing::debug!(%error, "cannot read revocations; trying again"),
            }
            revocations.prune(service.clock().now());
            let _ = tokio::time::timeout(Duration::from_millis(500), head.changed()).await;
        }
    };
    tokio::select! {
        () = stop.cancelled() => {}
        () = work => {}
    }
}

/// The revocations that can still matter: of twice the longest life of a token, and of keys all there are.
pub(crate) async fn in_force(service: &Service) -> Result<Vec<event::Revocation>, Error> {
    let since = service.clock().now() - LONGEST_LIFE - LONGEST_LIFE;
    let rows: Vec<Vec<u8>> = sqlx::query_scalar(
        "select record from changes where record_type = 'revocation' and time > $1
         union
         select record from changes where record_type = 'revocation' and fields @> array['key_id']",
    )
    .bind(since)
    .fetch_all(service.pool())
    .await?;
    rows.iter().map(|bytes| event::Revocation::decode(bytes.as_slice()).map_err(Error::internal)).collect()
}

async fn own(service: &Service, after: i64) -> Result<Vec<(i64, event::Revocation)>, Error> {
    let rows: Vec<(i64, Vec<u8>)> = sqlx::query_as(
        "select position, payload from outbox where type = 'revocation.created' and position > $1 order by position",
    )
    .bind(after)
    .fetch_all(service.pool())
    .await?;
    rows.into_iter()
        .map(|(position, bytes)| Ok((position, event::Revocation::decode(bytes.as_slice()).map_err(Error::internal)?)))
        .collect()
}

//! Tokens taken away: every replica hears of it by itself, and refuses them within a second.

use std::sync::Arc;
use std::time::{Duration, Instant};

use concierge_proto::event::event_feed_service_client::EventFeedServiceClient;
use concierge_proto::event::{self, ReadSnapshotRequest, SubscribeRequest};
use concierge_proto::record::datetime;
use prost::Message as _;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tonic::Status;

use super::{LARGEST, payload, reason};
use crate::auth::{LONGEST_LIFE, Revocation, RevocationTarget, Revocations};
use crate::error::Error;
use crate::service::Service;
use crate::upstream::Upstream;

/// How long to wait before trying again, and before another failure is told of in the log.
const AGAIN: Duration = Duration::from_millis(500);
const QUIET: Duration = Duration::from_secs(30);

/// Hears directory's revocations.
#[derive(Debug)]
pub struct Watch {
    /// This service.
    pub service: Service,
    /// Where it hears them.
    pub directory: Upstream,
    /// Where they are kept.
    pub revocations: Arc<Revocations>,
    /// Everyone who is shown this service's own tokens: when these are taken away, it signs new ones.
    pub upstreams: Vec<Upstream>,
}

impl Watch {
    /// Hears until told to stop. While directory is away, expiry is the bound.
    pub async fn run(self, stop: CancellationToken) {
        let work = async {
            let mut from = None;
            let mut told: Option<Instant> = None;
            loop {
                let status = match self.hear(&mut from).await {
                    Ok(()) => Status::unavailable("the stream ended"),
                    Err(status) => status,
                };
                match reason(&status).as_str() {
                    "TOKEN_REVOKED" => self.renew(),
                    "FEED_POSITION_OUT_OF_RANGE" => from = None,
                    // As every stream does, after some minutes: it goes on from where it was.
                    "TOKEN_EXPIRED" => {}
                    _ if told.is_none_or(|at| at.elapsed() > QUIET) => {
                        told = Some(Instant::now());
                        tracing::warn!(%status, "cannot hear of revocations; trying again twice a second");
                    }
                    _ => {}
                }
                self.revocations.prune(self.service.clock().now());
                tokio::time::sleep(AGAIN).await;
            }
        };
        tokio::select! {
            () = stop.cancelled() => {}
            () = work => {}
        }
    }

    /// Hears what is in force, then what comes; the second time, only what comes after what was heard.
    async fn hear(&self, from: &mut Option<(String, i64)>) -> Result<(), Status> {
        let mut client = EventFeedServiceClient::new(self.directory.channel()).max_decoding_message_size(LARGEST);
        if from.is_none() {
            let only = "revocation".to_owned();
            let request = self.directory.request(ReadSnapshotRequest { record_types: vec![only] });
            let mut snapshot = client.read_snapshot(request).await?.into_inner();
            let mut last = None;
            while let Some(part) = snapshot.message().await? {
                self.add(part.revocations.iter().filter_map(read));
                last = Some((part.feed_id, part.position));
            }
            *from = last;
        }
        let (feed_id, after_position) = from.clone().unwrap_or_default();
        let types = vec!["revocation.*".to_owned()];
        let request = self.directory.request(SubscribeRequest { feed_id, after_position, types });
        let mut stream = client.subscribe(request).await?.into_inner();
        while let Some(part) = stream.message().await? {
            self.add(part.events.iter().filter_map(payload::<event::Revocation>).filter_map(|r| read(&r)));
            *from = Some((part.feed_id, part.position));
        }
        Ok(())
    }

    fn add(&self, revocations: impl Iterator<Item = Revocation>) {
        let revocations: Vec<Revocation> = revocations.collect();
        let own = RevocationTarget::Subject(self.service.name().to_owned());
        let of_us = revocations.iter().any(|r| r.target == own);
        self.revocations.add(revocations);
        if of_us {
            self.renew();
        }
    }

    fn renew(&self) {
        for upstream in &self.upstreams {
            upstream.renew();
        }
    }
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
                Err(error) => tracing::warn!(error = error.cause(), "cannot read revocations; trying again"),
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
    .fetch_all(service.background())
    .await?;
    rows.iter().map(|bytes| event::Revocation::decode(bytes.as_slice()).map_err(Error::internal)).collect()
}

async fn own(service: &Service, after: i64) -> Result<Vec<(i64, event::Revocation)>, Error> {
    let rows: Vec<(i64, Vec<u8>)> = sqlx::query_as(
        "select position, payload from outbox where type = 'revocation.created' and position > $1 order by position",
    )
    .bind(after)
    .fetch_all(service.background())
    .await?;
    rows.into_iter()
        .map(|(position, bytes)| Ok((position, event::Revocation::decode(bytes.as_slice()).map_err(Error::internal)?)))
        .collect()
}

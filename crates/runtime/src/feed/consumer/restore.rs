//! Starting over from a snapshot, where what comes next is not in the feed any more.

use concierge_proto::event::ReadSnapshotRequest;
use concierge_proto::event::event_feed_service_client::EventFeedServiceClient;
use uuid::Uuid;

use super::{Consumer, Effects, LARGEST, SILENCE, SNAPSHOT, Stopped, projection};
use crate::error::Error;

impl<E: Effects> Consumer<E> {
    /// Takes a snapshot: everything as it is, what is absent as deleted, and the position to go on from.
    pub(super) async fn restore(&self, epoch: i64) -> Result<(), Stopped> {
        let mut client = EventFeedServiceClient::new(self.upstream.channel()).max_decoding_message_size(LARGEST);
        let request = self.upstream.request(ReadSnapshotRequest { record_types: self.record_types.clone() });
        let mut stream = client.read_snapshot(request).await?.into_inner();
        let number = self.service.clock().now().timestamp_micros();
        let mut tx = self.service.begin_within(SNAPSHOT).await?;
        let mut head: Option<(Uuid, i64)> = None;
        // A server that says nothing any more must not keep the lease, which is renewed meanwhile.
        while let Some(part) = tokio::time::timeout(SILENCE, stream.message())
            .await
            .map_err(|_| Error::UpstreamUnavailable { service: self.upstream.name() })??
        {
            head = Some((part.feed_id.parse().map_err(Error::internal)?, part.position));
            if !part.records.is_empty() {
                projection::keep_many(tx.conn().await?, &part.records, number).await?;
            }
            for change in &part.records {
                self.effects.restore(&mut tx, change).await?;
            }
        }
        let (feed_id, position) = head.ok_or(Error::UpstreamUnavailable { service: self.upstream.name() })?;
        projection::tombstone(tx.conn().await?, &self.record_types, number).await?;
        self.effects.restored(&mut tx).await?;
        let moved =
            sqlx::query("update feed_cursors set position = $2, feed_id = $3 where feed = $1 and lease_epoch = $4")
                .bind(self.upstream.name())
                .bind(position)
                .bind(feed_id)
                .bind(epoch)
                .execute(tx.conn().await?)
                .await
                .map_err(Error::from)?;
        if moved.rows_affected() == 0 {
            tx.rollback().await?;
            return Err(Stopped::LeaseLost);
        }
        self.service.commit(tx).await?;
        tracing::info!(upstream = self.upstream.name(), position, "took a snapshot");
        Ok(())
    }
}

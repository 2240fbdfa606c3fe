//! The client: so many connections, so many calls in flight, for so long.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use concierge_proto::directory::{GetCustomerRequest, GetCustomerResponse};
use http::uri::PathAndQuery;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::transport::{Channel, Endpoint};
use tonic_prost::ProstCodec;

use crate::PATH;

/// What a load is.
#[derive(Clone, Debug)]
pub struct Load {
    /// Ids to ask for, in turn.
    pub ids: Arc<Vec<String>>,
    /// Tokens to show, in turn.
    pub tokens: Arc<Vec<MetadataValue<Ascii>>>,
    /// Connections.
    pub connections: usize,
    /// Calls in flight over all connections.
    pub in_flight: usize,
}

impl Load {
    /// Calls for `time`; the number of answers. An error answer stops the bench.
    pub async fn run(&self, address: &str, time: Duration) -> anyhow::Result<usize> {
        let mut channels = Vec::new();
        for _ in 0..self.connections {
            channels.push(Endpoint::from_shared(format!("http://{address}"))?.tcp_nodelay(true).connect().await?);
        }
        let next = Arc::new(AtomicUsize::new(0));
        let until = Instant::now() + time;
        let mut workers = Vec::new();
        for worker in 0..self.in_flight {
            let (load, next, channel) = (self.clone(), Arc::clone(&next), channels[worker % channels.len()].clone());
            workers.push(tokio::spawn(async move { load.work(channel, &next, until).await }));
        }
        let mut answered = 0;
        for worker in workers {
            answered += worker.await??;
        }
        Ok(answered)
    }

    async fn work(&self, channel: Channel, next: &AtomicUsize, until: Instant) -> anyhow::Result<usize> {
        let mut client = tonic::client::Grpc::new(channel);
        let mut answered = 0;
        while Instant::now() < until {
            let n = next.fetch_add(1, Ordering::Relaxed);
            let mut request =
                tonic::Request::new(GetCustomerRequest { id: self.ids[n.wrapping_mul(7919) % self.ids.len()].clone() });
            request.metadata_mut().insert("authorization", self.tokens[n % self.tokens.len()].clone());
            client.ready().await?;
            let codec: ProstCodec<GetCustomerRequest, GetCustomerResponse> = ProstCodec::default();
            client.unary(request, PathAndQuery::from_static(PATH), codec).await?;
            answered += 1;
        }
        Ok(answered)
    }
}

//! What the tests over several services share: calling any method of the contract by its name.

// Tests stop at the first thing that does not work.
#![allow(clippy::expect_used, clippy::unwrap_used)]

pub mod contract;
pub mod ports;
pub mod process;

use prost::bytes::{Buf as _, BufMut as _, Bytes};
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::{Request, Status};

/// Bytes as they are: for calls that no generated client would make.
#[derive(Clone, Copy, Debug, Default)]
pub struct Raw;

impl Codec for Raw {
    type Encode = Bytes;
    type Decode = Bytes;
    type Encoder = Self;
    type Decoder = Self;
    fn encoder(&mut self) -> Self {
        Self
    }
    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for Raw {
    type Item = Bytes;
    type Error = Status;
    fn encode(&mut self, item: Bytes, to: &mut EncodeBuf<'_>) -> Result<(), Status> {
        to.put(item);
        Ok(())
    }
}

impl Decoder for Raw {
    type Item = Bytes;
    type Error = Status;
    fn decode(&mut self, from: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        Ok(Some(from.copy_to_bytes(from.remaining())))
    }
}

/// Calls a method with these bytes; of a stream only the first message is read.
pub async fn call(
    channel: tonic::transport::Channel,
    path: &'static str,
    token: Option<&str>,
    body: Vec<u8>,
) -> Result<Bytes, Status> {
    let mut client = tonic::client::Grpc::new(channel);
    client.ready().await.map_err(|e| Status::unavailable(e.to_string()))?;
    let mut request = Request::new(Bytes::from(body));
    request.set_timeout(std::time::Duration::from_secs(20));
    if let Some(token) = token {
        request.metadata_mut().insert("authorization", format!("Bearer {token}").parse().expect("a token"));
    }
    let path = http::uri::PathAndQuery::from_static(path);
    let mut answers = client.server_streaming(request, path, Raw).await?.into_inner();
    match tokio::time::timeout(std::time::Duration::from_millis(500), answers.message()).await {
        Ok(answer) => Ok(answer?.unwrap_or_default()),
        // A stream that waits for something to happen.
        Err(_) => Ok(Bytes::new()),
    }
}

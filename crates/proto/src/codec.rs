//! The protobuf codec of every client and server of the contract: prost, and a check of each request as it is decoded.

use std::future::Future;
use std::marker::PhantomData;
use std::sync::{Arc, OnceLock};

use prost::Message;
use tonic::Status;
use tonic::codec::{BufferSettings, DecodeBuf, Decoder};

use crate::{Validate, Violations};

/// A larger request is refused for the rules that it breaks without being looked at any further.
const LARGEST_KEPT: usize = 64 << 10;

/// The rules that a request breaks, once it was decoded.
pub type Broken = Arc<OnceLock<Arc<Violations>>>;

tokio::task_local! {
    static BROKEN: Broken;
}

/// Runs a handler that is to find what else is wrong with a request: one that breaks the contract's rules is decoded all
/// the same, and what it breaks is put here. Whoever runs a handler so refuses the request, whatever comes of it.
pub async fn looking_further<F: Future>(broken: Broken, handler: F) -> F::Output {
    BROKEN.scope(broken, handler).await
}

/// Encodes `T`, decodes and validates `U`.
#[derive(Debug)]
pub struct Codec<T, U>(PhantomData<(T, U)>);

impl<T, U> Default for Codec<T, U> {
    fn default() -> Self {
        Self(PhantomData)
    }
}

impl<T, U> tonic::codec::Codec for Codec<T, U>
where
    T: Message + 'static,
    U: Message + Default + Validate + 'static,
{
    type Encode = T;
    type Decode = U;
    type Encoder = tonic_prost::ProstEncoder<T>;
    type Decoder = ValidatingDecoder<U>;

    fn encoder(&mut self) -> Self::Encoder {
        tonic_prost::ProstEncoder::new(BufferSettings::default())
    }

    fn decoder(&mut self) -> Self::Decoder {
        ValidatingDecoder(PhantomData)
    }
}

/// Decodes a message and refuses it when it breaks the contract's rules.
#[derive(Debug)]
pub struct ValidatingDecoder<U>(PhantomData<U>);

/// What is wrong with the bytes or the fields of a request. The server's status layer finds it as the source of the
/// status and makes the answer of it.
#[derive(Clone, Debug)]
pub enum Refused {
    /// The bytes are not the message that the method takes.
    Malformed,
    /// Fields break rules.
    Invalid(Arc<Violations>),
}

impl std::fmt::Display for Refused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Malformed => "the bytes are not the message that the method takes",
            Self::Invalid(_) => "fields of the request break the contract's rules",
        })
    }
}

impl std::error::Error for Refused {}

impl<U: Message + Default + Validate> Decoder for ValidatingDecoder<U> {
    type Item = U;
    type Error = Status;

    fn decode(&mut self, buf: &mut DecodeBuf<'_>) -> Result<Option<U>, Status> {
        let refuse = |refused: Refused| {
            let mut status = Status::invalid_argument(refused.to_string());
            status.set_source(Arc::new(refused));
            status
        };
        let message = U::decode(buf).map_err(|_| refuse(Refused::Malformed))?;
        let mut violations = Violations::default();
        message.validate(&mut violations);
        if violations.is_empty() {
            return Ok(Some(message));
        }
        let violations = Arc::new(violations);
        let keep = |broken: &Broken| broken.set(Arc::clone(&violations)).is_ok();
        if message.encoded_len() <= LARGEST_KEPT && BROKEN.try_with(keep).unwrap_or(false) {
            return Ok(Some(message));
        }
        Err(refuse(Refused::Invalid(violations)))
    }

    fn buffer_settings(&self) -> BufferSettings {
        BufferSettings::default()
    }
}

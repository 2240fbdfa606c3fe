//! Answers that come in parts.

use std::pin::Pin;

use tokio::sync::mpsc;
use tokio_stream::Stream;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;

use super::Host;
use crate::auth::TokenError;
use crate::call::Call;
use crate::error::Error;

/// The parts of an answer, as they come.
pub type Parts<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

/// Where the parts of an answer go.
#[derive(Clone, Debug)]
pub struct Sender<T> {
    parts: mpsc::Sender<Result<T, Status>>,
}

impl<T: Send + 'static> Sender<T> {
    /// Sends a part, as soon as the reader has room for it.
    ///
    /// # Errors
    ///
    /// When the reader is gone: whoever makes parts can end.
    pub async fn send(&self, part: T) -> Result<(), Error> {
        self.parts.send(Ok(part)).await.map_err(|_| Error::Cancelled)
    }

    /// Whether the reader is gone.
    pub fn is_closed(&self) -> bool {
        self.parts.is_closed()
    }
}

impl Host {
    /// Answers with the parts that `work` sends, until it ends. It is dropped when the reader goes, when the service
    /// stops, and when the caller's token expires or is taken away: no stream outlives that. `ahead` parts at most wait
    /// for the reader.
    pub fn stream<T, F>(&self, ahead: usize, work: impl FnOnce(Sender<T>) -> F) -> Parts<T>
    where
        T: Send + 'static,
        F: Future<Output = Result<(), Error>> + Send + 'static,
    {
        let (parts, receiver) = mpsc::channel(ahead);
        let work = work(Sender { parts: parts.clone() });
        let (host, call) = (self.clone(), Call::current());
        let all = async move {
            let ended = tokio::select! {
                () = parts.closed() => return,
                () = host.stop.cancelled() => Error::ShuttingDown,
                refused = refused(&host) => refused.into(),
                ended = work => match ended {
                    Ok(()) => return,
                    Err(error) => error,
                },
            };
            let _ = parts.send(Err(ended.into())).await;
        };
        match call {
            Some(call) => tokio::spawn(call.scope(all)),
            None => tokio::spawn(all),
        };
        Box::pin(ReceiverStream::new(receiver))
    }
}

/// Ends when the caller's token expires or is taken away.
async fn refused(host: &Host) -> TokenError {
    let call = Call::current();
    match call.as_ref().and_then(|call| call.caller.as_ref()) {
        Some(caller) => host.revocations.refused(caller, host.clock()).await,
        None => std::future::pending().await,
    }
}

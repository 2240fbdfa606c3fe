//! The body of an answer: counts as under way until it was sent, and ends when the server stops.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Frame, SizeHint};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};
use tonic::body::Body;

use crate::error::Error;
use crate::status::status;

/// Counts one request of a connection as under way until it is dropped.
#[derive(Debug)]
pub(super) struct UnderWay(Arc<AtomicUsize>);

impl UnderWay {
    pub(super) fn new(count: &Arc<AtomicUsize>) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(count))
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The body of an answer.
///
/// The answer to a unary call is there at once. One that has to be waited for is a stream; when the server stops, a
/// stream that has nothing to say just then ends with UNAVAILABLE, so that its reader connects elsewhere.
pub(super) struct Answer {
    inner: Body,
    stop: CancellationToken,
    /// Only made when there is something to wait for.
    stopped: Option<Pin<Box<WaitForCancellationFutureOwned>>>,
    ended: bool,
    _under_way: UnderWay,
}

impl Answer {
    pub(super) fn new(inner: Body, stop: CancellationToken, under_way: UnderWay) -> Self {
        Self { inner, stop, stopped: None, ended: false, _under_way: under_way }
    }
}

impl http_body::Body for Answer {
    type Data = Bytes;
    type Error = tonic::Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, tonic::Status>>> {
        let this = &mut *self;
        if this.ended {
            return Poll::Ready(None);
        }
        if let Poll::Ready(frame) = Pin::new(&mut this.inner).poll_frame(context) {
            return Poll::Ready(frame);
        }
        let stop = &this.stop;
        let stopped = this.stopped.get_or_insert_with(|| Box::pin(stop.clone().cancelled_owned()));
        std::task::ready!(stopped.as_mut().poll(context));
        this.ended = true;
        let mut trailers = HeaderMap::new();
        // Fails only for a text that cannot be a header, and ours can.
        let _ = status(&Error::ShuttingDown).add_header(&mut trailers);
        Poll::Ready(Some(Ok(Frame::trailers(trailers))))
    }

    fn is_end_stream(&self) -> bool {
        self.ended || self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

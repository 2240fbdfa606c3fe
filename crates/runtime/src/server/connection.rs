//! One connection: TLS, HTTP/2, its requests, its end.

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use http::{Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use pin_project_lite::pin_project;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::Sleep;
use tokio_util::sync::CancellationToken;
use tonic::body::Body;
use tonic::transport::server::TcpConnectInfo;
use tower::Service;
use tower::util::Oneshot;

use super::body::{Answer, UnderWay};
use super::tls::Tls;

/// How long a peer may take to show that it speaks TLS and HTTP/2.
pub(super) const GREETING: Duration = Duration::from_secs(10);
/// After a stop: how long a connection without requests may stay, for a request that was on its way.
const LINGER: Duration = Duration::from_secs(1);
/// The bytes with which every HTTP/2 client begins.
const PREFACE: usize = 24;

/// What is the same for all connections of a server.
#[derive(Debug)]
pub(super) struct Shared<S> {
    pub(super) service: S,
    pub(super) tls: Option<Tls>,
    pub(super) http2: http2::Builder<TokioExecutor>,
    /// See [`GREETING`].
    pub(super) greeting: Duration,
    /// Cancelled when the server stops.
    pub(super) stop: CancellationToken,
}

/// HTTP/2 as we want it.
pub(super) fn http2(streams: u32) -> http2::Builder<TokioExecutor> {
    let mut builder = http2::Builder::new(TokioExecutor::new());
    builder
        .timer(TokioTimer::new())
        .max_concurrent_streams(streams)
        .initial_stream_window_size(1024 * 1024)
        .initial_connection_window_size(4 * 1024 * 1024)
        // A peer that is gone without a word is noticed.
        .keep_alive_interval(Duration::from_secs(20))
        .keep_alive_timeout(Duration::from_secs(10))
        .auto_date_header(false);
    builder
}

/// Serves a connection until its peer closes it, or the server stops.
pub(super) async fn serve<S>(shared: Arc<Shared<S>>, stream: TcpStream, peer: SocketAddr)
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send,
{
    // Answers are written whole; waiting for more to send only delays them.
    let _ = stream.set_nodelay(true);
    let info = TcpConnectInfo { local_addr: stream.local_addr().ok(), remote_addr: Some(peer) };
    let Some(tls) = &shared.tls else {
        return serve_http(&shared, stream, info).await;
    };
    let shaken = tokio::select! {
        shaken = tokio::time::timeout(shared.greeting, tls.acceptor().accept(stream)) => shaken,
        () = shared.stop.cancelled() => return,
    };
    match shaken {
        Ok(Ok(stream)) => serve_http(&shared, stream, info).await,
        Ok(Err(error)) => tracing::debug!(%peer, %error, "no TLS"),
        Err(_) => tracing::debug!(%peer, "no TLS in time"),
    }
}

async fn serve_http<S, T>(shared: &Shared<S>, stream: T, info: TcpConnectInfo)
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send,
    T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let peer = info.remote_addr;
    let under_way = Arc::new(AtomicUsize::new(0));
    let requests = Requests {
        service: shared.service.clone(),
        info,
        under_way: Arc::clone(&under_way),
        stop: shared.stop.clone(),
    };
    let greeting = Greeting::new(stream, shared.greeting, shared.stop.clone());
    let mut connection = pin!(shared.http2.serve_connection(TokioIo::new(greeting), requests));
    tokio::select! {
        result = &mut connection => {
            if let Err(error) = result {
                tracing::debug!(?peer, %error, "connection broke");
            }
            return;
        }
        () = shared.stop.cancelled() => {}
    }
    // Tells the peer to send nothing new here. One that understands closes as soon as its requests are answered; one
    // that does not may stay only while there are any.
    connection.as_mut().graceful_shutdown();
    let mut quiet = Duration::ZERO;
    let step = LINGER / 10;
    while quiet < LINGER {
        if tokio::time::timeout(step, &mut connection).await.is_ok() {
            return;
        }
        quiet = if under_way.load(Ordering::Relaxed) == 0 { quiet + step } else { Duration::ZERO };
    }
    tracing::debug!(?peer, "closing a connection whose peer does not");
}

/// The requests of one connection.
struct Requests<S> {
    service: S,
    info: TcpConnectInfo,
    under_way: Arc<AtomicUsize>,
    stop: CancellationToken,
}

impl<S> hyper::service::Service<Request<Incoming>> for Requests<S>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible> + Clone,
{
    type Response = Response<Answer>;
    type Error = Infallible;
    type Future = Answering<Oneshot<S, Request<Body>>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(self.info.clone());
        Answering {
            answering: tower::ServiceExt::oneshot(self.service.clone(), request),
            kept: Some((self.stop.clone(), UnderWay::new(&self.under_way))),
        }
    }
}

pin_project! {
    /// A request being answered.
    struct Answering<F> {
        #[pin]
        answering: F,
        kept: Option<(CancellationToken, UnderWay)>,
    }
}

impl<F: Future<Output = Result<Response<Body>, Infallible>>> Future for Answering<F> {
    type Output = Result<Response<Answer>, Infallible>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let Ok(response) = std::task::ready!(this.answering.poll(context));
        let Some((stop, under_way)) = this.kept.take() else { return Poll::Pending };
        Poll::Ready(Ok(response.map(|body| Answer::new(body, stop, under_way))))
    }
}

/// A stream whose peer has to greet in time, and may not begin after the server was stopped.
struct Greeting<T> {
    stream: T,
    /// How many bytes are missing, and until when; `None` once they are there.
    waiting: Option<(usize, Pin<Box<Sleep>>, CancellationToken)>,
}

impl<T> Greeting<T> {
    fn new(stream: T, time: Duration, stop: CancellationToken) -> Self {
        Self { stream, waiting: Some((PREFACE, Box::pin(tokio::time::sleep(time)), stop)) }
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Greeting<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let Some((missing, until, stop)) = &mut this.waiting else {
            return Pin::new(&mut this.stream).poll_read(context, buffer);
        };
        let before = buffer.filled().len();
        match Pin::new(&mut this.stream).poll_read(context, buffer) {
            Poll::Ready(result) => {
                *missing = missing.saturating_sub(buffer.filled().len() - before);
                if *missing == 0 {
                    this.waiting = None;
                }
                Poll::Ready(result)
            }
            Poll::Pending if stop.is_cancelled() || until.as_mut().poll(context).is_ready() => {
                Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
            }
            Poll::Pending => Poll::Pending,
        }
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Greeting<T> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, parts)
    }
}

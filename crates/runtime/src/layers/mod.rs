//! What happens to every request before and after its handler, in the order of `Layers::serve`: request id, trace,
//! deadline, limits, authentication, kind and permission; then the handler, guarded against panics and cut off at its
//! deadline; then the status is completed. Validation is the codec's (`concierge_proto::codec`).
//!
//! All of it is driven by the contract's table of methods: a new RPC gets it by existing.

mod admission;
mod caller;
mod deadline;

use std::convert::Infallible;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use concierge_proto::Method;
use concierge_proto::codec::{Broken, looking_further};
use concierge_proto::method::method;
use futures::FutureExt as _;
use futures::future::Either;
use http::{HeaderMap, HeaderValue, Request, Response};
use tonic::Status;
use tonic::body::Body;
use tower::{Layer, Service};
use tracing::Instrument as _;

pub use admission::Admission;

pub use crate::auth::ON_BEHALF_OF;

use crate::auth::Verifier;
use crate::call::Call;
use crate::clock::SharedClock;
use crate::error::Error;
use crate::status;
use crate::telemetry::{self, RpcMetrics};

/// The header and metadata key of the request id: taken over when a caller sends one, made otherwise.
pub const REQUEST_ID: &str = "x-request-id";
/// What the layers need to know of the service they stand in front of.
#[derive(Clone, Debug)]
pub struct Layers {
    /// Checks tokens.
    pub verifier: Arc<Verifier>,
    /// Where time and ids come from.
    pub clock: SharedClock,
    /// How much is served at once.
    pub admission: Admission,
    /// The deadline of a request that states none.
    pub default_deadline: Duration,
    /// The longest deadline a request can state.
    pub max_deadline: Duration,
    /// The largest message, in bytes.
    pub max_message: usize,
}

impl<S> Layer<S> for Layers {
    type Service = Pipeline<S>;
    fn layer(&self, inner: S) -> Pipeline<S> {
        Pipeline { inner, layers: Arc::new(self.clone()) }
    }
}

/// The layers around the routes of a service.
#[derive(Clone, Debug)]
pub struct Pipeline<S> {
    inner: S,
    layers: Arc<Layers>,
}

impl<S> Service<Request<Body>> for Pipeline<S>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        // The service that was polled ready serves; its clone waits for the next request.
        let clone = self.inner.clone();
        let inner = std::mem::replace(&mut self.inner, clone);
        let layers = Arc::clone(&self.layers);
        Box::pin(async move { Ok(layers.serve(inner, request).await) })
    }
}

impl Layers {
    async fn serve<S>(&self, mut inner: S, request: Request<Body>) -> Response<Body>
    where
        S: Service<Request<Body>, Response = Response<Body>, Error = Infallible> + Send,
        S::Future: Send,
    {
        let Some(method) = method(request.uri().path()) else {
            return self.serve_unlisted(inner, request).await;
        };
        let started = Instant::now();
        let request_id = self.request_id(request.headers());
        let span = telemetry::rpc_span(method, &request_id, request.headers());
        let deadline = started + deadline::of(request.headers(), self.default_deadline, self.max_deadline);
        let mut call = Call {
            method: Some(method),
            caller: None,
            request_id,
            deadline,
            traceparent: telemetry::traceparent(&span, request.headers()),
            broken: Broken::default(),
        };
        let admitted = self.admit(method, request.headers(), &mut call);
        let call = Arc::new(call);
        let response = Arc::clone(&call)
            .scope(
                async {
                    let permit = match admitted {
                        Ok(permit) => permit,
                        Err(error) => return refuse(error),
                    };
                    let path = method.path;
                    let handler = AssertUnwindSafe(inner.call(request)).catch_unwind();
                    let handler = if writes_record(method) {
                        Either::Left(looking_further(Arc::clone(&call.broken), handler))
                    } else {
                        Either::Right(handler)
                    };
                    let response = if method.streaming {
                        // A stream ends when it ends; only work for one answer has a deadline and holds a permit.
                        drop(permit);
                        handler.await
                    } else {
                        match tokio::time::timeout_at(deadline.into(), handler).await {
                            Ok(answered) => answered,
                            Err(_) => return refuse(Error::DeadlineExceeded),
                        }
                    };
                    match response {
                        Ok(Ok(response))
                            if is_ok(&response)
                                && let Err(refused) = call.unbroken() =>
                        {
                            refuse(refused)
                        }
                        Ok(Ok(response)) => complete(response, path, self.max_message),
                        Ok(Err(never)) => match never {},
                        Err(panic) => {
                            let error = Error::internal(panic_text(&*panic));
                            if call.unbroken().is_err() {
                                // Its answer is what is wrong with the request.
                                tracing::error!(request_id = call.request_id, causes = error.cause(), "internal error");
                            }
                            refuse(error)
                        }
                    }
                }
                .instrument(span.clone()),
            )
            .await;
        let code = response.extensions().get::<Status>().map_or(tonic::Code::Ok, Status::code);
        RpcMetrics::of(method).record(code, started.elapsed());
        telemetry::finish_rpc(&span, code);
        with_request_id(response, &call.request_id)
    }

    /// Everything that can refuse a request before its handler runs: first what costs least.
    fn admit(&self, method: &'static Method, headers: &HeaderMap, call: &mut Call) -> Result<admission::Permit, Error> {
        call.remaining()?;
        if !method.public {
            call.caller = Some(caller::authenticate(&self.verifier, headers, self.clock.now())?);
        }
        caller::authorize(method, call)?;
        self.admission.enter(method)
    }

    fn request_id(&self, headers: &HeaderMap) -> String {
        let usable = |id: &&str| !id.is_empty() && id.len() <= 64 && id.bytes().all(|b| b.is_ascii_graphic());
        match headers.get(REQUEST_ID).and_then(|v| v.to_str().ok()).filter(usable) {
            Some(id) => id.to_owned(),
            None => self.clock.new_id().to_string(),
        }
    }

    /// Health and reflection, which are not of our contract, and methods that do not exist.
    async fn serve_unlisted<S>(&self, mut inner: S, request: Request<Body>) -> Response<Body>
    where
        S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>,
    {
        let path = request.uri().path().chars().take(200).collect::<String>();
        let request_id = self.request_id(request.headers());
        let call = Arc::new(Call::internal(request_id.clone(), self.default_deadline));
        let response = call
            .scope(async {
                match inner.call(request).await {
                    Ok(response) => complete(response, &path, self.max_message),
                    Err(never) => match never {},
                }
            })
            .await;
        with_request_id(response, &request_id)
    }
}

/// True for `Create…` and `Update…`, whose handlers find more that is wrong with a record than the contract's rules:
/// all of it is told at once.
fn writes_record(method: &Method) -> bool {
    !method.streaming && ["Create", "Update"].iter().any(|verb| method.name.starts_with(verb))
}

fn is_ok(response: &Response<Body>) -> bool {
    response.extensions().get::<Status>().is_none_or(|status| status.code() == tonic::Code::Ok)
}

fn refuse(error: Error) -> Response<Body> {
    Status::from(error).into_http()
}

/// Completes the status of an answer that did not come from a handler of ours.
fn complete(response: Response<Body>, path: &str, limit: usize) -> Response<Body> {
    let finished = match response.extensions().get::<Status>() {
        Some(made) => status::finished(made, path, limit),
        // The arm of a generated server for methods that it does not have.
        None if response.headers().get("grpc-status").is_some_and(|code| code == "12") => {
            Some(Error::UnknownMethod { path: path.to_owned() }.into())
        }
        None => None,
    };
    match finished {
        Some(status) => status.into_http(),
        None => response,
    }
}

fn with_request_id(mut response: Response<Body>, request_id: &str) -> Response<Body> {
    if let Ok(mut value) = HeaderValue::from_str(request_id) {
        // No two answers have the same: in the table of compressed headers it would only push others out.
        value.set_sensitive(true);
        response.headers_mut().insert(REQUEST_ID, value);
    }
    response
}

/// What a panic said.
pub(crate) fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    let text =
        panic.downcast_ref::<&str>().map(|s| (*s).to_owned()).or_else(|| panic.downcast_ref::<String>().cloned());
    format!("panic: {}", text.unwrap_or_else(|| "of unknown kind".to_owned()))
}

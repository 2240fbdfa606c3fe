//! Another service of the suite, as this one calls it: with its own token, on behalf of whoever called.

use std::sync::Arc;
use std::time::Duration;

use tonic::Request;
use tonic::metadata::MetadataValue;
use tonic::transport::Channel;

use crate::auth::ServiceTokens;
use crate::call::Call;
use crate::clock::SharedClock;

/// A connection to another service. Connects lazily and again: the other need not be there.
#[derive(Clone, Debug)]
pub struct Upstream {
    name: &'static str,
    channel: Channel,
    tokens: Arc<ServiceTokens>,
    clock: SharedClock,
    patience: Option<Duration>,
}

impl Upstream {
    /// The service of that name behind a channel.
    pub fn new(name: &'static str, channel: Channel, tokens: Arc<ServiceTokens>, clock: SharedClock) -> Self {
        Self { name, channel, tokens, clock, patience: None }
    }

    /// The same, waiting so long for every answer: tests on a busy machine have more [`Upstream::patience`].
    #[must_use]
    pub fn with_patience(self, patience: Duration) -> Self {
        Self { patience: Some(patience), ..self }
    }

    /// How long to wait for an answer that one can do without: as long as the caller usually does.
    pub fn patience(&self, usual: Duration) -> Duration {
        self.patience.unwrap_or(usual)
    }

    /// Its name, such as `directory`.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// The channel for a generated client.
    pub fn channel(&self) -> Channel {
        self.channel.clone()
    }

    /// Forgets this service's token: for when it was revoked. The next request shows a new one.
    pub fn renew(&self) {
        self.tokens.renew();
    }

    /// A request with this service's token, the original caller, the request id and the trace. A deadline is the
    /// caller's to set: see [`Upstream::request_within`].
    pub fn request<T>(&self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        let call = Call::current();
        let origin = call.as_ref().and_then(|c| c.caller.as_ref()).map(|c| c.origin());
        self.tokens.authorize(&mut request, origin.as_deref(), self.clock.now());
        if let Some(call) = call {
            let metadata = request.metadata_mut();
            if let Ok(id) = MetadataValue::try_from(call.request_id.as_str()) {
                metadata.insert(crate::layers::REQUEST_ID, id);
            }
            if let Ok(parent) = MetadataValue::try_from(call.traceparent.as_str())
                && !call.traceparent.is_empty()
            {
                metadata.insert("traceparent", parent);
            }
        }
        request
    }

    /// A request that must be answered within the patience for `usual`, and within what the call being served has left.
    pub fn request_within<T>(&self, message: T, usual: Duration) -> Request<T> {
        let mut request = self.request(message);
        let budget = self.patience(usual);
        let left = Call::current().and_then(|c| c.remaining().ok()).unwrap_or(budget);
        request.set_timeout(budget.min(left));
        request
    }
}

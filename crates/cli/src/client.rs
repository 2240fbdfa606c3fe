//! Calling the suite's services from this program: a channel each, and a token read again when it is renewed.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::service::interceptor::InterceptedService;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Status};
use tonic_types::StatusExt as _;

/// A connection for any generated client's `new`.
pub(crate) type Api = InterceptedService<Channel, Bearer>;

/// Adds a token to every request.
#[derive(Clone, Debug)]
pub(crate) enum Bearer {
    /// The one in a file, which is read again every minute.
    File { file: Arc<PathBuf>, token: Arc<Mutex<Option<Read>>> },
    /// This one, for as long as it is good.
    Fixed(MetadataValue<Ascii>),
}

/// A token, and when it was read.
type Read = (Instant, MetadataValue<Ascii>);

impl Bearer {
    pub(crate) fn new(file: PathBuf) -> Self {
        Self::File { file: Arc::new(file), token: Arc::default() }
    }

    fn token(&self) -> Result<MetadataValue<Ascii>, Status> {
        let (file, token) = match self {
            Self::File { file, token } => (file, token),
            Self::Fixed(token) => return Ok(token.clone()),
        };
        let mut known = token.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((read, token)) = &*known
            && read.elapsed() < Duration::from_secs(60)
        {
            return Ok(token.clone());
        }
        let text = std::fs::read_to_string(&**file)
            .map_err(|e| Status::unauthenticated(format!("cannot read the token {}: {e}", file.display())))?;
        let token =
            bearer(&text).ok_or_else(|| Status::unauthenticated(format!("{} holds no token", file.display())))?;
        *known = Some((Instant::now(), token.clone()));
        Ok(token)
    }
}

fn bearer(token: &str) -> Option<MetadataValue<Ascii>> {
    let mut value: MetadataValue<Ascii> = format!("Bearer {}", token.trim()).parse().ok()?;
    value.set_sensitive(true);
    Some(value)
}

impl tonic::service::Interceptor for Bearer {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        request.metadata_mut().insert("authorization", self.token()?);
        Ok(request)
    }
}

/// The three services, wherever they listen.
#[derive(Clone, Debug)]
pub(crate) struct Suite {
    pub(crate) directory: Api,
    pub(crate) ticket_rule: Api,
    pub(crate) notification: Api,
    channels: [Channel; 3],
}

impl Suite {
    pub(crate) fn new(directory: &str, ticket_rule: &str, notification: &str, token: PathBuf) -> anyhow::Result<Self> {
        let channel = |address: &str| -> anyhow::Result<Channel> {
            let endpoint = Endpoint::from_shared(address.to_owned())
                .with_context(|| format!("{address:?} is no address such as http://127.0.0.1:7101"))?
                .tcp_nodelay(true);
            Ok(endpoint.connect_lazy())
        };
        Ok(Self::of([channel(directory)?, channel(ticket_rule)?, channel(notification)?], &Bearer::new(token)))
    }

    /// The services of `concierge up` on this machine.
    pub(crate) fn local(port: u16, token: PathBuf) -> anyhow::Result<Self> {
        let at = |offset: u16| format!("http://127.0.0.1:{}", port + offset);
        Self::new(&at(0), &at(1), &at(2), token)
    }

    /// The same, called by somebody else.
    pub(crate) fn with_token(&self, token: &str) -> anyhow::Result<Self> {
        Ok(Self::of(self.channels.clone(), &Bearer::Fixed(bearer(token).context("that is no token")?)))
    }

    fn of(channels: [Channel; 3], bearer: &Bearer) -> Self {
        let [directory, ticket_rule, notification] =
            channels.clone().map(|channel| InterceptedService::new(channel, bearer.clone()));
        Self { directory, ticket_rule, notification, channels }
    }
}

/// A status as a person reads it: the sentence, the reason, every bad field.
pub(crate) fn explain(status: &Status) -> anyhow::Error {
    let details = status.get_error_details();
    // Without details it is not from a service, but from this program: its sentence says all there is.
    let mut text = match (status.code(), details.error_info()) {
        (Code::Unauthenticated, None) => status.message().to_owned(),
        (code, _) => format!("{code:?}: {}", status.message()),
    };
    if let Some(info) = details.error_info() {
        text.push_str(&format!(" ({}", info.reason));
        if let Some(id) = info.metadata.get("request_id") {
            text.push_str(&format!(", request {id}"));
        }
        text.push(')');
    }
    for violation in details.bad_request().iter().flat_map(|b| &b.field_violations) {
        text.push_str(&format!("\n  {}: {}", violation.field, violation.description));
    }
    anyhow::anyhow!(text)
}

/// The reason that a status carries.
pub(crate) fn reason(status: &Status) -> String {
    status.get_error_details().error_info().map(|info| info.reason.clone()).unwrap_or_default()
}

/// A new `request_id`: made here, so that it is new.
#[allow(clippy::disallowed_methods)]
pub(crate) fn request_id() -> String {
    uuid::Uuid::new_v4().to_string()
}

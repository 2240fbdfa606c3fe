//! Calling the suite's services from this program: a channel each, and a token read again when it is renewed.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::service::interceptor::InterceptedService;
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Status};
use tonic_types::StatusExt as _;

/// A connection for any generated client's `new`.
pub(crate) type Api = InterceptedService<Channel, Bearer>;

/// Adds the token in a file to every request, reading the file again every minute.
#[derive(Clone, Debug)]
pub(crate) struct Bearer {
    file: Arc<PathBuf>,
    token: Arc<Mutex<Option<Read>>>,
}

/// A token, and when it was read.
type Read = (Instant, MetadataValue<Ascii>);

impl Bearer {
    pub(crate) fn new(file: PathBuf) -> Self {
        Self { file: Arc::new(file), token: Arc::default() }
    }

    fn token(&self) -> Result<MetadataValue<Ascii>, Status> {
        let mut known = self.token.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((read, token)) = &*known
            && read.elapsed() < Duration::from_secs(60)
        {
            return Ok(token.clone());
        }
        let text = std::fs::read_to_string(&*self.file)
            .map_err(|e| Status::unauthenticated(format!("cannot read the token {}: {e}", self.file.display())))?;
        let mut token: MetadataValue<Ascii> = format!("Bearer {}", text.trim())
            .parse()
            .map_err(|_| Status::unauthenticated(format!("{} holds no token", self.file.display())))?;
        token.set_sensitive(true);
        *known = Some((Instant::now(), token.clone()));
        Ok(token)
    }
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
}

impl Suite {
    pub(crate) fn new(directory: &str, ticket_rule: &str, notification: &str, token: PathBuf) -> anyhow::Result<Self> {
        let bearer = Bearer::new(token);
        let api = |address: &str| -> anyhow::Result<Api> {
            let endpoint = Endpoint::from_shared(address.to_owned())
                .with_context(|| format!("{address:?} is no address such as http://127.0.0.1:7101"))?
                .tcp_nodelay(true);
            Ok(InterceptedService::new(endpoint.connect_lazy(), bearer.clone()))
        };
        Ok(Self { directory: api(directory)?, ticket_rule: api(ticket_rule)?, notification: api(notification)? })
    }

    /// The services of `concierge up` on this machine.
    pub(crate) fn local(port: u16, token: PathBuf) -> anyhow::Result<Self> {
        let at = |offset: u16| format!("http://127.0.0.1:{}", port + offset);
        Self::new(&at(0), &at(1), &at(2), token)
    }
}

/// A status as a person reads it: the sentence, the reason, every bad field.
pub(crate) fn explain(status: &Status) -> anyhow::Error {
    let details = status.get_error_details();
    let mut text = format!("{:?}: {}", status.code(), status.message());
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

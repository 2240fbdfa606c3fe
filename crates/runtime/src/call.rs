//! The call being served: who calls what, until when. Set by the layers, read by whoever needs it.

use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use concierge_proto::codec::Broken;
use concierge_proto::{CallerKind, Method, Permission, PermissionSet};

use crate::auth::Caller;
use crate::error::Error;

/// One call, from its headers to its answer.
#[derive(Clone, Debug)]
pub struct Call {
    /// The method called; `None` for work that no request asked for.
    pub method: Option<&'static Method>,
    /// Who calls; `None` for public methods and for the service's own work.
    pub caller: Option<Arc<Caller>>,
    /// The id in logs, traces and errors.
    pub request_id: String,
    /// When the answer is of no use any more.
    pub deadline: Instant,
    /// The W3C trace context to hand on; empty when there is none.
    pub traceparent: String,
    /// The rules of the contract that the request breaks. Its handler runs to find what else is wrong with it: nothing
    /// of it is stored, and its answer is that it is refused.
    pub broken: Broken,
}

tokio::task_local! {
    static CURRENT: Arc<Call>;
}

impl Call {
    /// The service's own work, such as applying an event.
    pub fn internal(request_id: impl Into<String>, time: Duration) -> Self {
        Self {
            method: None,
            caller: None,
            request_id: request_id.into(),
            deadline: Instant::now() + time,
            traceparent: String::new(),
            broken: Broken::default(),
        }
    }

    /// Refuses a request that breaks rules of the contract; see [`Call::broken`].
    pub fn unbroken(&self) -> Result<(), Error> {
        self.broken.get().map_or(Ok(()), |violations| Err(Error::Invalid((**violations).clone())))
    }

    /// The call that this task serves, if it serves one.
    pub fn current() -> Option<Arc<Self>> {
        CURRENT.try_with(Arc::clone).ok()
    }

    /// Runs a future as part of this call.
    pub async fn scope<F: Future>(self: Arc<Self>, future: F) -> F::Output {
        CURRENT.scope(self, future).await
    }

    /// How long there is left; an error when nothing is.
    pub fn remaining(&self) -> Result<Duration, Error> {
        let left = self.deadline.saturating_duration_since(Instant::now());
        if left.is_zero() { Err(Error::DeadlineExceeded) } else { Ok(left) }
    }

    /// What the caller's token grants; everything for the service's own work.
    pub fn permissions(&self) -> PermissionSet {
        self.caller
            .as_ref()
            .map_or(if self.method.is_none() { PermissionSet::ALL } else { PermissionSet::default() }, |caller| {
                caller.permissions
            })
    }

    /// Refuses unless the caller holds the permission.
    pub fn require(&self, permission: Permission, field: Option<&str>) -> Result<(), Error> {
        if self.permissions().holds(permission) {
            Ok(())
        } else {
            Err(Error::PermissionMissing { permission, field: field.map(str::to_owned) })
        }
    }

    /// The caller's kind; `Service` for the service's own work.
    pub fn kind(&self) -> CallerKind {
        self.caller.as_ref().map_or(CallerKind::Service, |c| c.kind)
    }

    /// True when the caller belongs to a customer and so sees only what the method's scope allows.
    pub fn is_outsider(&self) -> bool {
        matches!(self.kind(), CallerKind::User | CallerKind::ApiClient)
    }
}

//! How much is served at once. What is beyond is refused at once, so that what is admitted is answered in time.

use std::sync::Arc;

use concierge_proto::Method;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::error::Error;

/// The number of requests served at once.
#[derive(Clone, Debug)]
pub struct Admission {
    slots: Arc<Semaphore>,
}

/// A place among the requests served.
#[derive(Debug)]
pub(crate) struct Permit {
    _slot: Option<OwnedSemaphorePermit>,
}

impl Admission {
    /// Serves at most `limit` requests at once. Streams do not count: they mostly wait.
    pub fn new(limit: usize) -> Self {
        Self { slots: Arc::new(Semaphore::new(limit)) }
    }

    pub(crate) fn enter(&self, method: &Method) -> Result<Permit, Error> {
        if method.streaming {
            return Ok(Permit { _slot: None });
        }
        let slot = Arc::clone(&self.slots).try_acquire_owned().map_err(|_| Error::Overloaded)?;
        Ok(Permit { _slot: Some(slot) })
    }
}

//! What handlers and tasks of one process share: who waits to be woken, and the connections to e-mail servers.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{Notify, watch};
use uuid::Uuid;

use crate::delivery::Streams;
use crate::sending::{Connections, Pace};

/// One of a process; see [`concierge_runtime::Service::shared`].
#[derive(Debug, Default)]
pub struct Desk {
    /// Wakes the worker that sends what is due.
    worker: Notify,
    /// Notified when an e-mail sender may have become usable.
    senders: Notify,
    /// The owners of inboxes that are being watched.
    watched: Mutex<HashMap<Uuid, watch::Sender<()>>>,
    pub(crate) connections: Connections,
    pub(crate) streams: Arc<Streams>,
    /// How fast sending goes; tests change it.
    pub pace: Pace,
}

impl Desk {
    /// Wakes the worker.
    pub(crate) fn wake_worker(&self) {
        self.worker.notify_one();
    }

    pub(crate) async fn worker_woken(&self) {
        self.worker.notified().await;
    }

    /// Tells the worker that e-mails without a sender may have one now.
    pub(crate) fn senders_changed(&self) {
        self.senders.notify_one();
    }

    pub(crate) async fn senders_woken(&self) {
        self.senders.notified().await;
    }

    /// Trusts the certificates in a PEM text as roots of e-mail servers' certificates, beside the usual ones. False when
    /// there is none in it.
    pub fn trust(&self, pem: &str) -> bool {
        self.connections.trust(pem)
    }

    /// Wakes those who watch these inboxes.
    pub(crate) fn wake_inboxes(&self, owners: impl IntoIterator<Item = Uuid>) {
        let watched = self.watched.lock().unwrap_or_else(PoisonError::into_inner);
        for owner in owners {
            if let Some(sender) = watched.get(&owner) {
                let _ = sender.send(());
            }
        }
    }

    /// Whether anybody in this process watches an inbox.
    pub(crate) fn watches_any(&self) -> bool {
        !self.watched.lock().unwrap_or_else(PoisonError::into_inner).is_empty()
    }

    /// Watches an inbox: changes whenever something may have come into it.
    pub(crate) fn watch_inbox(self: &Arc<Self>, owner: Uuid) -> Watched {
        let mut watched = self.watched.lock().unwrap_or_else(PoisonError::into_inner);
        let changes = watched.entry(owner).or_insert_with(|| watch::channel(()).0).subscribe();
        Watched { desk: Arc::clone(self), owner, changes: Some(changes) }
    }
}

/// An inbox being watched, until dropped.
#[derive(Debug)]
pub(crate) struct Watched {
    desk: Arc<Desk>,
    owner: Uuid,
    changes: Option<watch::Receiver<()>>,
}

impl Watched {
    /// Forgets what came so far: the caller is about to look.
    pub(crate) fn look(&mut self) {
        if let Some(changes) = &mut self.changes {
            changes.mark_unchanged();
        }
    }

    /// Waits until something may have come since [`Watched::look`].
    pub(crate) async fn changed(&mut self) {
        let changed = match &mut self.changes {
            Some(changes) => changes.changed().await.is_ok(),
            None => false,
        };
        if !changed {
            // Not reached while the desk holds the sender.
            std::future::pending::<()>().await;
        }
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        self.changes = None;
        let mut watched = self.desk.watched.lock().unwrap_or_else(PoisonError::into_inner);
        if watched.get(&self.owner).is_some_and(|sender| sender.receiver_count() == 0) {
            watched.remove(&self.owner);
        }
    }
}

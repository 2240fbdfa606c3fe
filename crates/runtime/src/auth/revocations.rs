//! What was taken back.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::caller::canonical;
use super::{CLOCK_SKEW, Caller, LONGEST_LIFE, TokenError};
use crate::clock::SharedClock;

/// Whose tokens are taken back.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum RevocationTarget {
    /// Those of one subject.
    Subject(String),
    /// Those of the users of a site.
    Site(Uuid),
    /// Those of the users and API clients of a customer.
    Customer(Uuid),
    /// Those signed with a key: all of them, for good, whenever they were issued.
    Key(String),
}

/// Tokens of the target issued at this time or before are refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Revocation {
    /// Whose tokens.
    pub target: RevocationTarget,
    /// Until when issued.
    pub issued_before: DateTime<Utc>,
}

/// How often an open stream looks whether its caller's token is still good.
const LOOK: Duration = Duration::from_millis(500);

/// The revocations in force. Readers take no lock.
#[derive(Debug, Default)]
pub struct Revocations {
    writer: Mutex<()>,
    current: ArcSwap<Set>,
    generation: AtomicU64,
}

#[derive(Clone, Debug, Default)]
struct Set {
    subjects: HashMap<String, DateTime<Utc>>,
    sites: HashMap<Uuid, DateTime<Utc>>,
    customers: HashMap<Uuid, DateTime<Utc>>,
    keys: HashSet<String>,
}

impl Revocations {
    /// Takes tokens back. From the return of this call on, none of them passes, whatever was cached.
    pub fn add(&self, revocations: impl IntoIterator<Item = Revocation>) {
        let mut revocations = revocations.into_iter().peekable();
        if revocations.peek().is_none() {
            return;
        }
        let _writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        let mut set = Set::clone(&self.current.load());
        let mut changed = false;
        for Revocation { target, issued_before } in revocations {
            let never = DateTime::<Utc>::MIN_UTC;
            let entry = match target {
                RevocationTarget::Subject(subject) => set.subjects.entry(canonical(subject)).or_insert(never),
                RevocationTarget::Site(id) => set.sites.entry(id).or_insert(never),
                RevocationTarget::Customer(id) => set.customers.entry(id).or_insert(never),
                RevocationTarget::Key(id) => {
                    changed |= set.keys.insert(id);
                    continue;
                }
            };
            changed |= issued_before > *entry;
            *entry = issued_before.max(*entry);
        }
        if !changed {
            // Heard again, as after every reconnection: what is cached stays good.
            return;
        }
        self.current.store(Arc::new(set));
        // After the swap: a token checked against the old set carries the old number, and is checked again.
        self.generation.fetch_add(1, Ordering::AcqRel);
    }

    /// Forgets revocations of tokens that have all expired by themselves. Keys stay revoked.
    pub fn prune(&self, now: DateTime<Utc>) {
        let oldest = now - LONGEST_LIFE - CLOCK_SKEW;
        let _writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        let mut set = Set::clone(&self.current.load());
        set.subjects.retain(|_, issued_before| *issued_before >= oldest);
        set.sites.retain(|_, issued_before| *issued_before >= oldest);
        set.customers.retain(|_, issued_before| *issued_before >= oldest);
        self.current.store(Arc::new(set));
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        let set = self.current.load();
        set.subjects.len() + set.sites.len() + set.customers.len() + set.keys.len()
    }

    /// True when nothing is revoked.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// True when this caller's token was taken back.
    pub fn revoked(&self, caller: &Caller) -> bool {
        let set = self.current.load();
        let before = |until: Option<&DateTime<Utc>>| until.is_some_and(|until| caller.issued_at <= *until);
        set.keys.contains(&caller.key_id)
            || before(set.subjects.get(&caller.subject))
            || before(caller.site_id.and_then(|id| set.sites.get(&id)))
            || before(caller.customer_id.and_then(|id| set.customers.get(&id)))
    }

    /// Ends when the caller's token expires or is taken back: a stream must not outlive it.
    pub async fn refused(&self, caller: &Caller, clock: &SharedClock) -> TokenError {
        let mut look = tokio::time::interval(LOOK);
        loop {
            look.tick().await;
            if self.revoked(caller) {
                return TokenError::Revoked;
            }
            if clock.now() >= caller.expires_at {
                return TokenError::Expired { at: caller.expires_at };
            }
        }
    }

    /// True when the key was taken back, and with it every token signed with it.
    pub fn key_revoked(&self, id: &str) -> bool {
        self.current.load().keys.contains(id)
    }

    /// Changes whenever something is revoked.
    pub(super) fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }
}

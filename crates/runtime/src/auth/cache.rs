//! A bounded cache of verified tokens.
//!
//! A signature costs tens of microseconds to check, a look-up here some tens of nanoseconds. Only tokens that passed
//! every check get in, each with the time until which it may be believed and the generation of keys and revocations it
//! was checked against: when either changes, nothing that was cached before is believed any more.

use std::hash::BuildHasher;
use std::sync::{Arc, PoisonError, RwLock};

use hashbrown::{DefaultHashBuilder, HashTable};

use super::Caller;

/// The number of shards, each with a lock of its own. A power of two.
const SHARDS: usize = 16;

struct Entry {
    hash: u64,
    token: Box<str>,
    caller: Arc<Caller>,
    /// In milliseconds since 1970; exclusive.
    until: i64,
    generation: u64,
}

pub(super) struct Cache {
    // Randomly seeded. Nobody can crowd a bucket without tokens that we signed.
    hasher: DefaultHashBuilder,
    shards: Box<[RwLock<HashTable<Entry>>]>,
    shard_capacity: usize,
}

impl std::fmt::Debug for Cache {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cache").field("capacity", &(self.shard_capacity * SHARDS)).finish_non_exhaustive()
    }
}

impl Cache {
    pub(super) fn new(capacity: usize) -> Self {
        Self {
            hasher: DefaultHashBuilder::default(),
            shards: (0..SHARDS).map(|_| RwLock::default()).collect(),
            shard_capacity: (capacity / SHARDS).max(1),
        }
    }

    pub(super) fn hash(&self, token: &str) -> u64 {
        self.hasher.hash_one(token)
    }

    // The table itself uses the lowest and the highest bits.
    fn shard(&self, hash: u64) -> &RwLock<HashTable<Entry>> {
        let index = usize::try_from((hash >> 40) & (SHARDS as u64 - 1)).unwrap_or(0);
        &self.shards[index]
    }

    pub(super) fn get(&self, hash: u64, token: &str, generation: u64, now: i64) -> Option<Arc<Caller>> {
        let shard = self.shard(hash).read().unwrap_or_else(PoisonError::into_inner);
        let entry = shard.find(hash, |entry| &*entry.token == token)?;
        (entry.generation == generation && now < entry.until).then(|| Arc::clone(&entry.caller))
    }

    pub(super) fn insert(&self, hash: u64, token: &str, caller: Arc<Caller>, generation: u64, now: i64, until: i64) {
        let mut shard = self.shard(hash).write().unwrap_or_else(PoisonError::into_inner);
        if let Ok(entry) = shard.find_entry(hash, |entry| &*entry.token == token) {
            entry.remove();
        }
        if shard.len() >= self.shard_capacity {
            shard.retain(|entry| entry.generation == generation && now < entry.until);
        }
        if shard.len() >= self.shard_capacity {
            // All are good: the one to expire first goes.
            let first = shard.iter().min_by_key(|entry| entry.until).map(|entry| (entry.hash, entry.token.clone()));
            if let Some((hash, token)) = first
                && let Ok(entry) = shard.find_entry(hash, |entry| entry.token == token)
            {
                entry.remove();
            }
        }
        let entry = Entry { hash, token: token.into(), caller, until, generation };
        shard.insert_unique(hash, entry, |entry| entry.hash);
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.shards.iter().map(|shard| shard.read().unwrap().len()).sum()
    }
}

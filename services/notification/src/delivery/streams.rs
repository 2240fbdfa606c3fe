//! How many inbox streams are open: one subject must not take what all others need.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use crate::Error;

/// So many streams may one subject have open in a process.
const OF_ONE: usize = 20;
/// So many may be open in a process.
const OF_ALL: usize = 1_000;

/// The streams that are open, by the subject of their token.
#[derive(Debug, Default)]
pub(crate) struct Streams {
    open: Mutex<HashMap<String, usize>>,
}

/// An open stream, until dropped.
#[derive(Debug)]
pub(crate) struct Open {
    streams: Arc<Streams>,
    subject: String,
}

impl Streams {
    /// Counts one more stream of a subject, if it may have it.
    pub(super) fn open(self: &Arc<Self>, subject: String) -> Result<Open, Error> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if open.get(&subject).is_some_and(|own| *own >= OF_ONE) {
            return Err(Error::TooManyStreams { whose: "this caller has", limit: OF_ONE });
        }
        if open.values().sum::<usize>() >= OF_ALL {
            return Err(Error::TooManyStreams { whose: "callers together have", limit: OF_ALL });
        }
        *open.entry(subject.clone()).or_default() += 1;
        Ok(Open { streams: Arc::clone(self), subject })
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        let mut open = self.streams.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(own) = open.get_mut(&self.subject) {
            *own -= 1;
            if *own == 0 {
                open.remove(&self.subject);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_has_twenty_and_all_a_thousand_and_what_is_dropped_is_free_again() {
        let streams = Arc::<Streams>::default();
        let open = |subject: usize| streams.open(subject.to_string());
        let mut all: Vec<Open> = (0..OF_ONE).map(|_| open(0).unwrap()).collect();
        assert!(matches!(open(0), Err(Error::TooManyStreams { limit: OF_ONE, .. })));
        all.extend((OF_ONE..OF_ALL).map(|n| open(n).unwrap()));
        assert!(matches!(open(OF_ALL), Err(Error::TooManyStreams { limit: OF_ALL, .. })));
        all.swap_remove(0);
        open(0).unwrap();
        drop(all);
        assert!(streams.open.lock().unwrap().is_empty());
    }
}

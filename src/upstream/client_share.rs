//! The number of connections to upstreams that each client uses.
//! Invariant: a connection counts for its client from before it is acquired until its request is over.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use dashmap::DashMap;
use dashmap::mapref::entry::Entry;

use crate::client_address::ClientAddress;

/// The client for which a connection counts.
#[derive(Clone, Debug)]
pub enum Holder {
    /// A session or a client's connection, with its counter.
    Counted(Arc<AtomicUsize>),
    /// A client behind a trusted proxy.
    Address(ClientAddress),
}

/// One connection to an upstream that counts for a client, until it is dropped.
#[derive(Debug)]
pub(super) struct Held {
    shares: Shares,
    holder: Holder,
}

/// Counts of clients behind trusted proxies, by IPv4 address or IPv6 /64; without those that have no connection.
#[derive(Clone, Debug, Default)]
pub(super) struct Shares(Arc<DashMap<ClientAddress, usize>>);

impl Shares {
    /// Counts one more connection of a client. Returns also how many it had before.
    pub(super) fn hold(&self, holder: Holder) -> (Held, usize) {
        let already = match &holder {
            Holder::Counted(count) => count.fetch_add(1, Ordering::Relaxed),
            Holder::Address(address) => {
                let mut count = self.0.entry(address.network()).or_default();
                *count += 1;
                *count - 1
            }
        };
        (Held { shares: self.clone(), holder }, already)
    }

    /// Whether no client behind a trusted proxy has any.
    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        match &self.holder {
            Holder::Counted(count) => {
                count.fetch_sub(1, Ordering::Relaxed);
            }
            Holder::Address(address) => {
                let entry = self.shares.0.entry(address.network());
                let Entry::Occupied(mut count) = entry else { return };
                *count.get_mut() -= 1;
                if *count.get() == 0 {
                    count.remove();
                }
            }
        }
    }
}

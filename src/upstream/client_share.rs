//! How many connections to upstreams each client holds.
//! Invariant: a connection counts for its client from before it is taken until its exchange is over.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use dashmap::DashMap;
use dashmap::mapref::entry::Entry;

use crate::client_address::ClientAddress;

/// Who holds the connection that a request takes.
#[derive(Clone, Debug)]
pub enum Holder {
    /// A session or a client's connection, and how many it holds.
    Counted(Arc<AtomicUsize>),
    /// A client behind a trusted proxy.
    Address(ClientAddress),
}

/// One connection to an upstream that a client holds, until its exchange is over.
#[derive(Debug)]
pub(super) struct Held {
    shares: Shares,
    holder: Holder,
}

/// How many clients behind trusted proxies hold, by IPv4 address or IPv6 /64; none that holds none.
#[derive(Clone, Debug, Default)]
pub(super) struct Shares(Arc<DashMap<ClientAddress, usize>>);

impl Shares {
    /// Counts one more connection of a client; with how many it held already.
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

    /// Whether no client behind a trusted proxy holds any.
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

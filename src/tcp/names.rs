//! The addresses of a host name, also while it cannot be resolved.
//! Invariants: one lookup at a time, because each occupies a thread until the resolver answers; a request waits for a
//! lookup only briefly if the one before found addresses.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;

use crate::single_flight::{SingleFlight, Waiter};

/// The last known addresses of one name.
#[derive(Debug, Default)]
pub(super) struct Names(Arc<SingleFlight<Vec<SocketAddr>, LookupResult>>);

/// The result of a lookup: why it failed, if it did.
type LookupResult = Result<(), (io::ErrorKind, String)>;

impl Names {
    /// The addresses, by `lookup` or by the lookup under way. If it fails or takes long, the last known ones.
    pub(super) async fn addresses(
        &self,
        lookup: impl Future<Output = io::Result<Vec<SocketAddr>>> + Send + 'static,
    ) -> io::Result<Vec<SocketAddr>> {
        let (flight, has_known) = self.join(lookup);
        let result = flight.result();
        let outcome =
            if has_known { timeout(SOON, result).await.ok().flatten() } else { result.await };
        let addresses = self.0.lock().clone();
        match outcome {
            Some(Err((kind, text))) if addresses.is_empty() => Err(io::Error::new(kind, text)),
            Some(_) | None => Ok(addresses),
        }
    }

    /// The lookup under way, or a new one; and whether there are last known addresses.
    fn join(
        &self,
        lookup: impl Future<Output = io::Result<Vec<SocketAddr>>> + Send + 'static,
    ) -> (Waiter<LookupResult>, bool) {
        let known = self.0.lock();
        let has_known = !known.is_empty();
        if let Some(flight) = known.under_way() {
            return (flight, has_known);
        }
        let (call, flight) = known.start();
        let names = Arc::clone(&self.0);
        // It outlives the request, because it occupies its thread anyway.
        tokio::spawn(async move {
            let found = lookup.await;
            names.finish(call, |known| take_over(known, found));
        });
        (flight, has_known)
    }
}

fn take_over(known: &mut Vec<SocketAddr>, found: io::Result<Vec<SocketAddr>>) -> LookupResult {
    match found {
        Ok(found) if found.is_empty() => Ok(()),
        Ok(found) => {
            *known = found;
            Ok(())
        }
        Err(error) => Err((error.kind(), error.to_string())),
    }
}

/// How long to wait for a lookup if there are last known addresses.
const SOON: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    fn at(last: u8) -> Vec<SocketAddr> {
        vec![([192, 0, 2, last], 80).into()]
    }

    fn fails() -> io::Result<Vec<SocketAddr>> {
        Err(io::Error::other("no such host"))
    }

    #[tokio::test]
    async fn last_known_addresses_are_used_while_a_name_cannot_be_resolved() {
        let names = Names::default();
        let unknown = names.addresses(async { fails() }).await.unwrap_err();
        assert_eq!(unknown.to_string(), "no such host");
        assert_eq!(names.addresses(async { Ok(at(1)) }).await.unwrap(), at(1));
        assert_eq!(names.addresses(async { fails() }).await.unwrap(), at(1));
        assert_eq!(names.addresses(async { Ok(Vec::new()) }).await.unwrap(), at(1));
        assert_eq!(names.addresses(async { Ok(at(2)) }).await.unwrap(), at(2));
    }

    #[tokio::test(start_paused = true)]
    async fn silent_resolver_delays_no_request_with_last_known_addresses() {
        let names = Names::default();
        names.addresses(async { Ok(at(1)) }).await.unwrap();
        assert_eq!(names.addresses(std::future::pending()).await.unwrap(), at(1));
        // This one joins the lookup under way.
        let joined = names.addresses(async { panic!("starts a second lookup") });
        assert_eq!(joined.await.unwrap(), at(1));
    }

    #[tokio::test]
    async fn concurrent_requests_make_one_lookup() {
        let (names, lookups) = (Names::default(), Arc::new(AtomicUsize::new(0)));
        let lookup = || {
            let lookups = Arc::clone(&lookups);
            async move {
                lookups.fetch_add(1, Ordering::SeqCst);
                tokio::task::yield_now().await;
                Ok(at(1))
            }
        };
        let (one, two, three) = tokio::join!(
            names.addresses(lookup()),
            names.addresses(lookup()),
            names.addresses(lookup())
        );
        for found in [one, two, three] {
            assert_eq!(found.unwrap(), at(1));
        }
        assert_eq!(lookups.load(Ordering::SeqCst), 1);
        names.addresses(lookup()).await.unwrap();
        assert_eq!(lookups.load(Ordering::SeqCst), 2);
    }
}

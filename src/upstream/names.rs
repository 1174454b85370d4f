//! The addresses of a name, also while nobody can be asked for them.
//! Invariants: one lookup at a time, however many ask, for each holds a thread until the resolver answers;
//! nobody waits long for a lookup who can go by the addresses of the one before.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;

use crate::single_flight::{SingleFlight, Waiter};

/// What is known of one name: the addresses that it had last.
#[derive(Debug, Default)]
pub(super) struct Names(Arc<SingleFlight<Vec<SocketAddr>, Outcome>>);

/// How a lookup ended: why, if it failed.
type Outcome = Result<(), (io::ErrorKind, String)>;

impl Names {
    /// The addresses, by `lookup` unless one is under way; by the one before where it fails or takes long.
    pub(super) async fn addresses(
        &self,
        lookup: impl Future<Output = io::Result<Vec<SocketAddr>>> + Send + 'static,
    ) -> io::Result<Vec<SocketAddr>> {
        let (flight, has_known) = self.join(lookup);
        let over = flight.result();
        let outcome = if has_known { timeout(SOON, over).await.ok().flatten() } else { over.await };
        let addresses = self.0.lock().clone();
        match outcome {
            Some(Err((kind, text))) if addresses.is_empty() => Err(io::Error::new(kind, text)),
            Some(_) | None => Ok(addresses),
        }
    }

    /// The lookup under way, or a new one; and whether there are addresses to go by meanwhile.
    fn join(
        &self,
        lookup: impl Future<Output = io::Result<Vec<SocketAddr>>> + Send + 'static,
    ) -> (Waiter<Outcome>, bool) {
        let known = self.0.lock();
        let has_known = !known.is_empty();
        if let Some(flight) = known.under_way() {
            return (flight, has_known);
        }
        let (call, flight) = known.start();
        let names = Arc::clone(&self.0);
        // Outlives whoever asked: the thread is busy with it anyway.
        tokio::spawn(async move {
            let found = lookup.await;
            names.finish(call, |known| take_over(known, found));
        });
        (flight, has_known)
    }
}

fn take_over(known: &mut Vec<SocketAddr>, found: io::Result<Vec<SocketAddr>>) -> Outcome {
    match found {
        Ok(found) if found.is_empty() => Ok(()),
        Ok(found) => {
            *known = found;
            Ok(())
        }
        Err(error) => Err((error.kind(), error.to_string())),
    }
}

/// How long a new lookup is waited for where there are addresses already.
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
    async fn what_a_name_had_last_is_good_while_it_cannot_be_resolved() {
        let names = Names::default();
        let unknown = names.addresses(async { fails() }).await.unwrap_err();
        assert_eq!(unknown.to_string(), "no such host");
        assert_eq!(names.addresses(async { Ok(at(1)) }).await.unwrap(), at(1));
        assert_eq!(names.addresses(async { fails() }).await.unwrap(), at(1));
        assert_eq!(names.addresses(async { Ok(Vec::new()) }).await.unwrap(), at(1));
        assert_eq!(names.addresses(async { Ok(at(2)) }).await.unwrap(), at(2));
    }

    #[tokio::test]
    async fn nobody_waits_long_for_a_silent_resolver_who_knows_addresses() {
        let names = Names::default();
        names.addresses(async { Ok(at(1)) }).await.unwrap();
        assert_eq!(names.addresses(std::future::pending()).await.unwrap(), at(1));
        // The next one joins the lookup that nobody answers.
        let joined = names.addresses(async { panic!("one at a time") });
        assert_eq!(joined.await.unwrap(), at(1));
    }

    #[tokio::test]
    async fn many_who_ask_make_one_lookup() {
        let (names, asked) = (Names::default(), Arc::new(AtomicUsize::new(0)));
        let lookup = || {
            let asked = Arc::clone(&asked);
            async move {
                asked.fetch_add(1, Ordering::SeqCst);
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
        assert_eq!(asked.load(Ordering::SeqCst), 1);
        names.addresses(lookup()).await.unwrap();
        assert_eq!(asked.load(Ordering::SeqCst), 2);
    }
}

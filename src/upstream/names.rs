//! The addresses of a name, also while nobody can be asked for them.
//! Invariants: one lookup at a time, however many ask, for each holds a thread until the resolver answers;
//! nobody waits long for a lookup who can go by the addresses of the one before.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::timeout;

use crate::lock::lock;

/// What is known of one name.
#[derive(Debug, Default)]
pub(super) struct Names(Arc<Mutex<Known>>);

#[derive(Debug, Default)]
struct Known {
    /// Those that it had last.
    addresses: Vec<SocketAddr>,
    under_way: Option<Lookup>,
}

/// Tells when it is over, and why it brought nothing.
type Lookup = watch::Receiver<Option<Result<(), (io::ErrorKind, String)>>>;

impl Names {
    /// The addresses, by `lookup` unless one is under way; by the one before where it fails or takes long.
    pub(super) async fn addresses(
        &self,
        lookup: impl Future<Output = io::Result<Vec<SocketAddr>>> + Send + 'static,
    ) -> io::Result<Vec<SocketAddr>> {
        let (mut under_way, has_known) = self.join(lookup);
        let over = under_way.wait_for(Option::is_some);
        let outcome = if has_known {
            timeout(SOON, over).await.ok().and_then(Result::ok).map(|outcome| outcome.clone())
        } else {
            over.await.ok().map(|outcome| outcome.clone())
        };
        let addresses = self.lock().addresses.clone();
        match outcome.flatten() {
            Some(Err((kind, text))) if addresses.is_empty() => Err(io::Error::new(kind, text)),
            Some(_) | None => Ok(addresses),
        }
    }

    /// The lookup under way, or a new one; and whether there are addresses to go by meanwhile.
    fn join(
        &self,
        lookup: impl Future<Output = io::Result<Vec<SocketAddr>>> + Send + 'static,
    ) -> (Lookup, bool) {
        let mut known = self.lock();
        let has_known = !known.addresses.is_empty();
        // One whose sender is gone has crashed.
        let joined = known.under_way.as_ref().filter(|lookup| lookup.has_changed().is_ok());
        if let Some(joined) = joined {
            return (joined.clone(), has_known);
        }
        let (tell, under_way) = watch::channel(None);
        known.under_way = Some(under_way.clone());
        drop(known);
        let names = Self(Arc::clone(&self.0));
        // Outlives whoever asked: the thread is busy with it anyway.
        tokio::spawn(async move {
            let outcome = names.take_over(lookup.await);
            tell.send_replace(Some(outcome));
        });
        (under_way, has_known)
    }

    fn take_over(&self, found: io::Result<Vec<SocketAddr>>) -> Result<(), (io::ErrorKind, String)> {
        let mut known = self.lock();
        known.under_way = None;
        match found {
            Ok(found) if found.is_empty() => Ok(()),
            Ok(found) => {
                known.addresses = found;
                Ok(())
            }
            Err(error) => Err((error.kind(), error.to_string())),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        lock(&self.0)
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

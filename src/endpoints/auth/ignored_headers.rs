//! Which headers are ignored from which declared proxies, because a subrequest once came without them. It outlives a
//! configuration.
//! Invariant: what is ignored from an entry of `server.forward_auth.clients` stays ignored in every configuration that
//! has the same entry, also after one without it, until an operator has it forgotten.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use crate::endpoints::auth::table::Part;
use crate::lock::lock;
use crate::server::ForwardAuthClient;

/// What is ignored, by entry.
#[derive(Debug, Default)]
pub struct IgnoredHeaders(Mutex<Vec<(ForwardAuthClient, Arc<IgnoredParts>)>>);

/// The parts of the original request that are not read from the proxies of one entry.
#[derive(Debug, Default)]
pub(super) struct IgnoredParts {
    method: AtomicBool,
    scheme: AtomicBool,
    address: AtomicBool,
}

impl IgnoredHeaders {
    /// What is ignored from the proxies of this entry: one value for all configurations.
    pub(super) fn of(&self, entry: &ForwardAuthClient) -> Arc<IgnoredParts> {
        let mut entries = lock(&self.0);
        entries.retain(|(_, parts)| Arc::strong_count(parts) > 1 || parts.are_some());
        if let Some((_, parts)) = entries.iter().find(|(known, _)| known == entry) {
            return Arc::clone(parts);
        }
        let parts = Arc::<IgnoredParts>::default();
        entries.push((entry.clone(), Arc::clone(&parts)));
        parts
    }

    /// Reads all headers again. For an operator who has written what was missing: a reload that no operator asked for
    /// must not call it.
    pub fn forget(&self) {
        for (_, parts) in lock(&self.0).iter() {
            parts.forget();
        }
    }
}

impl IgnoredParts {
    /// Whether the header for this part is ignored.
    pub(super) fn has(&self, part: Part) -> bool {
        self.flag(part).is_some_and(|ignored| ignored.load(Ordering::Relaxed))
    }

    /// Ignores the header for this part. Returns whether that is new.
    pub(super) fn add(&self, part: Part) -> bool {
        self.flag(part).is_some_and(|ignored| !ignored.swap(true, Ordering::Relaxed))
    }

    fn are_some(&self) -> bool {
        self.flags().iter().any(|ignored| ignored.load(Ordering::Relaxed))
    }

    fn forget(&self) {
        for ignored in self.flags() {
            ignored.store(false, Ordering::Relaxed);
        }
    }

    fn flags(&self) -> [&AtomicBool; 3] {
        [&self.method, &self.scheme, &self.address]
    }

    fn flag(&self, part: Part) -> Option<&AtomicBool> {
        match part {
            // Without a URI the subrequest has a fault of its own.
            Part::Uri => None,
            Part::Method => Some(&self.method),
            Part::Scheme => Some(&self.scheme),
            Part::Address => Some(&self.address),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::ForwardAuthProxy;

    fn entry(network: &str) -> ForwardAuthClient {
        ForwardAuthClient {
            networks: vec![network.parse().unwrap()],
            unix: false,
            proxy: ForwardAuthProxy::Nginx,
        }
    }

    #[test]
    fn what_is_ignored_from_an_entry_outlives_its_configurations_until_it_is_forgotten() {
        let ignored = IgnoredHeaders::default();
        let (nginx, other) = (entry("10.0.0.1/32"), entry("10.0.0.2/32"));
        assert!(ignored.of(&nginx).add(Part::Method));
        let (again, apart) = (ignored.of(&nginx), ignored.of(&other));
        assert!(again.has(Part::Method) && !again.add(Part::Method));
        assert!(!again.has(Part::Scheme) && !again.has(Part::Address));
        assert!(!apart.has(Part::Method));
        ignored.forget();
        assert!(!again.has(Part::Method) && again.add(Part::Method));
    }

    #[test]
    fn entries_that_are_gone_and_sent_all_headers_leave_no_memory() {
        let ignored = IgnoredHeaders::default();
        let kept = ignored.of(&entry("10.0.0.1/32"));
        for last in 2..9 {
            ignored.of(&entry(&format!("10.0.0.{last}/32")));
        }
        assert_eq!(lock(&ignored.0).len(), 2);
        assert!(Arc::ptr_eq(&kept, &ignored.of(&entry("10.0.0.1/32"))));
    }
}

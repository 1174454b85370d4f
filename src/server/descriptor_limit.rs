//! How many connections the process can hold open, by the number of files that it may open.
//! Invariant: half of the descriptors that are not reserved stay free for connections to upstreams.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::server::settings::Limits;

impl Limits {
    /// These limits with no more connections than the process can bear by the number of files that it may
    /// open, which is raised as far as it goes: what a process starts with is made for programs that cannot
    /// count beyond 1024. And how many connections to upstreams it can bear beside them.
    #[must_use]
    pub fn bearable(self) -> (Self, usize) {
        let Some(descriptors) = raised_descriptor_limit() else { return (self, usize::MAX) };
        let connections = self.connections.min(bearable(descriptors));
        if connections < self.connections {
            tracing::warn!(
                descriptors,
                "there is room for {connections} connections only, not for the {} of \
                 server.limits.connections: let the process open more files (ulimit -n, LimitNOFILE=)",
                self.connections
            );
        }
        (Self { connections, ..self }, left_beside(connections, descriptors))
    }
}

/// How many files the process may open; `None`: as many as it likes.
fn raised_descriptor_limit() -> Option<u64> {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current == maximum
        || setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }).is_err()
    {
        return current;
    }
    maximum
}

/// How many connections of clients a process can bear that may open so many files.
// SECURITY: over HTTP/1.1 each of them may need another one to an upstream. Without the bound whoever opens
// connections and leaves them idle takes away everybody's, and the health check's.
fn bearable(descriptors: u64) -> usize {
    let bearable = descriptors.saturating_sub(RESERVED) / 2;
    usize::try_from(bearable).unwrap_or(usize::MAX).max(1)
}

/// How many more a process can bear beside these.
fn left_beside(connections: usize, descriptors: u64) -> usize {
    let left = descriptors.saturating_sub(RESERVED);
    usize::try_from(left).unwrap_or(usize::MAX).saturating_sub(connections).max(1)
}

/// Descriptors for those beyond, and for providers, the admin listener, files and the runtime.
const RESERVED: u64 = 128;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_of_the_descriptors_is_left_to_others() {
        for (descriptors, expected) in
            [(0, 1), (64, 1), (130, 1), (256, 64), (1024, 448), (65_536, 32_704)]
        {
            assert_eq!(bearable(descriptors), expected, "{descriptors}");
            assert_eq!(left_beside(expected, descriptors), expected, "{descriptors}");
        }
        assert_eq!(left_beside(1, 1024), 895);
        assert!(bearable(u64::MAX) > 1_000_000);
    }

    #[test]
    fn the_limit_of_open_files_is_raised_as_far_as_it_goes() {
        let raised = raised_descriptor_limit();
        let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
        assert_eq!((current, current), (maximum, raised));
    }
}

//! How many connections the process can hold open, by the number of files that it may open.
//! Invariant: half of the descriptors that are not reserved stay free for connections to upstreams.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::server::settings::Limits;

impl Limits {
    /// Raises the limit of open files as far as the system allows, and lowers `connections` to what it can bear.
    /// Also returns how many connections to upstreams it can bear then. The usual soft limit of
    /// 1024 protects programs that use `select`, which this one does not.
    #[must_use]
    pub fn bearable(self) -> (Self, usize) {
        let Some(descriptors) = raised_descriptor_limit() else { return (self, usize::MAX) };
        let connections = self.connections.min(bearable(descriptors));
        if connections < self.connections {
            tracing::warn!(
                descriptors,
                "the limit of open files allows only {connections} of the {} connections of \
                 server.limits.connections: raise it (ulimit -n, LimitNOFILE=)",
                self.connections
            );
        }
        (Self { connections, ..self }, left_with(connections, descriptors))
    }
}

/// The number of files that the process may open; `None` if it is unlimited.
fn raised_descriptor_limit() -> Option<u64> {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current == maximum
        || setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }).is_err()
    {
        return current;
    }
    maximum
}

/// The number of client connections that these descriptors can bear.
// SECURITY: each of them may need another one to an upstream. Without the limit, one client with many idle
// connections takes the descriptors of all others, and those of the health check.
fn bearable(descriptors: u64) -> usize {
    let bearable = descriptors.saturating_sub(RESERVED) / 2;
    usize::try_from(bearable).unwrap_or(usize::MAX).max(1)
}

/// The number of further connections that the descriptors can bear.
fn left_with(connections: usize, descriptors: u64) -> usize {
    let left = descriptors.saturating_sub(RESERVED);
    usize::try_from(left).unwrap_or(usize::MAX).saturating_sub(connections).max(1)
}

/// Descriptors for connections over the limit, and for providers, the admin listener, files and the runtime.
const RESERVED: u64 = 128;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_of_the_descriptors_is_left_for_upstreams() {
        for (descriptors, expected) in
            [(0, 1), (64, 1), (130, 1), (256, 64), (1024, 448), (65_536, 32_704)]
        {
            assert_eq!(bearable(descriptors), expected, "{descriptors}");
            assert_eq!(left_with(expected, descriptors), expected, "{descriptors}");
        }
        assert_eq!(left_with(1, 1024), 895);
        assert!(bearable(u64::MAX) > 1_000_000);
    }

    #[test]
    fn limit_of_open_files_is_raised_to_its_maximum() {
        let raised = raised_descriptor_limit();
        let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
        assert_eq!((current, current), (maximum, raised));
    }
}

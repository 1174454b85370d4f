//! The address of an upstream.
//! Invariant: two addresses that name the same server are found to, as far as they show it. Names are not resolved.

use std::fmt;
use std::path::PathBuf;

use crate::origin::Origin;

/// The server that requests are forwarded to.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Target {
    /// `http://` or `https://`.
    Origin(Origin),
    /// `unix:PATH`, plain HTTP/1.1.
    Unix(PathBuf),
}

impl Target {
    /// Whether both may name the same server, as far as they show: this machine has several names, and a server often
    /// has `http` and `https`, each at its default port.
    pub fn may_be_same_server(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Origin(one), Self::Origin(other)) => {
                one.machine() == other.machine()
                    && (one.port() == other.port() || one.written_port() == other.written_port())
            }
            (Self::Unix(one), Self::Unix(other)) => one == other,
            (Self::Origin(_), Self::Unix(_)) | (Self::Unix(_), Self::Origin(_)) => false,
        }
    }
}

impl fmt::Display for Target {
    /// As in the configuration key `upstream`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Origin(origin) => origin.fmt(f),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(one: &str, other: &str, expected: bool) {
        let target = |text: &str| match text.strip_prefix("unix:") {
            Some(path) => Target::Unix(path.into()),
            None => Target::Origin(Origin::parse(text).unwrap()),
        };
        assert_eq!(target(one).may_be_same_server(&target(other)), expected, "{one} {other}");
    }

    #[test]
    fn server_is_the_same_in_every_spelling_of_its_address() {
        for (one, other) in [
            ("http://wiki", "http://WIKI.:80/"),
            ("http://wiki", "https://wiki"),
            ("http://localhost:8080", "http://127.0.0.1:8080"),
            ("http://localhost:8080", "http://[::1]:8080"),
            ("http://127.0.0.1:8080", "http://127.0.0.2:8080"),
            ("http://wiki:443", "https://wiki"),
            ("http://10.0.0.1:8080", "http://[::ffff:10.0.0.1]:8080"),
            ("unix:/run/wiki.sock", "unix:/run//wiki.sock"),
        ] {
            check(one, other, true);
            check(other, one, true);
        }
        for (one, other) in [
            ("http://wiki", "http://wiki:8080"),
            ("http://wiki:8080", "http://docs:8080"),
            ("http://127.0.0.1:8080", "http://127.0.0.1:8081"),
            ("unix:/run/wiki.sock", "unix:/run/docs.sock"),
            ("http://localhost", "unix:/run/wiki.sock"),
        ] {
            check(one, other, false);
        }
    }
}

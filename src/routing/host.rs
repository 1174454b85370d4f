//! Exact and wildcard hosts, compared without case, port and one trailing dot (RFC 9110 §4.2.3).

/// The host that a route is for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum HostPattern {
    /// `wiki.example.com`.
    Exact(String),
    /// `*.example.com`: every name below, not itself; holds `example.com`.
    Below(String),
    /// `"*"`.
    Any,
}

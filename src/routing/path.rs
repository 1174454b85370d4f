//! Prefixes by whole segments, and what an upstream may read in a path (RFC 3986 §6.2).

/// A path prefix by whole segments: `/a` matches `/a` and `/a/b`, not `/ab`.
/// Invariant: percent-decoded, starts with `/`, and ends without one, except as `/` alone.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PathPrefix(String);

//! Functions that take any bytes and assert what must hold for all of them.
//! Invariant: a target panics only where the gateway is wrong; input that makes no case is ignored.
//!
//! `fuzz/src/lib.rs` includes this folder, so nothing here is imported from the tests.

pub mod access;
pub mod config;
pub mod cookies;
pub mod ext_authz;
pub mod forwarded_for;
pub mod h2;
pub mod head;
pub mod jwk;
pub mod jwt;
pub mod path;
pub mod rd;
pub mod state;
pub mod subrequest;
pub mod upstreams;
pub mod wire;

/// A name, and what asserts.
pub type Target = (&'static str, fn(&[u8]));

/// Every target, in alphabetical order.
pub const TARGETS: &[Target] = &[
    ("config", config::run),
    ("cookies", cookies::run),
    ("ext_authz", ext_authz::run),
    ("forwarded_for", forwarded_for::run),
    ("head", head::run),
    ("jwk", jwk::run),
    ("jwt", jwt::run),
    ("path", path::run),
    ("rd", rd::run),
    ("state", state::run),
    ("subrequest", subrequest::run),
];

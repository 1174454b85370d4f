//! Functions that take any bytes and assert what must hold for all of them.
//! Invariant: a target panics only where the gateway is wrong; input that makes no case is ignored.
//!
//! `fuzz/src/lib.rs` includes this folder, so nothing here is imported from the tests.

pub mod config;
pub mod cookies;
pub mod jwk;
pub mod jwt;
pub mod rd;
pub mod state;

/// A name, and what asserts.
pub type Target = (&'static str, fn(&[u8]));

/// Every target, in alphabetical order.
pub const TARGETS: &[Target] = &[
    ("config", config::run),
    ("cookies", cookies::run),
    ("jwk", jwk::run),
    ("jwt", jwt::run),
    ("rd", rd::run),
    ("state", state::run),
];

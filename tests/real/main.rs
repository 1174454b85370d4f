//! The gateway with the servers that people run it with. They have to be installed, so these tests are
//! run by name, as `tests/run` does: `cargo test --test real`. What is missing fails, nothing is skipped.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test says what it expects by failing"
)]
#![expect(
    clippy::disallowed_methods,
    reason = "tests read the repository and write configurations"
)]

#[expect(dead_code, reason = "the test under load uses the rest")]
mod component;
mod compose;
mod containers;
mod deployment;
mod ext_authz;
mod forward_auth;
mod image;
mod instances;
mod manifests;
mod nginx;
mod proxy_protocol;
mod published;
mod redis;
mod rights_in_redis;
mod session_contract;
mod shared_sessions;
mod silent_gateway;
mod snapshot_disk;
mod snapshot_steps;
#[path = "../it/support/mod.rs"]
#[expect(dead_code, reason = "the tests without real servers use the rest")]
mod support;
mod symptoms;
mod systemd;
mod traffic;
mod two_instances_in_compose;
mod websocket;

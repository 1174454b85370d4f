//! The targets of the fuzzer, which are functions of the tests: `cargo test` calls them with the seeds,
//! a fuzzer with everything else.
//! Invariant: a target calls only what `portcullis` makes public, so that a test can call it, too.

#[path = "../../tests/it/fuzz/targets/mod.rs"]
pub mod targets;

//! Fuzz targets. They are functions of the tests: `cargo test` calls them with the seeds.
//! Invariant: a target calls only public items of `portcullis`, so that a test can call it too.

#[path = "../../tests/it/fuzz/targets/mod.rs"]
pub mod targets;

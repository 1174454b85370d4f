//! Fuzzes `tests/it/fuzz/targets/config.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| portcullis_fuzz::targets::config::run(data));

//! Fuzzes `tests/it/fuzz/targets/path.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| portcullis_fuzz::targets::path::run(data));

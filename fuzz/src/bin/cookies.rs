//! Fuzzes `tests/it/fuzz/targets/cookies.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| portcullis_fuzz::targets::cookies::run(data));

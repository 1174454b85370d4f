//! Fuzzes `tests/it/fuzz/targets/jwk.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| portcullis_fuzz::targets::jwk::run(data));

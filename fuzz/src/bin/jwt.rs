//! Fuzzes `tests/it/fuzz/targets/jwt.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| portcullis_fuzz::targets::jwt::run(data));

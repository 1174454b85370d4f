//! Fuzzes `tests/it/fuzz/targets/head.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| portcullis_fuzz::targets::head::run(data));

//! Fuzzes `tests/it/fuzz/targets/forwarded_for.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| portcullis_fuzz::targets::forwarded_for::run(data));

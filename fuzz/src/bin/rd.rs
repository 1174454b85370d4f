//! Fuzzes `tests/it/fuzz/targets/rd.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| portcullis_fuzz::targets::rd::run(data));

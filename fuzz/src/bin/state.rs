//! Fuzzes `tests/it/fuzz/targets/state.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| portcullis_fuzz::targets::state::run(data));

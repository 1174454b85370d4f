//! Fuzzes `tests/it/fuzz/targets/ext_authz.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| portcullis_fuzz::targets::ext_authz::run(data));

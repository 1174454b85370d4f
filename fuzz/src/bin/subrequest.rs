//! Fuzzes `tests/it/fuzz/targets/subrequest.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| portcullis_fuzz::targets::subrequest::run(data));

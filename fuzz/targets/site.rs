//! A request for a folder with a .htaccess file: see `src/fuzzing.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| herdgate::fuzzing::site(bytes));

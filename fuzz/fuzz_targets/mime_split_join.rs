//! See [`letterlock_fuzz::mime_split_join`].
#![no_main]

libfuzzer_sys::fuzz_target!(|octets: &[u8]| letterlock_fuzz::mime_split_join(octets));

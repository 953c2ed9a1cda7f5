//! See [`letterlock_fuzz::mime_structure`].
#![no_main]

libfuzzer_sys::fuzz_target!(|octets: &[u8]| letterlock_fuzz::mime_structure(octets));

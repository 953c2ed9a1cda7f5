//! See [`letterlock_fuzz::header_decoding`].
#![no_main]

libfuzzer_sys::fuzz_target!(|octets: &[u8]| letterlock_fuzz::header_decoding(octets));

//! See [`letterlock_fuzz::openpgp::autocrypt_header`].
#![no_main]

libfuzzer_sys::fuzz_target!(|octets: &[u8]| letterlock_fuzz::openpgp::autocrypt_header(octets));

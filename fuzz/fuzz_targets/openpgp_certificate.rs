//! See [`letterlock_fuzz::openpgp::openpgp_certificate`].
#![no_main]

libfuzzer_sys::fuzz_target!(|octets: &[u8]| letterlock_fuzz::openpgp::openpgp_certificate(octets));

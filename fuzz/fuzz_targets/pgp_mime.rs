//! See [`letterlock_fuzz::openpgp::pgp_mime`].
#![no_main]

libfuzzer_sys::fuzz_target!(|octets: &[u8]| letterlock_fuzz::openpgp::pgp_mime(octets));

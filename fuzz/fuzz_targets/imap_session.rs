//! See `fuzz/src/imap.rs`.
#![no_main]

#[path = "../src/imap.rs"]
mod imap;

libfuzzer_sys::fuzz_target!(|octets: &[u8]| imap::imap_session(octets));

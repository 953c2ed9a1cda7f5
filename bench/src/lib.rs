//! Letterlock's benchmarks: made-up mail, and what is measured on it, natively and in a browser.
//!
//! Invariant: the same mail every time (one seed), so that figures of two runs can be compared.
//! Rejected: a benchmark framework; one run over a hundred thousand messages is the measure, and
//! a framework would want many.

#[cfg(unix)]
pub mod imap;
#[cfg(not(target_arch = "wasm32"))]
pub mod counting;
#[cfg(not(target_arch = "wasm32"))]
pub mod figures;
pub mod letters;
#[cfg(unix)]
pub mod openpgp;
#[cfg(not(target_arch = "wasm32"))]
pub mod mail;
pub mod search;
#[cfg(unix)]
pub mod sync;

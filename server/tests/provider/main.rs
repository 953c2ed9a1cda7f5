//! The provider over a real listener: accounts, sync, mail, storage.
//!
//! These tests stand outside `src/provider`, which must not name anything that decrypts.

mod world;
mod accounts;
mod sync;
mod mail;
mod storage;

//! Mail into an account and out of it: `letterlock import` and `letterlock export`.
//!
//! ```text
//! mbox, Maildir, .eml, IMAP ──► Source ──Items──► Importer ──append_all──► account
//! account ──► Exporter ──► mbox, Maildir++, .eml
//! ```
//!
//! Both work on an account's replica while no bridge runs, offline; what is imported waits to be
//! pushed like anything else. Invariants: an import brings every message once however often it is
//! interrupted ([`checkpoint`]); what an export writes, an import reads back octet for octet, with
//! flags, keywords, dates and names of mailboxes; memory does not grow with a source.

pub mod arguments;
pub mod command;
pub mod account;
pub mod password;
pub mod import;
pub mod indexing;
pub mod checkpoint;
pub mod large;
pub mod export;
pub mod export_writer;
pub mod export_state;
pub mod source;
pub mod message;
pub mod notes;
pub mod progress;
pub mod local;
pub mod files;
pub mod names;
pub mod mbox;
pub mod maildir;
pub mod eml;
pub mod imap_url;
pub mod imap_connect;
pub mod imap_source;
#[cfg(test)]
mod tests;

//! Full-text search over an account's mail: the same code natively and in the browser.
//!
//! ```text
//! message ─extract─► texts by field ─token─► words ─builder─► segment rows ─┐ one Batch
//!                                                                           ▼
//! query ─query─► tree ─lookup─► sets of documents ─evaluate─► hits    Store: Table::SearchIndex
//!                                   ▲                                       │
//! IMAP SEARCH ─candidates───────────┘◄──────────── segments ◄──────merge────┘
//! ```
//!
//! The index is a set of immutable segments, as in log-structured stores: new messages make a
//! small segment, and segments of about the same size become one. It lies in rows of a [`Store`],
//! so it is sealed wherever the rest of the mail is, and its keys are segment numbers and
//! counters, never words. It is derived: whatever happens to it, [`Index::reset`] makes it anew.
//!
//! In memory are the manifest, the first word of each block of the dictionaries, and about 80
//! octets a message. Invariant: every change is one [`Batch`] that expects the manifest unchanged;
//! a message is found if and only if it is placed somewhere and its words say so.
//!
//! Rejected: tantivy (threads, files, no IndexedDB); SQLite's FTS5 (not in the browser, and not
//! over sealed rows); an index of trigrams (five times the size, and no word borders).
//!
//! [`Store`]: crate::store::Store
//! [`Batch`]: crate::store::Batch

mod fold;
mod token;
mod bitmap;
mod postings;
mod document;
mod builder;
mod rows;
mod segment;
mod manifest;
mod snapshot;
mod index;
mod merge;
mod query;
mod lookup;
mod evaluate;
mod candidates;
#[cfg(test)]
mod tests;

pub use builder::Builder;
pub use candidates::{Candidates, Place as CandidatePlace};
pub use document::{Field, MAX_INDEXED_TEXT_OCTETS, MAX_LONG_WORDS, Traits};
pub use evaluate::{Facts, Found, Hit, Page, Population};
pub use index::{Index, IndexSize, SearchError};
pub(crate) use index::{forget_waiting, remember_waiting, waiting};
pub use query::{Note, Query};

//! Which messages belong together: threads (RFC 5256, and Jamie Zawinski's "message threading").
//!
//! ```text
//! message stored ─► Link (ids as keyed hashes) ─► Forest: message -> thread, kept up to date
//! messages of a thread, or of a search ─► references() ─► the tree that is shown
//! ```
//!
//! Two things for two questions. [`Forest`] says which thread a message is in; it is the same
//! whatever the order in which messages came or went, because membership is defined on the set
//! of messages alone. [`references()`] is the algorithm that IMAP names THREAD=REFERENCES, to the
//! letter. Rejected: that algorithm for both; it puts two first letters "Invoice" of two people
//! into one thread, and would have to be run over the whole account for each new message.

mod base_subject;
mod forest;
mod link;
mod references;

pub use base_subject::{BaseSubject, base_subject};
pub use forest::{Forest, SUBJECT_DAYS, ThreadId};
pub use link::Link;
pub use references::{Row, Threadable, references};

//! mbox: many messages in one file (RFC 4155), in the dialects mboxo, mboxrd, mboxcl and mboxcl2.
//!
//! Invariant: what [`Measured::begin`] and [`Begun`] write, [`MboxReader`] gives back octet for octet with flags
//! and date, except for lines that mboxo and mboxcl cannot keep apart. Memory is bounded by one
//! message of [`super::message::MAX_IN_MEMORY_OCTETS`]. Rejected: a crate; those there are read
//! one dialect, or the whole file into memory.

mod quoting;
mod restore;
mod lines;
mod from_line;
mod status;
mod added;
mod dialect;
mod reader;
mod writer;
#[cfg(test)]
mod tests;

pub use dialect::Dialect;
pub use quoting::Quotes;
pub use reader::{MboxMessage, MboxReader};
pub use restore::{LineEnds, Restore};
pub use status::{FoundFlags, keyword};
pub use writer::{Begun, Measure, Measured, Written};

//! Splits a message into skeleton and leaves, without losing an octet.
//!
//! The skeleton has everything that is not the body of a leaf: headers, delimiters, preambles,
//! epilogues. Equal leaves (the same attachment sent twice) are equal octets and are stored once.
//!
//! Invariant: see [`super::join()`]. Rejected: decoding leaves before they are stored; base64 is not
//! unique, so the message could not be put together again.

use core::fmt;

use super::body_structure::Structure;
use super::splitter::{Splitter, WithoutLeaves, with_summary};

/// A message taken apart. Leaves borrow from the raw message.
pub struct Split<'a> {
    /// What is known about the message.
    pub structure: Structure,
    /// All octets that are not in leaves.
    pub skeleton: Vec<u8>,
    /// The leaves, as on the wire; one for each of [`Structure::leaves`].
    pub leaves: Vec<&'a [u8]>,
}

impl fmt::Debug for Split<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Split")
            .field("structure", &self.structure)
            .finish_non_exhaustive()
    }
}

/// Takes a message apart that is in memory; never fails, whatever the octets are. One that comes
/// in pieces is for [`Splitter`].
///
/// # Examples
/// ```
/// use letterlock_core::mime::{join, split};
/// let raw = b"Subject: hi\r\n\r\nHello\r\n";
/// let message = split(raw);
/// assert_eq!(message.leaves, [b"Hello\r\n"]);
/// assert_eq!(join(&message.structure, &message.skeleton, &message.leaves).unwrap(), raw);
/// ```
pub fn split(raw: &[u8]) -> Split<'_> {
    let WithoutLeaves {
        structure,
        skeleton,
    } = with_summary(Splitter::parse(raw));
    let leaves = structure.leaves.iter().map(|span| span.of(raw)).collect();
    Split {
        structure,
        skeleton,
        leaves,
    }
}

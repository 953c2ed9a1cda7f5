//! The IMAP server beside Dovecot: the same commands, over a socket, on the same mail.
//!
//! Invariant: every answer that is timed is also checked (counts, octets, which messages a search
//! finds), so that nobody is quick by being wrong. Rejected: asking our own types; a mail program
//! has a socket.

pub mod client;
pub mod mailbag;
pub mod ours;
pub mod peers;
pub mod steps;

//! What an account's devices state of its documents, so that a provider which alters, swaps,
//! replays, sets back, drops or forks is found out.
//!
//! With each push a device stores a [`Statement`]: of every collection how many documents all its
//! pushes together have added and a keyed sum ([`Digest`]) of the revisions that they have added,
//! less those that they have replaced. A push is stored whole or not at all, so at every position of
//! the provider's log the sum of all devices' statements is the sum of the documents that are there.
//! A device that has heard the log to its end compares the two (`replica::manifest`).
//!
//! ```text
//! A: + a1 + b1        B: + c1 - a1 + a2        the log shows a2, b1, c1: the same sum
//! ```
//!
//! Rejected: a statement of the whole state by each device (it would hold at a position that others
//! do not stop at); one manifest that every push has to follow (two devices would hold each other
//! up); `LtHash`, whose sums of 2 KiB stand publicly: these are sealed and keyed, so 256 bits do
//! (MSet-Add-Hash of Clarke and others, 2003). Known limit: who has the account's root key and
//! the provider can make up what they like.

mod alarm;
mod digest;
mod statement;

pub use alarm::{ManifestAlarm, Part};
pub use digest::{Digest, Digests, FINGERPRINT_OCTETS, Fingerprint, fingerprint};
pub use statement::{
    MAX_SEEN, STATEMENT_VERSION, Seen, SignedStatement, Statement, StatementError,
};

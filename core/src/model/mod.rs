//! Plain domain values: flags, mailboxes, roles. Not storage keys, not wire formats.

mod flag;
mod mailbox;

pub use flag::{Flag, FlagChange, FlagSet, InvalidKeyword, Keyword, MAX_FLAGS_PER_MESSAGE};
pub use mailbox::Role;

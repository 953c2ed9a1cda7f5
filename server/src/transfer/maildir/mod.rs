//! Maildir and Maildir++: a file for each message, its flags in its name.
//!
//! Read: folders as every common program lays them out, flags `DFPRST` and keyword letters, Dovecot's and
//! Courier's keywords, the file's time as INTERNALDATE. Written: Maildir++ that Dovecot, Courier
//! and mutt read. Rejected: a crate; those there know neither keywords nor Maildir++.

mod name;
mod keywords;
mod reader;
mod writer;
#[cfg(test)]
mod tests;

pub use name::decode as decode_name;
pub use reader::{MaildirFolder, folders, is_maildir, messages};
pub use writer::{MaildirWriter, NewMessage};

//! `[imap]`: what mail programs are shown.

use clap::ValueEnum;
use letterlock_core::model::VirtualMailbox;
use serde::{Deserialize, Serialize};

/// What the IMAP server shows beside the mailboxes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Imap {
    /// Mailboxes that show messages of others (RFC 6154 2). None by default: a program that copies
    /// every mailbox would copy each message again.
    pub virtual_mailboxes: Vec<Virtual>,
}

/// A virtual mailbox, as a user names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Virtual {
    /// All mail but junk and trash.
    All,
    /// Flagged mail.
    Flagged,
}

impl Imap {
    pub(super) const KEYS: &[&str] = &["virtual_mailboxes"];

    /// The virtual mailboxes that are wanted.
    pub fn virtual_mailboxes(&self) -> Vec<VirtualMailbox> {
        let wanted = self.virtual_mailboxes.iter();
        wanted
            .map(|which| match which {
                Virtual::All => VirtualMailbox::All,
                Virtual::Flagged => VirtualMailbox::Flagged,
            })
            .collect()
    }
}

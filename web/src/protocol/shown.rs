//! What the page shows: rows, an opened message, protection, recipients.

use serde::{Deserialize, Serialize};

/// A mailbox in the list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MailboxRow {
    /// Its id, hexadecimal.
    pub id: String,
    /// Its name, levels separated by `/`.
    pub name: String,
    /// What it is for: `inbox`, `drafts`, `sent`, `archive`, `junk`, `trash` or empty.
    pub role: String,
    /// Unread messages.
    pub unread: u32,
    /// All messages.
    pub total: u32,
}

/// A message in the list.
#[expect(
    clippy::struct_excessive_bools,
    reason = "flags of a message are independent"
)]
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MessageRow {
    /// Its UID.
    pub uid: u32,
    /// Who it is from (in Sent: to); a display name if there is one.
    pub correspondent: String,
    /// The subject.
    pub subject: String,
    /// The beginning of the text.
    pub preview: String,
    /// When it came, milliseconds since 1970.
    pub date_ms: i64,
    /// Read.
    pub seen: bool,
    /// Marked for attention.
    pub flagged: bool,
    /// Answered.
    pub answered: bool,
    /// Has attachments.
    pub attachments: bool,
    /// How it was protected.
    pub protection: Protection,
}

/// How a message was protected between its writer and this account.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Protection {
    /// Whether it was encrypted.
    pub encryption: Encryption,
    /// Whether it was signed, and what the signature is worth.
    pub signature: Signature,
}

/// Whether a message was encrypted by its sender.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Encryption {
    /// It came in the clear.
    #[default]
    None,
    /// It came encrypted and was decrypted here.
    Decrypted,
    /// It is encrypted and does not open here.
    Unopened,
    /// It was taken apart on its way, put together again and opened.
    Repaired,
}

/// What a signature is worth.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Signature {
    /// There is none.
    #[default]
    None,
    /// By the writer's key, as known here.
    Good {
        /// The signer's address, or the fingerprint if there is none.
        signer: String,
    },
    /// Right, but by a key of somebody who is not the writer.
    Foreign {
        /// The signer's address, or the fingerprint if there is none.
        signer: String,
    },
    /// By a key that is not known here.
    UnknownKey {
        /// The key's fingerprint or id.
        key: String,
    },
    /// It does not verify: the message is not what was signed.
    Bad,
}

/// A message, opened.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MessageView {
    /// Its mailbox's id.
    pub mailbox: String,
    /// Its UID.
    pub uid: u32,
    /// The subject.
    pub subject: String,
    /// From, as it is written.
    pub from: String,
    /// To, as it is written.
    pub to: String,
    /// Cc, as it is written.
    pub cc: String,
    /// Where an answer goes.
    pub reply_to: String,
    /// Where an answer to all goes besides.
    pub reply_cc: String,
    /// When it was written or came, milliseconds since 1970.
    pub date_ms: i64,
    /// Read.
    pub seen: bool,
    /// Marked for attention.
    pub flagged: bool,
    /// How it was protected.
    pub protection: Protection,
    /// The text.
    pub body: Body,
    /// The attachments.
    pub attachments: Vec<AttachmentView>,
    /// What is wrong with the message, in words.
    pub defects: Vec<String>,
}

/// What a message says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Body {
    /// Plain text.
    Text(String),
    /// Sanitised HTML with a text beside it to quote.
    Html {
        /// A whole document for a sandboxed frame.
        document: String,
        /// How many remote images, fonts and the like were left out.
        blocked: u32,
        /// The same as text.
        text: String,
    },
}

impl Default for Body {
    fn default() -> Self {
        Self::Text(String::new())
    }
}

impl Body {
    /// The text, to quote it.
    pub fn text(&self) -> &str {
        match self {
            Self::Text(text) | Self::Html { text, .. } => text,
        }
    }
}

/// An attachment in the list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttachmentView {
    /// The file's name.
    pub name: String,
    /// The media type.
    pub media_type: String,
    /// Size in octets.
    pub size: u64,
}

/// A recipient and how mail to them would leave.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recipient {
    /// The address, or what stands in its place.
    pub address: String,
    /// How.
    pub delivery: Delivery,
}

/// How mail to one recipient would leave.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Delivery {
    /// Encrypted to their key.
    Encrypted,
    /// No key is known: readable on its way.
    Clear,
    /// Whether there is a key cannot be found out now.
    Unknown,
    /// This is no address.
    Invalid,
}

/// What the decrypt page shows.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decrypted {
    /// The text, or the sanitised HTML.
    pub body: Body,
    /// The subject, if the message is a mail with one inside.
    pub subject: String,
    /// The attachments' names and sizes.
    pub attachments: Vec<AttachmentView>,
    /// How it was protected.
    pub protection: Protection,
}

//! What the page and the worker say to each other: JSON in `postMessage`.
//!
//! The page asks ([`Ask`]), the worker answers each question once ([`Said::Answer`]) and tells
//! news ([`Said::News`]). Values are made for showing: no keys, no mail HTML that has not been
//! sanitised, protection as typed values whose words the views choose.
//!
//! Invariant: the page's module has no OpenPGP in it, so that it stays small and holds no key.
//!
//! Rejected: structured clone of typed objects; JSON text costs a copy and gains that both sides
//! are tested natively. Large octets do not travel: an attachment becomes a blob URL.

mod join;
mod settings;
mod shown;

use core::fmt;

use serde::{Deserialize, Serialize};

pub use join::{Join, JoinCode, JoinStep, Joined};
pub use settings::{
    AccountView, Change, Changed, DeviceRow, Ended, KeyReason, KeyRow, KeyState, KeyView, KeysView,
    Section, TheirKey,
};
pub use shown::{
    AttachmentView, Body, Decrypted, Delivery, Encryption, MailboxRow, MessageRow, MessageView,
    Protection, Recipient, Signature,
};

/// Most rows of a mailbox that one answer carries.
pub const MAX_ROWS: u32 = 2000;
/// How many rows a mailbox shows at first, and how many more each "older" adds.
pub const PAGE_ROWS: u32 = 100;

/// A question, numbered by the page.
#[derive(Debug, Serialize, Deserialize)]
pub struct Ask {
    /// Comes back in the answer.
    pub id: u32,
    /// What is wanted.
    pub request: Request,
}

/// What the page can ask for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Request {
    /// Unlock without a password, by the secret that this tab was given at log-in.
    Resume {
        /// The tab's secret.
        tab: Secret,
    },
    /// Unlock with the account's password: on this device alone if the account is known here,
    /// else with the provider (OPAQUE, RFC 9807: the password is not sent).
    LogIn {
        /// The account's address.
        address: String,
        /// The account's password.
        password: Secret,
        /// The tab's secret, by which a reload unlocks.
        tab: Secret,
    },
    /// Set a new password by the recovery phrase, and unlock.
    Recover {
        /// The account's address.
        address: String,
        /// The words.
        phrase: Secret,
        /// The new password.
        password: Secret,
        /// The tab's secret, by which a reload unlocks.
        tab: Secret,
    },
    /// Come to an account by another device of it.
    Join(Join),
    /// The account as the provider knows it.
    Account,
    /// What is compared of our keys, and of a correspondent's.
    Keys {
        /// Whose, beside ours.
        with: Option<String>,
    },
    /// Does something with the account.
    Change(Box<Change>),
    /// Lock, and forget the tab's secret; with `forget` also everything kept on this device.
    LogOut {
        /// Whether the device's copy is deleted.
        forget: bool,
    },
    /// All mailboxes.
    Mailboxes,
    /// The newest messages of a mailbox.
    Messages {
        /// The mailbox's id.
        mailbox: String,
        /// How many, at most [`MAX_ROWS`].
        limit: u32,
    },
    /// One message, opened.
    Message(Place),
    /// Puts a mark on a message or takes it off.
    Mark {
        /// Which message.
        place: Place,
        /// Which mark.
        mark: Mark,
        /// Whether it shall be there.
        on: bool,
    },
    /// Moves a message.
    Move {
        /// Which message.
        place: Place,
        /// Where to.
        to: Destination,
    },
    /// How mail to these people would leave.
    Recipients {
        /// The text of To, Cc and Bcc, joined by commas.
        addresses: String,
    },
    /// Sends a message.
    Send(Box<Draft>),
    /// Makes an attachment downloadable.
    Attachment {
        /// Which message.
        place: Place,
        /// Its number in [`MessageView::attachments`].
        index: u32,
    },
    /// Asks the provider for news now.
    Sync,
    /// Opens an OpenPGP message with a pasted key; nothing is sent and nothing is kept.
    Decrypt(Box<Decrypt>),
}

/// A message's place on this device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// The mailbox's id.
    pub mailbox: String,
    /// The message's UID in it.
    pub uid: u32,
}

/// A mark on a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Mark {
    /// Read.
    Seen,
    /// Marked for attention.
    Flagged,
}

/// Where a message can be put by one key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Destination {
    /// The archive.
    Archive,
    /// The trash; from there: away for good.
    Trash,
}

/// Text that is shown to nobody: `Debug` hides it.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Secret(pub String);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

impl Drop for Secret {
    fn drop(&mut self) {
        zeroize::Zeroize::zeroize(&mut self.0);
    }
}

/// A message being written.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Draft {
    /// The text of the To field.
    pub to: String,
    /// The text of the Cc field.
    pub cc: String,
    /// The text of the Bcc field.
    pub bcc: String,
    /// The subject.
    pub subject: String,
    /// The text.
    pub body: String,
    /// The message that this answers.
    pub answers: Option<Place>,
}

/// What the decrypt page needs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decrypt {
    /// An armored message.
    pub message: String,
    /// An armored secret key.
    pub key: Secret,
    /// What unlocks the key; empty if it is not locked.
    pub passphrase: Secret,
    /// An armored certificate of the sender; may be empty.
    pub sender: String,
}

/// What the worker says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Said {
    /// It listens.
    Ready,
    /// The answer to the question of this number.
    Answer {
        /// The number.
        id: u32,
        /// What came of it.
        result: Result<Response, Failure>,
    },
    /// Something happened.
    News(News),
    /// It has stopped and must be started anew; where in the program, never with content.
    Died {
        /// Source file and line.
        at: String,
    },
}

/// What came of a question.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Response {
    /// The account is open.
    Unlocked {
        /// Its address.
        address: String,
    },
    /// This tab has no open account.
    Locked {
        /// The address that this device last knew, to fill in.
        last_address: Option<String>,
    },
    /// An account is on its way from another device.
    Joined(Joined),
    /// All mailboxes.
    Mailboxes(Vec<MailboxRow>),
    /// Messages of a mailbox, newest first.
    Messages {
        /// The mailbox's id.
        mailbox: String,
        /// The rows.
        rows: Vec<MessageRow>,
        /// Whether there are older ones.
        more: bool,
    },
    /// A message, opened.
    Message(Box<MessageView>),
    /// Done.
    Done,
    /// How mail would leave.
    Recipients(Vec<Recipient>),
    /// The message was taken for sending.
    Sent {
        /// It waits in the outbox until the provider can be reached.
        waits: bool,
    },
    /// An attachment at an address of this page.
    Download {
        /// A `blob:` URL.
        url: String,
        /// The file's name.
        name: String,
    },
    /// The account as the provider knows it.
    Account(Box<AccountView>),
    /// What people compare.
    Keys(Box<KeysView>),
    /// What came of a change of the account.
    Changed(Changed),
    /// What the decrypt page shows.
    Decrypted(Box<Decrypted>),
}

/// Why a question has no answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum Failure {
    /// The address and the password do not belong together.
    #[error("The address or the password is wrong.")]
    WrongPassword,
    /// The provider cannot be reached.
    #[error("The provider cannot be reached. Check the network and try again.")]
    Offline,
    /// It is not in this browser, and cannot be fetched now.
    #[error(
        "This is not in this browser yet, and the provider cannot be reached. A letter opens by itself when the connection is back."
    )]
    Away,
    /// The account is locked.
    #[error("This tab is locked. Please log in.")]
    Locked,
    /// It is not there (any more).
    #[error("It is not there any more.")]
    NotFound,
    /// It cannot be done as asked; the text is for the user.
    #[error("{0}")]
    Refused(String),
    /// The worker stopped while it worked on this.
    #[error(
        "Opening this stopped the part of the program that decrypts. It was started again, and this was left out."
    )]
    Crashed,
}

/// What happened without being asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum News {
    /// Where the exchange with the provider stands.
    Sync(SyncState),
    /// Mailboxes or messages have changed.
    Changed,
}

/// The exchange with the provider.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum SyncState {
    /// Not begun.
    #[default]
    Unknown,
    /// Under way; how many messages have been opened and stored so far.
    Working {
        /// Messages so far.
        taken_in: u32,
    },
    /// Up to date.
    Current,
    /// The provider does not answer; what is shown is what is on this device.
    Offline,
    /// The provider answers, but something is wrong; the text is for the user.
    Failed(String),
}

/// Encodes for `postMessage`.
///
/// # Panics
/// Never: these types have string keys and no failing impls.
pub fn encode<T: Serialize>(value: &T) -> String {
    serde_json::to_string(value).expect("these types have string keys and no failing impls")
}

/// Decodes what came by `postMessage`; `None` if it is none of ours.
pub fn decode<T: serde::de::DeserializeOwned>(text: &str) -> Option<T> {
    serde_json::from_str(text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_go_both_ways() {
        let place = Place {
            mailbox: "ab".to_owned(),
            uid: 7,
        };
        let ask = Ask {
            id: 3,
            request: Request::Message(place),
        };
        let back: Ask = decode(&encode(&ask)).unwrap();
        assert_eq!((back.id, back.request), (3, ask.request));
        let said = Said::Answer {
            id: 3,
            result: Err(Failure::WrongPassword),
        };
        assert_eq!(decode::<Said>(&encode(&said)), Some(said));
        assert_eq!(decode::<Said>("{\"Nonsense\":1}"), None);
    }

    #[test]
    fn secrets_are_not_shown() {
        let request = Request::LogIn {
            address: "alice@letterlock.example".to_owned(),
            password: Secret("correct horse".to_owned()),
            tab: Secret("00ff".to_owned()),
        };
        let shown = format!("{request:?}");
        assert!(
            !shown.contains("horse") && !shown.contains("00ff"),
            "{shown}"
        );
    }
}

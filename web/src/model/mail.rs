//! The mail screen's state: mailboxes, the list, the reader, the message being written.

use crate::protocol::{MailboxRow, MessageRow, MessageView, PAGE_ROWS, Place, SyncState};

use super::{Compose, Settings};

/// The mail screen.
#[derive(Debug)]
pub struct Mail {
    /// The account's address.
    pub address: String,
    /// All mailboxes.
    pub mailboxes: Vec<MailboxRow>,
    /// The id of the mailbox that is listed.
    pub mailbox: Option<String>,
    /// Its newest messages, newest first; `None` while they are being fetched.
    pub rows: Option<Vec<MessageRow>>,
    /// Whether there are older ones.
    pub more: bool,
    /// How many rows are asked for.
    pub limit: u32,
    /// The message that is read.
    pub reader: Reader,
    /// The message that is written.
    pub compose: Option<Compose>,
    /// The settings, while they are open.
    pub settings: Option<Settings>,
    /// The exchange with the provider.
    pub sync: SyncState,
    /// Which pane a narrow screen shows.
    pub pane: Pane,
}

/// What the right pane shows.
#[derive(Debug, Default, PartialEq, Eq)]
pub enum Reader {
    /// Nothing.
    #[default]
    Empty,
    /// A message is being opened.
    Opening(u32),
    /// A message.
    Open(Box<MessageView>),
    /// A message that could not be opened, and why.
    Failed(u32, String),
    /// A message that opens when the provider can be reached again, and what is said of it meanwhile.
    Away(u32, String),
}

impl Reader {
    /// The UID of the message in the reader.
    pub fn uid(&self) -> Option<u32> {
        match self {
            Self::Empty => None,
            Self::Opening(uid) | Self::Failed(uid, _) | Self::Away(uid, _) => Some(*uid),
            Self::Open(message) => Some(message.uid),
        }
    }
}

/// What a narrow screen shows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Pane {
    /// The mailboxes.
    Mailboxes,
    /// The list.
    #[default]
    List,
    /// The message.
    Reader,
}

impl Pane {
    /// As the stylesheet names it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Mailboxes => "mailboxes",
            Self::List => "list",
            Self::Reader => "reader",
        }
    }
}

impl Mail {
    /// An open account of which nothing is known yet.
    pub fn new(address: String) -> Self {
        Self {
            address,
            mailboxes: Vec::new(),
            mailbox: None,
            rows: None,
            more: false,
            limit: PAGE_ROWS,
            reader: Reader::Empty,
            compose: None,
            settings: None,
            sync: SyncState::Unknown,
            pane: Pane::List,
        }
    }

    /// The mailbox that is listed.
    pub fn current_mailbox(&self) -> Option<&MailboxRow> {
        let id = self.mailbox.as_ref()?;
        self.mailboxes.iter().find(|mailbox| mailbox.id == *id)
    }

    /// The place of a message of the listed mailbox.
    pub fn place(&self, uid: u32) -> Option<Place> {
        let mailbox = self.mailbox.clone()?;
        Some(Place { mailbox, uid })
    }

    /// The row of a message.
    pub fn row_mut(&mut self, uid: u32) -> Option<&mut MessageRow> {
        self.rows.as_mut()?.iter_mut().find(|row| row.uid == uid)
    }

    /// The UID of the row `step` below the message in the reader (above, if negative); the first
    /// row if the reader is empty.
    pub fn neighbour(&self, step: isize) -> Option<u32> {
        let rows = self.rows.as_ref()?;
        let target = match self.reader.uid() {
            None => 0,
            Some(uid) => rows
                .iter()
                .position(|row| row.uid == uid)?
                .checked_add_signed(step)?,
        };
        rows.get(target).map(|row| row.uid)
    }

    /// Takes a row off the list, in advance of the worker's answer.
    pub fn take_off(&mut self, uid: u32) {
        if let Some(rows) = &mut self.rows {
            rows.retain(|row| row.uid != uid);
        }
    }
}

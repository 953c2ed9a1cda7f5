//! What an import reads from: mailboxes in files, or on an IMAP server.
//!
//! ```text
//! units() -> the mailboxes there are
//! read(unit, start) -> Items over a channel of a few: messages, and what is passed over
//! ```
//!
//! Invariant: a source is read in an order that its positions ascend in, and is never written to.

use std::path::{Path, PathBuf};

use letterlock_core::model::Role;
use tokio::sync::mpsc;

use super::checkpoint::{Kind, Start, Step};
use super::eml;
use super::files::{self, FileEntry};
use super::imap_source::{ImapError, ImapSource};
use super::maildir;
use super::mbox::{Dialect, FoundFlags, LineEnds, MboxReader};
use super::message::{SourceMessage, read_whole_file};
use super::notes::{Note, SkipReason, Skipped};
use super::progress::Done;
use letterlock_core::id::Timestamp;

/// Messages that may wait between reading and storing.
pub const CHANNEL_MESSAGES: usize = 2;
/// The first octets of a file that gzip wrote (RFC 1952 2.3.1): Dovecot compresses so.
const GZIP: &[u8] = &[0x1f, 0x8b];

/// How messages are kept in files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// Many messages in a file for each mailbox.
    Mbox,
    /// A directory for each mailbox, flags in the files' names.
    Maildir,
    /// A directory for each mailbox, a `.eml` file for each message.
    Eml,
}

impl Format {
    /// Its name on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Mbox => "mbox",
            Self::Maildir => "maildir",
            Self::Eml => "eml",
        }
    }
}

/// A mailbox of a source.
#[derive(Debug, Clone)]
pub struct Unit {
    /// Its name for people.
    pub shown: String,
    /// What it is known by from one import to the next.
    pub identity: Vec<u8>,
    /// The levels of its name.
    pub levels: Vec<String>,
    /// Whether it is all there is: a single file.
    pub alone: bool,
    /// What it is for.
    pub role: Option<Role>,
    /// How many octets it has, if that is known beforehand.
    pub octets: Option<u64>,
    /// How many messages it has, if that is known beforehand.
    pub messages: Option<u64>,
    /// Where it is.
    pub place: UnitPlace,
}

impl Unit {
    /// What of it is done before it begins, as far as it can be told.
    pub fn passed(&self, start: &Start, messages: u64) -> Done {
        let octets = match (start, self.octets, self.messages) {
            (Start::Offset(offset), ..) => *offset,
            (_, Some(octets), Some(all)) if all > 0 => {
                let share = u128::from(octets).saturating_mul(u128::from(messages.min(all)));
                let share = share.checked_div(u128::from(all)).unwrap_or(0);
                u64::try_from(share).unwrap_or(0)
            }
            _ => 0,
        };
        Done { messages, octets }
    }
}

/// Where a mailbox is.
#[derive(Debug, Clone)]
pub enum UnitPlace {
    /// In this file.
    Mbox(PathBuf, Dialect),
    /// In this Maildir folder.
    Maildir(PathBuf),
    /// In this directory.
    Eml(PathBuf),
    /// On the server, under this name.
    Imap(String),
}

/// What is read, one after the other.
#[derive(Debug)]
pub struct Item {
    /// How far the source has been read with it; `None` leaves it to be tried again.
    pub step: Option<Step>,
    /// Octets of the source that it took.
    pub read: u64,
    /// The message.
    pub content: Result<SourceMessage, Skipped>,
    /// What was noticed.
    pub notes: Vec<Note>,
}

/// Gives items on; says when nobody takes them any more.
pub type Sender = mpsc::Sender<Item>;

/// Why a source cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// The system failed.
    #[error("{path}: {cause}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system says.
        cause: std::io::Error,
    },
    /// It is nothing that can be imported.
    #[error("{path} is {what}")]
    Unknown {
        /// The file.
        path: PathBuf,
        /// Why.
        what: &'static str,
    },
    /// See there.
    #[error(transparent)]
    Imap(#[from] ImapError),
    /// The reading task ended early.
    #[error("reading was interrupted")]
    Interrupted,
}

/// Gives an I/O error its path.
pub fn at(path: &Path) -> impl FnOnce(std::io::Error) -> SourceError {
    move |cause| SourceError::Io {
        path: path.to_owned(),
        cause,
    }
}

/// What is read from.
#[derive(Debug)]
pub enum Source {
    /// Files.
    Local(Vec<Unit>),
    /// An IMAP server.
    Imap(Box<ImapSource>),
}

impl Source {
    /// The mailboxes there are.
    pub async fn units(&mut self) -> Result<Vec<Unit>, SourceError> {
        match self {
            Self::Local(units) => Ok(units.clone()),
            Self::Imap(imap) => Ok(imap.units().await?),
        }
    }

    /// What sort of positions a mailbox has; selects it on a server.
    pub async fn kind<'a>(&mut self, unit: &'a Unit) -> Result<Kind<'a>, SourceError> {
        match (self, &unit.place) {
            (_, UnitPlace::Mbox(path, _)) => Ok(Kind::Mbox(path)),
            (Self::Imap(imap), UnitPlace::Imap(name)) => {
                let uid_validity = imap.examine(name).await?;
                Ok(Kind::Imap { uid_validity })
            }
            _ => Ok(Kind::Files),
        }
    }

    /// Reads a mailbox from `start` and gives what it finds to `sender`; ends early when nobody
    /// takes it.
    pub async fn read(
        &mut self,
        unit: &Unit,
        start: Start,
        line_ends: LineEnds,
        sender: Sender,
    ) -> Result<(), SourceError> {
        let place = unit.place.clone();
        if let (Self::Imap(imap), UnitPlace::Imap(_)) = (self, &place) {
            let Start::AfterUid(last) = start else {
                return Ok(());
            };
            return Ok(imap.read(last, &sender).await?);
        }
        let task = move || read_local(&place, start, line_ends, &sender);
        tokio::task::spawn_blocking(task)
            .await
            .map_err(|_| SourceError::Interrupted)?
    }
}

fn read_local(
    place: &UnitPlace,
    start: Start,
    line_ends: LineEnds,
    sender: &Sender,
) -> Result<(), SourceError> {
    match (place, start) {
        (UnitPlace::Mbox(path, dialect), Start::Offset(offset)) => {
            let reader = MboxReader::open(path, *dialect, line_ends, offset).map_err(at(path))?;
            read_mbox(path, reader, offset, sender)
        }
        (UnitPlace::Maildir(path), Start::Without(known)) => {
            let mut entries = maildir::messages(path).map_err(at(path))?;
            entries.retain(|entry| !known.contains(&entry.key));
            read_files(entries, line_ends, false, sender);
            Ok(())
        }
        (UnitPlace::Eml(path), Start::Without(known)) => {
            let mut entries = eml::messages(path).map_err(at(path))?;
            entries.retain(|entry| !known.contains(&entry.key));
            read_files(entries, line_ends, true, sender);
            Ok(())
        }
        // A position of one kind is never given to a source of another.
        _ => Err(SourceError::Interrupted),
    }
}

fn read_mbox(
    path: &Path,
    mut reader: MboxReader,
    offset: u64,
    sender: &Sender,
) -> Result<(), SourceError> {
    let fallback = std::fs::metadata(path)
        .ok()
        .and_then(|metadata| files::modified(&metadata));
    let mut before = offset;
    let mut stray = 0;
    while let Some(message) = reader.next_message().map_err(at(path))? {
        let mut notes = Vec::new();
        if message.wrong_length {
            notes.push(Note::WrongLength);
        }
        if reader.stray() > stray {
            stray = reader.stray();
            notes.push(Note::StrayText);
        }
        let date = message
            .date
            .or_else(|| eml::header_date(message.octets.head()));
        let content = SourceMessage {
            flags: kept_flags(message.flags, &mut notes),
            internal_date: known_date(date, fallback, &mut notes),
            octets: message.octets,
        };
        let item = Item {
            step: Some(Step::Offset(message.end)),
            read: message.end.saturating_sub(before),
            content: Ok(content),
            notes,
        };
        before = message.end;
        if sender.blocking_send(item).is_err() {
            break;
        }
    }
    Ok(())
}

/// `dated_by_header`: the header's date comes before the file's.
fn read_files(
    entries: Vec<FileEntry>,
    line_ends: LineEnds,
    dated_by_header: bool,
    sender: &Sender,
) {
    for entry in entries {
        let read = entry.size;
        let key = entry.key;
        let place = entry.path.display().to_string();
        let mut notes = Vec::new();
        let content = read_file(entry, line_ends, dated_by_header, &mut notes);
        let content = content.map_err(|reason| Skipped { place, reason });
        let again = matches!(&content, Err(skipped) if skipped.reason.may_pass());
        let item = Item {
            step: (!again).then_some(Step::Key(key)),
            read,
            content,
            notes,
        };
        if sender.blocking_send(item).is_err() {
            break;
        }
    }
}

fn read_file(
    entry: FileEntry,
    line_ends: LineEnds,
    dated_by_header: bool,
    notes: &mut Vec<Note>,
) -> Result<SourceMessage, SkipReason> {
    let unreadable = |error: std::io::Error| SkipReason::Unreadable(error.kind());
    let metadata = std::fs::metadata(&entry.path).map_err(unreadable)?;
    let octets = read_whole_file(entry.path, line_ends).map_err(unreadable)?;
    if octets.head().starts_with(GZIP) {
        return Err(SkipReason::Compressed);
    }
    let modified = files::modified(&metadata);
    let header = || eml::header_date(octets.head());
    let date = if dated_by_header {
        entry.date.or_else(header)
    } else {
        entry.date.or(modified)
    };
    Ok(SourceMessage {
        flags: kept_flags(entry.flags, notes),
        internal_date: known_date(date, modified, notes),
        octets,
    })
}

fn kept_flags(found: FoundFlags, notes: &mut Vec<Note>) -> letterlock_core::model::FlagSet {
    if found.refused > 0 {
        notes.push(Note::RefusedKeywords);
    }
    found.flags
}

fn known_date(
    date: Option<Timestamp>,
    fallback: Option<Timestamp>,
    notes: &mut Vec<Note>,
) -> Timestamp {
    date.unwrap_or_else(|| {
        notes.push(Note::NoDate);
        fallback.unwrap_or(Timestamp::from_millis(0))
    })
}

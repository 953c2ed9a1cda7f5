//! Where the messages of one mailbox are written: an mbox, a Maildir++ folder, or a directory of
//! `.eml` files.
//!
//! Invariant: of a message no more than `MAX_AT_ONCE_OCTETS` or one content is in memory. What
//! stands before a message in an mbox follows from all of it, so a long one is read twice for
//! that format. Rejected: a temporary file; it would be mail in the clear in a place that nobody
//! asked for.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write as _};
use std::path::{Path, PathBuf};

use letterlock_core::account::{
    MailboxStatus, MessageDocument as Message, Placement, Replica, ReplicaError,
};
use letterlock_core::id::{MailboxName, Uid};
use letterlock_core::mime::{EnvelopeData, Span};
use letterlock_core::store::Store;

use super::eml::EmlWriter;
use super::export_state::MailboxState;
use super::files::append_private;
use super::maildir::MaildirWriter;
use super::mbox::{Dialect, Measure, Written};
use super::names::{MAX_FILE_NAME_OCTETS, file_level};
use super::source::Format;
use crate::bridge::lock::create_private_dir;

/// Longest message that is read at once, in octets.
const MAX_AT_ONCE_OCTETS: u64 = 1024 * 1024;
/// Endings of files and directories that import takes for something else than a mailbox's name.
const MBOX_ENDINGS: [&str; 2] = [".mbox", ".sbd"];

/// Where messages of one mailbox are written.
#[derive(Debug)]
pub enum Writer {
    /// In this file, in this dialect.
    Mbox(BufWriter<File>, Dialect),
    /// In this folder.
    Maildir(MaildirWriter),
    /// In this directory.
    Eml(EmlWriter),
}

/// Why a message was not written.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// The replica failed.
    #[error(transparent)]
    Replica(#[from] ReplicaError),
    /// The system failed.
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl WriteError {
    /// A part that was there when the message was measured is not there any more: what is written
    /// cannot be passed over like a message of which nothing is.
    fn halfway(self) -> Self {
        match self {
            Self::Replica(ReplicaError::NotHere(_)) => {
                Self::Io(io::ErrorKind::UnexpectedEof.into())
            }
            other => other,
        }
    }
}

/// A message and how its octets are come by.
struct Text<'a, S> {
    replica: &'a Replica<S>,
    message: &'a Message,
    /// All of it, if it is short.
    whole: Option<Vec<u8>>,
}

impl<'a, S: Store> Text<'a, S> {
    async fn new(replica: &'a Replica<S>, message: &'a Message) -> Result<Self, ReplicaError> {
        let whole = if message.structure.size <= MAX_AT_ONCE_OCTETS {
            Some(replica.raw(message).await?)
        } else {
            None
        };
        Ok(Self {
            replica,
            message,
            whole,
        })
    }

    /// Gives all octets, in order.
    async fn pour(&self, mut to: impl FnMut(&[u8]) -> io::Result<()>) -> Result<(), WriteError> {
        if let Some(whole) = &self.whole {
            return Ok(to(whole)?);
        }
        let end = self.message.structure.size;
        let mut pieces = self.replica.pieces(self.message, Span { start: 0, end });
        while let Some(piece) = pieces.next().await? {
            to(&piece)?;
        }
        Ok(())
    }
}

impl Writer {
    /// Opens what `reached` says, or makes it; `None` if no file can have the mailbox's name.
    pub fn open(
        target: &Path,
        mailbox: &MailboxStatus,
        (format, dialect): (Format, Dialect),
        reached: MailboxState,
    ) -> io::Result<Option<Self>> {
        let name = &mailbox.name;
        match format {
            Format::Mbox => {
                let Some(path) = mbox_path(target, name.as_str()) else {
                    return Ok(None);
                };
                if let Some(folder) = path.parent() {
                    create_private_dir(folder)?;
                }
                let file = append_private(&path, reached.octets)?;
                Ok(Some(Self::Mbox(BufWriter::new(file), dialect)))
            }
            Format::Maildir => {
                let folder = MaildirWriter::folder(target, name);
                let long = |name: &std::ffi::OsStr| name.len() > MAX_FILE_NAME_OCTETS;
                if folder.file_name().is_some_and(long) {
                    return Ok(None);
                }
                let writer = MaildirWriter::open(target, name, mailbox.uid_validity)?;
                writer.discard_after(Uid::new(reached.last_uid))?;
                Ok(Some(Self::Maildir(writer)))
            }
            Format::Eml => {
                let Some(folder) = EmlWriter::folder(target, name) else {
                    return Ok(None);
                };
                if reached.last_uid == 0 {
                    EmlWriter::clear(&folder)?;
                }
                Ok(Some(Self::Eml(EmlWriter::open(folder, reached.octets)?)))
            }
        }
    }

    /// Writes a message; whether it will come back octet for octet. After
    /// [`ReplicaError::NotHere`] nothing of it is there.
    pub async fn write<S: Store>(
        &mut self,
        replica: &Replica<S>,
        placement: &Placement,
        message: &Message,
    ) -> Result<bool, WriteError> {
        let text = Text::new(replica, message).await?;
        let (uid, flags, date) = (placement.uid, &placement.flags, placement.internal_date);
        match self {
            Self::Mbox(file, dialect) => {
                let mut measure = Measure::new(*dialect);
                text.pour(|octets| {
                    measure.feed(octets);
                    Ok(())
                })
                .await?;
                let measured = measure.finish();
                let sender = sender(&message.structure.envelope);
                let sender = sender.as_deref();
                let written = Written {
                    flags,
                    date,
                    sender,
                };
                let mut begun = measured.begin(&written, file)?;
                let poured = text.pour(|octets| begun.feed(octets, file)).await;
                poured.map_err(WriteError::halfway)?;
                begun.finish(file)?;
                Ok(measured.is_reversible())
            }
            Self::Maildir(maildir) => {
                let mut new = maildir.begin(uid, message.structure.size, date)?;
                text.pour(|octets| new.file.write(octets)).await?;
                maildir.finish(new, flags)?;
                Ok(true)
            }
            Self::Eml(eml) => {
                let mut new = eml.begin(uid)?;
                text.pour(|octets| new.file.write(octets)).await?;
                eml.finish(new, flags, date)?;
                Ok(true)
            }
        }
    }

    /// Makes all that was written durable; the length of the file that grows.
    pub fn sync(&mut self) -> io::Result<u64> {
        match self {
            Self::Mbox(file, _) => {
                file.flush()?;
                file.get_ref().sync_all()?;
                Ok(file.get_ref().metadata()?.len())
            }
            Self::Maildir(maildir) => maildir.sync().map(|()| 0),
            Self::Eml(eml) => eml.sync(),
        }
    }
}

/// The mbox of a mailbox; `None` if no file can have its name.
fn mbox_path(target: &Path, name: &str) -> Option<PathBuf> {
    let mut path = target.to_owned();
    let mut levels = name.split('/').peekable();
    while let Some(level) = levels.next() {
        let mut level = file_level(level, &MBOX_ENDINGS)?;
        if levels.peek().is_none() {
            level.push_str(".mbox");
        }
        path.push(level);
    }
    Some(path)
}

/// Removes what an earlier export wrote of a mailbox.
pub fn clear(target: &Path, format: &str, name: &str) -> io::Result<()> {
    let Ok(name) = MailboxName::new(name) else {
        return Ok(());
    };
    if format == Format::Mbox.name() {
        return match mbox_path(target, name.as_str()).map(fs::remove_file) {
            Some(Err(error)) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        };
    }
    if format == Format::Maildir.name() {
        return MaildirWriter::discard_all(&MaildirWriter::folder(target, &name));
    }
    match EmlWriter::folder(target, &name) {
        Some(folder) => EmlWriter::clear(&folder),
        None => Ok(()),
    }
}

/// Who sent a message, for the separator of an mbox.
fn sender(envelope: &EnvelopeData) -> Option<String> {
    let address = envelope.sender.first().or_else(|| envelope.from.first())?;
    let text = |part: &Option<Vec<u8>>| String::from_utf8(part.clone()?).ok();
    Some(format!(
        "{}@{}",
        text(&address.mailbox)?,
        text(&address.host)?
    ))
}

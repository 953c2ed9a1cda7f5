//! How far an import has come, kept with the messages it brought.
//!
//! A position is written in the same atomic step as the messages before it
//! ([`letterlock_core::account::Checkpoint`]), so a process that is killed leaves neither a
//! message without a position nor the reverse. What a position is depends on the source: an mbox
//! has an offset, an IMAP mailbox a UID; files of a folder may come and go in any order, so the
//! keys of those that were brought are kept, each batch's in a row of its own. Rejected: asking
//! the mailbox whether it has the message; a person may have deleted or changed it since.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::path::Path;

use letterlock_core::account::{Checkpoint, Replica, ReplicaError};
use letterlock_core::id::MailboxId;
use letterlock_core::store::Store;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::files::FileKey;

/// The form of the rows.
const VERSION: u32 = 1;
/// Octets of an mbox, at its beginning and before the position, that must not change.
const SAMPLE_OCTETS: u64 = 4096;

/// A digest of some octets of a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Sample {
    start: u64,
    length: u64,
    digest: [u8; 32],
}

/// What is kept of a source's mailbox.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Row {
    version: u32,
    /// Which import of this mailbox it is: the first, or one that was asked for again.
    run: u32,
    finished: bool,
    /// Messages up to here.
    messages: u64,
    position: Position,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
enum Position {
    Offset { offset: u64, samples: Vec<Sample> },
    Uid { uid_validity: u32, last: u32 },
    Keys(Vec<FileKey>),
}

/// What a source's mailbox is known by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UnitKey([u8; 32]);

impl UnitKey {
    /// The mailbox of this kind and name, brought into that mailbox of ours.
    pub fn new(kind: &str, name: &[u8], into: MailboxId) -> Self {
        let mut hash = Sha256::new();
        for part in [kind.as_bytes(), name, into.as_bytes()] {
            let length = u64::try_from(part.len()).unwrap_or(u64::MAX);
            hash.update(length.to_be_bytes());
            hash.update(part);
        }
        Self(hash.finalize().into())
    }

    fn name(self, number: u32) -> Vec<u8> {
        [b"import/", &self.0[..], &number.to_be_bytes()].concat()
    }
}

/// What a source can say of how far a message is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// The file goes on here.
    Offset(u64),
    /// Its UID.
    Uid(u32),
    /// Its key.
    Key(FileKey),
}

/// Where an import begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Start {
    /// At this offset of an mbox.
    Offset(u64),
    /// After this UID.
    AfterUid(u32),
    /// With the files that are not among these.
    Without(BTreeSet<FileKey>),
}

/// What sort of positions a source has.
#[derive(Debug, Clone, Copy)]
pub enum Kind<'a> {
    /// Offsets in this file.
    Mbox(&'a Path),
    /// Files.
    Files,
    /// UIDs under this UIDVALIDITY.
    Imap {
        /// See RFC 3501 2.3.1.1.
        uid_validity: u32,
    },
}

impl Kind<'_> {
    /// Its name in keys.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Mbox(_) => "mbox",
            Self::Files => "files",
            Self::Imap { .. } => "imap",
        }
    }
}

/// What is known of a source's mailbox.
#[derive(Debug)]
pub struct Known {
    /// Where to begin.
    pub start: Start,
    /// Messages brought before.
    pub messages: u64,
    /// Whether all of it was brought, as far as it then went.
    pub finished: bool,
    /// Writes positions from here on.
    pub tracker: Tracker,
}

/// Why an import cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum ResumeError {
    /// The replica failed.
    #[error(transparent)]
    Replica(#[from] ReplicaError),
    /// The source cannot be read.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The mbox is shorter than it was.
    #[error("it is shorter than when it was last imported")]
    Shorter,
    /// The mbox has other octets than it had.
    #[error("it has changed where it was already imported")]
    Changed,
    /// UIDs stand for other messages (RFC 3501 2.3.1.1).
    #[error("the server says that its UIDs are new ones: UIDVALIDITY changed")]
    OtherUids,
    /// What is kept was written by a newer version.
    #[error("what is kept of an earlier import is of a form that this version does not know")]
    Form,
}

/// A tracker's state.
#[derive(Debug, Clone)]
pub struct Snapshot {
    number: u32,
    messages: u64,
    position: Position,
}

/// Writes positions.
#[derive(Debug)]
pub struct Tracker {
    key: UnitKey,
    run: u32,
    /// Of the next row, where each batch has its own.
    number: u32,
    messages: u64,
    position: Position,
    file: Option<File>,
}

impl Tracker {
    /// Reads what is known of a source's mailbox. With `again`, one that was finished, or that
    /// cannot be gone on with, begins anew.
    pub async fn load<S: Store>(
        replica: &Replica<S>,
        key: UnitKey,
        kind: Kind<'_>,
        again: bool,
    ) -> Result<Known, ResumeError> {
        let file = match kind {
            Kind::Mbox(path) => Some(File::open(path)?),
            Kind::Files | Kind::Imap { .. } => None,
        };
        let first = read_row(replica, key, 0).await?;
        let run = first.as_ref().map_or(1, |row| row.run);
        let mut tracker = Self {
            key,
            run,
            number: 0,
            messages: 0,
            position: Position::empty(kind),
            file,
        };
        let Some(row) = first else {
            return Ok(tracker.fresh(kind));
        };
        match tracker.go_on(replica, kind, row).await {
            Ok(known) if !(again && known.finished) => Ok(known.with(tracker)),
            Ok(_) => Ok(tracker.next_run(kind)),
            Err(ResumeError::Replica(error)) => Err(error.into()),
            Err(ResumeError::Io(error)) => Err(error.into()),
            Err(_) if again => Ok(tracker.next_run(kind)),
            Err(error) => Err(error),
        }
    }

    /// Takes note of a message that is about to be stored.
    pub fn note(&mut self, step: &Step) {
        self.messages = self.messages.saturating_add(1);
        self.pass(step);
    }

    /// Takes note of a message that is passed over.
    pub fn pass(&mut self, step: &Step) {
        match (&mut self.position, step) {
            (Position::Offset { offset, .. }, Step::Offset(to)) => *offset = *to,
            (Position::Uid { last, .. }, Step::Uid(uid)) => *last = *uid,
            (Position::Keys(keys), Step::Key(key)) => keys.push(*key),
            _ => {}
        }
    }

    /// What [`Tracker::restore`] brings back.
    pub fn snapshot(&self) -> Snapshot {
        Snapshot {
            number: self.number,
            messages: self.messages,
            position: self.position.clone(),
        }
    }

    /// Goes back to how it was: what was noted since was not stored.
    pub fn restore(&mut self, snapshot: Snapshot) {
        self.number = snapshot.number;
        self.messages = snapshot.messages;
        self.position = snapshot.position;
    }

    /// Messages brought, from the first of this import on.
    pub const fn messages(&self) -> u64 {
        self.messages
    }

    /// The row to write with the messages noted.
    pub fn checkpoint(&mut self, finished: bool) -> Result<Checkpoint, ResumeError> {
        if let (Position::Offset { offset, samples }, Some(file)) =
            (&mut self.position, &mut self.file)
        {
            *samples = vec![
                Sample::take(file, 0, SAMPLE_OCTETS.min(*offset))?,
                Sample::take(
                    file,
                    offset.saturating_sub(SAMPLE_OCTETS),
                    SAMPLE_OCTETS.min(*offset),
                )?,
            ];
        }
        let row = Row {
            version: VERSION,
            run: self.run,
            finished,
            messages: self.messages,
            position: self.position.clone(),
        };
        let position = postcard::to_stdvec(&row).map_err(|_| ResumeError::Form)?;
        let name = self.key.name(self.number);
        if let Position::Keys(keys) = &mut self.position {
            keys.clear();
            self.number = self.number.saturating_add(1);
        }
        Ok(Checkpoint { name, position })
    }

    fn fresh(self, kind: Kind<'_>) -> Known {
        let start = match kind {
            Kind::Mbox(_) => Start::Offset(0),
            Kind::Imap { .. } => Start::AfterUid(0),
            Kind::Files => Start::Without(BTreeSet::new()),
        };
        Known {
            start,
            messages: 0,
            finished: false,
            tracker: self,
        }
    }

    fn next_run(mut self, kind: Kind<'_>) -> Known {
        self.run = self.run.saturating_add(1);
        self.number = 0;
        self.messages = 0;
        self.position = Position::empty(kind);
        self.fresh(kind)
    }

    /// Where the import that left `row` goes on.
    async fn go_on<S: Store>(
        &mut self,
        replica: &Replica<S>,
        kind: Kind<'_>,
        row: Row,
    ) -> Result<GoOn, ResumeError> {
        self.messages = row.messages;
        let mut finished = row.finished;
        let start = match (row.position, kind) {
            (Position::Offset { offset, samples }, Kind::Mbox(_)) => {
                let file = self.file.as_mut().ok_or(ResumeError::Form)?;
                if file.metadata()?.len() < offset {
                    return Err(ResumeError::Shorter);
                }
                for sample in &samples {
                    if Sample::take(file, sample.start, sample.length)? != *sample {
                        return Err(ResumeError::Changed);
                    }
                }
                self.position = Position::Offset { offset, samples };
                Start::Offset(offset)
            }
            (
                Position::Uid {
                    uid_validity: old,
                    last,
                },
                Kind::Imap { uid_validity },
            ) => {
                if old != uid_validity {
                    return Err(ResumeError::OtherUids);
                }
                self.position = Position::Uid { uid_validity, last };
                Start::AfterUid(last)
            }
            (Position::Keys(keys), Kind::Files) => {
                let mut all: BTreeSet<FileKey> = keys.into_iter().collect();
                self.number = 1;
                while let Some(row) = read_row(replica, self.key, self.number).await? {
                    let Position::Keys(keys) = row.position else {
                        return Err(ResumeError::Form);
                    };
                    // A row of an earlier run, which was longer.
                    if row.run != self.run {
                        break;
                    }
                    all.extend(keys);
                    finished = row.finished;
                    self.messages = row.messages;
                    self.number = self.number.saturating_add(1);
                }
                Start::Without(all)
            }
            _ => return Err(ResumeError::Form),
        };
        Ok(GoOn { start, finished })
    }
}

struct GoOn {
    start: Start,
    finished: bool,
}

impl GoOn {
    fn with(self, tracker: Tracker) -> Known {
        Known {
            start: self.start,
            messages: tracker.messages,
            finished: self.finished,
            tracker,
        }
    }
}

impl Position {
    const fn empty(kind: Kind<'_>) -> Self {
        match kind {
            Kind::Mbox(_) => Self::Offset {
                offset: 0,
                samples: Vec::new(),
            },
            Kind::Imap { uid_validity } => Self::Uid {
                uid_validity,
                last: 0,
            },
            Kind::Files => Self::Keys(Vec::new()),
        }
    }
}

impl Sample {
    fn take(file: &mut File, start: u64, length: u64) -> io::Result<Self> {
        file.seek(SeekFrom::Start(start))?;
        let mut octets = Vec::new();
        file.take(length).read_to_end(&mut octets)?;
        Ok(Self {
            start,
            length,
            digest: Sha256::digest(&octets).into(),
        })
    }
}

async fn read_row<S: Store>(
    replica: &Replica<S>,
    key: UnitKey,
    number: u32,
) -> Result<Option<Row>, ResumeError> {
    let Some(octets) = replica.checkpoint(&key.name(number)).await? else {
        return Ok(None);
    };
    let row = postcard::from_bytes::<Row>(&octets).ok();
    let known = row.filter(|row| row.version == VERSION);
    known.map(Some).ok_or(ResumeError::Form)
}

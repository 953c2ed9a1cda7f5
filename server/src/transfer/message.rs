//! A message on its way: its octets in memory if they are few, else where they stand.
//!
//! Invariant: no more than [`MAX_IN_MEMORY_OCTETS`] of one message are in memory while it is
//! read; a longer one stays a range of its file until it is stored. Rejected: mapping files into
//! memory; a source that shrinks meanwhile would end the process.

use std::fs::File;
use std::io::{self, Read, Seek as _, SeekFrom};
use std::path::PathBuf;

use letterlock_core::id::Timestamp;
use letterlock_core::model::FlagSet;

use super::mbox::{LineEnds, Quotes, Restore};

/// Longest message that is read into memory before it is stored, in octets.
pub const MAX_IN_MEMORY_OCTETS: usize = 8 * 1024 * 1024;
/// Octets of a long message that are kept for looking at its header.
pub const MAX_HEAD_OCTETS: usize = 64 * 1024;
/// Octets read from a file in one step.
const READ_OCTETS: usize = 64 * 1024;

/// A message as a source has it.
#[derive(Debug)]
pub struct SourceMessage {
    /// Its octets.
    pub octets: Octets,
    /// Its flags and keywords.
    pub flags: FlagSet,
    /// Its INTERNALDATE.
    pub internal_date: Timestamp,
}

/// The octets of a message.
#[derive(Debug)]
pub enum Octets {
    /// These.
    Memory(Vec<u8>),
    /// Those of a part of a file.
    Large(Large),
}

impl Octets {
    /// How many there are.
    pub fn len(&self) -> u64 {
        match self {
            Self::Memory(octets) => u64::try_from(octets.len()).unwrap_or(u64::MAX),
            Self::Large(large) => large.length,
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The first octets, as far as they are in memory.
    pub fn head(&self) -> &[u8] {
        match self {
            Self::Memory(octets) => octets,
            Self::Large(large) => &large.head,
        }
    }
}

/// A long message in a file.
#[derive(Debug)]
pub struct Large {
    /// The file.
    pub place: Place,
    /// Where the message begins in it.
    pub start: u64,
    /// Where it ends in it.
    pub end: u64,
    /// What makes the message of the octets that stand there.
    pub restore: Restore,
    /// Octets of the message itself; without the CRs that are yet to be put in.
    pub length: u64,
    /// Its first octets.
    pub head: Vec<u8>,
}

/// A file that a long message is read from.
#[derive(Debug)]
pub enum Place {
    /// A file of the source.
    Path(PathBuf),
    /// A file of ours, without a name.
    Temporary(File),
}

impl Large {
    /// Reads the message from its beginning.
    pub fn reader(&self) -> io::Result<LargeReader> {
        let mut file = match &self.place {
            Place::Path(path) => File::open(path)?,
            Place::Temporary(file) => file.try_clone()?,
        };
        file.seek(SeekFrom::Start(self.start))?;
        Ok(LargeReader {
            stored: file.take(self.end.saturating_sub(self.start)),
            restore: self.restore.clone(),
            ready: Vec::new(),
            given: 0,
            ended: false,
        })
    }
}

/// The octets of a long message, in order.
#[derive(Debug)]
pub struct LargeReader {
    stored: io::Take<File>,
    restore: Restore,
    ready: Vec<u8>,
    given: usize,
    ended: bool,
}

impl LargeReader {
    fn refill(&mut self) -> io::Result<()> {
        self.ready.clear();
        self.given = 0;
        let mut chunk = vec![0; READ_OCTETS];
        while self.ready.is_empty() && !self.ended {
            let read = self.stored.read(&mut chunk)?;
            if read == 0 {
                self.restore.finish(&mut self.ready);
                self.ended = true;
                // A source that was cut meanwhile gives less than it had: that is no message.
                if self.stored.limit() > 0 {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
            } else {
                let octets = chunk.get(..read).unwrap_or_default();
                self.restore.feed(octets, &mut self.ready);
            }
        }
        Ok(())
    }
}

impl Read for LargeReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.given >= self.ready.len() {
            self.refill()?;
        }
        let mut rest = self.ready.get(self.given..).unwrap_or_default();
        let read = rest.read(buffer)?;
        self.given = self.given.saturating_add(read);
        Ok(read)
    }
}

/// Reads a file that is one message.
pub fn read_whole_file(path: PathBuf, line_ends: LineEnds) -> io::Result<Octets> {
    let mut restore = Restore::new(Quotes::None, line_ends);
    let mut file = File::open(&path)?;
    let size = file.metadata()?.len();
    let limit = u64::try_from(MAX_IN_MEMORY_OCTETS).unwrap_or(u64::MAX);
    let mut octets = Vec::new();
    if size <= limit {
        // One more, to notice a file that grew since it was looked at.
        file.take(limit.saturating_add(1))
            .read_to_end(&mut octets)?;
        if line_ends == LineEnds::Kept {
            return Ok(Octets::Memory(octets));
        }
        let mut restored = Vec::with_capacity(octets.len());
        restore.feed(&octets, &mut restored);
        restore.finish(&mut restored);
        return Ok(Octets::Memory(restored));
    }
    let most = u64::try_from(MAX_HEAD_OCTETS).unwrap_or(u64::MAX);
    file.by_ref().take(most).read_to_end(&mut octets)?;
    Ok(Octets::Large(Large {
        place: Place::Path(path),
        start: 0,
        end: size,
        restore,
        length: size,
        head: octets,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;

    #[test]
    fn a_long_file_is_read_piece_by_piece_and_whole() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("long");
        let mut octets: Vec<u8> = b"Subject: long\n\n".to_vec();
        octets.extend((0..MAX_IN_MEMORY_OCTETS).map(|n| u8::try_from(n % 251).unwrap()));
        File::create(&path).unwrap().write_all(&octets).unwrap();
        let Octets::Large(large) = read_whole_file(path, LineEnds::Kept).unwrap() else {
            panic!("in memory")
        };
        assert_eq!(large.length, octets.len() as u64);
        assert_eq!(large.head, octets[..MAX_HEAD_OCTETS]);
        let mut back = Vec::new();
        large.reader().unwrap().read_to_end(&mut back).unwrap();
        assert!(back == octets);
    }

    #[test]
    fn a_file_that_was_cut_is_an_error() {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(b"short").unwrap();
        let large = Large {
            place: Place::Temporary(file),
            start: 0,
            end: 10,
            restore: Restore::default(),
            length: 10,
            head: Vec::new(),
        };
        let mut back = Vec::new();
        assert!(large.reader().unwrap().read_to_end(&mut back).is_err());
    }
}

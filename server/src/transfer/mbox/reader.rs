//! Messages of an mbox, one after the other.
//!
//! A message ends before a separator, or where its length says, if that leads to a separator or
//! to the end: a length that is wrong, or was set by a sender, is not believed. Of the empty
//! lines before a separator one belongs to it. Invariant: every octet of the file belongs to a
//! message, a separator, or what stands before the first separator.

use std::fs::File;
use std::io::{self, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};

use letterlock_core::id::Timestamp;

use super::added::Added;
use super::dialect::{
    Dialect, MAX_HEADER_OCTETS, Probe, SEPARATOR_LOOK_OCTETS, content_length_end, is_blank,
};
use super::from_line::{FromLine, separator};
use super::lines::Lines;
use super::restore::{LineEnds, Restore};
use super::status::{FoundFlags, flags_of};
use crate::transfer::message::{Large, MAX_HEAD_OCTETS, MAX_IN_MEMORY_OCTETS, Octets, Place};

/// A message of an mbox.
#[derive(Debug)]
pub struct MboxMessage {
    /// Its octets.
    pub octets: Octets,
    /// Its flags.
    pub flags: FoundFlags,
    /// When it was delivered, as far as the mbox says.
    pub date: Option<Timestamp>,
    /// Where the file goes on after it.
    pub end: u64,
    /// Whether its length was said, and wrong.
    pub wrong_length: bool,
    /// Whether it carries what an export of ours added.
    pub exported: bool,
}

/// Reads an mbox.
#[derive(Debug)]
pub struct MboxReader {
    path: PathBuf,
    lines: Lines<File>,
    probe: Probe,
    dialect: Dialect,
    /// Of messages that no export of ours wrote.
    line_ends: LineEnds,
    after_blank: bool,
    stray: u64,
}

impl MboxReader {
    /// Reads from `offset`, where a separator is expected.
    pub fn open(
        path: &Path,
        dialect: Dialect,
        line_ends: LineEnds,
        offset: u64,
    ) -> io::Result<Self> {
        let mut file = File::open(path)?;
        file.seek(SeekFrom::Start(offset))?;
        Ok(Self {
            path: path.to_owned(),
            lines: Lines::new(file, offset),
            probe: Probe::open(path)?,
            dialect,
            line_ends,
            after_blank: true,
            stray: 0,
        })
    }

    /// Octets passed over because no separator stood before them.
    pub const fn stray(&self) -> u64 {
        self.stray
    }

    /// The next message; `None` at the end.
    pub fn next_message(&mut self) -> io::Result<Option<MboxMessage>> {
        let Some(from) = self.find_separator()? else {
            return Ok(None);
        };
        let header = self.lines.peek(MAX_HEADER_OCTETS)?;
        let added = Added::parse(header);
        let skip = added.as_ref().map_or(0, |(_, length)| *length);
        self.lines.consume(skip);
        let added = added.map(|(added, _)| added);
        let restore = added.as_ref().map_or_else(
            || Restore::new(self.dialect.quotes(), self.line_ends),
            |added| Restore::new(added.quotes, added.line_ends),
        );
        let mut collector = Collector::new(restore, self.lines.offset());
        let (end, wrong_length) = self.known_end(added.as_ref())?;
        match end {
            Some(end) => {
                let open = added.as_ref().is_some_and(|added| added.open);
                let last = if open { end.saturating_sub(1) } else { end };
                self.collect_until(last, &mut collector)?;
                self.pass_until(end)?;
            }
            None => self.collect_to_separator(&mut collector)?,
        }
        self.after_blank = true;
        let octets = collector.finish(&self.path);
        let exported = added.is_some();
        let (flags, date) = match added {
            Some(Added { flags, date, .. }) => (FoundFlags { flags, refused: 0 }, Some(date)),
            None => (flags_of(octets.head()), from.date),
        };
        Ok(Some(MboxMessage {
            octets,
            flags,
            date,
            end: self.lines.offset(),
            wrong_length,
            exported,
        }))
    }

    /// Passes over the next separator.
    fn find_separator(&mut self) -> io::Result<Option<FromLine>> {
        loop {
            let begins_line = self.lines.begins_line();
            let text = self.lines.peek(SEPARATOR_LOOK_OCTETS)?;
            if text.is_empty() {
                return Ok(None);
            }
            let found = begins_line
                .then(|| separator(text, self.after_blank))
                .flatten();
            let blank = is_blank(text);
            if begins_line {
                self.after_blank = blank;
            }
            let length = self.lines.line_length(u64::MAX)?;
            self.lines.consume(length);
            if found.is_some() {
                return Ok(found);
            }
            if !blank {
                let length = u64::try_from(length).unwrap_or(u64::MAX);
                self.stray = self.stray.saturating_add(length);
            }
        }
    }

    /// Where the message that begins here ends, if it says so and that is believable; and
    /// whether it says so and is not.
    fn known_end(&mut self, added: Option<&Added>) -> io::Result<(Option<u64>, bool)> {
        let offset = self.lines.offset();
        let said = match added {
            Some(added) => offset.checked_add(added.length),
            None if self.dialect.has_content_length() => {
                content_length_end(self.lines.peek(MAX_HEADER_OCTETS)?, offset)
            }
            None => None,
        };
        let Some(end) = said else {
            return Ok((None, false));
        };
        let leads = end >= offset && self.probe.leads(end)?;
        Ok((leads.then_some(end), !leads))
    }

    fn collect_until(&mut self, end: u64, collector: &mut Collector) -> io::Result<()> {
        while self.lines.offset() < end {
            let length = self
                .lines
                .line_length(end.saturating_sub(self.lines.offset()))?;
            if length == 0 {
                break;
            }
            collector.take(self.lines.peek(length)?);
            self.lines.consume(length);
        }
        Ok(())
    }

    fn pass_until(&mut self, end: u64) -> io::Result<()> {
        while self.lines.offset() < end {
            let length = self
                .lines
                .line_length(end.saturating_sub(self.lines.offset()))?;
            if length == 0 {
                break;
            }
            self.lines.consume(length);
        }
        Ok(())
    }

    fn collect_to_separator(&mut self, collector: &mut Collector) -> io::Result<()> {
        // The empty line that may belong to the separator.
        let mut held: &[u8] = b"";
        loop {
            let begins_line = self.lines.begins_line();
            let text = self.lines.peek(SEPARATOR_LOOK_OCTETS)?;
            if text.is_empty() || begins_line && separator(text, !held.is_empty()).is_some() {
                return Ok(());
            }
            collector.take(held);
            held = match text {
                [b'\n', ..] if begins_line => b"\n",
                [b'\r', b'\n', ..] if begins_line => b"\r\n",
                _ => b"",
            };
            let length = self.lines.line_length(u64::MAX)?;
            if held.is_empty() {
                collector.take(self.lines.peek(length)?);
            }
            self.lines.consume(length);
        }
    }
}

/// Takes in the octets of one message.
#[derive(Debug)]
struct Collector {
    restore: Restore,
    fresh: Restore,
    start: u64,
    /// Octets of the file.
    taken: u64,
    /// The message, or its beginning.
    octets: Vec<u8>,
    /// Octets of the message beyond those.
    beyond: Option<u64>,
    scratch: Vec<u8>,
}

impl Collector {
    fn new(restore: Restore, start: u64) -> Self {
        Self {
            fresh: restore.clone(),
            restore,
            start,
            taken: 0,
            octets: Vec::new(),
            beyond: None,
            scratch: Vec::new(),
        }
    }

    fn take(&mut self, octets: &[u8]) {
        self.taken = self
            .taken
            .saturating_add(u64::try_from(octets.len()).unwrap_or(u64::MAX));
        match &mut self.beyond {
            None => {
                self.restore.feed(octets, &mut self.octets);
                if self.octets.len() > MAX_IN_MEMORY_OCTETS {
                    let beyond = self.octets.len().saturating_sub(MAX_HEAD_OCTETS);
                    self.beyond = u64::try_from(beyond).ok();
                    self.octets.truncate(MAX_HEAD_OCTETS);
                    self.octets.shrink_to_fit();
                }
            }
            Some(beyond) => {
                self.scratch.clear();
                self.restore.feed(octets, &mut self.scratch);
                let more = u64::try_from(self.scratch.len()).unwrap_or(u64::MAX);
                *beyond = beyond.saturating_add(more);
            }
        }
    }

    fn finish(mut self, path: &Path) -> Octets {
        let Some(beyond) = self.beyond else {
            self.restore.finish(&mut self.octets);
            return Octets::Memory(self.octets);
        };
        self.scratch.clear();
        self.restore.finish(&mut self.scratch);
        let octets = |vec: &Vec<u8>| u64::try_from(vec.len()).unwrap_or(u64::MAX);
        let length = octets(&self.octets)
            .saturating_add(beyond)
            .saturating_add(octets(&self.scratch));
        Octets::Large(Large {
            place: Place::Path(path.to_owned()),
            start: self.start,
            end: self.start.saturating_add(self.taken),
            restore: self.fresh,
            length,
            head: self.octets,
        })
    }
}

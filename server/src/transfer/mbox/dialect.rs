//! Which of the four dialects an mbox is written in, told by its content.
//!
//! | dialect | body lines that begin with `From ` | `Content-Length` |
//! |---|---|---|
//! | mboxo | quoted | no |
//! | mboxrd | quoted, and quoted ones again | no |
//! | mboxcl | quoted | yes |
//! | mboxcl2 | as they are | yes |
//!
//! mboxo and mboxrd differ only in lines with `>>From `, and nothing tells which of the two wrote
//! one; mboxrd is taken, which loses nothing that it wrote itself.

use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::path::Path;

use letterlock_core::mime::header::fields;

use super::from_line::{MAX_FROM_LINE_OCTETS, separator};
use super::lines::Lines;
use super::quoting::Quotes;

/// Messages looked at to tell the dialect.
const SAMPLE_MESSAGES: usize = 200;
/// Octets looked at to tell the dialect.
const SAMPLE_OCTETS: u64 = 16 * 1024 * 1024;
/// Longest header looked at for `Content-Length`, in octets.
pub(super) const MAX_HEADER_OCTETS: usize = 128 * 1024;
/// Octets looked at to see whether a line is a separator: the line and the beginning of the next.
pub(super) const SEPARATOR_LOOK_OCTETS: usize = MAX_FROM_LINE_OCTETS * 2;

/// A dialect of mbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Dialect {
    /// Lines that begin with `From ` are quoted.
    Mboxo,
    /// Such lines and those that were quoted before are quoted.
    Mboxrd,
    /// As mboxo, and `Content-Length` says how long a body is.
    Mboxcl,
    /// Nothing is quoted, and `Content-Length` says how long a body is.
    Mboxcl2,
}

impl Dialect {
    /// What is quoted.
    pub const fn quotes(self) -> Quotes {
        match self {
            Self::Mboxo | Self::Mboxcl => Quotes::First,
            Self::Mboxrd => Quotes::Every,
            Self::Mboxcl2 => Quotes::None,
        }
    }

    /// Whether `Content-Length` says where a message ends.
    pub const fn has_content_length(self) -> bool {
        matches!(self, Self::Mboxcl | Self::Mboxcl2)
    }

    /// Tells the dialect of a file by its first messages.
    pub fn detect(path: &Path) -> io::Result<Self> {
        let mut probe = Probe::open(path)?;
        let mut lines = Lines::new(File::open(path)?, 0);
        let mut seen = Seen::default();
        let mut after_blank = true;
        while lines.offset() < SAMPLE_OCTETS && seen.messages() < SAMPLE_MESSAGES {
            let begins_line = lines.begins_line();
            let text = lines.peek(SEPARATOR_LOOK_OCTETS)?;
            if text.is_empty() {
                break;
            }
            let is_separator = begins_line && separator(text, after_blank).is_some();
            if begins_line {
                after_blank = is_blank(text);
            }
            let length = lines.line_length(u64::MAX)?;
            lines.consume(length);
            if is_separator {
                seen.message(&mut lines, &mut probe)?;
            }
        }
        Ok(seen.dialect())
    }
}

/// What the sample had.
#[derive(Debug, Default)]
struct Seen {
    /// Messages whose `Content-Length` leads to their end.
    counted: usize,
    /// Others.
    plain: usize,
    /// Lines of the former that would have been quoted.
    bare: usize,
    /// Lines of the former that were.
    quoted: usize,
}

impl Seen {
    const fn messages(&self) -> usize {
        self.counted.saturating_add(self.plain)
    }

    /// Looks at the message that begins here.
    fn message(&mut self, lines: &mut Lines<File>, probe: &mut Probe) -> io::Result<()> {
        let offset = lines.offset();
        let header = lines.peek(MAX_HEADER_OCTETS)?;
        let end = content_length_end(header, offset);
        let Some(end) = end.filter(|end| probe.leads(*end).unwrap_or(false)) else {
            self.plain = self.plain.saturating_add(1);
            return Ok(());
        };
        self.counted = self.counted.saturating_add(1);
        while lines.offset() < end && lines.offset() < SAMPLE_OCTETS {
            let length = lines.line_length(end.saturating_sub(lines.offset()))?;
            let begins_line = lines.begins_line();
            let line = lines.peek(length)?;
            if begins_line && line.starts_with(b"From ") {
                self.bare = self.bare.saturating_add(1);
            } else if begins_line && line.starts_with(b">From ") {
                self.quoted = self.quoted.saturating_add(1);
            }
            if length == 0 {
                break;
            }
            lines.consume(length);
        }
        Ok(())
    }

    const fn dialect(&self) -> Dialect {
        if self.counted <= self.plain {
            Dialect::Mboxrd
        } else if self.bare == 0 && self.quoted > 0 {
            Dialect::Mboxcl
        } else {
            Dialect::Mboxcl2
        }
    }
}

/// Whether a text begins with an empty line.
pub(super) fn is_blank(text: &[u8]) -> bool {
    text.starts_with(b"\n") || text.starts_with(b"\r\n")
}

/// Where a message ends by its `Content-Length`, if it has one and its header is not too long.
pub(super) fn content_length_end(header: &[u8], offset: u64) -> Option<u64> {
    let mut length = None;
    let mut end = 0;
    for field in fields(header) {
        end = field.range.end;
        if length.is_none() && field.is("Content-Length") {
            length = String::from_utf8_lossy(&field.unfolded())
                .parse::<u64>()
                .ok();
        }
    }
    let length = length?;
    let rest = header.get(end..)?;
    let blank = if rest.starts_with(b"\r\n") {
        2
    } else if rest.starts_with(b"\n") {
        1
    } else {
        return None;
    };
    let header = u64::try_from(end).ok()?.checked_add(blank)?;
    offset.checked_add(header)?.checked_add(length)
}

/// Looks at places further on in the file.
#[derive(Debug)]
pub(super) struct Probe {
    file: File,
    size: u64,
}

impl Probe {
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let file = File::open(path)?;
        let size = file.metadata()?.len();
        Ok(Self { file, size })
    }

    /// Whether there is nothing but empty lines between this place and a separator or the end.
    pub(super) fn leads(&mut self, offset: u64) -> io::Result<bool> {
        if offset >= self.size {
            return Ok(offset == self.size);
        }
        self.file.seek(SeekFrom::Start(offset))?;
        let mut text = Vec::new();
        let most = u64::try_from(SEPARATOR_LOOK_OCTETS).unwrap_or(u64::MAX);
        self.file.by_ref().take(most).read_to_end(&mut text)?;
        let mut rest = text.as_slice();
        while is_blank(rest) {
            let line = memchr::memchr(b'\n', rest).unwrap_or(0);
            rest = rest.get(line.saturating_add(1)..).unwrap_or_default();
        }
        let looked = u64::try_from(text.len()).unwrap_or(u64::MAX);
        let to_the_end = rest.is_empty() && offset.saturating_add(looked) == self.size;
        Ok(to_the_end || separator(rest, true).is_some())
    }
}

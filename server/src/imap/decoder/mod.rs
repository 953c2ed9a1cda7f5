//! From octets to commands: cuts lines and literals first, parses second (RFC 3501 2.2, 4, 9).
//!
//! Cutting needs no grammar: a line ends with CR LF, and `{n}` or `{n+}` (RFC 7888) before the
//! line end announces a literal. So a limit is enforced before a parser sees anything, and after
//! a refused command the next one starts at a known octet.
//!
//! Invariant: no input panics, and what is held is at most one command within the limits below.
//! A bare LF ends no line: it is refused and not repaired (smuggling).
//! Rejected: parsing as octets come in; a grammar that can stop anywhere is twice the code.

mod commands;
mod condstore;
mod cursor;
mod fetch;
mod search;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;

use super::command::{Command, Secret, Tag};
use cursor::Cursor;

/// Longest line without its literals, in octets: room for the UID sets of real programs.
pub const MAX_LINE: usize = 128 * 1024;
/// Longest literal that is not a message, in octets: a name, a password, a search text.
pub const MAX_ARGUMENT_LITERAL: usize = 64 * 1024;
/// Most octets of lines and argument literals in one command.
pub const MAX_COMMAND: usize = 256 * 1024;
/// Most literals in one command.
pub const MAX_LITERALS: usize = 256;
/// Longest message that APPEND takes, in octets.
pub const MAX_LITERAL: usize = letterlock_core::sync::wire::MAX_MESSAGE_OCTETS;

/// Longest literal marker: `~{` 20 digits `+}` CR LF; what must be kept while a line is skipped.
const MAX_MARKER: usize = 26;

/// What the session lets come in next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admits {
    /// Commands of somebody who has not logged in: no message literal.
    Strangers,
    /// Commands.
    Commands,
    /// One line that is no command: an answer in AUTHENTICATE, `DONE` in IDLE.
    Line,
}

/// What the decoder found.
#[derive(Debug, PartialEq, Eq)]
pub enum Frame {
    /// A well-formed command.
    Command(Tag, Command),
    /// A line while [`Admits::Line`], without its CR LF.
    Line(Secret),
    /// A synchronising literal is announced: the client waits for `+`.
    Continue,
    /// What came is refused; the next frame starts clean.
    Refused(Refusal),
}

/// A command that is not run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// Its tag, if it could be read.
    pub tag: Option<Tag>,
    /// Why.
    pub cause: Syntax,
}

/// Why a command is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Syntax {
    /// The grammar was violated, or a limit that only a broken client meets.
    #[error("{0}")]
    Bad(&'static str),
    /// The message is larger than [`MAX_LITERAL`].
    #[error("message is too large")]
    TooBig,
    /// SEARCH in a charset that is not known (RFC 3501 6.4.4).
    #[error("charset is not known")]
    BadCharset {
        /// Whether the result was to be saved: then `$` is empty now (RFC 5182 2.1).
        saving: bool,
    },
}

/// Where the cutter stands.
#[derive(Debug, Default)]
enum Cutting {
    /// Collecting a line.
    #[default]
    Line,
    /// Collecting a literal; so many octets are missing.
    Literal(usize),
    /// Dropping a refused literal, then the rest of its command.
    DropLiteral(u64, Refusal),
    /// Dropping a refused line.
    DropLine(Refusal),
}

/// Cuts and parses one connection's octets.
#[derive(Debug, Default)]
pub struct Decoder {
    buffer: VecDeque<u8>,
    scanned: usize,
    cutting: Cutting,
    line: Vec<u8>,
    literals: VecDeque<Vec<u8>>,
    octets: usize,
}

impl Decoder {
    /// Takes what was read. Call [`Decoder::next`] until it gives `None` before the next read:
    /// then the buffer never holds more than a line and a read.
    pub fn feed(&mut self, octets: &[u8]) {
        self.buffer.extend(octets);
    }

    /// The next frame, or `None` if more octets are needed.
    pub fn next(&mut self, admits: Admits) -> Option<Frame> {
        loop {
            match std::mem::take(&mut self.cutting) {
                Cutting::Line => {
                    let Some(line) = self.cut_line() else {
                        return self.refuse_endless_line(admits);
                    };
                    if let Some(frame) = self.handle_line(&line, admits) {
                        return Some(frame);
                    }
                }
                Cutting::Literal(missing) => {
                    let take = missing.min(self.buffer.len());
                    if let Some(literal) = self.literals.back_mut() {
                        literal.extend(self.buffer.drain(..take));
                    }
                    if missing > take {
                        self.cutting = Cutting::Literal(missing.saturating_sub(take));
                        return None;
                    }
                }
                Cutting::DropLiteral(missing, refusal) => {
                    let take = usize::try_from(missing)
                        .unwrap_or(usize::MAX)
                        .min(self.buffer.len());
                    self.buffer.drain(..take);
                    let missing = missing.saturating_sub(take as u64);
                    if missing > 0 {
                        self.cutting = Cutting::DropLiteral(missing, refusal);
                        return None;
                    }
                    self.cutting = Cutting::DropLine(refusal);
                }
                Cutting::DropLine(refusal) => match self.cut_line() {
                    None => {
                        let drop = self.buffer.len().saturating_sub(MAX_MARKER);
                        self.buffer.drain(..drop);
                        self.scanned = 0;
                        self.cutting = Cutting::DropLine(refusal);
                        return None;
                    }
                    Some(line) => match literal_marker(&line) {
                        Some((size, Waits::No)) => {
                            self.cutting = Cutting::DropLiteral(size, refusal);
                        }
                        // A client that waits gets the refusal in place of `+`.
                        Some((_, Waits::Yes)) | None => return Some(self.refused(refusal)),
                    },
                },
            }
        }
    }

    /// Takes a line with its line end out of the buffer.
    fn cut_line(&mut self) -> Option<Vec<u8>> {
        let found = self
            .buffer
            .iter()
            .skip(self.scanned)
            .position(|octet| *octet == b'\n');
        let Some(found) = found else {
            self.scanned = self.buffer.len();
            return None;
        };
        let end = self.scanned.saturating_add(found).saturating_add(1);
        self.scanned = 0;
        Some(self.buffer.drain(..end).collect())
    }

    fn refuse_endless_line(&mut self, admits: Admits) -> Option<Frame> {
        if self.buffer.len().saturating_add(self.line.len()) <= MAX_LINE {
            return None;
        }
        let start = if self.line.is_empty() {
            self.buffer.make_contiguous()
        } else {
            &*self.line
        };
        let refusal = Refusal {
            tag: tag_of(start),
            cause: Syntax::Bad("line is too long"),
        };
        self.cutting = Cutting::DropLine(refusal);
        self.next(admits)
    }

    fn handle_line(&mut self, line: &[u8], admits: Admits) -> Option<Frame> {
        let refusal = |cause, start: &[u8]| Refusal {
            tag: tag_of(start),
            cause,
        };
        let Some(text) = line.strip_suffix(b"\r\n") else {
            let start = if self.line.is_empty() {
                line
            } else {
                &self.line
            };
            let refusal = refusal(Syntax::Bad("lines end with CR LF"), start);
            return Some(self.refused(refusal));
        };
        if admits == Admits::Line {
            return Some(Frame::Line(Secret::new(text.to_vec())));
        }
        if self.line.is_empty() && text.is_empty() {
            // Some programs send an empty line after a literal; it is no command.
            return None;
        }
        let marker = literal_marker(line);
        self.octets = self.octets.saturating_add(line.len());
        self.line.extend_from_slice(line);
        if self.line.len() > MAX_LINE || self.octets > MAX_COMMAND {
            let refusal = refusal(Syntax::Bad("command is too long"), &self.line);
            return self.refuse_at(marker, refusal);
        }
        match marker {
            Some((size, waits)) => self.begin_literal(size, waits, admits),
            None => Some(self.parse()),
        }
    }

    fn begin_literal(&mut self, size: u64, waits: Waits, admits: Admits) -> Option<Frame> {
        let message = admits == Admits::Commands && is_append(&self.line);
        let limit = if message {
            MAX_LITERAL
        } else {
            MAX_ARGUMENT_LITERAL
        };
        let wanted = usize::try_from(size).ok().filter(|size| *size <= limit);
        let cause = match wanted {
            None if message => Syntax::TooBig,
            None => Syntax::Bad("literal is too long"),
            Some(_) if self.literals.len() >= MAX_LITERALS => Syntax::Bad("too many literals"),
            Some(wanted) => {
                if !message {
                    self.octets = self.octets.saturating_add(wanted);
                }
                // Room is made as octets come, not as they are promised.
                self.literals.push_back(Vec::new());
                self.cutting = Cutting::Literal(wanted);
                return (waits == Waits::Yes).then_some(Frame::Continue);
            }
        };
        let refusal = Refusal {
            tag: tag_of(&self.line),
            cause,
        };
        self.refuse_at(Some((size, waits)), refusal)
    }

    /// Refuses at once, or after dropping the literal that comes unasked (RFC 7888 4).
    fn refuse_at(&mut self, marker: Option<(u64, Waits)>, refusal: Refusal) -> Option<Frame> {
        match marker {
            Some((size, Waits::No)) => {
                self.forget();
                self.cutting = Cutting::DropLiteral(size, refusal);
                None
            }
            Some((_, Waits::Yes)) | None => Some(self.refused(refusal)),
        }
    }

    fn refused(&mut self, refusal: Refusal) -> Frame {
        self.forget();
        Frame::Refused(refusal)
    }

    fn forget(&mut self) {
        self.line.clear();
        self.literals.clear();
        self.octets = 0;
        // A long line's room is given back.
        self.line.shrink_to(4096);
    }

    fn parse(&mut self) -> Frame {
        let line = zeroize::Zeroizing::new(std::mem::take(&mut self.line));
        let literals = std::mem::take(&mut self.literals);
        self.octets = 0;
        let text = line.strip_suffix(b"\r\n").unwrap_or(&line);
        let mut cursor = Cursor::new(text, literals);
        let tag = match cursor.tag() {
            Ok(tag) => tag,
            Err(cause) => return Frame::Refused(Refusal { tag: None, cause }),
        };
        match commands::command(&mut cursor) {
            Ok(command) => Frame::Command(tag, command),
            Err(cause) => Frame::Refused(Refusal {
                tag: Some(tag),
                cause,
            }),
        }
    }
}

/// Whether the client waits for `+` before it sends a literal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Waits {
    Yes,
    No,
}

/// Finds `literal = "{" number ["+"] "}" CRLF` at the end of a line (RFC 3501 9, RFC 7888 8).
fn literal_marker(line: &[u8]) -> Option<(u64, Waits)> {
    let text = line.strip_suffix(b"}\r\n")?;
    let open = text.iter().rposition(|octet| *octet == b'{')?;
    let inside = std::str::from_utf8(text.get(open.checked_add(1)?..)?).ok()?;
    let (digits, waits) = match inside.strip_suffix('+') {
        Some(digits) => (digits, Waits::No),
        None => (inside, Waits::Yes),
    };
    if digits.is_empty() || !digits.bytes().all(|octet| octet.is_ascii_digit()) {
        return None;
    }
    // A number beyond 64 bits is a literal that nobody can send.
    Some((digits.parse().unwrap_or(u64::MAX), waits))
}

/// The tag at the start of a line that may be broken further on.
fn tag_of(line: &[u8]) -> Option<Tag> {
    let end = line.iter().position(|octet| *octet == b' ')?;
    Cursor::new(line.get(..=end)?, VecDeque::new()).tag().ok()
}

/// Whether the command is APPEND, whose literal may be a message.
fn is_append(line: &[u8]) -> bool {
    let mut words = line.splitn(3, |octet| *octet == b' ');
    words
        .nth(1)
        .is_some_and(|word| word.eq_ignore_ascii_case(b"APPEND"))
}

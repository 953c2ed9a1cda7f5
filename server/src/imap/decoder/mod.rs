//! From octets to commands: cuts lines and literals first, parses second (RFC 3501 2.2, 4, 9).
//!
//! Cutting needs no grammar: a line ends with CR LF, and `{n}` or `{n+}` (RFC 7888) before the
//! line end announces a literal. So a limit is enforced before a parser sees anything, and after
//! a refused command the next one starts at a known octet.
//!
//! A message in APPEND is not held: the command comes out in parts (see `upload`).
//!
//! Invariant: no input panics, and what is held is at most one command within the limits below.
//! A bare LF ends no line: it is refused and not repaired (smuggling).
//! Rejected: parsing as octets come in; a grammar that can stop anywhere is twice the code.

mod commands;
mod condstore;
mod cursor;
pub(super) mod fetch;
mod message_limit;
mod metadata;
mod notify;
mod search;
mod upload;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;

use super::command::{AppendCommand, Command, Octets, Secret, Tag, UploadPart, Waits};
use super::utf7::Names;
use cursor::Cursor;
use upload::{Chunk, Upload};

/// Longest line without its literals, in octets: room for the UID sets of real programs.
pub const MAX_LINE: usize = 128 * 1024;
/// Longest literal that is not a message, in octets: a name, a password, a search text.
pub const MAX_ARGUMENT_LITERAL: usize = 64 * 1024;
/// The same before login (RFC 7888 5).
pub const MAX_STRANGERS_LITERAL: usize = 4096;
/// Most octets of lines and argument literals in one command.
pub const MAX_COMMAND: usize = 256 * 1024;
/// Most literals in one command.
pub const MAX_LITERALS: usize = 256;
/// Longest literal marker: `~{` 20 digits `+}` CR LF; what must be kept while a line is skipped.
const MAX_MARKER: usize = 26;

/// What the session lets come in next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admits {
    /// Commands.
    Commands,
    /// The rest of an APPEND; while it is not let in, what is left of it is dropped.
    Upload,
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
    /// APPEND or REPLACE begins.
    Append(Tag, AppendCommand),
    /// The next part of it.
    Upload(UploadPart),
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
    /// A message literal is announced and not let in yet.
    Announced(u64, Waits),
    /// Passing a message on; so many octets are missing.
    Message(u64),
    /// Dropping a literal, then the rest of its command; without a refusal it is told already.
    DropLiteral(u64, Option<Refusal>),
    /// Dropping a line.
    DropLine(Option<Refusal>),
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
    /// The APPEND whose end has not come.
    upload: Option<Upload>,
    /// Parts of it that were read together.
    parts: VecDeque<Frame>,
    names: Names,
    /// Nobody has logged in.
    stranger: bool,
}

impl Decoder {
    /// Takes what was read. Call [`Decoder::next`] until it gives `None` before the next read:
    /// then the buffer never holds more than a line and a read.
    pub fn feed(&mut self, octets: &[u8]) {
        self.buffer.extend(octets);
    }

    /// How mailbox names are written in the commands from here on.
    pub fn set_names(&mut self, names: Names) {
        self.names = names;
    }

    /// Whether nobody has logged in yet.
    pub fn set_stranger(&mut self, stranger: bool) {
        self.stranger = stranger;
    }

    /// How many octets are held.
    pub fn held(&self) -> usize {
        let literals = self.literals.iter().map(Vec::len);
        literals
            .fold(self.buffer.len(), usize::saturating_add)
            .saturating_add(self.line.len())
    }

    /// The next frame, or `None` if more octets are needed.
    pub fn next(&mut self, admits: Admits) -> Option<Frame> {
        if admits != Admits::Upload {
            self.abandon_upload();
        }
        loop {
            if let Some(part) = self.parts.pop_front() {
                return Some(part);
            }
            let step = match std::mem::take(&mut self.cutting) {
                Cutting::Line => {
                    let Some(line) = self.cut_line() else {
                        if self.refuse_endless_line() {
                            continue;
                        }
                        return None;
                    };
                    self.handle_line(&line, admits)
                }
                Cutting::Literal(missing) => self.fill_literal(missing),
                Cutting::Announced(0, _) => Step::Again,
                Cutting::Announced(size, _) | Cutting::Message(size) => self.pass_on(size),
                Cutting::DropLiteral(missing, refusal) => self.drop_literal(missing, refusal),
                Cutting::DropLine(refusal) => self.drop_line(refusal),
            };
            match step {
                Step::Frame(frame) => return Some(frame),
                Step::Again => {}
                Step::Wait => return None,
            }
        }
    }

    fn fill_literal(&mut self, missing: usize) -> Step {
        let take = missing.min(self.buffer.len());
        if let Some(literal) = self.literals.back_mut() {
            move_octets(&mut self.buffer, take, literal);
        }
        if missing > take {
            self.cutting = Cutting::Literal(missing.saturating_sub(take));
            return Step::Wait;
        }
        Step::Again
    }

    /// Gives the next octets of a message.
    fn pass_on(&mut self, missing: u64) -> Step {
        let take = at_most(missing, self.buffer.len());
        let left = missing.saturating_sub(take as u64);
        if left > 0 {
            self.cutting = Cutting::Message(left);
        }
        if take == 0 {
            return Step::Wait;
        }
        let mut octets = Vec::with_capacity(take);
        move_octets(&mut self.buffer, take, &mut octets);
        Step::Frame(Frame::Upload(UploadPart::Octets(Octets(octets))))
    }

    fn drop_literal(&mut self, missing: u64, refusal: Option<Refusal>) -> Step {
        let take = at_most(missing, self.buffer.len());
        self.buffer.drain(..take);
        let missing = missing.saturating_sub(take as u64);
        if missing > 0 {
            self.cutting = Cutting::DropLiteral(missing, refusal);
            return Step::Wait;
        }
        self.cutting = Cutting::DropLine(refusal);
        Step::Again
    }

    fn drop_line(&mut self, refusal: Option<Refusal>) -> Step {
        let Some(line) = self.cut_line() else {
            let drop = self.buffer.len().saturating_sub(MAX_MARKER);
            self.buffer.drain(..drop);
            self.scanned = 0;
            self.cutting = Cutting::DropLine(refusal);
            return Step::Wait;
        };
        match (literal_marker(&line), refusal) {
            (Some((size, Waits::No)), refusal) => {
                self.cutting = Cutting::DropLiteral(size, refusal);
                Step::Again
            }
            // A client that waits gets the refusal in place of `+`.
            (Some((_, Waits::Yes)) | None, Some(refusal)) => Step::Frame(self.refused(refusal)),
            (Some((_, Waits::Yes)) | None, None) => {
                self.forget();
                Step::Again
            }
        }
    }

    /// Drops what is left of an APPEND that was refused.
    fn abandon_upload(&mut self) {
        self.parts.clear();
        if self.upload.take().is_none() {
            return;
        }
        self.cutting = match std::mem::take(&mut self.cutting) {
            // The client learns from the refusal that it is not to send it.
            Cutting::Announced(_, Waits::Yes) => Cutting::Line,
            Cutting::Announced(size, Waits::No) | Cutting::Message(size) => {
                Cutting::DropLiteral(size, None)
            }
            Cutting::Literal(missing) => Cutting::DropLiteral(missing as u64, None),
            Cutting::Line => Cutting::DropLine(None),
            dropping => dropping,
        };
        self.forget();
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
        let mut line = Vec::with_capacity(end);
        move_octets(&mut self.buffer, end, &mut line);
        Some(line)
    }

    /// Begins to drop a line that is too long without having ended.
    fn refuse_endless_line(&mut self) -> bool {
        if self.buffer.len().saturating_add(self.line.len()) <= MAX_LINE {
            return false;
        }
        let tag = self.tag(|buffer| buffer.make_contiguous());
        let cause = Syntax::Bad("line is too long");
        self.upload = None;
        self.cutting = Cutting::DropLine(Some(Refusal { tag, cause }));
        true
    }

    /// The tag of the command that is being cut; `otherwise` has its first line, if none was.
    fn tag(&mut self, otherwise: impl FnOnce(&mut VecDeque<u8>) -> &mut [u8]) -> Option<Tag> {
        if let Some(upload) = &self.upload {
            Some(upload.tag().clone())
        } else if self.line.is_empty() {
            tag_of(otherwise(&mut self.buffer))
        } else {
            tag_of(&self.line)
        }
    }

    fn handle_line(&mut self, line: &[u8], admits: Admits) -> Step {
        let Some(text) = line.strip_suffix(b"\r\n") else {
            let own = tag_of(line);
            let tag = match (&self.upload, self.line.is_empty()) {
                (Some(upload), _) => Some(upload.tag().clone()),
                (None, true) => own,
                (None, false) => tag_of(&self.line),
            };
            let cause = Syntax::Bad("lines end with CR LF");
            return Step::Frame(self.refused(Refusal { tag, cause }));
        };
        if admits == Admits::Line {
            return Step::Frame(Frame::Line(Secret::new(text.to_vec())));
        }
        if self.line.is_empty() && text.is_empty() && self.upload.is_none() {
            // Some programs send an empty line after a literal; it is no command.
            return Step::Again;
        }
        let marker = literal_marker(line);
        self.octets = self.octets.saturating_add(line.len());
        self.line.extend_from_slice(line);
        if self.line.len() > MAX_LINE || self.octets > MAX_COMMAND {
            return self.refuse_at(marker, Syntax::Bad("command is too long"));
        }
        if self.upload.is_some() || upload::begins(&self.line) {
            return self.handle_upload_line(marker);
        }
        match marker {
            Some((size, waits)) => self.begin_literal(size, waits),
            None => Step::Frame(self.parse()),
        }
    }

    /// A line of APPEND: it ends the command, or announces a message or an argument.
    fn handle_upload_line(&mut self, marker: Option<(u64, Waits)>) -> Step {
        let text = match marker {
            Some(_) => &*self.line,
            None => self.line.strip_suffix(b"\r\n").unwrap_or(&self.line),
        };
        let chunk = upload::chunk(
            self.upload.as_ref(),
            text,
            self.literals.clone(),
            self.names,
        );
        match (chunk, marker) {
            (Ok(Chunk::Argument), Some((size, waits))) => self.begin_literal(size, waits),
            (Ok(Chunk::Parts(parts, upload)), Some((octets, waits))) => {
                self.forget();
                self.upload = Some(upload);
                self.parts.extend(parts);
                let literal = UploadPart::Literal { octets, waits };
                self.parts.push_back(Frame::Upload(literal));
                self.cutting = Cutting::Announced(octets, waits);
                Step::Again
            }
            (Ok(Chunk::End(parts)), None) => {
                self.forget();
                self.upload = None;
                self.parts.extend(parts);
                self.parts.push_back(Frame::Upload(UploadPart::End));
                Step::Again
            }
            (Err(cause), marker) => self.refuse_at(marker, cause),
            (Ok(_), marker) => self.refuse_at(marker, Syntax::Bad("a message is needed")),
        }
    }

    fn begin_literal(&mut self, size: u64, waits: Waits) -> Step {
        let limit = if self.stranger {
            MAX_STRANGERS_LITERAL
        } else {
            MAX_ARGUMENT_LITERAL
        };
        let wanted = usize::try_from(size).ok().filter(|size| *size <= limit);
        let cause = match wanted {
            None => Syntax::Bad("literal is too long"),
            Some(_) if self.literals.len() >= MAX_LITERALS => Syntax::Bad("too many literals"),
            Some(wanted) => {
                self.octets = self.octets.saturating_add(wanted);
                // Room is made as octets come, not as they are promised.
                self.literals.push_back(Vec::new());
                self.cutting = Cutting::Literal(wanted);
                return match waits {
                    Waits::Yes => Step::Frame(Frame::Continue),
                    Waits::No => Step::Again,
                };
            }
        };
        self.refuse_at(Some((size, waits)), cause)
    }

    /// Refuses at once, or after dropping the literal that comes unasked (RFC 7888 4).
    fn refuse_at(&mut self, marker: Option<(u64, Waits)>, cause: Syntax) -> Step {
        let tag = self.tag(VecDeque::make_contiguous);
        let refusal = Refusal { tag, cause };
        match marker {
            Some((size, Waits::No)) => {
                self.forget();
                self.upload = None;
                self.cutting = Cutting::DropLiteral(size, Some(refusal));
                Step::Again
            }
            Some((_, Waits::Yes)) | None => Step::Frame(self.refused(refusal)),
        }
    }

    fn refused(&mut self, refusal: Refusal) -> Frame {
        self.forget();
        self.upload = None;
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
        let mut cursor = Cursor::new(text, literals).with_names(self.names);
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

/// What one step of cutting has come to.
enum Step {
    Frame(Frame),
    Again,
    Wait,
}

fn at_most(missing: u64, here: usize) -> usize {
    usize::try_from(missing).unwrap_or(usize::MAX).min(here)
}

/// Finds `literal = "{" number ["+"] "}" CRLF` at the end of a line (RFC 3501 9, RFC 7888 8);
/// Moves the first octets of a buffer, in two runs instead of one by one.
fn move_octets(buffer: &mut VecDeque<u8>, count: usize, to: &mut Vec<u8>) {
    let (front, back) = buffer.as_slices();
    let in_front = count.min(front.len());
    to.extend_from_slice(front.get(..in_front).unwrap_or(front));
    let behind = count.saturating_sub(in_front);
    to.extend_from_slice(back.get(..behind).unwrap_or(back));
    buffer.drain(..count.min(buffer.len()));
}

/// `literal8` has a `~` before it (RFC 3516 7).
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

//! Reads a message in pieces of any size: finds its lines, and tells the parser what they are.
//!
//! Invariant: what comes out does not depend on how the message is cut into pieces. Kept back are
//! at most a line break and a line that may become a delimiter ([`MAX_DELIMITER_OCTETS`]), because
//! the line break before a delimiter belongs to the delimiter (RFC 2046 5.1.1). Of a body only the
//! ends of lines are looked at, so an attachment passes at the speed of memory.
//! Rejected: an iterator of parts that reads by itself; this has no input of its own, so that the
//! same code serves sockets, files and browsers.

use core::fmt;

use memchr::{memchr, memchr_iter};

use super::MAX_DELIMITER_OCTETS;
use super::body_structure::Structure;
use super::header::line_length;
use super::parse::{Delimiter, Parsed, Parser};
use super::summary::summarize;

/// Takes the leaves of a message as they become known, one after the other and each in order.
pub trait LeafSink {
    /// The next octets of a leaf; never none.
    fn octets(&mut self, leaf: usize, octets: &[u8]);
    /// The leaf has ended. Every leaf ends once, also one without octets.
    fn end(&mut self, leaf: usize);
}

/// Drops the leaves.
impl LeafSink for () {
    fn octets(&mut self, _: usize, _: &[u8]) {}
    fn end(&mut self, _: usize) {}
}

/// Keeps the leaves in memory.
impl LeafSink for Vec<Vec<u8>> {
    fn octets(&mut self, leaf: usize, octets: &[u8]) {
        self.resize_with(self.len().max(leaf.saturating_add(1)), Vec::new);
        if let Some(leaf) = self.get_mut(leaf) {
            leaf.extend_from_slice(octets);
        }
    }

    fn end(&mut self, leaf: usize) {
        self.resize_with(self.len().max(leaf.saturating_add(1)), Vec::new);
    }
}

/// A message without its leaves.
pub struct WithoutLeaves {
    /// What is known about the message.
    pub structure: Structure,
    /// All octets that are not in leaves.
    pub skeleton: Vec<u8>,
}

impl fmt::Debug for WithoutLeaves {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WithoutLeaves")
            .field("structure", &self.structure)
            .finish_non_exhaustive()
    }
}

/// Takes a message apart that comes in pieces; never fails, whatever the octets are.
///
/// In memory stay the skeleton (at most about [`super::MAX_SKELETON_OCTETS`]), the parts (at most
/// [`super::MAX_PARTS`]), the beginnings of the texts, and a line.
///
/// # Examples
/// ```
/// use letterlock_core::mime::{Splitter, join};
/// let mut leaves: Vec<Vec<u8>> = Vec::new();
/// let mut splitter = Splitter::new();
/// for piece in ["Subject: hi\r", "\n\r\nHel", "lo\r\n"] {
///     splitter.feed(piece.as_bytes(), &mut leaves);
/// }
/// let message = splitter.finish(&mut leaves);
/// assert_eq!(leaves, [b"Hello\r\n"]);
/// let raw = join(&message.structure, &message.skeleton, &leaves).unwrap();
/// assert_eq!(raw, b"Subject: hi\r\n\r\nHello\r\n");
/// ```
pub struct Splitter {
    parser: Parser,
    /// Octets of a body of which it is not known where they belong.
    held: Vec<u8>,
    /// How many of them are the line break before the line that may be a delimiter.
    held_break: usize,
    /// Whether what comes next, with what is held, begins a line and is the first of a body.
    at_line_start: bool,
    /// Whether the body passed on so far ends in a carriage return.
    after_return: bool,
    nul_octet: bool,
}

impl fmt::Debug for Splitter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Splitter")
            .field("position", &self.parser.outlet.position)
            .finish_non_exhaustive()
    }
}

impl Default for Splitter {
    fn default() -> Self {
        Self::new()
    }
}

/// A place in the octets that are looked at, where a line begins.
#[derive(Clone, Copy, Default)]
struct LineStart {
    /// Where the line break before the line begins.
    line_break: usize,
    /// Where the line begins.
    line: usize,
    /// Line feeds before the line break.
    line_feeds: u64,
}

/// What a line in a body is.
enum Line {
    Text,
    /// It depends on what follows.
    Unknown,
    /// With its length.
    Delimiter(Delimiter, usize),
}

/// How far the octets were taken.
enum Taken {
    /// All but what follows this place, which is to be held.
    UpTo(usize),
    /// Up to this place, where another part begins.
    Part(usize),
}

impl Splitter {
    /// At the beginning of a message.
    pub fn new() -> Self {
        Self {
            parser: Parser::new(),
            held: Vec::new(),
            held_break: 0,
            at_line_start: false,
            after_return: false,
            nul_octet: false,
        }
    }

    /// Takes the next octets of the message. The sink gets what is certain to be in a leaf.
    pub fn feed(&mut self, octets: &[u8], sink: &mut impl LeafSink) {
        self.look_for_nul(octets);
        let mut rest = octets;
        while !self.held.is_empty() && !rest.is_empty() {
            rest = self.feed_held(rest, sink);
        }
        let taken = self.take(rest, false, sink);
        self.held
            .extend_from_slice(rest.get(taken..).unwrap_or_default());
    }

    /// Ends the message.
    pub fn finish(mut self, sink: &mut impl LeafSink) -> WithoutLeaves {
        let held = core::mem::take(&mut self.held);
        self.take(&held, true, sink);
        with_summary(self.parser.finish(self.nul_octet, sink))
    }

    /// Takes a whole message; the summary is left empty.
    pub(super) fn parse(raw: &[u8]) -> Parsed {
        let mut splitter = Self::new();
        splitter.look_for_nul(raw);
        splitter.take(raw, true, &mut ());
        splitter.parser.finish(splitter.nul_octet, &mut ())
    }

    fn look_for_nul(&mut self, octets: &[u8]) {
        self.nul_octet = self.nul_octet || memchr(0, octets).is_some();
    }

    /// Looks at what is held together with the first line of the octets; gives what follows.
    fn feed_held<'a>(&mut self, octets: &'a [u8], sink: &mut impl LeafSink) -> &'a [u8] {
        let length = line_length(octets).min(MAX_DELIMITER_OCTETS);
        let (line, after) = octets.split_at_checked(length).unwrap_or((octets, &[]));
        self.held.extend_from_slice(line);
        let held_line = self.held.get(self.held_break..).unwrap_or_default();
        if held_line.len() < MAX_DELIMITER_OCTETS
            && held_line.starts_with(b"--")
            && !line.ends_with(b"\n")
        {
            return after;
        }
        let mut held = core::mem::take(&mut self.held);
        let taken = self.take(&held, false, sink);
        let left = held.len().saturating_sub(taken);
        if let Some(back) = length.checked_sub(left) {
            // What is to be held stands in the octets too.
            held.clear();
            self.held = held;
            return octets.get(back..).unwrap_or_default();
        }
        held.drain(..taken);
        self.held = held;
        after
    }

    /// Takes as many octets as it is certain where they belong, if they are the last, all; how
    /// many those are.
    fn take(&mut self, octets: &[u8], last: bool, sink: &mut impl LeafSink) -> usize {
        let mut at = 0_usize;
        while let Some(rest) = octets.get(at..).filter(|rest| !rest.is_empty()) {
            if self.parser.outlet.in_header() {
                at = at.saturating_add(self.take_header_line(rest, sink));
                self.at_line_start = true;
                self.after_return = false;
                continue;
            }
            match self.take_body(rest, last, sink) {
                Taken::UpTo(taken) => return at.saturating_add(taken),
                Taken::Part(taken) => at = at.saturating_add(taken),
            }
        }
        at
    }

    /// Takes a line of a header, or as much of it as there is.
    fn take_header_line(&mut self, octets: &[u8], sink: &mut impl LeafSink) -> usize {
        let line = octets.get(..line_length(octets)).unwrap_or(octets);
        let taken = self.parser.outlet.header(line);
        if taken < line.len() {
            self.parser.close_header();
        } else if line.ends_with(b"\n") {
            self.parser.end_header_line(sink);
        }
        taken
    }

    /// Takes octets of a body up to the next delimiter.
    fn take_body(&mut self, octets: &[u8], last: bool, sink: &mut impl LeafSink) -> Taken {
        if !self.parser.has_boundaries() {
            return self.take_all(octets, sink);
        }
        if self.at_line_start
            && let Some(taken) = self.look_at(octets, LineStart::default(), last, sink)
        {
            return taken;
        }
        let mut line_feeds = 0_u64;
        for line_feed in memchr_iter(b'\n', octets) {
            let line = line_feed.saturating_add(1);
            let line_break = match line_feed.checked_sub(1) {
                Some(before) if octets.get(before) == Some(&b'\r') => before,
                _ => {
                    self.parser.outlet.bare_line_feed = true;
                    line_feed
                }
            };
            if matches!(octets.get(line), None | Some(b'-')) {
                let start = LineStart {
                    line_break,
                    line,
                    line_feeds,
                };
                if let Some(taken) = self.look_at(octets, start, last, sink) {
                    return taken;
                }
            }
            line_feeds = line_feeds.saturating_add(1);
        }
        // A carriage return may be half of the line break before a delimiter.
        let certain = match octets {
            [certain @ .., b'\r'] if !last => certain,
            _ => octets,
        };
        self.parser.outlet.body(certain, line_feeds, sink);
        self.hold(octets.len().saturating_sub(certain.len()), false);
        Taken::UpTo(certain.len())
    }

    fn hold(&mut self, line_break: usize, at_line_start: bool) {
        self.held_break = line_break;
        self.at_line_start = at_line_start;
    }

    /// Takes octets of a body that no delimiter ends.
    fn take_all(&mut self, octets: &[u8], sink: &mut impl LeafSink) -> Taken {
        let outlet = &mut self.parser.outlet;
        let line_feeds = memchr_iter(b'\n', octets);
        if !outlet.bare_line_feed {
            let after_return = |line_feed: usize| match line_feed.checked_sub(1) {
                Some(before) => octets.get(before) == Some(&b'\r'),
                None => self.after_return,
            };
            outlet.bare_line_feed = !line_feeds.clone().all(after_return);
        }
        outlet.body(octets, line_feeds.count() as u64, sink);
        self.after_return = octets.ends_with(b"\r");
        Taken::UpTo(octets.len())
    }

    /// Acts on the line that begins at a place; nothing is to be done if it is text.
    fn look_at(
        &mut self,
        octets: &[u8],
        at: LineStart,
        last: bool,
        sink: &mut impl LeafSink,
    ) -> Option<Taken> {
        let (before, rest) = octets.split_at_checked(at.line)?;
        let (body, line_break) = before.split_at_checked(at.line_break)?;
        match self.line(rest, last) {
            Line::Text => None,
            Line::Unknown => {
                self.parser.outlet.body(body, at.line_feeds, sink);
                self.hold(line_break.len(), before.is_empty());
                Some(Taken::UpTo(body.len()))
            }
            Line::Delimiter(delimiter, _) if self.parser.ends_without_parts(delimiter) => {
                self.parser.end_without_parts(sink);
                None
            }
            Line::Delimiter(delimiter, length) => {
                let line = rest.get(..length).unwrap_or(rest);
                self.parser.outlet.body(body, at.line_feeds, sink);
                self.parser.delimit(delimiter, line_break, line, sink);
                self.at_line_start = true;
                self.after_return = false;
                Some(Taken::Part(before.len().saturating_add(line.len())))
            }
        }
    }

    /// What the line is that begins here.
    fn line(&self, octets: &[u8], last: bool) -> Line {
        match octets {
            [b'-', b'-', ..] => {}
            [] | [b'-'] if !last => return Line::Unknown,
            _ => return Line::Text,
        }
        let most = octets.get(..MAX_DELIMITER_OCTETS).unwrap_or(octets);
        let length = match memchr(b'\n', most) {
            Some(line_feed) => line_feed.saturating_add(1),
            None if octets.len() >= MAX_DELIMITER_OCTETS => return Line::Text,
            None if last => octets.len(),
            None => return Line::Unknown,
        };
        let line = octets.get(..length).unwrap_or(octets);
        match self.parser.delimiter(line) {
            Some(delimiter) => Line::Delimiter(delimiter, length),
            None => Line::Text,
        }
    }
}

/// Computes what a list of messages shows.
pub(super) fn with_summary(parsed: Parsed) -> WithoutLeaves {
    let Parsed {
        mut structure,
        skeleton,
        texts,
    } = parsed;
    structure.summary = summarize(&mut structure, &skeleton, &texts);
    WithoutLeaves {
        structure,
        skeleton,
    }
}

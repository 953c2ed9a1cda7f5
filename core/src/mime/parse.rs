//! The parts of a message as its octets come in (RFC 2046 5.1, RFC 5322 2.1).
//!
//! Invariant: linear in the size of the message, whatever its octets are. The open parts are a
//! stack of frames, not recursion; the boundaries that are open are looked up by name, so a line
//! costs the same under one boundary as under a hundred. Odd cases follow what widespread servers
//! do: a delimiter is exactly `--boundary`, perhaps with white space after it; an outer delimiter
//! ends inner parts; after its closing delimiter a boundary is not looked for any more.
//! Rejected: taking every line that begins with the boundary as a delimiter (RFC 2046 5.1.1 would
//! allow it): a boundary that is the beginning of an inner one would cut the inner parts.

use std::collections::BTreeMap;

use super::body_structure::{Content, Part, Structure};
use super::defect::Defect;
use super::entity::{Context, Kind, close_as, describe};
use super::envelope::EnvelopeData;
use super::outlet::{Outlet, line_break_of};
use super::splitter::LeafSink;
use super::summary::Summary;
use super::text_starts::TextStarts;
use super::{MAX_BOUNDARY_OCTETS, MAX_DELIMITER_OCTETS, MAX_DEPTH, MAX_PARTS};

/// What is known when the message has ended; the summary is empty.
pub(super) struct Parsed {
    pub(super) structure: Structure,
    pub(super) skeleton: Vec<u8>,
    pub(super) texts: TextStarts,
}

/// What an open part is.
enum Opening {
    /// Its header is being read.
    Header,
    /// A multipart.
    Multipart {
        boundary: Vec<u8>,
        /// Once it is closed.
        epilogue: Option<Epilogue>,
    },
    /// A message whose inner message is the frame above.
    Message,
    /// Anything else.
    Leaf,
}

/// What follows a closing delimiter.
struct Epilogue {
    start: u64,
    /// Octets of the line break that ends the closing delimiter's line.
    line_break: u64,
}

/// A part that is being read.
struct Frame {
    part: Part,
    opening: Opening,
    /// Whether it is directly in a `multipart/digest` (RFC 2046 5.1.5).
    in_digest: bool,
    /// Where its header begins in the skeleton.
    header: usize,
    /// Line feeds before its body.
    line_feeds: u64,
    children: Vec<Part>,
    /// Of the message that it is the root of.
    envelope: EnvelopeData,
    /// Of the inner message, if it is a `Message`.
    inner_envelope: EnvelopeData,
}

/// A line that separates parts.
#[derive(Debug, Clone, Copy)]
pub(super) struct Delimiter {
    frame: usize,
    closing: bool,
}

/// The open parts.
pub(super) struct Parser {
    pub(super) outlet: Outlet,
    frames: Vec<Frame>,
    /// Open boundaries and the frames that have them, the innermost last.
    boundaries: BTreeMap<Vec<u8>, Vec<usize>>,
    parts: usize,
    /// Whether a limit was reached beyond which all is one closed part.
    rest_is_closed: bool,
    context: Context,
    root: Option<(Part, EnvelopeData)>,
}

// What the reader of lines tells it.
impl Parser {
    pub(super) fn new() -> Self {
        let mut parser = Self {
            outlet: Outlet::new(),
            frames: Vec::new(),
            boundaries: BTreeMap::new(),
            parts: 1,
            rest_is_closed: false,
            context: Context::default(),
            root: None,
        };
        parser.open(false);
        parser
    }

    /// Whether any line can be a delimiter.
    pub(super) fn has_boundaries(&self) -> bool {
        !self.boundaries.is_empty()
    }

    /// Whether the line is `--boundary` or `--boundary--` of an open multipart, the innermost
    /// first if several have the same.
    pub(super) fn delimiter(&self, line: &[u8]) -> Option<Delimiter> {
        if self.boundaries.is_empty() || line.len() > MAX_DELIMITER_OCTETS {
            return None;
        }
        let name = line.strip_prefix(b"--")?.trim_ascii_end();
        if name.len() > MAX_BOUNDARY_OCTETS.saturating_add(2) {
            return None;
        }
        let innermost = |name: &[u8]| self.boundaries.get(name)?.last().copied();
        if let Some(frame) = innermost(name) {
            return Some(Delimiter {
                frame,
                closing: false,
            });
        }
        let frame = innermost(name.strip_suffix(b"--")?)?;
        Some(Delimiter {
            frame,
            closing: true,
        })
    }

    /// Acts on the line of a header that is now complete.
    pub(super) fn end_header_line(&mut self, sink: &mut impl LeafSink) {
        if let Some(delimiter) = self.delimiter(self.outlet.header_line()) {
            let line = self.outlet.untake_header_line();
            self.delimit(delimiter, &[], &line, sink);
        } else if self.outlet.end_header_line() {
            self.end_header();
        }
    }

    /// Ends the header for which there is no more room; what follows is a closed part.
    pub(super) fn close_header(&mut self) {
        self.close_rest(Defect::TooMuchHeader);
        self.end_header();
    }

    /// Whether the delimiter closes the innermost part, a multipart in which no part began. That
    /// makes it a leaf, and the delimiter a line of it.
    pub(super) fn ends_without_parts(&self, delimiter: Delimiter) -> bool {
        delimiter.closing
            && delimiter.frame.saturating_add(1) == self.frames.len()
            && self
                .frames
                .last()
                .is_some_and(|frame| frame.children.is_empty())
    }

    /// Makes the innermost part a leaf: it is a multipart that is closed and has no parts.
    pub(super) fn end_without_parts(&mut self, sink: &mut impl LeafSink) {
        let Some(frame) = self.frames.last_mut() else {
            return;
        };
        close_as(&mut frame.part, "text", "plain");
        let opening = core::mem::replace(&mut frame.opening, Opening::Leaf);
        if let Opening::Multipart { boundary, .. } = opening {
            self.forget_boundary(&boundary);
        }
        self.context.defects.add(Defect::NoParts);
        self.outlet.gap_to_leaf(sink);
    }

    /// Acts on a delimiter, and on the line break before it, which belongs to it.
    pub(super) fn delimit(
        &mut self,
        delimiter: Delimiter,
        line_break: &[u8],
        line: &[u8],
        sink: &mut impl LeafSink,
    ) {
        while self.outlet.in_header() {
            self.end_header();
        }
        let (body_end, line_feeds) = self.end_before(line_break);
        while self.frames.len() > delimiter.frame.saturating_add(1) {
            self.close(body_end, line_feeds, sink);
        }
        let mut in_digest = false;
        if let Some(frame) = self.frames.last() {
            in_digest = frame.part.is("multipart", "digest");
            if frame.children.is_empty() {
                let preamble = frame.part.body.start;
                self.outlet.end_gap(preamble, body_end, sink);
            }
        }
        self.outlet.push_skeleton(line_break);
        self.outlet.push_skeleton(line);
        if delimiter.closing {
            self.begin_epilogue(line);
        } else if self.outlet.is_full() {
            self.open_rest(Defect::TooMuchHeader);
        } else if self.parts >= MAX_PARTS {
            self.open_rest(Defect::TooManyParts);
        } else {
            self.parts = self.parts.saturating_add(1);
            self.open(in_digest);
        }
    }

    /// Ends the message; whether it had a NUL octet was seen by the reader.
    pub(super) fn finish(mut self, nul_octet: bool, sink: &mut impl LeafSink) -> Parsed {
        if self.outlet.in_header() && !self.outlet.header_line().is_empty() {
            self.end_header_line(sink);
        }
        while self.outlet.in_header() {
            self.context.defects.add(Defect::MissingBlankLine);
            self.end_header();
        }
        while !self.frames.is_empty() {
            self.close(self.outlet.position, self.outlet.line_feeds, sink);
        }
        let (root, envelope) = self.root.unwrap_or_default();
        let defects = &mut self.context.defects;
        if nul_octet {
            defects.add(Defect::NulOctet);
        }
        if self.outlet.bare_line_feed {
            defects.add(Defect::BareLineFeed);
        }
        if envelope.from.is_empty() {
            defects.add(Defect::MissingFrom);
        }
        Parsed {
            structure: Structure {
                root,
                leaves: self.outlet.leaves,
                size: self.outlet.position,
                lines: self.outlet.line_feeds,
                defects: self.context.defects.into_vec(),
                envelope,
                summary: Summary::default(),
            },
            skeleton: self.outlet.skeleton,
            texts: self.outlet.texts,
        }
    }
}

// What it does.
impl Parser {
    /// Where a body ends before a delimiter, and the line feeds before that. The line break before
    /// a delimiter belongs to it; directly after a closing delimiter that is the one of its line.
    fn end_before(&self, line_break: &[u8]) -> (u64, u64) {
        let (position, line_feeds) = (self.outlet.position, self.outlet.line_feeds);
        match self.frames.last().map(|frame| &frame.opening) {
            Some(Opening::Multipart {
                epilogue: Some(epilogue),
                ..
            }) if line_break.is_empty() && epilogue.start == position => (
                position.saturating_sub(epilogue.line_break),
                line_feeds.saturating_sub(epilogue.line_break.min(1)),
            ),
            _ => (position, line_feeds),
        }
    }

    /// Opens a part whose header begins here.
    fn open(&mut self, in_digest: bool) {
        let here = self.outlet.here();
        self.frames.push(Frame {
            part: Part {
                header: here,
                body: here,
                ..Part::default()
            },
            opening: Opening::Header,
            in_digest,
            header: self.outlet.skeleton.len(),
            line_feeds: self.outlet.line_feeds,
            children: Vec::new(),
            envelope: EnvelopeData::default(),
            inner_envelope: EnvelopeData::default(),
        });
        self.outlet.begin_header();
    }

    /// Opens the last part, which takes all that is left.
    fn open_rest(&mut self, defect: Defect) {
        self.close_rest(defect);
        self.open(false);
        if let Some(frame) = self.frames.last_mut() {
            frame.opening = Opening::Leaf;
            close_as(&mut frame.part, "application", "octet-stream");
        }
        self.outlet.begin_leaf(false);
    }

    /// No more parts are looked for.
    fn close_rest(&mut self, defect: Defect) {
        self.context.defects.add(defect);
        self.rest_is_closed = true;
        self.boundaries.clear();
    }

    fn begin_epilogue(&mut self, line: &[u8]) {
        let here = Epilogue {
            start: self.outlet.position,
            line_break: line_break_of(line),
        };
        let opening = self.frames.last_mut().map(|frame| &mut frame.opening);
        if let Some(Opening::Multipart { boundary, epilogue }) = opening {
            *epilogue = Some(here);
            let boundary = core::mem::take(boundary);
            self.forget_boundary(&boundary);
        }
        self.outlet.begin_gap(false);
    }

    /// Ends the header of the innermost frame and decides what its body is.
    fn end_header(&mut self) {
        let depth = self.frames.len();
        let is_message = match depth
            .checked_sub(2)
            .and_then(|parent| self.frames.get(parent))
        {
            None => true,
            Some(parent) => matches!(parent.opening, Opening::Message),
        };
        let Some(frame) = self.frames.last_mut() else {
            return;
        };
        let header = self.outlet.skeleton.get(frame.header..).unwrap_or_default();
        frame.line_feeds = self.outlet.line_feeds;
        frame.part.header.end = self.outlet.position;
        frame.part.body = self.outlet.here();
        let envelope = is_message.then_some(&mut frame.envelope);
        let context = &mut self.context;
        let mut kind = describe(&mut frame.part, header, frame.in_digest, envelope, context);
        let limit = match kind {
            Kind::Leaf => None,
            _ if self.rest_is_closed => Some(Defect::TooMuchHeader),
            _ if depth >= MAX_DEPTH => Some(Defect::TooDeep),
            Kind::Message if self.parts >= MAX_PARTS => Some(Defect::TooManyParts),
            Kind::Message | Kind::Multipart(_) => None,
        };
        if let Some(defect) = limit {
            context.defects.add(defect);
            kind = Kind::Leaf;
        }
        if limit.is_some() || self.rest_is_closed {
            close_as(&mut frame.part, "application", "octet-stream");
        }
        match kind {
            Kind::Leaf => {
                frame.opening = Opening::Leaf;
                let may_be_shown = TextStarts::may_be_shown(&frame.part);
                self.outlet.begin_leaf(may_be_shown);
            }
            Kind::Multipart(boundary) => {
                let frames = self.boundaries.entry(boundary.clone()).or_default();
                frames.push(depth.saturating_sub(1));
                frame.opening = Opening::Multipart {
                    boundary,
                    epilogue: None,
                };
                self.outlet.begin_gap(true);
            }
            Kind::Message => {
                frame.opening = Opening::Message;
                self.parts = self.parts.saturating_add(1);
                self.open(false);
            }
        }
    }

    /// Ends the innermost frame at `end`, before which there are `line_feeds`.
    fn close(&mut self, end: u64, line_feeds: u64, sink: &mut impl LeafSink) {
        let Some(mut frame) = self.frames.pop() else {
            return;
        };
        frame.part.body.end = end.max(frame.part.body.start);
        frame.part.lines = line_feeds.saturating_sub(frame.line_feeds);
        let body = frame.part.body;
        let children = frame.children;
        frame.part.content = match frame.opening {
            Opening::Multipart { boundary, epilogue } => {
                self.end_multipart(&boundary, epilogue, end, sink);
                if children.is_empty() {
                    self.context.defects.add(Defect::NoParts);
                    close_as(&mut frame.part, "text", "plain");
                    self.outlet.gap_to_leaf(sink);
                    self.outlet.end_leaf(body, sink)
                } else {
                    Content::Multipart(children)
                }
            }
            Opening::Message => match children.into_iter().next() {
                Some(part) => Content::Message {
                    envelope: Box::new(frame.inner_envelope),
                    part: Box::new(part),
                },
                None => self.outlet.end_leaf(body, sink),
            },
            Opening::Leaf | Opening::Header => self.outlet.end_leaf(body, sink),
        };
        match self.frames.last_mut() {
            Some(parent) => {
                parent.children.push(frame.part);
                parent.inner_envelope = frame.envelope;
            }
            None => self.root = Some((frame.part, frame.envelope)),
        }
    }

    /// Ends the epilogue of a multipart, or says that it has none.
    fn end_multipart(
        &mut self,
        boundary: &[u8],
        epilogue: Option<Epilogue>,
        end: u64,
        sink: &mut impl LeafSink,
    ) {
        if let Some(epilogue) = epilogue {
            self.outlet.end_gap(epilogue.start, end, sink);
            return;
        }
        self.forget_boundary(boundary);
        if !self.rest_is_closed {
            self.context.defects.add(Defect::UnterminatedMultipart);
        }
    }

    /// Stops looking for the innermost boundary of this name.
    fn forget_boundary(&mut self, boundary: &[u8]) {
        if let Some(frames) = self.boundaries.get_mut(boundary) {
            frames.pop();
            if frames.is_empty() {
                self.boundaries.remove(boundary);
            }
        }
    }
}

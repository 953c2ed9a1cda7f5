//! Reads the structure of a message in one pass over its lines (RFC 2046 5.1, RFC 5322 2.1).
//!
//! Invariant: linear in the size of the message, whatever its octets are. The open parts are a
//! stack of frames, not recursion; the boundaries that are open are looked up by name, so a line
//! costs the same under one boundary as under a hundred. Odd cases follow what widespread servers
//! do: a delimiter is exactly `--boundary`, perhaps with white space after it; an outer delimiter
//! ends inner parts; after its closing delimiter a boundary is not looked for any more.
//! Rejected: taking every line that begins with the boundary as a delimiter (RFC 2046 5.1.1 would
//! allow it): a boundary that is the beginning of an inner one would cut the inner parts.

use std::collections::BTreeMap;

use super::body_structure::{Content, Part, Span, Structure};
use super::defect::Defect;
use super::entity::{Context, Kind, close_as, describe};
use super::envelope::EnvelopeData;
use super::header::{is_blank, line_length};
use super::summary::Summary;
use super::{MAX_BOUNDARY_OCTETS, MAX_DEPTH, MAX_GAP_OCTETS, MAX_PARTS};

/// Reads the structure; the summary is left empty.
pub(super) fn parse(raw: &[u8]) -> Structure {
    let mut parser = Parser {
        raw,
        frames: vec![Frame::new(0, false)],
        boundaries: BTreeMap::new(),
        leaves: Vec::new(),
        parts: 1,
        overflow: false,
        line_feeds: 0,
        context: Context::default(),
        root: None,
    };
    parser.run();
    let (root, envelope) = parser.root.unwrap_or_default();
    if raw.contains(&0) {
        parser.context.defects.add(Defect::NulOctet);
    }
    if envelope.from.is_empty() {
        parser.context.defects.add(Defect::MissingFrom);
    }
    Structure {
        root,
        leaves: parser.leaves,
        size: raw.len() as u64,
        lines: parser.line_feeds,
        defects: parser.context.defects.into_vec(),
        envelope,
        summary: Summary::default(),
    }
}

/// What an open part is.
enum Opening {
    /// Its header is being read.
    Header,
    /// A multipart; `epilogue` is where its epilogue begins, once it is closed.
    Multipart {
        boundary: Vec<u8>,
        epilogue: Option<usize>,
    },
    /// A message whose inner message is the frame above.
    Message,
    /// Anything else.
    Leaf,
}

/// A part that is being read.
struct Frame {
    part: Part,
    opening: Opening,
    /// Whether it is directly in a `multipart/digest` (RFC 2046 5.1.5).
    in_digest: bool,
    /// Line feeds before its body.
    line_feeds: u64,
    children: Vec<Part>,
    /// Of the message that it is the root of.
    envelope: EnvelopeData,
    /// Of the inner message, if it is a `Message`.
    inner_envelope: EnvelopeData,
}

impl Frame {
    fn new(start: usize, in_digest: bool) -> Self {
        let at = Span::new(start, start);
        Self {
            part: Part {
                header: at,
                body: at,
                ..Part::default()
            },
            opening: Opening::Header,
            in_digest,
            line_feeds: 0,
            children: Vec::new(),
            envelope: EnvelopeData::default(),
            inner_envelope: EnvelopeData::default(),
        }
    }

    fn in_header(&self) -> bool {
        matches!(self.opening, Opening::Header)
    }
}

struct Parser<'a> {
    raw: &'a [u8],
    frames: Vec<Frame>,
    /// Open boundaries and the frames that have them, the innermost last.
    boundaries: BTreeMap<Vec<u8>, Vec<usize>>,
    leaves: Vec<Span>,
    parts: usize,
    /// Whether [`MAX_PARTS`] was reached.
    overflow: bool,
    /// Line feeds before the current line.
    line_feeds: u64,
    context: Context,
    root: Option<(Part, EnvelopeData)>,
}

/// A line that separates parts.
struct Delimiter {
    frame: usize,
    closing: bool,
}

impl Parser<'_> {
    fn run(&mut self) {
        let mut at = 0;
        let mut in_header = true;
        while let Some(rest) = self.raw.get(at..).filter(|rest| !rest.is_empty()) {
            let line = rest.get(..line_length(rest)).unwrap_or_default();
            let end = at.saturating_add(line.len());
            if let Some(delimiter) = self.delimiter(line) {
                self.delimit(&delimiter, at, end);
                self.count(line);
                in_header = self.in_header();
            } else {
                self.count(line);
                if in_header && is_blank(line) {
                    self.end_header(end);
                    in_header = self.in_header();
                }
            }
            at = end;
        }
        while self.in_header() {
            self.context.defects.add(Defect::MissingBlankLine);
            self.end_header(at);
        }
        while !self.frames.is_empty() {
            self.close(at, self.line_feeds);
        }
    }

    fn in_header(&self) -> bool {
        self.frames.last().is_some_and(Frame::in_header)
    }

    fn count(&mut self, line: &[u8]) {
        if line.ends_with(b"\n") {
            self.line_feeds = self.line_feeds.saturating_add(1);
            if !line.ends_with(b"\r\n") {
                self.context.defects.add(Defect::BareLineFeed);
            }
        }
    }

    /// Whether the line is `--boundary` or `--boundary--` of an open multipart, the innermost
    /// first if several have the same.
    fn delimiter(&self, line: &[u8]) -> Option<Delimiter> {
        let rest = line.strip_prefix(b"--")?;
        if self.boundaries.is_empty() {
            return None;
        }
        let name = rest.trim_ascii_end();
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

    /// Acts on a delimiter line that stands at `start..end`.
    fn delimit(&mut self, delimiter: &Delimiter, start: usize, end: usize) {
        while self.in_header() {
            self.end_header(start);
        }
        let (body_end, line_feeds) = self.end_before(start);
        while self.frames.len() > delimiter.frame.saturating_add(1) {
            self.close(body_end, line_feeds);
        }
        let Some(frame) = self.frames.last_mut() else {
            return;
        };
        let digest = frame.part.is("multipart", "digest");
        if delimiter.closing {
            if let Opening::Multipart { boundary, epilogue } = &mut frame.opening {
                *epilogue = Some(end);
                let boundary = core::mem::take(boundary);
                self.forget_boundary(&boundary);
            }
            return;
        }
        if frame.children.is_empty() {
            let preamble = frame.part.body.range().start;
            self.push_gap(preamble, body_end);
        }
        if self.parts < MAX_PARTS {
            self.parts = self.parts.saturating_add(1);
            self.frames.push(Frame::new(end, digest));
        } else {
            self.push_rest(end);
        }
    }

    /// Opens the last part, which takes all that is left.
    fn push_rest(&mut self, start: usize) {
        self.context.defects.add(Defect::TooManyParts);
        self.overflow = true;
        self.boundaries.clear();
        let mut rest = Frame::new(start, false);
        rest.opening = Opening::Leaf;
        // The delimiter line is not counted yet.
        rest.line_feeds = self.line_feeds.saturating_add(1);
        close_as(&mut rest.part, "application", "octet-stream");
        self.frames.push(rest);
    }

    /// Where a body ends that a delimiter at `start` ends, and the line feeds before that: the
    /// line break before a delimiter belongs to it, unless it ended the header.
    fn end_before(&self, start: usize) -> (usize, u64) {
        let body_start = self
            .frames
            .last()
            .map_or(0, |frame| frame.part.body.range().start);
        let before = self.raw.get(body_start..start).unwrap_or_default();
        if before.ends_with(b"\r\n") {
            (start.saturating_sub(2), self.line_feeds.saturating_sub(1))
        } else if before.ends_with(b"\n") {
            (start.saturating_sub(1), self.line_feeds.saturating_sub(1))
        } else {
            (start, self.line_feeds)
        }
    }

    /// Ends the header of the innermost frame and decides what its body is.
    fn end_header(&mut self, end: usize) {
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
        frame.line_feeds = self.line_feeds;
        frame.part.header.end = end as u64;
        frame.part.body = Span::new(end, end);
        let header = frame.part.header.of(self.raw);
        let envelope = is_message.then_some(&mut frame.envelope);
        let kind = describe(
            &mut frame.part,
            header,
            frame.in_digest,
            envelope,
            &mut self.context,
        );
        frame.opening = match kind {
            Kind::Leaf => Opening::Leaf,
            _ if depth >= MAX_DEPTH => {
                self.context.defects.add(Defect::TooDeep);
                close_as(&mut frame.part, "application", "octet-stream");
                Opening::Leaf
            }
            Kind::Multipart(boundary) => {
                let frames = self.boundaries.entry(boundary.clone()).or_default();
                frames.push(depth.saturating_sub(1));
                Opening::Multipart {
                    boundary,
                    epilogue: None,
                }
            }
            Kind::Message if self.parts >= MAX_PARTS => {
                self.context.defects.add(Defect::TooManyParts);
                close_as(&mut frame.part, "application", "octet-stream");
                Opening::Leaf
            }
            Kind::Message => {
                self.parts = self.parts.saturating_add(1);
                frame.opening = Opening::Message;
                self.frames.push(Frame::new(end, false));
                return;
            }
        };
    }

    /// Ends the innermost frame at `end`, before which there are `line_feeds`.
    fn close(&mut self, end: usize, line_feeds: u64) {
        let Some(mut frame) = self.frames.pop() else {
            return;
        };
        let start = frame.part.body.range().start;
        frame.part.body = Span::new(start, end);
        frame.part.lines = line_feeds.saturating_sub(frame.line_feeds);
        let children = core::mem::take(&mut frame.children);
        frame.part.content = match frame.opening {
            Opening::Multipart { boundary, epilogue } => {
                self.close_multipart(&mut frame.part, children, &boundary, epilogue)
            }
            Opening::Message => match children.into_iter().next() {
                Some(part) => Content::Message {
                    envelope: Box::new(frame.inner_envelope),
                    part: Box::new(part),
                },
                None => self.push_leaf(frame.part.body),
            },
            Opening::Leaf | Opening::Header => self.push_leaf(frame.part.body),
        };
        match self.frames.last_mut() {
            Some(parent) => {
                parent.children.push(frame.part);
                parent.inner_envelope = frame.envelope;
            }
            None => self.root = Some((frame.part, frame.envelope)),
        }
    }

    fn close_multipart(
        &mut self,
        part: &mut Part,
        children: Vec<Part>,
        boundary: &[u8],
        epilogue: Option<usize>,
    ) -> Content {
        match epilogue {
            None => {
                self.forget_boundary(boundary);
                if !self.overflow {
                    self.context.defects.add(Defect::UnterminatedMultipart);
                }
            }
            Some(start) if !children.is_empty() => self.push_gap(start, part.body.range().end),
            Some(_) => {}
        }
        if children.is_empty() {
            self.context.defects.add(Defect::NoParts);
            close_as(part, "text", "plain");
            return self.push_leaf(part.body);
        }
        Content::Multipart(children)
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

    fn push_leaf(&mut self, span: Span) -> Content {
        self.leaves.push(span);
        Content::Leaf(self.leaves.len().saturating_sub(1))
    }

    /// Keeps a long preamble or epilogue like a leaf, so that the skeleton stays small.
    fn push_gap(&mut self, start: usize, end: usize) {
        if end.saturating_sub(start) > MAX_GAP_OCTETS {
            self.leaves.push(Span::new(start, end));
        }
    }
}

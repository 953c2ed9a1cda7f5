//! Where the octets of a message go while it is read: into the skeleton or into leaves.
//!
//! Invariant: every octet goes to one place, in order. What is in a leaf is passed on and not kept,
//! but for the beginnings of texts. Rejected: positions alone, and cutting afterwards; the whole
//! message would have to stay in memory.

use super::body_structure::{Content, Span};
use super::header::is_blank;
use super::splitter::LeafSink;
use super::text_starts::TextStarts;
use super::{MAX_GAP_OCTETS, MAX_SKELETON_OCTETS};

/// Longer than the headers of most messages.
const USUAL_SKELETON_OCTETS: usize = 8 * 1024;

/// Where the octets of the innermost part go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Flow {
    /// Into the skeleton: they are a header.
    Header,
    /// Into the skeleton, unless they become too many: they are a preamble or an epilogue.
    Gap {
        /// Where it begins in the skeleton.
        start: usize,
        /// A preamble may turn out to be the text of a multipart without parts.
        is_preamble: bool,
    },
    /// Into the next leaf.
    Leaf,
    /// Nowhere: a part has ended, what follows is not known yet.
    Nowhere,
}

/// What is taken so far.
pub(super) struct Outlet {
    pub(super) skeleton: Vec<u8>,
    /// Leaves that are ended.
    pub(super) leaves: Vec<Span>,
    /// Beginnings of the leaves that may be shown.
    pub(super) texts: TextStarts,
    /// Octets taken.
    pub(super) position: u64,
    /// Line feeds in them; in a header, up to the current line.
    pub(super) line_feeds: u64,
    /// Whether one of them had no carriage return before it.
    pub(super) bare_line_feed: bool,
    flow: Flow,
    /// Where the current line of a header begins in the skeleton.
    line: usize,
}

impl Outlet {
    pub(super) fn new() -> Self {
        Self {
            skeleton: Vec::with_capacity(USUAL_SKELETON_OCTETS),
            leaves: Vec::new(),
            texts: TextStarts::default(),
            position: 0,
            line_feeds: 0,
            bare_line_feed: false,
            flow: Flow::Header,
            line: 0,
        }
    }

    /// The position as an empty span.
    pub(super) const fn here(&self) -> Span {
        Span {
            start: self.position,
            end: self.position,
        }
    }

    pub(super) fn is_full(&self) -> bool {
        self.skeleton.len() >= MAX_SKELETON_OCTETS
    }

    pub(super) fn in_header(&self) -> bool {
        self.flow == Flow::Header
    }

    pub(super) const fn begin_header(&mut self) {
        self.line = self.skeleton.len();
        self.flow = Flow::Header;
    }

    /// Takes octets of one line of a header, as many as there is room for; how many those are.
    pub(super) fn header(&mut self, octets: &[u8]) -> usize {
        let room = MAX_SKELETON_OCTETS.saturating_sub(self.skeleton.len());
        let taken = octets.get(..room).unwrap_or(octets);
        self.skeleton.extend_from_slice(taken);
        self.advance(taken);
        taken.len()
    }

    /// The current line of a header, as far as it was taken.
    pub(super) fn header_line(&self) -> &[u8] {
        self.skeleton.get(self.line..).unwrap_or_default()
    }

    /// Gives the current line of a header back.
    pub(super) fn untake_header_line(&mut self) -> Vec<u8> {
        let line = self.skeleton.split_off(self.line);
        self.position = self.position.saturating_sub(line.len() as u64);
        line
    }

    /// Ends the current line of a header; whether it is empty.
    pub(super) fn end_header_line(&mut self) -> bool {
        let line = self.header_line();
        let (blank, line_break) = (is_blank(line), line_break_of(line));
        self.count(line_break);
        self.line = self.skeleton.len();
        blank
    }

    /// Takes octets that belong into the skeleton and are no header.
    pub(super) fn push_skeleton(&mut self, octets: &[u8]) {
        self.skeleton.extend_from_slice(octets);
        self.advance(octets);
        self.count(line_break_of(octets));
    }

    /// Takes octets of a body, with that many line feeds.
    pub(super) fn body(&mut self, octets: &[u8], line_feeds: u64, sink: &mut impl LeafSink) {
        if octets.is_empty() {
            return;
        }
        self.advance(octets);
        self.line_feeds = self.line_feeds.saturating_add(line_feeds);
        if let Flow::Gap { start, .. } = self.flow {
            let length = self.skeleton.len().saturating_add(octets.len());
            if length.saturating_sub(start) <= MAX_GAP_OCTETS && length <= MAX_SKELETON_OCTETS {
                self.skeleton.extend_from_slice(octets);
                return;
            }
            self.gap_to_leaf(sink);
        }
        self.texts.take(octets);
        sink.octets(self.leaves.len(), octets);
    }

    pub(super) fn begin_leaf(&mut self, may_be_shown: bool) {
        self.flow = Flow::Leaf;
        self.texts.begin(self.leaves.len(), may_be_shown);
    }

    pub(super) fn end_leaf(&mut self, span: Span, sink: &mut impl LeafSink) -> Content {
        let index = self.leaves.len();
        sink.end(index);
        self.leaves.push(span);
        self.flow = Flow::Nowhere;
        Content::Leaf(index)
    }

    pub(super) const fn begin_gap(&mut self, is_preamble: bool) {
        self.flow = Flow::Gap {
            start: self.skeleton.len(),
            is_preamble,
        };
    }

    /// Ends a preamble or epilogue. A long one was passed on like a leaf, so that the skeleton
    /// stays small.
    pub(super) fn end_gap(&mut self, start: u64, end: u64, sink: &mut impl LeafSink) {
        if self.flow == Flow::Leaf {
            self.end_leaf(Span { start, end }, sink);
        }
        self.flow = Flow::Nowhere;
    }

    /// Passes a preamble or epilogue on like a leaf.
    pub(super) fn gap_to_leaf(&mut self, sink: &mut impl LeafSink) {
        let Flow::Gap { start, is_preamble } = self.flow else {
            return;
        };
        self.begin_leaf(is_preamble);
        let octets = self.skeleton.split_off(start);
        if !octets.is_empty() {
            self.texts.take(&octets);
            sink.octets(self.leaves.len(), &octets);
        }
    }

    fn advance(&mut self, octets: &[u8]) {
        self.position = self.position.saturating_add(octets.len() as u64);
    }

    /// Counts a line break.
    fn count(&mut self, line_break: u64) {
        self.line_feeds = self.line_feeds.saturating_add(line_break.min(1));
        self.bare_line_feed |= line_break == 1;
    }
}

/// Octets of the line break at the end: 2, 1, or 0 if there is none.
pub(super) fn line_break_of(line: &[u8]) -> u64 {
    if line.ends_with(b"\r\n") {
        2
    } else {
        u64::from(line.ends_with(b"\n"))
    }
}

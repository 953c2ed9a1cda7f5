//! The structure of a message: its parts, where they stand, what they say about themselves
//! (RFC 2045, RFC 2046, RFC 2183, RFC 3282, RFC 2557), as IMAP BODYSTRUCTURE needs it
//! (RFC 9051 7.5.2).
//!
//! Invariant: every [`Span`] lies in `0..size`, `leaves` ascend and are disjoint, and a leaf of
//! the tree is an index into `leaves`. `Debug` shows positions, never content.
//! Rejected: keeping the parsed header of every part; the skeleton has it and header fetches
//! are rare.

use core::fmt;
use core::ops::Range;

use serde::{Deserialize, Serialize};

use super::defect::Defect;
use super::encoded_word::decode_header;
use super::envelope::EnvelopeData;
use super::parameters::decode_extended;
use super::summary::Summary;

/// A range of octets of the raw message; `start <= end`.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct Span {
    /// First octet.
    pub start: u64,
    /// One past the last octet.
    pub end: u64,
}

impl Span {
    /// How many octets.
    pub const fn len(self) -> u64 {
        self.end.saturating_sub(self.start)
    }

    /// Whether there are none.
    pub const fn is_empty(self) -> bool {
        self.end <= self.start
    }

    /// As a range of a slice in memory.
    pub fn range(self) -> Range<usize> {
        let position = |at: u64| usize::try_from(at).unwrap_or(usize::MAX);
        position(self.start)..position(self.end)
    }

    /// These octets of the raw message; empty if it is shorter.
    pub fn of(self, raw: &[u8]) -> &[u8] {
        raw.get(self.range()).unwrap_or_default()
    }
}

/// What is known about a message without its leaves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Structure {
    /// The message itself as a part: its header is the message header.
    pub root: Part,
    /// Where the leaves stand: ascending, disjoint. Some belong to no part: a long preamble or
    /// epilogue is kept like a leaf, so that the skeleton stays small.
    pub leaves: Vec<Span>,
    /// Octets of the raw message.
    pub size: u64,
    /// Line feeds in the raw message.
    pub lines: u64,
    /// Each kind of defect once.
    pub defects: Vec<Defect>,
    /// What ENVELOPE shows (RFC 9051 7.5.2).
    pub envelope: EnvelopeData,
    /// What a list of messages shows.
    pub summary: Summary,
}

/// One MIME entity (RFC 2045 2.4).
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// The header with the empty line that ends it.
    pub header: Span,
    /// What follows the header. The line break before a delimiter belongs to the delimiter
    /// (RFC 2046 5.1.1).
    pub body: Span,
    /// What the body is.
    pub content: Content,
    /// Top-level media type in lower case. `multipart` and `message/rfc822` stand only where
    /// `content` is opened; what could not be opened is `text/plain` or
    /// `application/octet-stream`.
    pub media_type: String,
    /// Subtype in lower case.
    pub subtype: String,
    /// Parameters of `Content-Type`, names in lower case, continuations joined (RFC 2231 3); a
    /// value with charset keeps the `*` in its name and its encoding (RFC 2231 4).
    pub parameters: Vec<(String, String)>,
    /// `Content-ID`, with its angle brackets.
    pub content_id: Option<String>,
    /// `Content-Description`, not decoded.
    pub description: Option<String>,
    /// `Content-Transfer-Encoding`, as it stands; absent means `7bit`.
    pub encoding: Option<String>,
    /// `Content-Disposition` in lower case, and its parameters (RFC 2183).
    pub disposition: Option<(String, Vec<(String, String)>)>,
    /// `Content-Language` tags (RFC 3282).
    pub language: Vec<String>,
    /// `Content-Location` (RFC 2557).
    pub location: Option<String>,
    /// `Content-MD5` (RFC 1864).
    pub md5: Option<String>,
    /// Line feeds in the body.
    pub lines: u64,
}

/// What the body of a part is.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Content {
    /// The parts of a `multipart/*`; never empty.
    Multipart(Vec<Part>),
    /// The message in a `message/rfc822` or `message/global`.
    Message {
        /// Its envelope.
        envelope: Box<EnvelopeData>,
        /// The message as a part: its header is the header of the inner message.
        part: Box<Part>,
    },
    /// Anything else: which of [`Structure::leaves`] it is.
    Leaf(usize),
}

impl Default for Content {
    fn default() -> Self {
        Self::Leaf(0)
    }
}

impl Part {
    /// Whether this is `media_type/subtype`, given in lower case.
    pub fn is(&self, media_type: &str, subtype: &str) -> bool {
        self.media_type == media_type && self.subtype == subtype
    }

    /// A parameter of `Content-Type`, decoded (RFC 2231, and RFC 2047 where programs misuse it).
    pub fn parameter(&self, name: &str) -> Option<String> {
        decoded_parameter(&self.parameters, name)
    }

    /// A parameter of `Content-Disposition`, decoded.
    pub fn disposition_parameter(&self, name: &str) -> Option<String> {
        decoded_parameter(&self.disposition.as_ref()?.1, name)
    }

    /// The file name that the sender gave it, decoded: `filename`, else `name`.
    pub fn file_name(&self) -> Option<String> {
        self.disposition_parameter("filename")
            .or_else(|| self.parameter("name"))
            .filter(|name| !name.is_empty())
    }

    /// Whether the sender wants it kept apart from the text (RFC 2183 2.2).
    pub fn is_attachment(&self) -> bool {
        self.disposition
            .as_ref()
            .is_some_and(|(kind, _)| kind == "attachment")
    }

    /// The parts directly in this one.
    pub fn children(&self) -> &[Part] {
        match &self.content {
            Content::Multipart(parts) => parts,
            Content::Message { part, .. } => core::slice::from_ref(part),
            Content::Leaf(_) => &[],
        }
    }

    /// Which leaf it is, if it is one.
    pub fn leaf(&self) -> Option<usize> {
        match self.content {
            Content::Leaf(index) => Some(index),
            Content::Multipart(_) | Content::Message { .. } => None,
        }
    }
}

fn decoded_parameter(parameters: &[(String, String)], name: &str) -> Option<String> {
    let find = |wanted: &str| parameters.iter().find(|(n, _)| n == wanted).map(|(_, v)| v);
    if let Some(value) = find(&format!("{name}*")) {
        return Some(decode_extended(value));
    }
    find(name).map(|value| decode_header(value.as_bytes()))
}

impl fmt::Debug for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Part")
            .field("header", &self.header)
            .field("body", &self.body)
            .field("content", &self.content)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Multipart(parts) => f.debug_tuple("Multipart").field(parts).finish(),
            Self::Message { part, .. } => f.debug_tuple("Message").field(part).finish(),
            Self::Leaf(index) => f.debug_tuple("Leaf").field(index).finish(),
        }
    }
}

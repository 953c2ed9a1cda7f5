//! Which octets a section of FETCH names (RFC 9051 6.4.5.1), and from what to read them.
//!
//! Invariant: a section is always one run of octets of the raw message, so partial fetches are
//! sub-ranges. Rejected: handing out copies of parts; a fetch of one section of a large message
//! must read that section's leaves alone.

use core::ops::Range;

use serde::{Deserialize, Serialize};

use super::body_structure::{Content, Part, Span, Structure};

/// What of a part is meant (RFC 9051 6.4.5.1, `section-text`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum SectionKind {
    /// The part itself, without its MIME header; of the empty path, the whole message.
    Content,
    /// `HEADER`: the message header; of a part, that of the message which the part is.
    Header,
    /// `TEXT`: what follows that header.
    Text,
    /// `MIME`: the header of the part.
    Mime,
}

/// A run of octets, and where it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece {
    /// Octets of the skeleton.
    Skeleton(Range<usize>),
    /// Octets of a leaf.
    Leaf {
        /// Which leaf.
        index: usize,
        /// Which of its octets.
        range: Range<usize>,
    },
}

impl Structure {
    /// The octets of a section; `None` if the message has no such section.
    pub fn section(&self, path: &[u32], kind: SectionKind) -> Option<Span> {
        if path.is_empty() {
            return match kind {
                SectionKind::Content => Some(Span {
                    start: 0,
                    end: self.size,
                }),
                SectionKind::Header => Some(self.root.header),
                SectionKind::Text => Some(self.root.body),
                SectionKind::Mime => None,
            };
        }
        let part = self.part(path)?;
        match (kind, &part.content) {
            (SectionKind::Content, _) => Some(part.body),
            (SectionKind::Mime, _) => Some(part.header),
            (SectionKind::Header, Content::Message { part: inner, .. }) => Some(inner.header),
            (SectionKind::Text, Content::Message { part: inner, .. }) => Some(inner.body),
            (SectionKind::Header | SectionKind::Text, _) => None,
        }
    }

    /// The part that a path of part numbers names; the empty path names the message.
    ///
    /// A message that is no multipart has part 1, its body; a `message/rfc822` has the parts of
    /// the message in it (RFC 9051 6.4.5.1).
    pub fn part(&self, path: &[u32]) -> Option<&Part> {
        let Some((&first, rest)) = path.split_first() else {
            return Some(&self.root);
        };
        let mut part = part_of_message(&self.root, first)?;
        for &number in rest {
            part = match &part.content {
                Content::Multipart(parts) => nth(parts, number)?,
                Content::Message { part: inner, .. } => part_of_message(inner, number)?,
                Content::Leaf(_) => return None,
            };
        }
        Some(part)
    }

    /// From what to read a span, in order. What lies beyond the message is left out.
    pub fn pieces(&self, span: Span) -> Vec<Piece> {
        let mut pieces = Vec::new();
        let end = span.end.min(self.size);
        let mut at = span.start.min(end);
        let mut in_leaves = 0_u64;
        for (index, leaf) in self.leaves.iter().enumerate() {
            if leaf.start >= end {
                break;
            }
            if leaf.end > at {
                push_skeleton(&mut pieces, at, leaf.start, in_leaves);
                at = at.max(leaf.start);
                let stop = leaf.end.min(end);
                let within = Span {
                    start: at.saturating_sub(leaf.start),
                    end: stop.saturating_sub(leaf.start),
                };
                if !within.is_empty() {
                    pieces.push(Piece::Leaf {
                        index,
                        range: within.range(),
                    });
                }
                at = stop;
            }
            in_leaves = in_leaves.saturating_add(leaf.len());
        }
        push_skeleton(&mut pieces, at, end, in_leaves);
        pieces
    }
}

/// Octets `start..end` of the raw message that are skeleton; `in_leaves` octets before them are
/// in leaves.
fn push_skeleton(pieces: &mut Vec<Piece>, start: u64, end: u64, in_leaves: u64) {
    if start < end {
        let span = Span {
            start: start.saturating_sub(in_leaves),
            end: end.saturating_sub(in_leaves),
        };
        pieces.push(Piece::Skeleton(span.range()));
    }
}

fn part_of_message(message: &Part, number: u32) -> Option<&Part> {
    match &message.content {
        Content::Multipart(parts) => nth(parts, number),
        Content::Message { .. } | Content::Leaf(_) => (number == 1).then_some(message),
    }
}

fn nth(parts: &[Part], number: u32) -> Option<&Part> {
    parts.get(usize::try_from(number).ok()?.checked_sub(1)?)
}

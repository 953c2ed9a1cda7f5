//! Messages: the lossless split and join, and everything that mail programs and the webmail need
//! to know about a message, computed once when it arrives (RFC 5322, RFC 2045-2047, RFC 2183,
//! RFC 2231, RFC 6532).
//!
//! Invariant: `join(split(raw)) == raw` for every octet string. Nothing here fails because of what
//! a message contains: malformed mail is data with [`Defect`]s. Time is linear in the size of the
//! message, memory in that of its headers; every limit is a constant below.
//! Rejected: building on a general mail parser; none keeps the octets, and IMAP's sections and
//! BODYSTRUCTURE need positions.

mod splitter;
mod parse;
mod outlet;
mod text_starts;
mod split;
mod join;
mod entity;
mod body_structure;
mod section;
pub mod header;
mod parameters;
pub mod address;
mod envelope;
mod defect;
mod summary;
mod date;
mod transfer;
mod binary;
mod charset;
mod encoded_word;
pub mod text;
mod flowed;
mod searchable;
mod html;
mod status_fields;
mod encode;
pub mod build;
mod notice;

pub use address::{EnvelopeAddress, Mailbox};
pub use binary::{BinaryError, decode_binary};
pub use body_structure::{Content, Part, Span, Structure};
pub use charset::decode_charset;
pub use date::{civil_from_days, days_from_civil, format_date, parse_date};
pub use defect::Defect;
pub use encoded_word::decode_header;
pub use envelope::EnvelopeData;
pub use html::html_to_text;
pub use join::{JoinError, join};
pub(crate) use notice::Notice;
pub use parameters::{Parameterised, decode_extended, parse_parameterised};
pub use searchable::{MAX_SEARCHABLE_OCTETS, SearchablePiece, file_names, searchable_pieces};
pub use section::{Piece, SectionKind};
pub use split::{Split, split};
pub use splitter::{LeafSink, Splitter, WithoutLeaves};
pub use status_fields::{
    STATUS_FIELD_PREFIXES, has_status_fields, strip_fields_everywhere, strip_status_fields,
};
pub use summary::Summary;
pub use transfer::decode_transfer;

/// Deepest nesting of parts and messages that is opened.
pub const MAX_DEPTH: usize = 100;
/// Most parts of one message that are opened.
pub const MAX_PARTS: usize = 10_000;
/// Longest boundary looked for, in octets; RFC 2046 5.1.1 allows 70.
pub const MAX_BOUNDARY_OCTETS: usize = 998;
/// Longest delimiter line looked for, in octets, with white space and line break.
pub const MAX_DELIMITER_OCTETS: usize = 4 * 1024;
/// Most octets of headers, delimiters, preambles and epilogues of one message; what follows is
/// one closed part.
pub const MAX_SKELETON_OCTETS: usize = 16 * 1024 * 1024;
/// Longest preamble or epilogue kept in the skeleton, in octets; longer ones are kept like leaves.
pub const MAX_GAP_OCTETS: usize = 64 * 1024;
/// Longest header value kept in a structure, in octets; longer ones are cut there.
pub const MAX_VALUE_OCTETS: usize = 64 * 1024;
/// Most addresses listed of one message, over all its envelopes.
pub const MAX_ADDRESSES: usize = 10_000;
/// Most parameters listed of one message, over all its parts.
pub const MAX_TOTAL_PARAMETERS: usize = 50_000;

#[cfg(test)]
mod tests;

//! What of a message can be found by its words: the text of every part, the headers of the
//! messages in it, and the names of files.
//!
//! The search index and IMAP's SEARCH (RFC 9051 6.4.4) walk the same pieces, so that the index
//! never rules out what reading would find. Invariant: which pieces there are follows from the
//! structure alone, so that nothing else of a message is read; texts that are not shown (attached
//! ones, the other alternative) are among them. Rejected: the shown text alone; people remember a
//! word of the attached minutes.

use super::body_structure::{Content, Part, Structure};
use super::header::fields;
use super::text::{base_name, decode_lines};
use super::{Span, decode_header};

/// Longest text leaf that is searched, in octets as they stand; longer ones are data.
pub const MAX_SEARCHABLE_OCTETS: u64 = 16 * 1024 * 1024;

/// Something in a message that has words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SearchablePiece<'a> {
    /// A leaf of text.
    Text(&'a Part),
    /// The header of a message inside the message; the part is that message's root.
    HeaderWithin(&'a Part),
}

impl SearchablePiece<'_> {
    /// Where its octets stand in the message.
    pub const fn span(&self) -> Span {
        match self {
            Self::Text(part) => part.body,
            Self::HeaderWithin(part) => part.header,
        }
    }

    /// Its text, decoded, lines as they stand: what a substring is looked for in. Markup of HTML
    /// is part of it. `wire` are the octets of [`SearchablePiece::span`].
    pub fn decoded(&self, wire: &[u8]) -> String {
        match self {
            Self::Text(part) => decode_lines(part, wire),
            Self::HeaderWithin(_) => {
                let line = |field: super::header::Field<'_>| {
                    let name = String::from_utf8_lossy(field.name);
                    format!("{name}: {}\n", decode_header(field.value))
                };
                fields(wire).map(line).collect()
            }
        }
    }
}

/// Everything in a message that has words, in the order in which it stands.
pub fn searchable_pieces(structure: &Structure) -> Vec<SearchablePiece<'_>> {
    let mut found = Vec::new();
    for part in parts(structure) {
        match &part.content {
            Content::Leaf(_) if is_text(part) => found.push(SearchablePiece::Text(part)),
            Content::Message { part: inner, .. } => {
                found.push(SearchablePiece::HeaderWithin(inner));
            }
            Content::Leaf(_) | Content::Multipart(_) => {}
        }
    }
    found
}

/// The names of the files in a message, without folders.
pub fn file_names(structure: &Structure) -> impl Iterator<Item = String> + '_ {
    parts(structure)
        .into_iter()
        .filter_map(Part::file_name)
        .map(|name| base_name(&name))
        .filter(|name| !name.is_empty())
}

fn is_text(part: &Part) -> bool {
    part.media_type == "text" && part.body.len() <= MAX_SEARCHABLE_OCTETS
}

/// All parts, in the order in which they stand.
fn parts(structure: &Structure) -> Vec<&Part> {
    let mut found = Vec::new();
    let mut to_do = vec![&structure.root];
    while let Some(part) = to_do.pop() {
        found.push(part);
        to_do.extend(part.children().iter().rev());
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mime::split;

    #[test]
    fn every_text_is_found() {
        let raw = b"Content-Type: multipart/mixed; boundary=o\n\n\
            --o\nContent-Type: multipart/alternative; boundary=i\n\n\
            --i\nContent-Type: text/plain; format=flowed\n\nplain \ntext\n\
            --i\nContent-Type: text/html\n\n<p>marked <b>up</b></p>\n--i--\n\
            --o\nContent-Disposition: attachment; filename*=utf-8''%C3%BCber.csv\n\
            Content-Type: text/csv\n\na;b\n\
            --o\nContent-Type: image/png; name=\"a/picture.png\"\n\nx\n\
            --o\nContent-Type: message/rfc822\n\nSubject: =?utf-8?q?gr=C3=BCn?=\nFrom: A <a@b>\n\ninner\n\
            --o--\n";
        let message = split(raw);
        let decoded = |piece: SearchablePiece<'_>| piece.decoded(piece.span().of(raw));
        let texts: Vec<String> = searchable_pieces(&message.structure)
            .into_iter()
            .map(decoded)
            .collect();
        assert_eq!(
            texts,
            [
                "plain \ntext",
                "<p>marked <b>up</b></p>",
                "a;b",
                "Subject: grün\nFrom: A <a@b>\n",
                "inner"
            ]
        );
        let names: Vec<String> = file_names(&message.structure).collect();
        assert_eq!(names, ["über.csv", "picture.png"]);
    }

    #[test]
    fn what_is_too_long_to_be_text_is_data() {
        let raw = b"Content-Type: text/plain\n\nx";
        let mut structure = split(raw).structure;
        let end = structure.root.body.start + MAX_SEARCHABLE_OCTETS;
        structure.root.body.end = end;
        assert_eq!(searchable_pieces(&structure).len(), 1);
        structure.root.body.end = end + 1;
        assert_eq!(searchable_pieces(&structure), []);
    }
}

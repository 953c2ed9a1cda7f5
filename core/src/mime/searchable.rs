//! What of a message can be found by its words: the text of every part, the names of files, and
//! who and what the messages in it are.
//!
//! Invariant: [`searchable_leaves`] needs the structure alone, so that only leaves with text are
//! read; texts that are not shown (attached ones, the other alternative) are among them, because
//! IMAP's SEARCH looks at them too (RFC 9051 6.4.4). Rejected: the shown text alone; people
//! remember a word of the attached minutes.

use super::body_structure::{Content, Part, Structure};
use super::envelope::EnvelopeData;
use super::html::html_to_text;
use super::text::{base_name, decode_text};
use super::{EnvelopeAddress, decode_header};

/// Longest text leaf that is searched, in octets as they stand; longer ones are data.
pub const MAX_SEARCHABLE_OCTETS: u64 = 16 * 1024 * 1024;

/// What can be found by its words.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Searchable {
    /// Text of the parts, in order; that of HTML without its markup.
    pub texts: Vec<String>,
    /// File names of the parts.
    pub file_names: Vec<String>,
    /// Subjects and people of the messages inside the message.
    pub inner_messages: Vec<String>,
}

impl core::fmt::Debug for Searchable {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Searchable")
            .field("texts", &self.texts.len())
            .finish_non_exhaustive()
    }
}

/// All searchable text of a message. `leaf` gives the octets of a leaf as they stand; it is asked
/// for those of [`searchable_leaves`] and may know some of them not.
pub fn searchable<'a>(
    structure: &Structure,
    mut leaf: impl FnMut(usize) -> Option<&'a [u8]>,
) -> Searchable {
    let texts = searchable_leaves(structure)
        .into_iter()
        .filter_map(|(part, index)| Some(searchable_text(part, leaf(index)?)))
        .collect();
    let mut searchable = Searchable {
        texts,
        ..Searchable::default()
    };
    for part in parts(structure) {
        let name = part.file_name().map(|name| base_name(&name));
        searchable
            .file_names
            .extend(name.filter(|name| !name.is_empty()));
        if let Content::Message { envelope, .. } = &part.content {
            searchable.inner_messages.push(envelope_text(envelope));
        }
    }
    searchable
}

/// The parts with text, in order, and which leaf each is.
pub fn searchable_leaves(structure: &Structure) -> Vec<(&Part, usize)> {
    parts(structure)
        .into_iter()
        .filter(|part| part.media_type == "text" && part.body.len() <= MAX_SEARCHABLE_OCTETS)
        .filter_map(|part| Some((part, part.leaf()?)))
        .collect()
}

/// The text of one leaf, that of HTML without its markup.
pub fn searchable_text(part: &Part, wire: &[u8]) -> String {
    let (text, _) = decode_text(part, wire);
    if part.is("text", "html") {
        html_to_text(&text)
    } else {
        text
    }
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

fn envelope_text(envelope: &EnvelopeData) -> String {
    let mut text = envelope
        .subject
        .as_deref()
        .map(decode_header)
        .unwrap_or_default();
    let people = envelope.from.iter().chain(&envelope.to).chain(&envelope.cc);
    for mailbox in people.filter_map(EnvelopeAddress::to_mailbox) {
        text.push('\n');
        text.push_str(&mailbox.name);
        text.push(' ');
        text.push_str(&mailbox.address);
    }
    text
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
        let mut asked = Vec::new();
        let found = searchable(&message.structure, |leaf| {
            asked.push(leaf);
            message.leaves.get(leaf).copied()
        });
        assert_eq!(found.texts, ["plain text", "marked up", "a;b", "inner"]);
        assert_eq!(found.file_names, ["über.csv", "picture.png"]);
        assert_eq!(found.inner_messages, ["grün\nA a@b"]);
        assert_eq!(asked, [0, 1, 2, 4]);
        assert_eq!(searchable(&message.structure, |_| None).texts.len(), 0);
        assert!(!format!("{found:?}").contains("inner"));
    }
}

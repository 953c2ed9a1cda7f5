//! What of a message SEARCH compares texts with: decoded, and mapped for i;unicode-casemap
//! (RFC 3501 6.4.4, RFC 5255 4.6).

use letterlock_core::account::{MessageDocument as Message, ReplicaError};
use letterlock_core::casemap::casemap;
use letterlock_core::mime::header::{fields, find};
use letterlock_core::mime::{SearchablePiece, Span, decode_header, searchable_pieces};

use super::OpError;
use crate::imap::date::{Date, month};

/// A message's header, read for searching.
pub(super) struct Header {
    fields: Vec<(String, String)>,
}

impl Header {
    fn of(octets: &[u8]) -> Self {
        let decoded = |field: letterlock_core::mime::header::Field<'_>| {
            let name = casemap(&String::from_utf8_lossy(field.name));
            (name, casemap(&decode_header(field.value)))
        };
        Self {
            fields: fields(octets).map(decoded).collect(),
        }
    }

    /// Whether a field of this name has the text in it; any field of the name has the empty text.
    pub(super) fn field_contains(&self, name: &str, text: &str) -> bool {
        let named = self
            .fields
            .iter()
            .filter(|(other, _)| other.eq_ignore_ascii_case(name));
        named
            .map(|(_, value)| value)
            .any(|value| value.contains(text))
    }

    /// Whether the text is anywhere in the header.
    pub(super) fn contains(&self, text: &str) -> bool {
        self.fields
            .iter()
            .any(|(name, value)| format!("{name}: {value}").contains(text))
    }
}

/// The header of a message.
pub(super) fn read_header(message: &Message) -> Header {
    // It stands before all leaves, so it is the beginning of what is between them.
    Header::of(message.structure.root.header.of(&message.skeleton))
}

/// Where the texts of a message's body are: every text part, and the headers of messages in it.
pub(super) fn body_spans(message: &Message) -> Vec<Span> {
    let pieces = searchable_pieces(&message.structure);
    pieces.iter().map(SearchablePiece::span).collect()
}

/// The texts of a message's body, from what was read of [`body_spans`].
pub(super) fn body_texts(
    message: &Message,
    read: impl Iterator<Item = Result<Vec<u8>, ReplicaError>>,
) -> Result<Vec<String>, OpError> {
    let mut texts = Vec::new();
    for (piece, octets) in searchable_pieces(&message.structure).into_iter().zip(read) {
        match octets {
            Ok(octets) => texts.push(casemap(&piece.decoded(&octets))),
            // A part that has not come to this device yet has no text here.
            Err(ReplicaError::NotHere(_)) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(texts)
}

/// The day in the `Date:` field of a header, as its author's calendar had it.
pub(super) fn sent_day(header: &[u8]) -> Option<Date> {
    sent_date(&decode_header(find(header, "Date")?.value))
}

/// The day of a `Date:` field, "disregarding time and timezone" (RFC 3501 6.4.4): the day that
/// stands there, not that of the same instant elsewhere.
fn sent_date(value: &str) -> Option<Date> {
    let words: Vec<&str> = value
        .split(|c: char| c.is_whitespace() || c == ',' || c == '-')
        .filter(|w| !w.is_empty())
        .collect();
    let at = words.iter().position(|word| month(word).is_some())?;
    let day = words.get(at.checked_sub(1)?)?.parse().ok()?;
    let written = words.get(at.checked_add(1)?)?;
    let year: i64 = written.parse().ok()?;
    // Years of two and three digits (RFC 5322 4.3).
    let year = match written.len() {
        2 if year < 50 => year.saturating_add(2000),
        2 | 3 => year.saturating_add(1900),
        _ => year,
    };
    Date::new(year, month(words.get(at)?)?, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_day_is_that_of_the_author() {
        for (value, expected) in [
            (
                "Wed, 17 Jul 1996 23:59:25 -0700 (PDT)",
                Date::new(1996, 7, 17),
            ),
            ("1 Jan 05 00:00 GMT", Date::new(2005, 1, 1)),
            ("01-Feb-99 10:00:00 +0000", Date::new(1999, 2, 1)),
            ("yesterday", None),
            ("Jul", None),
        ] {
            assert_eq!(sent_date(value), expected, "{value}");
        }
    }

    #[test]
    fn fields_are_searched_decoded() {
        let header = Header::of(b"Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\r\nX-Empty:\r\n\r\n");
        assert!(header.field_contains("subject", &casemap("grüß")));
        assert!(header.field_contains("x-empty", ""));
        assert!(!header.field_contains("x-other", ""));
        assert!(header.contains("SUBJECT: GR"));
    }
}

//! Header fields as octets (RFC 5322 2.2): iterate, find, unfold, select, remove, prepend.
//!
//! Invariant: what is not asked to change is not changed; fields are cut, never written anew. A
//! line that is no field is kept as a field without a name. Rejected: a map of fields; order,
//! repetition and folding matter to signatures.

use core::ops::Range;
use std::borrow::Cow;

use memchr::{memchr, memchr2};

/// One field with its continuation lines.
#[derive(Clone, PartialEq, Eq)]
pub struct Field<'a> {
    /// The name as it stands, without white space before the colon; empty for a line that is no
    /// field.
    pub name: &'a [u8],
    /// What follows the colon, with folding, without the final line break.
    pub value: &'a [u8],
    /// The whole field with its line breaks.
    pub raw: &'a [u8],
    /// Where [`Field::raw`] stands in the header.
    pub range: Range<usize>,
}

impl Field<'_> {
    /// Whether it has this name, without regard to ASCII case.
    pub fn is(&self, name: &str) -> bool {
        self.name.eq_ignore_ascii_case(name.as_bytes())
    }

    /// The value without folding and without white space around it (RFC 5322 2.2.3).
    pub fn unfolded(&self) -> Vec<u8> {
        unfold(self.value).trim_ascii().to_vec()
    }
}

/// The name alone: values are content.
impl core::fmt::Debug for Field<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Field")
            .field("range", &self.range)
            .finish_non_exhaustive()
    }
}

/// Iterates over the fields of a header; ends at the empty line or at the end.
pub fn fields(header: &[u8]) -> Fields<'_> {
    Fields { header, at: 0 }
}

/// Iterator of [`fields`].
#[derive(Clone)]
pub struct Fields<'a> {
    header: &'a [u8],
    at: usize,
}

impl core::fmt::Debug for Fields<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Fields")
            .field("at", &self.at)
            .finish_non_exhaustive()
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = Field<'a>;

    fn next(&mut self) -> Option<Field<'a>> {
        let start = self.at;
        let rest = self.header.get(start..).unwrap_or_default();
        let mut length = line_length(rest);
        if is_blank(rest.get(..length).unwrap_or_default()) {
            return None;
        }
        while matches!(rest.get(length), Some(b' ' | b'\t')) {
            length = length.saturating_add(line_length(rest.get(length..).unwrap_or_default()));
        }
        let raw = rest.get(..length).unwrap_or_default();
        self.at = start.saturating_add(length);
        let (name, value) = name_and_value(raw);
        Some(Field {
            name,
            value,
            raw,
            range: start..self.at,
        })
    }
}

/// Length of the first line with its line break.
pub(super) fn line_length(octets: &[u8]) -> usize {
    memchr(b'\n', octets).map_or(octets.len(), |at| at.saturating_add(1))
}

/// Whether a line is empty but for its line break; so is no line at all.
pub(super) fn is_blank(line: &[u8]) -> bool {
    matches!(line, [] | [b'\n'] | [b'\r', b'\n'])
}

/// The line without its line break.
fn without_break(line: &[u8]) -> &[u8] {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    line.strip_suffix(b"\r").unwrap_or(line)
}

fn name_and_value(raw: &[u8]) -> (&[u8], &[u8]) {
    let whole = without_break(raw);
    let first_line = whole.get(..line_length(whole)).unwrap_or_default();
    let Some(colon) = memchr(b':', first_line) else {
        return (&[], whole);
    };
    let name = whole.get(..colon).unwrap_or_default().trim_ascii_end();
    let is_name = !name.is_empty() && name.iter().all(u8::is_ascii_graphic);
    match whole.get(colon.saturating_add(1)..) {
        Some(value) if is_name => (name, value),
        _ => (&[], whole),
    }
}

/// The first field of this name.
pub fn find<'a>(header: &'a [u8], name: &str) -> Option<Field<'a>> {
    fields(header).find(|field| field.is(name))
}

/// Takes line breaks out; the white space that follows them stays (RFC 5322 2.2.3).
pub fn unfold(value: &[u8]) -> Cow<'_, [u8]> {
    if memchr2(b'\r', b'\n', value).is_none() {
        return Cow::Borrowed(value);
    }
    Cow::Owned(
        value
            .iter()
            .copied()
            .filter(|o| !matches!(o, b'\r' | b'\n'))
            .collect(),
    )
}

/// Where a header ends in a message or part: past the empty line, or at the end.
pub fn header_end(message: &[u8]) -> usize {
    let end = fields(message).last().map_or(0, |field| field.range.end);
    end.saturating_add(blank_line(message, end).len())
}

/// The empty line at this position.
fn blank_line(header: &[u8], at: usize) -> &[u8] {
    let rest = header.get(at..).unwrap_or_default();
    let line = rest.get(..line_length(rest)).unwrap_or_default();
    if is_blank(line) { line } else { &[] }
}

/// The header without the fields of these names; everything else, the empty line too, as it was.
pub fn remove_fields(header: &[u8], names: &[&str]) -> Vec<u8> {
    remove_fields_if(header, |field| names.iter().any(|name| field.is(name)))
}

/// The header (or whole message) without the fields for which `unwanted` says so.
pub fn remove_fields_if(header: &[u8], unwanted: impl Fn(&Field<'_>) -> bool) -> Vec<u8> {
    let mut kept = Vec::with_capacity(header.len());
    let mut at = 0;
    for field in fields(header) {
        if !unwanted(&field) {
            kept.extend_from_slice(field.raw);
        }
        at = field.range.end;
    }
    kept.extend_from_slice(header.get(at..).unwrap_or_default());
    kept
}

/// Puts a field in front of a header or message. Line breaks and control characters in `name`
/// and `value` are taken out, so a value cannot become a field of its own.
pub fn prepend(message: &[u8], name: &str, value: &str) -> Vec<u8> {
    let clean = |text: &str| text.chars().filter(|c| !c.is_control()).collect::<String>();
    let mut out = format!("{}: {}\r\n", clean(name), clean(value)).into_bytes();
    out.extend_from_slice(message);
    out
}

/// Which fields a client wants (RFC 9051 6.4.5.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FieldSelection {
    /// `HEADER.FIELDS`: those named.
    Fields,
    /// `HEADER.FIELDS.NOT`: all but those named.
    FieldsNot,
}

/// The selected fields in the order in which they stand, and the empty line if the header has one
/// or any field was selected (RFC 9051 6.4.5.1).
pub fn select_fields(header: &[u8], selection: FieldSelection, names: &[&str]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut end = 0;
    for field in fields(header) {
        end = field.range.end;
        let wanted = names.iter().any(|name| field.is(name));
        if wanted == (selection == FieldSelection::Fields) {
            out.extend_from_slice(field.raw);
        }
    }
    if !out.is_empty() && !out.ends_with(b"\n") {
        out.extend_from_slice(b"\r\n");
    }
    match blank_line(header, end) {
        [] => out.extend_from_slice(b"\r\n"),
        blank => out.extend_from_slice(blank),
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: &[u8] =
        b"From: a\r\nSubject : one\r\n two\r\njunk line\r\nTo: b\n\r\nbody: no\r\n";

    #[test]
    fn fields_are_cut_with_their_folding() {
        let all: Vec<_> = fields(HEADER).collect();
        assert_eq!(all.len(), 4);
        assert_eq!(all[1].name, b"Subject");
        assert_eq!(all[1].unfolded(), b"one two");
        assert_eq!(all[2].name, b"");
        assert_eq!(all[3].raw, b"To: b\n");
        assert_eq!(header_end(HEADER), HEADER.len() - 10);
        assert_eq!(fields(b"").count(), 0);
        assert_eq!(fields(b" cont\r\nA: b").count(), 2);
    }

    #[test]
    fn fields_are_selected_with_the_empty_line() {
        let select = |selection, names: &[&str]| select_fields(HEADER, selection, names);
        assert_eq!(select(FieldSelection::Fields, &["TO", "x"]), b"To: b\n\r\n");
        assert_eq!(
            select(FieldSelection::FieldsNot, &["subject", "to"]),
            b"From: a\r\njunk line\r\n\r\n"
        );
        assert_eq!(select(FieldSelection::Fields, &["x"]), b"\r\n");
        assert_eq!(
            select_fields(b"A: b", FieldSelection::Fields, &["a"]),
            b"A: b\r\n\r\n"
        );
    }

    #[test]
    fn removal_and_prepending_keep_the_rest() {
        let without = remove_fields(HEADER, &["SUBJECT", "to"]);
        assert_eq!(without, b"From: a\r\njunk line\r\n\r\nbody: no\r\n");
        assert_eq!(
            prepend(b"A: b\r\n\r\n", "X", "1\r\nEvil: 2"),
            b"X: 1Evil: 2\r\nA: b\r\n\r\n"
        );
    }
}

//! Removes header fields that claim what only this program may say.
//!
//! Whether a message was encrypted and who signed it is shown in fields computed here. A sender
//! could write the same fields, so they are removed from incoming mail, in the message header and
//! in the header of every part and of every message in it.
//!
//! Invariant: inside a `multipart/signed` nothing is changed, so that the signature can still be
//! verified; everything else keeps its octets. Rejected: renaming them; a program that searches
//! for the text would still find it.

use std::borrow::Cow;

use super::body_structure::Part;
use super::header::{Field, fields};
use super::splitter::Splitter;

/// Beginnings of the names of our own fields and of those of the program that came before.
pub const STATUS_FIELD_PREFIXES: [&str; 2] = ["Letterlock-", "X-Leap-"];

/// How often a message is looked through. A second time is needed only if a removed field took
/// part in the structure, which a sender does on purpose or never.
const MAX_PASSES: usize = 8;

/// Removes the status fields from a message as it came in; borrowed if there are none.
pub fn strip_status_fields(raw: &[u8]) -> Cow<'_, [u8]> {
    strip_fields_everywhere(raw, &STATUS_FIELD_PREFIXES)
}

/// Removes every field whose name begins with one of `prefixes`, without regard to ASCII case,
/// from all headers that are not inside a `multipart/signed`.
pub fn strip_fields_everywhere<'a>(raw: &'a [u8], prefixes: &[&str]) -> Cow<'a, [u8]> {
    let mut current = Cow::Borrowed(raw);
    for _ in 0..MAX_PASSES {
        match strip_once(&current, prefixes) {
            Some(stripped) => current = Cow::Owned(stripped),
            None => break,
        }
    }
    current
}

/// Whether the header that a message begins with has such a field.
pub fn has_status_fields(message: &[u8]) -> bool {
    fields(message).any(|field| is_unwanted(&field, &STATUS_FIELD_PREFIXES))
}

fn strip_once(raw: &[u8], prefixes: &[&str]) -> Option<Vec<u8>> {
    let structure = Splitter::parse(raw).structure;
    let mut headers = Vec::new();
    // Depth first and in order; parts that are still to do are on a stack.
    let mut to_do = vec![&structure.root];
    while let Some(part) = to_do.pop() {
        headers.push(part.header);
        if !part.is("multipart", "signed") {
            to_do.extend(part.children().iter().rev().map(|child: &Part| child));
        }
    }
    let mut kept = Vec::new();
    let mut at = 0;
    for header in headers {
        let start = header.range().start;
        for field in fields(header.of(raw)).filter(|field| is_unwanted(field, prefixes)) {
            let cut = start.saturating_add(field.range.start);
            kept.extend_from_slice(raw.get(at..cut).unwrap_or_default());
            at = start.saturating_add(field.range.end);
        }
    }
    if at == 0 {
        return None;
    }
    kept.extend_from_slice(raw.get(at..).unwrap_or_default());
    Some(kept)
}

/// Whether any line of the field begins like an unwanted name. Some programs take a lone carriage
/// return for the end of a line, so what stands behind one is looked at too.
fn is_unwanted(field: &Field<'_>, prefixes: &[&str]) -> bool {
    field.raw.split(|o| matches!(o, b'\r' | b'\n')).any(|line| {
        prefixes.iter().any(|prefix| {
            let start = line.get(..prefix.len());
            start.is_some_and(|start| start.eq_ignore_ascii_case(prefix.as_bytes()))
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(raw: &str, expected: &str) {
        let stripped = strip_status_fields(raw.as_bytes());
        assert_eq!(String::from_utf8_lossy(&stripped), expected);
        assert_eq!(matches!(stripped, Cow::Borrowed(_)), raw == expected);
    }

    #[test]
    fn they_go_at_every_level() {
        check(
            "A: b\r\n\r\nX-Leap-Body: stays\r\n",
            "A: b\r\n\r\nX-Leap-Body: stays\r\n",
        );
        check(
            "letterlock-Signature: ok\r\n folded\r\nA: b\r\n\r\nx",
            "A: b\r\n\r\nx",
        );
        check("A: b\nX-LEAP-encryption : x\n\nx", "A: b\n\nx");
        check("Letterlock-Encryption: x", "");
        check(
            "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nX-Leap-A: 1\r\n\r\none\r\n\
             --b\r\nContent-Type: message/rfc822\r\nLetterlock-X: 2\r\n\r\nX-Leap-B: 3\r\nS: 4\r\n\r\n\
             two\r\n--b--\r\n",
            "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\none\r\n\
             --b\r\nContent-Type: message/rfc822\r\n\r\nS: 4\r\n\r\ntwo\r\n--b--\r\n",
        );
    }

    #[test]
    fn what_is_signed_stays() {
        let inner = "\r\n--b\r\nX-Leap-A: 1\r\n\r\none\r\n--b\r\n\r\nsig\r\n--b--\r\n";
        let head = "Content-Type: multipart/signed; boundary=b\r\n";
        check(
            &format!("X-Leap-Z: 1\r\n{head}{inner}"),
            &format!("{head}{inner}"),
        );
    }

    #[test]
    fn a_lone_carriage_return_hides_nothing() {
        check(
            "S: a\rLetterlock-Signature: valid\r\nT: u\r\n\r\n",
            "T: u\r\n\r\n",
        );
        // The removed field was the boundary: what it opens is looked through again.
        check(
            "Content-Type: a/b\rX-Leap-1: 2\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n\
             --b\r\nX-Leap-3: 4\r\n\r\n--b--\r\n",
            "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\n--b--\r\n",
        );
        // A folded line is no field.
        check(
            "S: a\r\n Letterlock-x: y\r\n\r\n",
            "S: a\r\n Letterlock-x: y\r\n\r\n",
        );
    }
}

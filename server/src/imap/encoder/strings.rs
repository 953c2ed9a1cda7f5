//! Strings on the wire (RFC 3501 4.3): quoted where possible, literal otherwise.

use super::put;
use crate::imap::utf7::{self, Names};

/// Longest quoted string; longer ones go as literals, which need no scan by the reader.
const MAX_QUOTED: usize = 1024;

/// `string = quoted / literal`
pub(super) fn write_string(out: &mut Vec<u8>, octets: &[u8]) {
    let plain = |octet: &u8| matches!(octet, b' '..=b'~' | b'\t');
    if octets.len() > MAX_QUOTED || !octets.iter().all(plain) {
        return write_literal(out, octets);
    }
    write_quoted(out, octets);
}

/// `quoted = DQUOTE *QUOTED-CHAR DQUOTE`; the octets must be such that can stand there.
pub(super) fn write_quoted(out: &mut Vec<u8>, octets: &[u8]) {
    out.push(b'"');
    for octet in octets {
        if matches!(octet, b'"' | b'\\') {
            out.push(b'\\');
        }
        out.push(*octet);
    }
    out.push(b'"');
}

/// `literal = "{" number "}" CRLF *CHAR8`
pub(super) fn write_literal(out: &mut Vec<u8>, octets: &[u8]) {
    put(out, format_args!("{{{}}}\r\n", octets.len()));
    out.extend_from_slice(octets);
}

/// `astring = 1*ASTRING-CHAR / string`; `NIL` is quoted, for it would be read as none.
pub(super) fn write_astring(out: &mut Vec<u8>, octets: &[u8]) {
    let atom_char = |octet: &u8| octet.is_ascii_graphic() && !b"(){%*\"\\]".contains(octet);
    let is_atom = !octets.is_empty() && octets.iter().all(atom_char);
    if is_atom && !octets.eq_ignore_ascii_case(b"NIL") {
        out.extend_from_slice(octets);
    } else {
        write_string(out, octets);
    }
}

/// `mailbox = "INBOX" / astring`; UTF-8 stands in quotes where the client knows it (RFC 9051 9).
pub(super) fn write_mailbox(out: &mut Vec<u8>, name: &str, names: Names) {
    match names {
        Names::Utf8 if !name.is_ascii() && !name.chars().any(char::is_control) => {
            write_quoted(out, name.as_bytes());
        }
        Names::Utf8 => write_astring(out, name.as_bytes()),
        Names::Utf7 => write_astring(out, utf7::encode(name).as_bytes()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_take_the_form_they_need() {
        for (octets, expected) in [
            (&b"a \"b\" \\"[..], &b"\"a \\\"b\\\" \\\\\""[..]),
            (b"", b"\"\""),
            ("ü".as_bytes(), b"{2}\r\n\xc3\xbc"),
            (b"a\r\nb", b"{4}\r\na\r\nb"),
        ] {
            let mut out = Vec::new();
            write_string(&mut out, octets);
            assert_eq!(out, expected);
        }
    }

    #[test]
    fn atoms_stay_atoms() {
        for (octets, expected) in [
            ("INBOX", "INBOX"),
            ("a b", "\"a b\""),
            ("nil", "\"nil\""),
            ("a*", "\"a*\""),
        ] {
            let mut out = Vec::new();
            write_astring(&mut out, octets.as_bytes());
            assert_eq!(out, expected.as_bytes());
        }
    }
}

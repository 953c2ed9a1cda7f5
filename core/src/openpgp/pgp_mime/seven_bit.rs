//! Makes an entity safe to be signed (RFC 3156 3): 7 bits, no white space at line ends, no
//! `From ` at a line's start, lines of at most 998 octets. Relays change what is not.
//!
//! Text becomes quoted-printable, anything else base64; what is encoded already, and what others
//! have signed, stays as it is.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::mime::header;
use crate::mime::{Content, Part, split};

const MAX_LINE: usize = 998;
const QUOTED_LINE: usize = 76;
const BASE64_LINE: usize = 76;

/// The entity with every leaf fit for a signature. CRLF line ends are expected.
pub(super) fn seven_bit(entity: &[u8]) -> Vec<u8> {
    let structure = split(entity).structure;
    let mut out = Vec::with_capacity(entity.len());
    rebuild(entity, &structure.root, &mut out);
    out
}

fn rebuild(raw: &[u8], part: &Part, out: &mut Vec<u8>) {
    let part_header = part.header.of(raw);
    let body = part.body.of(raw);
    if part.is("multipart", "signed") {
        out.extend_from_slice(part_header);
        out.extend_from_slice(body);
        return;
    }
    if let Content::Leaf(_) = part.content {
        return leaf(part, part_header, body, out);
    }
    out.extend_from_slice(&without_encoding(part_header));
    let mut at = part.body.range().start;
    for child in part.children() {
        let start = child.header.range().start;
        out.extend_from_slice(raw.get(at..start).unwrap_or_default());
        rebuild(raw, child, out);
        at = child.body.range().end;
    }
    out.extend_from_slice(raw.get(at..part.body.range().end).unwrap_or_default());
}

fn leaf(part: &Part, part_header: &[u8], body: &[u8], out: &mut Vec<u8>) {
    let encoding = part
        .encoding
        .as_deref()
        .unwrap_or("7bit")
        .trim()
        .to_ascii_lowercase();
    let encoded = matches!(encoding.as_str(), "quoted-printable" | "base64");
    if encoded || !needs_encoding(body) {
        out.extend_from_slice(part_header);
        out.extend_from_slice(body);
        return;
    }
    let kept = without_encoding(part_header);
    let end = header::fields(&kept)
        .last()
        .map_or(0, |field| field.range.end);
    let (fields, blank) = kept.split_at_checked(end).unwrap_or((&kept, &[]));
    out.extend_from_slice(fields);
    let (name, encoded) = if part.media_type == "text" {
        ("quoted-printable", quoted_printable(body))
    } else {
        ("base64", base64_lines(body))
    };
    out.extend_from_slice(format!("Content-Transfer-Encoding: {name}\r\n").as_bytes());
    out.extend_from_slice(if blank.is_empty() { b"\r\n" } else { blank });
    out.extend_from_slice(&encoded);
}

fn without_encoding(part_header: &[u8]) -> Vec<u8> {
    header::remove_fields(part_header, &["Content-Transfer-Encoding"])
}

fn needs_encoding(body: &[u8]) -> bool {
    body.iter().any(|octet| *octet >= 0x80 || *octet == 0)
        || body.split(|octet| *octet == b'\n').any(|line| {
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            line.len() > MAX_LINE
                || line.ends_with(b" ")
                || line.ends_with(b"\t")
                || line.starts_with(b"From ")
        })
}

/// RFC 2045 6.7; CRLF stays a line end.
fn quoted_printable(body: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(body.len() + body.len() / 8);
    let mut lines = body.split(|octet| *octet == b'\n').peekable();
    while let Some(line) = lines.next() {
        let last = lines.peek().is_none();
        let text = if last {
            line
        } else {
            line.strip_suffix(b"\r").unwrap_or(line)
        };
        quote_line(text, &mut out);
        if !last {
            out.extend_from_slice(b"\r\n");
        }
    }
    out
}

fn quote_line(line: &[u8], out: &mut Vec<u8>) {
    let mut width = 0;
    for (index, octet) in line.iter().enumerate() {
        let last = index + 1 == line.len();
        let plain = match octet {
            b' ' | b'\t' => !last,
            b'=' => false,
            b'F' if index == 0 => !line.starts_with(b"From "),
            b'.' if index == 0 => false,
            b'!'..=b'~' => true,
            _ => false,
        };
        let needed = if plain { 1 } else { 3 };
        if width + needed >= QUOTED_LINE {
            out.extend_from_slice(b"=\r\n");
            width = 0;
        }
        if plain {
            out.push(*octet);
        } else {
            out.extend_from_slice(format!("={octet:02X}").as_bytes());
        }
        width += needed;
    }
}

fn base64_lines(body: &[u8]) -> Vec<u8> {
    let encoded = STANDARD.encode(body);
    let mut out = Vec::with_capacity(encoded.len() + encoded.len() / 38);
    for line in encoded.as_bytes().chunks(BASE64_LINE) {
        out.extend_from_slice(line);
        out.extend_from_slice(b"\r\n");
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mime::decode_transfer;

    #[test]
    fn quoting_goes_both_ways() {
        let long = "y".repeat(2000);
        for text in [
            "",
            "a",
            "Grüße \r\nFrom x\r\n.\r\n=\t",
            "a\r\n",
            "\r\n\r\n",
            &long,
        ] {
            let quoted = quoted_printable(text.as_bytes());
            assert!(
                !needs_encoding(&quoted),
                "{}",
                String::from_utf8_lossy(&quoted)
            );
            assert!(quoted.split(|o| *o == b'\n').all(|line| line.len() <= 78));
            assert_eq!(
                decode_transfer(Some("quoted-printable"), &quoted),
                text.as_bytes()
            );
        }
    }

    #[test]
    fn only_what_must_be_is_encoded() {
        let plain = b"Content-Type: text/plain\r\n\r\nhello\r\n";
        assert_eq!(seven_bit(plain), plain);
        let mixed = "Content-Type: multipart/mixed; boundary=b\r\nContent-Transfer-Encoding: 8bit\r\n\
            \r\n--b\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n\
            ö\r\n--b\r\nContent-Type: image/png\r\n\r\n\u{1}\u{80}\r\n--b--\r\n";
        let safe = seven_bit(mixed.as_bytes());
        assert!(safe.is_ascii());
        let structure = split(&safe).structure;
        let parts = structure.root.children();
        let decoded = |index: usize| {
            let part: &Part = &parts[index];
            decode_transfer(part.encoding.as_deref(), part.body.of(&safe))
        };
        assert_eq!(decoded(0), "ö".as_bytes());
        assert_eq!(decoded(1), "\u{1}\u{80}".as_bytes());
    }
}

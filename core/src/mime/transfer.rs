//! Content transfer encodings (RFC 2045 6), and uuencode, which came before them.
//!
//! Invariant: never fails and never grows its input; what does not belong to the encoding is
//! skipped (base64) or kept as it stands (quoted-printable) and reported as a defect.
//! Rejected: strict decoders; half of an attachment is better than none.

use super::defect::Defect;
use super::header::line_length;

/// Decodes a body by its `Content-Transfer-Encoding`; an unknown one leaves it as it is.
pub fn decode_transfer(encoding: Option<&str>, body: &[u8]) -> Vec<u8> {
    decode_with_defect(encoding, body).0
}

/// The same, and what was wrong.
pub(super) fn decode_with_defect(encoding: Option<&str>, body: &[u8]) -> (Vec<u8>, Option<Defect>) {
    match encoding
        .unwrap_or("7bit")
        .trim()
        .to_ascii_lowercase()
        .as_str()
    {
        "base64" => decode_base64(body),
        "quoted-printable" => decode_quoted_printable(body),
        "x-uuencode" | "x-uue" | "uuencode" => (decode_uuencode(body), None),
        "7bit" | "8bit" | "binary" => (body.to_vec(), None),
        _ => (body.to_vec(), Some(Defect::UnknownEncoding)),
    }
}

fn base64_digit(octet: u8) -> Option<u8> {
    match octet {
        b'A'..=b'Z' => octet.checked_sub(b'A'),
        b'a'..=b'z' => octet.checked_sub(b'a').and_then(|d| d.checked_add(26)),
        b'0'..=b'9' => octet.checked_sub(b'0').and_then(|d| d.checked_add(52)),
        b'+' | b'-' => Some(62),
        b'/' | b'_' => Some(63),
        _ => None,
    }
}

/// Octets outside the alphabet are skipped (RFC 2045 6.8); after padding a new run may begin, as
/// programs write that encode in pieces.
pub(super) fn decode_base64(body: &[u8]) -> (Vec<u8>, Option<Defect>) {
    let mut out = Vec::with_capacity(body.len() / 4 * 3);
    let mut defect = None;
    let (mut bits, mut digits) = (0_u32, 0_u8);
    for &octet in body {
        if let Some(digit) = base64_digit(octet) {
            bits = (bits << 6) | u32::from(digit);
            digits = digits.saturating_add(1);
            if digits == 4 {
                let [_, a, b, c] = bits.to_be_bytes();
                out.extend_from_slice(&[a, b, c]);
                (bits, digits) = (0, 0);
            }
        } else if octet == b'=' {
            flush_base64(&mut out, bits, digits);
            (bits, digits) = (0, 0);
        } else if !octet.is_ascii_whitespace() {
            defect = Some(Defect::BadBase64);
        }
    }
    if digits > 0 {
        flush_base64(&mut out, bits, digits);
        defect = Some(Defect::BadBase64);
    }
    (out, defect)
}

/// Writes the whole octets of an unfinished group of four digits.
fn flush_base64(out: &mut Vec<u8>, bits: u32, digits: u8) {
    match digits {
        2 => {
            let [_, a, _, _] = (bits << 12).to_be_bytes();
            out.push(a);
        }
        3 => {
            let [_, a, b, _] = (bits << 6).to_be_bytes();
            out.extend_from_slice(&[a, b]);
        }
        _ => {}
    }
}

pub(super) fn hex_pair(high: u8, low: u8) -> Option<u8> {
    let digit = |octet: u8| char::from(octet).to_digit(16);
    u8::try_from(digit(high)? << 4 | digit(low)?).ok()
}

/// Quoted-printable (RFC 2045 6.7): soft line breaks and white space before line breaks go.
fn decode_quoted_printable(body: &[u8]) -> (Vec<u8>, Option<Defect>) {
    let mut out = Vec::with_capacity(body.len());
    let mut defect = None;
    let mut rest = body;
    while !rest.is_empty() {
        let (line, after) = rest
            .split_at_checked(line_length(rest))
            .unwrap_or((rest, &[]));
        rest = after;
        let content = line.trim_ascii_end();
        let line_break: &[u8] = if line.ends_with(b"\r\n") {
            b"\r\n"
        } else if line.ends_with(b"\n") {
            b"\n"
        } else {
            b""
        };
        let (content, soft) = content
            .strip_suffix(b"=")
            .map_or((content, false), |c| (c, true));
        let bad = decode_quoted_line(content, &mut out);
        if bad {
            defect = Some(Defect::BadQuotedPrintable);
        }
        if !soft {
            out.extend_from_slice(line_break);
        }
    }
    (out, defect)
}

/// Decodes `=XX`; whether there was a `=` without digits, which is kept.
fn decode_quoted_line(mut line: &[u8], out: &mut Vec<u8>) -> bool {
    let mut bad = false;
    while let Some((&octet, after)) = line.split_first() {
        line = after;
        if octet != b'=' {
            out.push(octet);
            continue;
        }
        let decoded = after
            .first_chunk()
            .and_then(|[high, low]| hex_pair(*high, *low));
        if let Some(decoded) = decoded {
            out.push(decoded);
            line = after.get(2..).unwrap_or_default();
        } else {
            out.push(b'=');
            bad = true;
        }
    }
    bad
}

/// The first file in uuencode: lines between `begin` and `end`.
fn decode_uuencode(body: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut inside = false;
    let mut rest = body;
    while !rest.is_empty() {
        let (line, after) = rest
            .split_at_checked(line_length(rest))
            .unwrap_or((rest, &[]));
        rest = after;
        let line = line.strip_suffix(b"\n").unwrap_or(line);
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if !inside {
            inside = line.starts_with(b"begin ");
        } else if line == b"end" {
            return out;
        } else if let Some((&count, digits)) = line.split_first() {
            uuencoded_line(usize::from(count.wrapping_sub(32) & 63), digits, &mut out);
        }
    }
    if inside { out } else { body.to_vec() }
}

fn uuencoded_line(count: usize, digits: &[u8], out: &mut Vec<u8>) {
    let start = out.len();
    for group in digits.chunks(4) {
        let digit =
            |at: usize| u32::from(group.get(at).copied().unwrap_or(32).wrapping_sub(32) & 63);
        let bits = digit(0) << 18 | digit(1) << 12 | digit(2) << 6 | digit(3);
        let [_, a, b, c] = bits.to_be_bytes();
        out.extend_from_slice(&[a, b, c]);
    }
    out.truncate(start.saturating_add(count));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(encoding: &str, body: &[u8], expected: &[u8], defect: Option<Defect>) {
        let given = decode_with_defect(Some(encoding), body);
        assert_eq!(
            given,
            (expected.to_vec(), defect),
            "{}",
            body.escape_ascii()
        );
    }

    #[test]
    fn base64() {
        check("BASE64", b"SGVs\r\nbG8=\r\n", b"Hello", None);
        check("base64", b"SGVsbG8", b"Hello", Some(Defect::BadBase64));
        check("base64", b"SGk=SGk=", b"HiHi", None);
        check("base64", b"S*G!k=", b"Hi", Some(Defect::BadBase64));
        check("base64", b"SGVsbA==", b"Hell", None);
        check("base64", b"", b"", None);
        check("base64", b"=", b"", None);
    }

    #[test]
    fn quoted_printable() {
        check(
            "quoted-printable",
            b"a=3Db=\r\nc  \r\nd\n",
            b"a=bc\r\nd\n",
            None,
        );
        check(
            "quoted-printable",
            b"100=%",
            b"100=%",
            Some(Defect::BadQuotedPrintable),
        );
        check("quoted-printable", b"=c3=BC = \n=", b"\xc3\xbc ", None);
    }

    #[test]
    fn uuencode_and_unknown() {
        check(
            "x-uuencode",
            b"text\nbegin 644 f\n#0V%T\n`\nend\nx",
            b"Cat",
            None,
        );
        check("x-uuencode", b"none", b"none", None);
        check("8bit", b"\xff", b"\xff", None);
        check("rot13", b"x", b"x", Some(Defect::UnknownEncoding));
    }
}

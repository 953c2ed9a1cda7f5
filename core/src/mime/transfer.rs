//! Content transfer encodings (RFC 2045 6), and uuencode, which came before them.
//!
//! Invariant: never fails and never grows its input; what does not belong to the encoding is
//! skipped (base64) or kept as it stands (quoted-printable) and reported as a defect.
//! Rejected: strict decoders; half of an attachment is better than none.

use std::borrow::Cow;

use memchr::memchr;

use super::defect::Defect;
use super::header::line_length;

/// Decodes a body by its `Content-Transfer-Encoding`; an unknown one leaves it as it is.
pub fn decode_transfer(encoding: Option<&str>, body: &[u8]) -> Vec<u8> {
    decode_with_defect(encoding, body).0.into_owned()
}

/// The same, and what was wrong; what is not encoded is not copied.
pub(super) fn decode_with_defect<'a>(
    encoding: Option<&str>,
    body: &'a [u8],
) -> (Cow<'a, [u8]>, Option<Defect>) {
    let owned = |(octets, defect)| (Cow::Owned(octets), defect);
    match encoding
        .unwrap_or("7bit")
        .trim()
        .to_ascii_lowercase()
        .as_str()
    {
        "base64" => owned(decode_base64(body)),
        "quoted-printable" => owned(decode_quoted_printable(body)),
        "x-uuencode" | "x-uue" | "uuencode" => owned((decode_uuencode(body), None)),
        "7bit" | "8bit" | "binary" => (Cow::Borrowed(body), None),
        _ => (Cow::Borrowed(body), Some(Defect::UnknownEncoding)),
    }
}

/// What is no digit of base64.
const NO_DIGIT: u8 = 0xff;
/// The value of each octet as a digit of base64, in both alphabets (RFC 4648 4 and 5).
const BASE64_DIGITS: [u8; 256] = base64_digits(*b"+/", base64_digits(*b"-_", [NO_DIGIT; 256]));

#[expect(
    clippy::indexing_slicing,
    reason = "evaluated while compiling: a wrong index would be a compile error"
)]
const fn base64_digits(last: [u8; 2], mut digits: [u8; 256]) -> [u8; 256] {
    let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
    let [plus, slash] = last;
    let mut value = 0_u8;
    while (value as usize) < alphabet.len() {
        digits[alphabet[value as usize] as usize] = value;
        value = value.saturating_add(1);
    }
    digits[plus as usize] = 62;
    digits[slash as usize] = 63;
    digits
}

fn base64_digit(octet: u8) -> u8 {
    let digit = BASE64_DIGITS.get(usize::from(octet));
    digit.copied().unwrap_or(NO_DIGIT)
}

/// A group of four digits, as most are.
fn whole_group(group: [u8; 4]) -> Option<[u8; 3]> {
    let digits = group.map(base64_digit);
    if digits.iter().any(|digit| *digit >= 64) {
        return None;
    }
    let bits = digits
        .map(u32::from)
        .iter()
        .fold(0, |bits, digit| bits << 6 | digit);
    let [_, octets @ ..] = bits.to_be_bytes();
    Some(octets)
}

/// Octets outside the alphabet are skipped (RFC 2045 6.8); after padding a new run may begin, as
/// programs write that encode in pieces.
pub(super) fn decode_base64(body: &[u8]) -> (Vec<u8>, Option<Defect>) {
    let mut out = Vec::with_capacity(body.len() / 4 * 3);
    let mut defect = None;
    let (mut bits, mut digits) = (0_u32, 0_u8);
    let mut rest = body;
    loop {
        while digits == 0
            && let Some((group, after)) = rest.split_first_chunk()
            && let Some(octets) = whole_group(*group)
        {
            out.extend_from_slice(&octets);
            rest = after;
        }
        let Some((&octet, after)) = rest.split_first() else {
            break;
        };
        rest = after;
        let digit = base64_digit(octet);
        if digit < 64 {
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
    while let Some((plain, quoted)) =
        memchr(b'=', line).and_then(|equals| line.split_at_checked(equals))
    {
        out.extend_from_slice(plain);
        let decoded = match quoted {
            [_, high, low, ..] => hex_pair(*high, *low),
            _ => None,
        };
        let length = if decoded.is_some() { 3 } else { 1 };
        bad |= decoded.is_none();
        out.push(decoded.unwrap_or(b'='));
        line = quoted.get(length..).unwrap_or_default();
    }
    out.extend_from_slice(line);
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
            (Cow::Borrowed(expected), defect),
            "{}",
            body.escape_ascii()
        );
    }

    #[test]
    fn base64() {
        check("BASE64", b"SGVs\r\nbG8=\r\n", b"Hello", None);
        check("base64", b"SGVsbG8", b"Hello", Some(Defect::BadBase64));
        check("base64", b"S\nGVs\nb G8\r=", b"Hello", None);
        check("base64", b"-_+/", b"\xfb\xff\xbf", None);
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
        let full = "M".to_owned() + &"0V%T".repeat(15) + "\r\n";
        let body = format!("begin 644 f\r\n{full}{full}#0V%T\r\n \r\nend\r\n");
        check(
            "uuencode",
            body.as_bytes(),
            "Cat".repeat(31).as_bytes(),
            None,
        );
        check("x-uuencode", b"none", b"none", None);
        check("8bit", b"\xff", b"\xff", None);
        check("rot13", b"x", b"x", Some(Defect::UnknownEncoding));
    }
}

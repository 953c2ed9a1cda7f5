//! Encoded words in headers (RFC 2047), decoded for people.
//!
//! Invariant: never fails; the result has no line breaks and no control characters. Adjacent
//! words of one charset are decoded together, because programs cut characters in two although
//! RFC 2047 5 forbids it. Rejected: decoding only where the grammar allows words; programs write
//! them inside quotes and parameters too, and people want to read them.

use memchr::memmem;

use super::charset::decode_charset;
use super::header::unfold;
use super::transfer::{decode_base64, hex_pair};

/// Decodes a header value: encoded words, raw UTF-8, folding.
pub fn decode_header(value: &[u8]) -> String {
    let unfolded = unfold(value);
    let mut rest: &[u8] = unfolded.trim_ascii();
    if memmem::find(rest, b"=?").is_none() {
        return without_controls(decode_charset("", rest).0);
    }
    let mut out = String::with_capacity(rest.len());
    let mut pending: Option<(String, Vec<u8>)> = None;
    // Where the last end mark is: beyond it no search for one is needed.
    let last_end = rest.windows(2).rposition(|pair| pair == b"?=").unwrap_or(0);
    let total = rest.len();
    while !rest.is_empty() {
        let start = find(rest, *b"=?").unwrap_or(rest.len());
        let (before, at_word) = rest.split_at_checked(start).unwrap_or((rest, &[]));
        let may_end = total.saturating_sub(at_word.len()) < last_end;
        let word = if may_end { encoded_word(at_word) } else { None };
        // White space between two encoded words is no part of the text (RFC 2047 6.2).
        let joins = pending.is_some() && word.is_some() && before.trim_ascii().is_empty();
        if !joins {
            flush(&mut pending, &mut out);
            out.push_str(&decode_charset("", before).0);
        }
        let Some(word) = word else {
            let (skipped, after) = at_word.split_at_checked(2).unwrap_or((at_word, &[]));
            out.push_str(&decode_charset("", skipped).0);
            rest = after;
            continue;
        };
        match &mut pending {
            Some((charset, octets)) if charset.eq_ignore_ascii_case(&word.charset) => {
                octets.extend_from_slice(&word.octets);
            }
            _ => {
                flush(&mut pending, &mut out);
                pending = Some((word.charset, word.octets));
            }
        }
        rest = word.rest;
    }
    flush(&mut pending, &mut out);
    without_controls(out)
}

fn without_controls(mut text: String) -> String {
    if text.chars().any(char::is_control) {
        text.retain(|c| !c.is_control() || c == '\t');
    }
    text
}

fn flush(pending: &mut Option<(String, Vec<u8>)>, out: &mut String) {
    if let Some((charset, octets)) = pending.take() {
        out.push_str(&decode_charset(&charset, &octets).0);
    }
}

fn find(text: &[u8], wanted: [u8; 2]) -> Option<usize> {
    text.windows(2).position(|pair| pair == wanted)
}

struct EncodedWord<'a> {
    charset: String,
    octets: Vec<u8>,
    rest: &'a [u8],
}

/// `=?charset?encoding?text?=` at the beginning (RFC 2047 2).
fn encoded_word(text: &[u8]) -> Option<EncodedWord<'_>> {
    let inner = text.strip_prefix(b"=?")?;
    let (charset, inner) = cut(inner)?;
    let (encoding, inner) = cut(inner)?;
    let base64 = encoding.eq_ignore_ascii_case(b"b");
    if !base64 && !encoding.eq_ignore_ascii_case(b"q") {
        return None;
    }
    let end = find(inner, *b"?=")?;
    let (encoded, rest) = inner.split_at_checked(end)?;
    let octets = if base64 {
        decode_base64(encoded).0
    } else {
        decode_q(encoded)
    };
    let charset = core::str::from_utf8(charset).ok()?.to_owned();
    Some(EncodedWord {
        charset,
        octets,
        rest: rest.get(2..)?,
    })
}

/// The token up to the next question mark; charset names are short, so the search is too.
fn cut(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = text
        .iter()
        .take(64)
        .position(|&o| o == b'?' || o.is_ascii_whitespace())?;
    let (token, rest) = text.split_at_checked(end)?;
    (!token.is_empty()).then_some((token, rest.strip_prefix(b"?")?))
}

/// The "Q" encoding (RFC 2047 4.2).
fn decode_q(mut encoded: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(encoded.len());
    while let Some((&octet, after)) = encoded.split_first() {
        encoded = after;
        match (octet, after) {
            (b'_', _) => out.push(b' '),
            (b'=', [high, low, tail @ ..]) => match hex_pair(*high, *low) {
                Some(decoded) => {
                    out.push(decoded);
                    encoded = tail;
                }
                None => out.push(b'='),
            },
            _ => out.push(octet),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(value: &str, expected: &str) {
        assert_eq!(decode_header(value.as_bytes()), expected, "{value}");
    }

    #[test]
    fn examples_of_rfc_2047() {
        check("=?US-ASCII?Q?Keith_Moore?= <m@x>", "Keith Moore <m@x>");
        check(
            "=?ISO-8859-1?Q?Keld_J=F8rn_Simonsen?=",
            "Keld Jørn Simonsen",
        );
        check("(=?ISO-8859-1?Q?a?= b)", "(a b)");
        check("(=?ISO-8859-1?Q?a?= =?ISO-8859-1?Q?b?=)", "(ab)");
        check("(=?ISO-8859-1?Q?a?=\r\n    =?ISO-8859-2?Q?b?=)", "(ab)");
        check("(=?ISO-8859-1?Q?a_b?=)", "(a b)");
        check(
            "=?ISO-8859-1?B?SWYgeW91IGNhbiByZWFkIHRoaXMgeW8=?=\r\n =?ISO-8859-2?B?dSB1bmRlcnN0YW5kIHRoZSBleGFtcGxlLg==?=",
            "If you can read this you understand the example.",
        );
    }

    #[test]
    fn what_programs_get_wrong() {
        check("=?utf-8?q?=C3?= =?utf-8?q?=BC?=", "ü");
        check("=?utf-8?x?y?= a", "=?utf-8?x?y?= a");
        check("=?utf-8?q?open", "=?utf-8?q?open");
        check("a =? b ?= c", "a =? b ?= c");
        check("Grüße", "Grüße");
        check("=?utf-8?q?a=0D=0ABcc:_x?=", "aBcc: x");
        check("\"=?utf-8?q?=C3=BC?=\"", "\"ü\"");
        check("=?utf-8?q?a b?= c", "a b c");
    }

    #[test]
    fn many_openings_cost_no_square() {
        for value in ["=?a?q?", "=?a?q?x ", "=?a?x?"] {
            assert!(!decode_header(value.repeat(20_000).as_bytes()).is_empty());
        }
    }
}

//! Charsets to Unicode (RFC 2045 5.1, RFC 2978).
//!
//! Invariant: never fails; what does not decode is shown as U+FFFD and reported as a defect.
//! `encoding_rs` has the charsets of the web, which are those of mail; `mail-parser` has the few
//! that only mail knows (UTF-7, UTF-16 with a mark). Rejected: guessing by statistics; a wrong
//! guess looks right.

use encoding_rs::{Encoding, WINDOWS_1252};

use super::defect::Defect;

/// Decodes text in a named charset; the defect says if it was not what it claimed.
///
/// An empty or ASCII name is taken as UTF-8 where that fits, else as windows-1252, which is what
/// programs mean that do not say (RFC 2045 5.2 says US-ASCII).
pub fn decode_charset(name: &str, octets: &[u8]) -> (String, Option<Defect>) {
    let name = name.trim().trim_matches(['"', '\'']).to_ascii_lowercase();
    // RFC 2231 5: a language may follow.
    let name = name.split_once('*').map_or(name.as_str(), |(name, _)| name);
    let ascii = matches!(
        name,
        "" | "us-ascii" | "ascii" | "ansi_x3.4-1968" | "unknown-8bit" | "x-unknown" | "default"
    );
    if ascii {
        return decode_unnamed(octets);
    }
    let only_mail = matches!(name, "utf-7" | "utf-16" | "utf-16le" | "utf-16be");
    if let Some(encoding) = Encoding::for_label_no_replacement(name.as_bytes())
        && !only_mail
    {
        let (text, bad) = encoding.decode_with_bom_removal(octets);
        return (text.into_owned(), bad.then_some(Defect::BadCharset));
    }
    match mail_parser::decoders::charsets::map::charset_decoder(name.as_bytes()) {
        Some(decoder) => (decoder(octets), None),
        None => (decode_unnamed(octets).0, Some(Defect::UnknownCharset)),
    }
}

fn decode_unnamed(octets: &[u8]) -> (String, Option<Defect>) {
    let text = core::str::from_utf8(octets).map_or_else(
        |_| {
            let (text, _) = WINDOWS_1252.decode_without_bom_handling(octets);
            text.into_owned()
        },
        str::to_owned,
    );
    (text, (!octets.is_ascii()).then_some(Defect::BadCharset))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn charsets_of_mail_are_known() {
        let check = |name, octets: &[u8], expected: &str| {
            assert_eq!(decode_charset(name, octets).0, expected, "{name}");
        };
        check("ISO-8859-1", b"gr\xfc\xdfe", "grüße");
        check("\"utf-8\"", "grüße".as_bytes(), "grüße");
        check("koi8-r", b"\xf0\xd2\xc9", "При");
        check("iso-2022-jp", b"\x1b$B$3$s\x1b(B", "こん");
        check("gb2312", b"\xc4\xe3", "你");
        check("utf-7", b"Hi +ZeVnLIqe-", "Hi 日本語");
        check("us-ascii", b"caf\xe9", "café");
        check("utf-8*de", b"x", "x");
        assert_eq!(
            decode_charset("klingon", b"x"),
            ("x".into(), Some(Defect::UnknownCharset))
        );
        assert_eq!(decode_charset("utf-8", b"\xff").1, Some(Defect::BadCharset));
    }
}

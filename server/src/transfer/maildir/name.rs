//! Folder names of Maildir++: `.Sub.Folder`, each level in modified UTF-7 (RFC 3501 5.1.3).
//!
//! Names of other programs are read leniently: UTF-8 as Dovecot writes it when told to, and
//! encodings of characters that need none, as Courier writes a dot within a level. Invariant:
//! `levels(&file_name(x)) == x` for levels without `/`.

use base64::Engine as _;
use base64::alphabet;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};

use crate::imap::utf7;

const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &alphabet::IMAP_MUTF7,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);
/// A dot within a level, so that it is no separator.
const DOT: &str = "&AC4-";

/// The levels of a folder by its file name, which begins with a dot.
pub(super) fn levels(file_name: &str) -> Vec<String> {
    let name = file_name.strip_prefix('.').unwrap_or(file_name);
    match name.strip_prefix('.').filter(|rest| !rest.is_empty()) {
        // mbsync writes so what is in INBOX.
        Some(rest) => ["INBOX"]
            .into_iter()
            .chain(rest.split('.'))
            .map(decode)
            .collect(),
        None => name.split('.').map(decode).collect(),
    }
}

/// The file name of a folder.
pub(super) fn file_name<'a>(levels: impl Iterator<Item = &'a str>) -> String {
    let encoded = levels.map(|level| utf7::encode(level).replace('.', DOT));
    let dotted: Vec<String> = encoded.map(|level| format!(".{level}")).collect();
    dotted.concat()
}

/// Reads one level; what is no modified UTF-7 is taken as it stands.
pub fn decode(level: &str) -> String {
    let strict = utf7::decode(level.as_bytes());
    strict
        .or_else(|| decode_lenient(level))
        .unwrap_or_else(|| level.to_owned())
}

fn decode_lenient(level: &str) -> Option<String> {
    let mut out = String::new();
    let mut rest = level;
    while let Some((before, after)) = rest.split_once('&') {
        out.push_str(before);
        let (run, next) = after.split_once('-')?;
        if run.is_empty() {
            out.push('&');
        } else {
            let octets = LENIENT.decode(run).ok()?;
            let units = octets.chunks_exact(2);
            let units = units.filter_map(|pair| pair.try_into().ok().map(u16::from_be_bytes));
            for c in char::decode_utf16(units) {
                out.push(c.ok()?);
            }
        }
        rest = next;
    }
    out.push_str(rest);
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn names_of_several_programs_are_read() {
        for (name, expected) in [
            (".Sent", &["Sent"][..]),
            (".A.B", &["A", "B"]),
            (".Entw&APw-rfe.R&-D", &["Entwürfe", "R&D"]),
            (".Entwürfe", &["Entwürfe"]),
            (".v1&AC4-2", &["v1.2"]),
            (".Tom & Ann", &["Tom & Ann"]),
            ("..sub.deep", &["INBOX", "sub", "deep"]),
        ] {
            assert_eq!(levels(name), expected, "{name}");
        }
    }

    proptest! {
        #[test]
        fn every_level_comes_back(
            names in prop::collection::vec("[a.&~ -]{1,4}|[^/\\p{Cc}]{1,6}", 1..4)
        ) {
            let name = file_name(names.iter().map(String::as_str));
            prop_assert_eq!(levels(&name), names);
        }
    }
}

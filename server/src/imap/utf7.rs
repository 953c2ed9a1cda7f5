//! Mailbox names on the wire: modified UTF-7 (RFC 3501 5.1.3), or UTF-8 (RFC 9051 5.1).
//!
//! Invariant: `decode(encode(name)) == name`, and only the one spelling that the RFC allows is
//! decoded, so that two names on the wire are never one mailbox.

use base64::Engine as _;
use base64::alphabet;
use base64::engine::general_purpose::{GeneralPurpose, NO_PAD};

/// How mailbox names are written in a connection.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Names {
    /// Modified UTF-7, until the client has enabled more (RFC 3501 5.1.3).
    #[default]
    Utf7,
    /// UTF-8 (RFC 9051 5.1).
    Utf8,
}

/// Reads a name; `None` when it is no name in this form.
pub fn read(wire: &[u8], names: Names) -> Option<String> {
    match names {
        Names::Utf7 => decode(wire),
        Names::Utf8 => std::str::from_utf8(wire).ok().map(str::to_owned),
    }
}

/// Base64 with `,` for `/` and without padding.
const MODIFIED: GeneralPurpose = GeneralPurpose::new(&alphabet::IMAP_MUTF7, NO_PAD);

/// Writes a name.
pub fn encode(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    let mut shifted: Vec<u8> = Vec::new();
    let mut units = [0; 2];
    for c in name.chars() {
        if !(' '..='~').contains(&c) {
            let encoded = c.encode_utf16(&mut units);
            shifted.extend(encoded.iter().flat_map(|unit| unit.to_be_bytes()));
            continue;
        }
        flush(&mut out, &mut shifted);
        out.push(c);
        if c == '&' {
            out.push('-');
        }
    }
    flush(&mut out, &mut shifted);
    out
}

fn flush(out: &mut String, shifted: &mut Vec<u8>) {
    if !shifted.is_empty() {
        out.push('&');
        MODIFIED.encode_string(&*shifted, out);
        out.push('-');
        shifted.clear();
    }
}

/// Reads a name; `None` when it is not what [`encode`] would write.
pub fn decode(wire: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(wire).ok()?;
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('&') {
        out.push_str(before);
        let (run, next) = after.split_once('-')?;
        if run.is_empty() {
            out.push('&');
        } else {
            let octets = MODIFIED.decode(run).ok()?;
            let units = octets.chunks_exact(2);
            if !units.remainder().is_empty() {
                return None;
            }
            let units = units.filter_map(|pair| pair.try_into().ok().map(u16::from_be_bytes));
            for c in char::decode_utf16(units) {
                out.push(c.ok()?);
            }
        }
        rest = next;
    }
    out.push_str(rest);
    // One spelling alone: no printable ASCII inside a run, no two runs where one would do.
    (encode(&out) == text).then_some(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn names_of_the_rfc_go_both_ways() {
        // RFC 3501 5.1.3, and names that peers got wrong: `&` and a character beyond the BMP.
        for (name, wire) in [
            ("~peter/mail/台北/日本語", "~peter/mail/&U,BTFw-/&ZeVnLIqe-"),
            ("INBOX", "INBOX"),
            ("R&D", "R&-D"),
            ("Entwürfe", "Entw&APw-rfe"),
            ("🦀", "&2D7dgA-"),
        ] {
            assert_eq!(encode(name), wire);
            assert_eq!(decode(wire.as_bytes()).as_deref(), Some(name));
        }
    }

    #[test]
    fn other_spellings_are_refused() {
        // RFC 3501 5.1.3 names the last two as not permitted.
        for bad in [
            "&",
            "&A",
            "&AGE-",
            "&2D4-",
            "&U,BT-",
            "ü",
            "&Jjo!",
            "&U,BTFw-&ZeVnLIqe-",
        ] {
            assert_eq!(decode(bad.as_bytes()), None, "{bad}");
        }
        assert_eq!(decode(&[0xff]), None);
    }

    proptest! {
        #[test]
        fn every_name_round_trips(name in any::<String>()) {
            prop_assert_eq!(decode(encode(&name).as_bytes()), Some(name));
        }

        #[test]
        fn no_octets_panic(wire in any::<Vec<u8>>()) {
            if let Some(name) = decode(&wire) {
                prop_assert_eq!(encode(&name).into_bytes(), wire);
            }
        }
    }
}

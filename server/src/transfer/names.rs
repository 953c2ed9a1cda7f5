//! Names of mailboxes: from what sources call them, and as names of files.
//!
//! Invariant: `level(&file_level(x)) == x` for every level of a valid name.

use std::fmt::Write as _;

use letterlock_core::id::{HIERARCHY_SEPARATOR, MAX_MAILBOX_NAME_OCTETS, MailboxName};

/// Longest file name that is written, in octets; most file systems allow 255.
pub const MAX_FILE_NAME_OCTETS: usize = 240;
/// What some file system does not take in a name, and what starts an escape.
const ESCAPED: &str = "%:*?\"<>|\\";

/// A level of a mailbox name as a part of a path; `None` if it would be too long.
///
/// `endings` are those of files that stand beside it, which a directory must not be taken for.
pub fn file_level(level: &str, endings: &[&str]) -> Option<String> {
    let mut out = String::with_capacity(level.len());
    let ending = endings.iter().find(|ending| level.ends_with(**ending));
    let last_dot = ending.and_then(|_| level.rfind('.'));
    for (at, c) in level.char_indices() {
        let dot = c == '.' && (at == 0 || last_dot == Some(at));
        if dot || ESCAPED.contains(c) || c.is_control() {
            let mut octets = [0; 4];
            for octet in c.encode_utf8(&mut octets).bytes() {
                // Writing to a string does not fail.
                let _written = write!(out, "%{octet:02X}");
            }
        } else {
            out.push(c);
        }
    }
    (out.len() <= MAX_FILE_NAME_OCTETS).then_some(out)
}

/// The level that a part of a path stands for.
pub fn level(file_level: &str) -> String {
    let mut octets = Vec::with_capacity(file_level.len());
    let mut rest = file_level.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        let escaped = match after {
            [high, low, ..] if first == b'%' => hex_octet(*high, *low),
            _ => None,
        };
        octets.push(escaped.unwrap_or(first));
        rest = match escaped {
            Some(_) => after.get(2..).unwrap_or_default(),
            None => after,
        };
    }
    String::from_utf8(octets).unwrap_or_else(|_| file_level.to_owned())
}

fn hex_octet(high: u8, low: u8) -> Option<u8> {
    let digit = |octet| {
        char::from(octet)
            .to_digit(16)
            .and_then(|d| u8::try_from(d).ok())
    };
    Some((digit(high)? << 4) | digit(low)?)
}

/// A name beside one that cannot be used.
pub fn beside(name: &MailboxName) -> MailboxName {
    MailboxName::new(&format!("{name} (imported)")).unwrap_or_else(|_| name.clone())
}

/// A mailbox name of levels that a source has, and whether it is as the source has it: control
/// characters, separators within a level and empty levels become `_`, what is too long is cut.
pub fn mailbox_name<'a>(levels: impl IntoIterator<Item = &'a str>) -> (MailboxName, bool) {
    let mut exact = true;
    let mut name = String::new();
    for level in levels {
        let mut clean: String = level
            .chars()
            .map(|c| {
                if c.is_control() || c == HIERARCHY_SEPARATOR {
                    '_'
                } else {
                    c
                }
            })
            .collect();
        if clean.is_empty() {
            clean.push('_');
        }
        exact &= clean == level;
        if !name.is_empty() {
            name.push(HIERARCHY_SEPARATOR);
        }
        name.push_str(&clean);
    }
    if name.is_empty() {
        return (MailboxName::inbox(), exact);
    }
    if name.len() > MAX_MAILBOX_NAME_OCTETS {
        let end = (0..=MAX_MAILBOX_NAME_OCTETS)
            .rev()
            .find(|at| name.is_char_boundary(*at));
        name.truncate(end.unwrap_or(0));
        exact = false;
    }
    match MailboxName::new(name.trim_end_matches(HIERARCHY_SEPARATOR)) {
        Ok(name) => (name, exact),
        // Too deep: all in one.
        Err(_) => (MailboxName::inbox(), false),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn names_of_files_are_safe_and_readable() {
        for (name, file) in [
            ("Grüße", "Grüße"),
            ("..", "%2E."),
            (".hidden", "%2Ehidden"),
            ("a:b", "a%3Ab"),
            ("100%", "100%25"),
            ("x.mbox", "x%2Embox"),
            ("x.y", "x.y"),
        ] {
            assert_eq!(file_level(name, &[".mbox"]).as_deref(), Some(file));
            assert_eq!(level(file), name);
        }
        assert_eq!(file_level(&"ü".repeat(200), &[]), None);
    }

    #[test]
    fn names_of_sources_become_valid() {
        let check = |levels: &[&str], expected: &str, exact: bool| {
            let (name, was_exact) = mailbox_name(levels.iter().copied());
            assert_eq!((name.as_str(), was_exact), (expected, exact));
        };
        check(&["a", "b"], "a/b", true);
        check(&["inbox"], "INBOX", true);
        check(&["a/b", ""], "a_b/_", false);
        check(&["a\tb"], "a_b", false);
        check(&[], "INBOX", true);
        let long = "ü".repeat(600);
        let (name, exact) = mailbox_name([long.as_str()]);
        assert!(!exact && name.as_str().len() <= MAX_MAILBOX_NAME_OCTETS);
    }

    proptest! {
        #[test]
        fn every_level_comes_back(name in "[a%.:\\\\2E]{1,8}(\\.mbox)?|[^/\\p{Cc}]{1,10}") {
            let file = file_level(&name, &[".mbox"]).unwrap();
            prop_assert_eq!(level(&file), name);
        }
    }
}

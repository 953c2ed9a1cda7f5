//! Flags in header fields: `Status`, `X-Status`, `X-Keywords` (c-client, mutt, Dovecot) and
//! `X-Mozilla-Status`, `X-Mozilla-Keys` (Thunderbird).
//!
//! Reading takes flags from wherever they are and leaves the header as it is. What cannot be a
//! keyword (RFC 9051 9, `flag-keyword`) is counted, not guessed.

use letterlock_core::mime::header::fields;
use letterlock_core::model::{Flag, FlagSet, Keyword, MAX_FLAGS_PER_MESSAGE};

/// Bits of `X-Mozilla-Status`, and the flags that they are.
const MOZILLA: [(u32, &str); 5] = [
    (0x0001, "\\Seen"),
    (0x0002, "\\Answered"),
    (0x0004, "\\Flagged"),
    (0x0008, "\\Deleted"),
    (0x1000, "$Forwarded"),
];

/// Flags, and how many of them could not be kept.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FoundFlags {
    /// Those that can.
    pub flags: FlagSet,
    /// How many are no keywords, or too many.
    pub refused: u64,
}

impl FoundFlags {
    /// Takes one in.
    pub fn add(&mut self, flag: Option<Flag>) {
        match flag {
            Some(flag) if self.flags.len() < MAX_FLAGS_PER_MESSAGE => {
                self.flags.insert(flag);
            }
            Some(flag) if self.flags.contains(&flag) => {}
            _ => self.refused = self.refused.saturating_add(1),
        }
    }
}

/// A keyword as a flag.
pub fn keyword(text: &str) -> Option<Flag> {
    Keyword::new(text).ok().map(Flag::Keyword)
}

/// The flags that a message's header says it has.
pub(super) fn flags_of(header: &[u8]) -> FoundFlags {
    let mut found = FoundFlags::default();
    for field in fields(header) {
        let value = || String::from_utf8_lossy(&field.unfolded()).into_owned();
        if field.is("Status") || field.is("X-Status") {
            for letter in value().chars() {
                if let Some(flag) = letter_flag(letter) {
                    found.add(Some(flag));
                }
            }
        } else if field.is("X-Keywords") || field.is("X-Mozilla-Keys") {
            for word in value().split_ascii_whitespace() {
                found.add(keyword(word));
            }
        } else if field.is("X-Mozilla-Status") {
            let bits = u32::from_str_radix(value().trim(), 16).unwrap_or(0);
            for (bit, flag) in MOZILLA {
                if bits & bit != 0 {
                    found.add(Flag::parse(flag).ok());
                }
            }
        }
    }
    found
}

/// `O` (not recent) is the session's, not the message's.
const fn letter_flag(letter: char) -> Option<Flag> {
    match letter {
        'R' => Some(Flag::Seen),
        'A' => Some(Flag::Answered),
        'F' => Some(Flag::Flagged),
        'D' => Some(Flag::Deleted),
        'T' => Some(Flag::Draft),
        _ => None,
    }
}

/// The fields that say so.
pub(super) fn fields_for(flags: &FlagSet) -> Vec<String> {
    let has = |flag: &Flag, letter: &'static str| if flags.contains(flag) { letter } else { "" };
    let mut fields = vec![format!("Status: {}O\n", has(&Flag::Seen, "R"))];
    let letters = [
        has(&Flag::Answered, "A"),
        has(&Flag::Flagged, "F"),
        has(&Flag::Draft, "T"),
        has(&Flag::Deleted, "D"),
    ]
    .concat();
    if !letters.is_empty() {
        fields.push(format!("X-Status: {letters}\n"));
    }
    let keywords = flags.iter().filter_map(|flag| match flag {
        Flag::Keyword(keyword) => Some(keyword.as_str()),
        Flag::Seen | Flag::Answered | Flag::Flagged | Flag::Deleted | Flag::Draft => None,
    });
    let keywords: Vec<&str> = keywords.collect();
    if !keywords.is_empty() {
        fields.push(format!("X-Keywords: {}\n", keywords.join(" ")));
    }
    fields
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(flags: &[&str]) -> FlagSet {
        flags
            .iter()
            .map(|text| Flag::parse(text).unwrap())
            .collect()
    }

    #[test]
    fn flags_of_several_programs_are_read() {
        for (header, flags) in [
            (
                "Status: RO\nX-Status: AF\n\n",
                &["\\Seen", "\\Answered", "\\Flagged"][..],
            ),
            ("Status: O\nX-Status: TD\n", &["\\Draft", "\\Deleted"]),
            ("X-Keywords: $Forwarded Work    \n", &["$Forwarded", "Work"]),
            (
                "X-Mozilla-Status: 1007\n",
                &["\\Seen", "\\Answered", "\\Flagged", "$Forwarded"],
            ),
            (
                "X-Mozilla-Keys: $label1      \r\n\r\nStatus: R\n",
                &["$label1"],
            ),
            ("Subject: Status: R\n", &[]),
        ] {
            let found = flags_of(header.as_bytes());
            assert_eq!(found.flags, set(flags), "{header}");
            assert_eq!(found.refused, 0);
        }
        assert_eq!(flags_of(b"X-Keywords: a(b ok\n").refused, 1);
    }

    #[test]
    fn what_is_written_is_read() {
        for flags in [
            set(&[]),
            set(&["\\Seen"]),
            set(&[
                "\\Seen",
                "\\Answered",
                "\\Flagged",
                "\\Draft",
                "\\Deleted",
                "$x",
                "y",
            ]),
        ] {
            let fields = fields_for(&flags);
            assert!(fields.iter().all(|field| field.lines().count() == 1));
            assert_eq!(flags_of(fields.concat().as_bytes()).flags, flags);
        }
    }
}

//! The fields that an export puts before each message of an mbox, and an import takes off again.
//!
//! ```text
//! From a@b Thu Nov 21 09:55:06 1997
//! X-Letterlock-Export: v=1; fields=2; length=1234; quotes=every; date=880106106000; ends=crlf;
//!   flags=\Seen x                                                (all on one line)
//! Status: RO
//! X-Keywords: x
//! <the message>
//! ```
//!
//! The first says what no other field of an mbox can: how many fields follow it, how many octets
//! the message has in the file, how they are quoted, its date to the millisecond, whether its line ends were shortened
//! (`ends=crlf`) or its last one added (`open`), and its flags to the letter. Other programs read
//! the fields after it. Invariant: an import takes off exactly what the export put on, so the
//! message comes back octet for octet. Rejected: a file beside the mbox; it would be left behind
//! when the mbox is moved.

use letterlock_core::id::Timestamp;
use letterlock_core::model::{Flag, FlagSet};

use super::quoting::Quotes;
use super::restore::LineEnds;

/// The first of the fields.
const MARK: &str = "X-Letterlock-Export: v=1; ";
/// Names of those that may follow it.
const FOLLOWING: [&str; 4] = ["Status:", "X-Status:", "X-Keywords:", "Content-Length:"];

/// What the field says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Added {
    /// How many fields follow.
    pub(super) fields: usize,
    /// Octets of the message in the file, from after the fields.
    pub(super) length: u64,
    /// Which of its lines are quoted.
    pub(super) quotes: Quotes,
    /// INTERNALDATE.
    pub(super) date: Timestamp,
    /// How its lines end in the file.
    pub(super) line_ends: LineEnds,
    /// Whether the last line end in the file is not the message's.
    pub(super) open: bool,
    /// Flags and keywords.
    pub(super) flags: FlagSet,
}

impl Added {
    /// As a line.
    pub(super) fn write(&self) -> String {
        let ends = match self.line_ends {
            LineEnds::Kept | LineEnds::Bare => "",
            LineEnds::Shortened => " ends=crlf;",
        };
        let quotes = match self.quotes {
            Quotes::None => "none",
            Quotes::First => "first",
            Quotes::Every => "every",
        };
        let open = if self.open { " open;" } else { "" };
        let flags: Vec<&str> = self.flags.iter().map(Flag::as_str).collect();
        format!(
            "{MARK}fields={}; length={}; quotes={quotes}; date={};{ends}{open} flags={}\n",
            self.fields,
            self.length,
            self.date.as_millis(),
            flags.join(" "),
        )
    }

    /// Reads the fields that a text begins with, and their length in octets.
    pub(super) fn parse(text: &[u8]) -> Option<(Self, usize)> {
        let end = memchr::memchr(b'\n', text)?.checked_add(1)?;
        let line = std::str::from_utf8(text.get(..end)?).ok()?.trim_ascii_end();
        let added = Self::parse_line(line.strip_prefix(MARK)?)?;
        let mut length = end;
        for _ in 0..added.fields {
            let rest = text.get(length..).unwrap_or_default();
            let ours = FOLLOWING
                .iter()
                .any(|name| rest.starts_with(name.as_bytes()));
            let Some(end) = memchr::memchr(b'\n', rest).filter(|_| ours) else {
                // Another program changed the fields: they are its own from here.
                break;
            };
            length = length.saturating_add(end).saturating_add(1);
        }
        Some((added, length))
    }

    fn parse_line(text: &str) -> Option<Self> {
        let (head, flags) = text.split_once("flags=")?;
        let mut added = Self {
            fields: 0,
            length: 0,
            quotes: Quotes::None,
            date: Timestamp::from_millis(0),
            line_ends: LineEnds::Kept,
            open: false,
            flags: FlagSet::new(),
        };
        for word in head
            .split(';')
            .map(str::trim)
            .filter(|word| !word.is_empty())
        {
            match word.split_once('=') {
                Some(("fields", value)) => added.fields = value.parse().ok()?,
                Some(("length", value)) => added.length = value.parse().ok()?,
                Some(("quotes", "none")) => added.quotes = Quotes::None,
                Some(("quotes", "first")) => added.quotes = Quotes::First,
                Some(("quotes", "every")) => added.quotes = Quotes::Every,
                Some(("date", value)) => added.date = Timestamp::from_millis(value.parse().ok()?),
                Some(("ends", "crlf")) => added.line_ends = LineEnds::Shortened,
                None if word == "open" => added.open = true,
                _ => return None,
            }
        }
        for word in flags.split_ascii_whitespace() {
            added.flags.insert(Flag::parse(word).ok()?);
        }
        Some(added)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_read_as_it_was_written() {
        for (line_ends, open, flags) in [
            (LineEnds::Kept, true, &["\\Seen", "a;b=flags=,"][..]),
            (LineEnds::Shortened, false, &[]),
        ] {
            let added = Added {
                fields: 2,
                length: 1234,
                quotes: Quotes::First,
                date: Timestamp::from_millis(-1_234),
                line_ends,
                open,
                flags: flags
                    .iter()
                    .map(|text| Flag::parse(text).unwrap())
                    .collect(),
            };
            let line = added.write();
            let text = format!("{line}Status: RO\nX-Keywords: a\nStatus: of the message\n");
            let (back, length) = Added::parse(text.as_bytes()).unwrap();
            assert_eq!(back, added);
            assert!(text[length..].starts_with("Status: of"));
        }
    }

    #[test]
    fn what_another_program_changed_is_left_alone() {
        let text =
            "X-Letterlock-Export: v=1; fields=3; length=1; date=0; flags=\nStatus: R\nA: b\n";
        let (_, length) = Added::parse(text.as_bytes()).unwrap();
        assert!(text[length..].starts_with("A: b"));
        for other in [
            "Subject: x\n",
            "X-Letterlock-Export: v=2; fields=0; length=1; date=0; flags=\n",
            "X-Letterlock-Export: v=1; fields=0; length=1; date=0; odd; flags=\n",
            "X-Letterlock-Export: v=1; fields=0",
        ] {
            assert_eq!(Added::parse(other.as_bytes()), None, "{other}");
        }
    }
}

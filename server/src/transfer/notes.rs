//! What an import or export noticed, counted for its closing summary.
//!
//! Invariant: the list of what was passed over is bounded; the count is not.

use std::collections::BTreeMap;
use std::fmt;
use std::io::ErrorKind;

/// Most places that a summary names.
const MAX_NAMED: usize = 20;

/// Something that was not as it should be, with a message that was taken all the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Note {
    /// Keywords that IMAP does not know, or too many.
    RefusedKeywords,
    /// No date: the file's was taken.
    NoDate,
    /// `Content-Length` does not lead to the message's end.
    WrongLength,
    /// Text that belongs to no message.
    StrayText,
    /// A name that no mailbox can have was changed.
    ChangedName,
    /// Lines that begin with `>From ` do not come back from this dialect.
    NotReversible,
    /// Status fields that this account did not write.
    ForeignStatus,
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::RefusedKeywords => "with keywords that cannot be kept",
            Self::NoDate => "without a date: the file's was taken",
            Self::WrongLength => "with a wrong Content-Length",
            Self::StrayText => "after text that belongs to no message, which was passed over",
            Self::ChangedName => "in mailboxes whose names had to be changed",
            Self::ForeignStatus => {
                "with Letterlock- or X-Leap- fields that this account did not write: whatever they \
                 say of encryption and signatures, it was not checked"
            }
            Self::NotReversible => {
                "with lines that this dialect cannot bring back (mboxrd and mboxcl2 can)"
            }
        })
    }
}

/// A message that was passed over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Skipped {
    /// Where it is.
    pub place: String,
    /// Why.
    pub reason: SkipReason,
}

/// Why a message was passed over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum SkipReason {
    /// It is longer than the account takes.
    TooLarge,
    /// It is compressed.
    Compressed,
    /// It cannot be read.
    Unreadable(ErrorKind),
    /// A part of it is not on this device.
    NotHere,
    /// The server does not give it.
    NotGiven,
}

impl SkipReason {
    /// Whether it may be otherwise another time.
    pub const fn may_pass(self) -> bool {
        matches!(self, Self::Unreadable(_) | Self::NotHere | Self::NotGiven)
    }
}

impl fmt::Display for SkipReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLarge => f.write_str("too large"),
            Self::Compressed => f.write_str("compressed: unpack it first"),
            Self::Unreadable(kind) => write!(f, "cannot be read ({kind})"),
            Self::NotHere => f.write_str("not on this device yet: let the bridge sync first"),
            Self::NotGiven => f.write_str("the server did not give it"),
        }
    }
}

/// All that was noticed.
#[derive(Debug, Default)]
pub struct Notes {
    counts: BTreeMap<Note, u64>,
    skipped: BTreeMap<SkipReason, u64>,
    named: Vec<Skipped>,
}

impl Notes {
    /// Counts one.
    pub fn add(&mut self, note: Note) {
        let count = self.counts.entry(note).or_default();
        *count = count.saturating_add(1);
    }

    /// Counts a message that was passed over.
    pub fn skip(&mut self, skipped: Skipped) {
        let count = self.skipped.entry(skipped.reason).or_default();
        *count = count.saturating_add(1);
        if self.named.len() < MAX_NAMED {
            self.named.push(skipped);
        }
    }

    /// Messages that were passed over.
    pub fn skipped(&self) -> u64 {
        self.skipped
            .values()
            .fold(0, |sum, n| sum.saturating_add(*n))
    }

    /// How often this was noticed.
    pub fn count(&self, note: Note) -> u64 {
        self.counts.get(&note).copied().unwrap_or(0)
    }
}

impl fmt::Display for Notes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (note, count) in &self.counts {
            writeln!(f, "  {count} {note}")?;
        }
        for (reason, count) in &self.skipped {
            writeln!(f, "  {count} passed over: {reason}")?;
        }
        for skipped in &self.named {
            writeln!(f, "    {}: {}", skipped.place, skipped.reason)?;
        }
        let more = self
            .skipped()
            .saturating_sub(u64::try_from(self.named.len()).unwrap_or(0));
        if more > 0 {
            writeln!(f, "    and {more} more")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_are_counted_and_a_few_named() {
        let mut notes = Notes::default();
        for n in 0..50 {
            notes.add(Note::NoDate);
            notes.skip(Skipped {
                place: format!("file {n}"),
                reason: SkipReason::Compressed,
            });
        }
        let text = notes.to_string();
        assert!(text.contains("50 without a date"), "{text}");
        assert!(text.contains("50 passed over") && text.contains("and 30 more"));
        assert!(text.contains("file 19:") && !text.contains("file 20:"));
    }
}

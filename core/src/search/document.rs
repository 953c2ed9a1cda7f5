//! What the index knows of a message beside its words.

use serde::{Deserialize, Serialize};

use crate::id::{MessageHash, Timestamp};

/// Most text of one message that is indexed, in octets of UTF-8; the message is marked
/// [`Traits::CUT`] if there is more.
pub const MAX_INDEXED_TEXT_OCTETS: usize = 1024 * 1024;
/// Most words of `LONG_WORD_CHARS` or more that are indexed of one message: armour and inline
/// base64 have thousands, all different. The message is marked [`Traits::CUT`] if there are more.
pub const MAX_LONG_WORDS: usize = 256;
/// From this length, in characters, a word counts as long.
pub(super) const LONG_WORD_CHARS: usize = 25;

/// Where in a message a word stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Field {
    /// `From`.
    From,
    /// `To`.
    To,
    /// `Cc`.
    Cc,
    /// `Bcc`.
    Bcc,
    /// `Subject`.
    Subject,
    /// The text that is shown.
    Body,
    /// Names of attachments.
    FileName,
    /// What IMAP's BODY sees and nobody reads: markup, texts that are attached, headers of
    /// messages within. Queries do not look here, and positions are not kept.
    Rest,
}

impl Field {
    /// The fields that a query without a field looks at.
    pub(super) const READ: [Self; 7] = [
        Self::From,
        Self::To,
        Self::Cc,
        Self::Bcc,
        Self::Subject,
        Self::Body,
        Self::FileName,
    ];

    /// How it stands in the dictionary.
    pub(super) const fn tag(self) -> u8 {
        match self {
            Self::From => 1,
            Self::To => 2,
            Self::Cc => 3,
            Self::Bcc => 4,
            Self::Subject => 5,
            Self::Body => 6,
            Self::FileName => 7,
            Self::Rest => 8,
        }
    }

    pub(super) const fn of_tag(tag: u8) -> Option<Self> {
        Some(match tag {
            1 => Self::From,
            2 => Self::To,
            3 => Self::Cc,
            4 => Self::Bcc,
            5 => Self::Subject,
            6 => Self::Body,
            7 => Self::FileName,
            8 => Self::Rest,
            _ => return None,
        })
    }

    /// Whether it is known where in the field a word stands.
    pub(super) fn has_positions(self) -> bool {
        self != Self::Rest
    }
}

/// The key of a word in a dictionary: the word, a zero octet (no word has one), the field.
pub(super) fn term_key(word: &str, field: Field, key: &mut Vec<u8>) {
    key.clear();
    key.extend_from_slice(word.as_bytes());
    key.extend_from_slice(&[0, field.tag()]);
}

/// Takes a key apart.
pub(super) fn word_and_field(key: &[u8]) -> Option<(&[u8], Field)> {
    let (word, [0, tag]) = key.split_last_chunk::<2>()? else {
        return None;
    };
    Some((word, Field::of_tag(*tag)?))
}

/// Properties of a message that a query can ask for, and what the index does not know of it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Traits(u8);

impl Traits {
    /// Nothing special.
    pub const NONE: Self = Self(0);
    /// It has an attachment.
    pub const ATTACHMENT: Self = Self(1);
    /// It came encrypted.
    pub const ENCRYPTED: Self = Self(2);
    /// It is signed, and the signature is good and by the sender.
    pub const SIGNED: Self = Self(4);
    /// Not all of its text is indexed.
    pub const CUT: Self = Self(8);
    /// Not all of it was on this device when it was indexed.
    pub const INCOMPLETE: Self = Self(16);
    /// Characters were put together, so a part of its text may have other words.
    pub const COMPOSED: Self = Self(32);
    /// Those that keep the index from saying that a text is not in it.
    pub(super) const UNSURE: Self = Self(8 | 16 | 32);

    /// These and those.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether any of `other` holds.
    pub const fn any(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }
}

/// A message in a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Document {
    pub(super) hash: MessageHash,
    /// When it came here first.
    pub(super) date: Timestamp,
    /// Octets; 2^32 - 1 for more.
    pub(super) size: u32,
    pub(super) traits: Traits,
}

//! Message flags and keywords (RFC 9051 2.3.2).

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

/// Most flags and keywords that one message may carry.
pub const MAX_FLAGS_PER_MESSAGE: usize = 128;
/// Longest keyword, in octets.
pub(super) const MAX_KEYWORD_OCTETS: usize = 255;

/// A flag that stays with a message. `\Recent` is not one: it belongs to a session.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Flag {
    /// `\Seen`: the message has been read.
    Seen,
    /// `\Answered`: the message has been replied to.
    Answered,
    /// `\Flagged`: marked for attention.
    Flagged,
    /// `\Deleted`: to be removed by a later EXPUNGE.
    Deleted,
    /// `\Draft`: not finished.
    Draft,
    /// A keyword, such as `$Forwarded`; compared without regard to ASCII case, kept as given.
    Keyword(Keyword),
}

/// A keyword: an IMAP atom that does not begin with a backslash.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Keyword(String);

/// The text is no atom (RFC 9051 9, `flag-keyword`) or too long.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("is not a keyword: an atom of at most {MAX_KEYWORD_OCTETS} octets is needed")]
pub struct InvalidKeyword;

impl Keyword {
    /// Checks and takes a keyword.
    pub fn new(text: &str) -> Result<Self, InvalidKeyword> {
        let atom_char = |c: char| c.is_ascii_graphic() && !"(){%*\"\\]".contains(c);
        if text.is_empty() || text.len() > MAX_KEYWORD_OCTETS || !text.chars().all(atom_char) {
            return Err(InvalidKeyword);
        }
        Ok(Self(text.to_owned()))
    }

    /// The keyword as first given.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    fn folded(&self) -> String {
        self.0.to_ascii_lowercase()
    }

    fn folded_octets(&self) -> impl Iterator<Item = u8> {
        self.0.bytes().map(|octet| octet.to_ascii_lowercase())
    }
}

impl PartialEq for Keyword {
    fn eq(&self, other: &Self) -> bool {
        self.0.eq_ignore_ascii_case(&other.0)
    }
}
impl Eq for Keyword {}
impl PartialOrd for Keyword {
    fn partial_cmp(&self, other: &Self) -> Option<core::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Keyword {
    fn cmp(&self, other: &Self) -> core::cmp::Ordering {
        self.folded_octets().cmp(other.folded_octets())
    }
}
impl core::hash::Hash for Keyword {
    fn hash<H: core::hash::Hasher>(&self, state: &mut H) {
        self.folded().hash(state);
    }
}
impl TryFrom<String> for Keyword {
    type Error = InvalidKeyword;

    fn try_from(text: String) -> Result<Self, InvalidKeyword> {
        Self::new(&text)
    }
}
impl From<Keyword> for String {
    fn from(keyword: Keyword) -> Self {
        keyword.0
    }
}

impl Flag {
    /// Parses a flag as IMAP writes it: `\Seen`, `$Forwarded`. `\Recent` and unknown system
    /// flags are refused.
    pub fn parse(text: &str) -> Result<Self, InvalidKeyword> {
        let Some(system) = text.strip_prefix('\\') else {
            return Keyword::new(text).map(Self::Keyword);
        };
        [
            Self::Seen,
            Self::Answered,
            Self::Flagged,
            Self::Deleted,
            Self::Draft,
        ]
        .into_iter()
        .find(|flag| {
            flag.as_str()
                .get(1..)
                .is_some_and(|n| n.eq_ignore_ascii_case(system))
        })
        .ok_or(InvalidKeyword)
    }

    /// As IMAP writes it.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Seen => "\\Seen",
            Self::Answered => "\\Answered",
            Self::Flagged => "\\Flagged",
            Self::Deleted => "\\Deleted",
            Self::Draft => "\\Draft",
            Self::Keyword(keyword) => keyword.as_str(),
        }
    }
}

/// A set of flags, ordered.
pub type FlagSet = BTreeSet<Flag>;

/// What STORE does to a set of flags (RFC 9051 6.4.6).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FlagChange {
    /// `FLAGS`: these and no others.
    Replace,
    /// `+FLAGS`: these too.
    Add,
    /// `-FLAGS`: not these.
    Remove,
}

impl FlagChange {
    /// The set after the change.
    pub fn apply(self, current: &FlagSet, flags: &FlagSet) -> FlagSet {
        match self {
            Self::Replace => flags.clone(),
            Self::Add => current.union(flags).cloned().collect(),
            Self::Remove => current.difference(flags).cloned().collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_are_parsed_as_imap_writes_them() {
        assert_eq!(Flag::parse("\\SEEN"), Ok(Flag::Seen));
        assert_eq!(Flag::parse("$Forwarded").unwrap().as_str(), "$Forwarded");
        assert_eq!(Flag::parse("$forwarded"), Flag::parse("$FORWARDED"));
        for bad in ["\\Recent", "\\", "", "a b", "a(", "\\Foo"] {
            assert_eq!(Flag::parse(bad), Err(InvalidKeyword), "{bad}");
        }
    }

    #[test]
    fn changes_apply() {
        let set = |flags: &[Flag]| flags.iter().cloned().collect::<FlagSet>();
        let current = set(&[Flag::Seen, Flag::Draft]);
        let given = set(&[Flag::Seen, Flag::Flagged]);
        assert_eq!(FlagChange::Replace.apply(&current, &given), given);
        assert_eq!(
            FlagChange::Add.apply(&current, &given),
            set(&[Flag::Seen, Flag::Draft, Flag::Flagged])
        );
        assert_eq!(
            FlagChange::Remove.apply(&current, &given),
            set(&[Flag::Draft])
        );
    }
}

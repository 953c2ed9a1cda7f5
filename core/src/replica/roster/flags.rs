//! The flags of a message in little room: a bit for each system flag, and the set of its keywords,
//! which messages share.

use std::sync::Arc;

use crate::model::{Flag, FlagSet, Keyword};

/// The system flags, each with its bit.
const SYSTEM: [(Flag, u8); 5] = [
    (Flag::Seen, 1),
    (Flag::Answered, 2),
    (Flag::Flagged, 4),
    (Flag::Deleted, 8),
    (Flag::Draft, 16),
];

/// Flags and keywords that are set.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Flags {
    pub(super) system: u8,
    /// Ascending; `None` for none.
    pub(super) keywords: Option<Arc<[Keyword]>>,
}

impl Flags {
    /// The bit of a system flag.
    pub(super) fn bit(flag: &Flag) -> Option<u8> {
        let found = SYSTEM.iter().find(|(known, _)| known == flag);
        found.map(|(_, bit)| *bit)
    }

    /// From flags in ascending order.
    pub(in crate::replica) fn of<'a>(flags: impl Iterator<Item = &'a Flag>) -> Self {
        let mut system = 0;
        let mut keywords = Vec::new();
        for flag in flags {
            match flag {
                Flag::Keyword(keyword) => keywords.push(keyword.clone()),
                flag => system |= Self::bit(flag).unwrap_or(0),
            }
        }
        Self {
            system,
            keywords: (!keywords.is_empty()).then(|| keywords.into()),
        }
    }

    /// Whether a flag is set.
    pub(in crate::replica) fn has(&self, flag: &Flag) -> bool {
        match flag {
            Flag::Keyword(keyword) => self.keywords().contains(keyword),
            flag => Self::bit(flag).is_some_and(|bit| self.system & bit != 0),
        }
    }

    /// The keywords, ascending.
    pub(in crate::replica) fn keywords(&self) -> &[Keyword] {
        self.keywords.as_deref().unwrap_or_default()
    }

    /// How many there are.
    pub(in crate::replica) fn len(&self) -> usize {
        self.keywords()
            .len()
            .saturating_add(self.system.count_ones() as usize)
    }

    /// As a set of its own.
    pub(in crate::replica) fn to_set(&self) -> FlagSet {
        let system = SYSTEM.iter().filter(|(_, bit)| self.system & bit != 0);
        let system = system.map(|(flag, _)| flag.clone());
        let keywords = self.keywords().iter().cloned().map(Flag::Keyword);
        system.chain(keywords).collect()
    }
}

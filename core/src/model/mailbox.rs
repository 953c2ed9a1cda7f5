//! What a mailbox is for (RFC 6154).

use serde::{Deserialize, Serialize};

/// Special use of a mailbox (RFC 6154 2). INBOX has none: its name says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Role {
    /// `\Archive`
    Archive,
    /// `\Drafts`
    Drafts,
    /// `\Junk`
    Junk,
    /// `\Sent`
    Sent,
    /// `\Trash`
    Trash,
}

impl Role {
    /// Every role, in the order in which a new account gets their mailboxes.
    pub const ALL: [Self; 5] = [
        Self::Drafts,
        Self::Sent,
        Self::Archive,
        Self::Junk,
        Self::Trash,
    ];

    /// The attribute as LIST shows it.
    pub const fn attribute(self) -> &'static str {
        match self {
            Self::Archive => "\\Archive",
            Self::Drafts => "\\Drafts",
            Self::Junk => "\\Junk",
            Self::Sent => "\\Sent",
            Self::Trash => "\\Trash",
        }
    }

    /// The role that LIST shows by this attribute, in any case.
    pub fn of_attribute(attribute: &str) -> Option<Self> {
        let mut roles = Self::ALL.into_iter();
        roles.find(|role| role.attribute().eq_ignore_ascii_case(attribute))
    }

    /// The name that the mailbox of this role gets in a new account.
    pub const fn default_name(self) -> &'static str {
        match self {
            Self::Archive => "Archive",
            Self::Drafts => "Drafts",
            Self::Junk => "Junk",
            Self::Sent => "Sent",
            Self::Trash => "Trash",
        }
    }
}

//! What a mailbox is for, and the mailboxes that have no messages of their own (RFC 6154).

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

/// A mailbox that shows messages of other mailboxes (RFC 6154 2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum VirtualMailbox {
    /// `\All`: every message that is not in Junk or Trash.
    All,
    /// `\Flagged`: those of them that have the flag.
    Flagged,
}

impl VirtualMailbox {
    /// Every virtual mailbox.
    pub const ALL: [Self; 2] = [Self::All, Self::Flagged];

    /// The attribute as LIST shows it.
    pub const fn attribute(self) -> &'static str {
        match self {
            Self::All => "\\All",
            Self::Flagged => "\\Flagged",
        }
    }

    /// Its name, unless another mailbox has that.
    pub const fn default_name(self) -> &'static str {
        match self {
            Self::All => "All Mail",
            Self::Flagged => "Flagged",
        }
    }

    /// Whether messages of a mailbox are shown at all, by what that is for. What was thrown away
    /// and what nobody wanted is looked for where it is; RFC 6154 2 lets `\All` omit it.
    pub const fn shows_mailbox(role: Option<Role>) -> bool {
        !matches!(role, Some(Role::Junk | Role::Trash))
    }
}

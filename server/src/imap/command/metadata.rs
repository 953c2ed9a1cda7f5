//! What GETMETADATA and SETMETADATA ask for (RFC 5464 4.2, 4.3), as values.

use letterlock_core::model::AnnotationName;

use super::{MailboxArgument, Octets};

/// Whose annotations.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MetadataOf {
    /// `""`: the server's; here, the account's as a whole.
    Server,
    /// A mailbox's.
    Mailbox(MailboxArgument),
}

/// GETMETADATA.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GetMetadata {
    /// Whose.
    pub of: MetadataOf,
    /// Which.
    pub wanted: WantedMetadata,
}

/// Which annotations are wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WantedMetadata {
    /// Their names.
    pub entries: Vec<AnnotationName>,
    /// The longest value that is wanted (RFC 5464 4.2.1).
    pub max_size: Option<u32>,
    /// How far below the names.
    pub depth: Depth,
}

/// How far below a name others are wanted (RFC 5464 4.2.2).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Depth {
    /// `0`: not at all.
    #[default]
    Zero,
    /// `1`: those right below.
    One,
    /// `infinity`: all.
    Infinity,
}

impl Depth {
    /// Whether it reaches so many levels down.
    pub fn reaches(self, levels: usize) -> bool {
        match self {
            Self::Zero => levels == 0,
            Self::One => levels <= 1,
            Self::Infinity => true,
        }
    }
}

/// SETMETADATA.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SetMetadata {
    /// Whose.
    pub of: MetadataOf,
    /// Names and values; `None` removes.
    pub entries: Vec<(AnnotationName, Option<Octets>)>,
}

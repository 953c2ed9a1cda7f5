//! Why an operation was not done.

use letterlock_core::account::ReplicaError;
use letterlock_core::store::StoreError;

/// Why an operation was not done; [`crate::imap::encoder::status_for`] has the words for clients.
#[derive(Debug, thiserror::Error)]
pub enum OpError {
    /// The mailbox does not exist.
    #[error("no such mailbox")]
    NoSuchMailbox,
    /// The mailbox that something was to go to does not exist.
    #[error("no such destination")]
    NoDestination,
    /// The name is taken.
    #[error("mailbox exists")]
    MailboxExists,
    /// The special use is another mailbox's, or none that is known.
    #[error("special use cannot be given")]
    SpecialUse,
    /// It can never be done; says why.
    #[error("{0}")]
    Cannot(&'static str),
    /// The message is too large.
    #[error("message is too large")]
    TooBig,
    /// An empty message, by which a client takes an APPEND back.
    #[error("message is empty")]
    Empty,
    /// More than is done at once; says of what.
    #[error("{0}")]
    TooMany(&'static str),
    /// The provider has no room for it (RFC 9208 4.3).
    #[error("there is no room at the provider")]
    OverQuota,
    /// A URL names no message here.
    #[error("URL names no message here")]
    BadUrl(Vec<u8>),
    /// The message is not there any more.
    #[error("no such message")]
    NoSuchMessage,
    /// More flags than a message may carry.
    #[error("too many flags")]
    TooManyFlags,
    /// Another program wrote to the same store at the same moment.
    #[error("store is busy")]
    Busy,
    /// A part is not on this device yet.
    #[error("part is not here")]
    NotHere,
    /// A part did not come while it was waited for, and is still to come.
    #[error("part is still to come")]
    StillToCome,
    /// A part's transfer encoding is not known.
    #[error("transfer encoding is not known")]
    UnknownEncoding,
    /// The value of an annotation is too long.
    #[error("annotation is too long")]
    AnnotationTooLong,
    /// More annotations than are kept.
    #[error("too many annotations")]
    TooManyAnnotations,
    /// No room on the disk.
    #[error("disk is full")]
    Full,
    /// A part of the work ended early.
    #[error("a part of the work ended early")]
    Interrupted,
    /// Anything else.
    #[error(transparent)]
    Replica(ReplicaError),
}

impl From<ReplicaError> for OpError {
    fn from(error: ReplicaError) -> Self {
        match error {
            ReplicaError::NoSuchMailbox => Self::NoSuchMailbox,
            ReplicaError::MailboxExists => Self::MailboxExists,
            ReplicaError::RoleTaken => Self::SpecialUse,
            ReplicaError::Virtual => Self::Cannot("This cannot be done with a virtual mailbox"),
            ReplicaError::Inbox => Self::Cannot("This cannot be done with INBOX"),
            ReplicaError::RoleNotPossible => {
                Self::Cannot("The mailbox cannot have this special use")
            }
            ReplicaError::AnnotationFixed => Self::Cannot("This annotation cannot be set"),
            ReplicaError::AnnotationTooLong => Self::AnnotationTooLong,
            ReplicaError::TooManyAnnotations => Self::TooManyAnnotations,
            ReplicaError::MessageTooLarge => Self::TooBig,
            ReplicaError::TooManyFlags => Self::TooManyFlags,
            ReplicaError::Busy => Self::Busy,
            ReplicaError::NotHere(_) => Self::NotHere,
            ReplicaError::Store(StoreError::Full { .. }) => Self::Full,
            error => Self::Replica(error),
        }
    }
}

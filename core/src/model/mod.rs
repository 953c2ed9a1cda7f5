//! Plain domain values: flags, mailboxes, roles, annotations. Not storage keys, not wire formats.

mod annotation;
mod flag;
mod mailbox;

pub use annotation::{
    AnnotationName, AnnotationOwner, InvalidAnnotationName, MAX_ANNOTATION_NAMES,
    MAX_ANNOTATION_OCTETS, MAX_ANNOTATIONS, MAX_ANNOTATIONS_OCTETS,
};
pub use flag::{Flag, FlagChange, FlagSet, InvalidKeyword, Keyword, MAX_FLAGS_PER_MESSAGE};
pub use mailbox::{Role, VirtualMailbox};

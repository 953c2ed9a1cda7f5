//! What a client can ask for, as values (RFC 3501 6): the decoder makes them, the session acts.
//!
//! Invariant: a [`Command`] that exists is well formed; whether it is legal in the session's
//! state is the session's question. Passwords and messages redact their `Debug`.
//! Rejected: one struct per command behind a trait object; the session's table could not match.

mod fetch;
mod metadata;
mod search;

use std::fmt;

use letterlock_core::id::{MailboxName, Timestamp};
use letterlock_core::model::{AnnotationName, FlagChange, FlagSet, Role};
use zeroize::Zeroizing;

use super::notify::NotifyCommand;
use super::set::{MessageSet, SequenceSet, UidSet};
pub use fetch::{
    BinaryRequest, FetchItem, Patience, SectionLabel, SectionRequest, SectionText, SetsSeen,
};
pub use metadata::{Depth, GetMetadata, MetadataOf, SetMetadata, WantedMetadata};
pub use search::{
    Numbering, PartialRange, SearchCommand, SearchKey, SearchReturn, SortCommand, SortCriterion,
    SortKey, Source, ThreadAlgorithm, ThreadCommand,
};

/// The client's label of a command, repeated in its completion (RFC 3501 2.2.1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tag(pub(super) String);

impl Tag {
    /// The tag as the client wrote it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Octets that must not show in logs: a user name or a password. Wiped when dropped.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Zeroizing<Vec<u8>>);

impl Secret {
    /// Takes the octets.
    pub fn new(octets: Vec<u8>) -> Self {
        Self(Zeroizing::new(octets))
    }

    /// The octets.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// A message as it came in a literal; its `Debug` tells its size alone.
#[derive(Clone, PartialEq, Eq)]
pub struct Octets(pub Vec<u8>);

impl fmt::Debug for Octets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Octets({})", self.0.len())
    }
}

/// A mailbox argument: a name that can exist, or one that never can, which is answered with
/// `NO` and not with `BAD`: the client's syntax was right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MailboxArgument {
    /// A name that can exist.
    Name(MailboxName),
    /// No mailbox can have this name.
    Impossible,
}

/// SELECT or EXAMINE (RFC 3501 6.3.1, 6.3.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// SELECT: flags may change.
    ReadWrite,
    /// EXAMINE: nothing changes, not even `\Recent`.
    ReadOnly,
}

/// A command of RFC 3501 6 or of an announced extension.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// RFC 3501 6.1.1.
    Capability,
    /// RFC 3501 6.1.2.
    Noop,
    /// RFC 3501 6.1.3.
    Logout,
    /// RFC 3501 6.2.1.
    StartTls,
    /// RFC 2971; what the client says of itself is not kept.
    Id,
    /// RFC 5161: the names of capabilities.
    Enable(Vec<String>),
    /// RFC 3501 6.2.2, with the initial response of RFC 4959.
    Authenticate {
        mechanism: String,
        initial: Option<Secret>,
    },
    /// RFC 3501 6.2.3.
    Login { user: Secret, password: Secret },
    /// RFC 3501 6.3.1 and 6.3.2.
    Select {
        mailbox: MailboxArgument,
        access: Access,
        parameters: SelectParameters,
    },
    /// RFC 3501 6.3.3, RFC 6154 3.
    Create {
        mailbox: MailboxArgument,
        use_for: SpecialUse,
    },
    /// RFC 3501 6.3.4.
    Delete(MailboxArgument),
    /// RFC 3501 6.3.5.
    Rename {
        from: MailboxArgument,
        to: MailboxArgument,
    },
    /// RFC 3501 6.3.6.
    Subscribe(MailboxArgument),
    /// RFC 3501 6.3.7.
    Unsubscribe(MailboxArgument),
    /// RFC 3501 6.3.8, RFC 5258, RFC 5819.
    List(ListCommand),
    /// RFC 3501 6.3.9.
    Lsub { reference: String, pattern: String },
    /// RFC 5465.
    Notify(NotifyCommand),
    /// RFC 5464 4.2.
    GetMetadata(GetMetadata),
    /// RFC 5464 4.3.
    SetMetadata(SetMetadata),
    /// RFC 4978, with the one algorithm that there is.
    Compress,
    /// RFC 2342.
    Namespace,
    /// RFC 4314 3.5, for the sake of RFC 8440.
    MyRights(MailboxArgument),
    /// RFC 9208 4.1.1: the name of a quota root.
    GetQuota(Vec<u8>),
    /// RFC 9208 4.1.2.
    GetQuotaRoot(MailboxArgument),
    /// RFC 3501 6.3.10.
    Status {
        mailbox: MailboxArgument,
        items: Vec<StatusItem>,
    },
    /// RFC 2177.
    Idle,
    /// RFC 3501 6.4.1.
    Check,
    /// RFC 3501 6.4.2.
    Close,
    /// RFC 3691.
    Unselect,
    /// RFC 3501 6.4.3; with a set it is UID EXPUNGE (RFC 4315 2.1).
    Expunge(Option<MessageSet>),
    /// RFC 3501 6.4.4.
    Search(SearchCommand),
    /// RFC 7377 2: in which mailboxes, and what.
    Esearch(Vec<Source>, SearchCommand),
    /// RFC 5267 4.3.5: the tags of searches whose changes are told no longer.
    CancelUpdate(Vec<String>),
    /// UIDBATCHES: messages in a batch, and the first and last batch that are wanted.
    UidBatches {
        size: u32,
        batches: Option<(u32, u32)>,
    },
    /// RFC 5256 3.
    Sort(SortCommand),
    /// RFC 5256 3.
    Thread(ThreadCommand),
    /// RFC 3501 6.4.5.
    Fetch {
        messages: MessageSet,
        items: Vec<FetchItem>,
        modifiers: FetchModifiers,
    },
    /// RFC 3501 6.4.6.
    Store(StoreCommand),
    /// RFC 3501 6.4.7.
    Copy {
        messages: MessageSet,
        to: MailboxArgument,
    },
    /// RFC 6851.
    Move {
        messages: MessageSet,
        to: MailboxArgument,
    },
}

/// What a mailbox is made for (RFC 6154 3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SpecialUse {
    /// Nothing special.
    None,
    /// This.
    Role(Role),
    /// What no mailbox here can be for: `\All`, `\Flagged`, an unknown use, or several.
    Unsupported,
}

/// Parameters of SELECT and EXAMINE (RFC 4466 2.1).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SelectParameters {
    /// RFC 7162 3.1.8.
    pub condstore: bool,
    /// RFC 7162 3.2.5.
    pub resync: Option<Resync>,
}

/// What a client knows of a mailbox (RFC 7162 3.2.5).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resync {
    /// The UIDVALIDITY that its UIDs belong to.
    pub uid_validity: u32,
    /// The mod-sequence up to which it knows all changes.
    pub mod_seq: u64,
    /// The UIDs that it knows; all, if it does not say.
    pub known: Option<UidSet>,
    /// Some positions and the UIDs that stand there, of equal number, ascending.
    pub matches: Option<(SequenceSet, UidSet)>,
}

/// Modifiers of FETCH (RFC 4466 2.4).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FetchModifiers {
    /// Only what has changed since this mod-sequence (RFC 7162 3.1.4.1).
    pub changed_since: Option<u64>,
    /// And what has vanished since (RFC 7162 3.2.6).
    pub vanished: bool,
    /// Only these of the messages named (RFC 9394 3.3).
    pub partial: Option<PartialRange>,
}

/// The arguments of LIST (RFC 3501 6.3.8, RFC 5258 3).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ListCommand {
    /// Prefix of every pattern.
    pub reference: String,
    /// Patterns with `*` and `%`; more than one only in the extended form.
    pub patterns: Vec<String>,
    /// Which mailboxes are chosen.
    pub select: ListSelection,
    /// What is told of each.
    pub report: ListReport,
}

/// Selection options (RFC 5258 3.1, RFC 6154 5.2).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "options that the RFC lets come in any mixture"
)]
pub struct ListSelection {
    /// Subscribed names, existing or not.
    pub subscribed: bool,
    /// Remote mailboxes too: there are none.
    pub remote: bool,
    /// Parents of chosen mailboxes that the pattern alone would leave out.
    pub recursive_match: bool,
    /// Mailboxes with a special use.
    pub special_use: bool,
}

/// Return options (RFC 5258 3.2, RFC 6154 5.2, RFC 5819 2, RFC 8440 3, RFC 9590 3).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "options that the RFC lets come in any mixture"
)]
pub struct ListReport {
    /// `\Subscribed` on each that is.
    pub subscribed: bool,
    /// `\HasChildren`, `\HasNoChildren`.
    pub children: bool,
    /// `\Sent` and its kind.
    pub special_use: bool,
    /// A STATUS response for each.
    pub status: Vec<StatusItem>,
    /// A MYRIGHTS response for each (RFC 8440).
    pub my_rights: bool,
    /// A METADATA response with these annotations for each (RFC 9590).
    pub metadata: Vec<AnnotationName>,
}

/// What STATUS can tell (RFC 3501 6.3.10).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StatusItem {
    /// The mod-sequence of the last change (RFC 7162 3.1.7).
    HighestModSeq,
    /// Number of messages.
    Messages,
    /// Number of messages with `\Recent`.
    Recent,
    /// The UID that the next message gets, at least.
    UidNext,
    /// The generation of UIDs.
    UidValidity,
    /// Number of messages without `\Seen`.
    Unseen,
    /// The longest message that APPEND takes (RFC 7889).
    AppendLimit,
    /// Number of messages with `\Deleted` (RFC 9208 4.1.4).
    Deleted,
    /// How many octets an EXPUNGE would free (RFC 9208 4.1.4).
    DeletedStorage,
    /// What names it whatever it is called (RFC 8474 4.3).
    MailboxId,
    /// Sum of the messages' sizes (RFC 8438).
    Size,
}

/// The beginning of APPEND (RFC 3501 6.3.11) and REPLACE (RFC 8508 3.2): its messages follow as
/// [`UploadPart`]s.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AppendCommand {
    /// Where to.
    pub mailbox: MailboxArgument,
    /// REPLACE: the message that is removed.
    pub replaces: Option<MessageSet>,
}

/// What follows the beginning of APPEND, in the order in which it comes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UploadPart {
    /// A message begins; more than one is MULTIAPPEND (RFC 3502).
    Message {
        /// The message's flags.
        flags: FlagSet,
        /// Its internal date, or that of its arrival.
        date: Option<Timestamp>,
    },
    /// What comes is in UTF-8, header and all (RFC 6855 4).
    Utf8,
    /// So many octets of the message come next.
    Literal {
        /// How many.
        octets: u64,
        /// Whether the client waits until it is asked for them.
        waits: Waits,
    },
    /// The next octets of the message; anything is taken as it is.
    Octets(Octets),
    /// A part of another message comes next (RFC 4469).
    Url(Vec<u8>),
    /// The message ends.
    MessageEnd,
    /// The command ends.
    End,
}

/// Whether the client waits for `+` before it sends a literal (RFC 7888).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Waits {
    /// `{n}`
    Yes,
    /// `{n+}`
    No,
}

/// The arguments of STORE (RFC 3501 6.4.6).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoreCommand {
    /// Whose flags.
    pub messages: MessageSet,
    /// Only those not changed since this mod-sequence (RFC 7162 3.1.3).
    pub unchanged_since: Option<u64>,
    /// Set, add or remove.
    pub change: FlagChange,
    /// Whether the client wants to be told.
    pub echo: Echo,
    /// The flags.
    pub flags: FlagSet,
}

/// Whether STORE answers with the new flags.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Echo {
    /// `FLAGS`: tell.
    Flags,
    /// `FLAGS.SILENT`: the client knows.
    Silent,
}

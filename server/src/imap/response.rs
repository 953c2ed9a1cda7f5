//! What the server says, as values (RFC 3501 7): the session makes them, the encoder writes them.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::sync::Arc;

use letterlock_core::account::MessageDocument as Message;
use letterlock_core::id::{
    MailboxId, MailboxName, MessageHash, ModSeq, SequenceNumber, Timestamp, Uid, UidValidity,
};
use letterlock_core::mime::Span;
use letterlock_core::model::{AnnotationName, Flag, FlagSet, Role, VirtualMailbox};

use super::accounts::Room;
use super::command::{BinaryRequest, Numbering, Octets, PartialRange, SectionRequest, Tag};

/// `OK`, `NO`, `BAD`, `BYE` (RFC 3501 7.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Condition {
    /// Success, or a notice.
    Ok,
    /// The command failed.
    No,
    /// The command was not understood.
    Bad,
    /// The connection ends.
    Bye,
}

/// A response code (RFC 3501 7.1, RFC 5530, RFC 4315).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Code {
    /// RFC 5530.
    AlreadyExists,
    /// RFC 5530.
    AuthenticationFailed,
    /// RFC 3501 7.1, with the charsets that are always known.
    BadCharset,
    /// RFC 5530.
    Cannot,
    /// RFC 3501 7.1.
    Capability(String),
    /// RFC 9738 3.1: the limit, and the lowest UID that was dealt with.
    MessageLimit(u32, Option<Uid>),
    /// RFC 7162 3.2.11: what follows is of the newly selected mailbox.
    Closed,
    /// RFC 5530.
    ExpungeIssued,
    /// RFC 7162 3.1.2.1: everything up to here has been told.
    HighestModSeq(ModSeq),
    /// RFC 5530: the client has said what makes no sense.
    ClientBug,
    /// RFC 9585: how far a command is; without it, that something goes on.
    InProgress(Option<Advance>),
    /// RFC 5530.
    Limit,
    /// RFC 5530 3, RFC 9208 4.3: the provider has no room.
    OverQuota,
    /// RFC 8474 4.1, 4.2.
    MailboxId(MailboxId),
    /// RFC 7162 3.1.3: positions or UIDs of messages that had changed, ascending.
    Modified(Vec<u32>),
    /// RFC 5530.
    NonExistent,
    /// RFC 5267 4.3.1: changes to the result of this search are not told.
    NoUpdate(Tag),
    /// RFC 5464 4.2.1: how long the longest value is that is longer than was wanted.
    MetadataLongEntries(usize),
    /// RFC 5464 4.3: how long a value may be.
    MetadataMaxSize(usize),
    /// RFC 5464 4.3.
    MetadataTooMany,
    /// RFC 3501 7.1; `\*` is always among them, if any are.
    PermanentFlags(BTreeSet<Flag>),
    /// RFC 3501 7.1: none can be changed.
    NoPermanentFlags,
    /// RFC 5465 5: with the names of the events that are known.
    BadEvent,
    /// RFC 5465 5.8.
    NotificationOverflow,
    /// RFC 4978 3.
    CompressionActive,
    /// RFC 5530: only after TLS.
    PrivacyRequired,
    /// RFC 3501 7.1.
    ReadOnly,
    /// RFC 3501 7.1.
    ReadWrite,
    /// RFC 5530.
    ServerBug,
    /// RFC 4469 4.2.
    TooBig,
    /// RFC 3501 7.1.
    TryCreate,
    /// RFC 3501 7.1.
    UidNext(Uid),
    /// RFC 3501 7.1.
    UidValidity(UidValidity),
    /// RFC 5530.
    Unavailable,
    /// RFC 6154 3.
    UseAttr,
    /// RFC 9586: sequence numbers are not used in this connection.
    UidRequired,
    /// Batches smaller than are given.
    TooFew,
    /// RFC 3516 4.3.
    UnknownCte,
    /// RFC 3501 7.1: the first message that is not seen.
    Unseen(SequenceNumber),
    /// RFC 4315 3, RFC 3502: the messages' UIDs, in order.
    AppendUid(UidValidity, Vec<Uid>),
    /// RFC 4469 4.1: the first URL that is none of ours.
    BadUrl(Vec<u8>),
    /// RFC 4315 3: source and copy of each message, in the same order.
    CopyUid(UidValidity, Vec<(Uid, Uid)>),
}

/// How far a command is (RFC 9585 4).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Advance {
    /// Of the command.
    pub tag: Tag,
    /// How many things are done, and of how many, as far as that is known.
    pub done: Option<(u32, Option<u32>)>,
}

/// A status response without its tag.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// How it went.
    pub condition: Condition,
    /// For programs.
    pub code: Option<Code>,
    /// For people.
    pub text: Cow<'static, str>,
}

impl Reply {
    /// `OK text`
    pub fn ok(text: &'static str) -> Self {
        Self {
            condition: Condition::Ok,
            code: None,
            text: text.into(),
        }
    }

    /// `NO text`
    pub fn no(text: &'static str) -> Self {
        Self {
            condition: Condition::No,
            code: None,
            text: text.into(),
        }
    }

    /// `BAD text`
    pub fn bad(text: &'static str) -> Self {
        Self {
            condition: Condition::Bad,
            code: None,
            text: text.into(),
        }
    }

    /// `BYE text`
    pub fn bye(text: &'static str) -> Self {
        Self {
            condition: Condition::Bye,
            code: None,
            text: text.into(),
        }
    }

    /// With a code.
    #[must_use]
    pub fn with(self, code: Code) -> Self {
        Self {
            code: Some(code),
            ..self
        }
    }
}

/// An attribute of a mailbox in LIST (RFC 3501 7.2.2, RFC 5258, RFC 6154).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Attribute {
    /// The name exists only because of its children (LSUB, basic LIST).
    NoSelect,
    /// RFC 5258 3.4: no mailbox has this name.
    NonExistent,
    /// RFC 3348.
    HasChildren,
    /// RFC 3348.
    HasNoChildren,
    /// RFC 5258 3.4.
    Subscribed,
    /// RFC 3501 7.2.2: there can be no mailbox below it.
    NoInferiors,
    /// RFC 6154.
    Role(Role),
    /// RFC 6154: a virtual mailbox.
    Virtual(VirtualMailbox),
}

/// What a user may do with a mailbox (RFC 4314 2.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rights {
    /// All but giving rights to others, which nobody can.
    Own,
    /// Nothing comes into a virtual mailbox or below it, and it is not deleted.
    Virtual,
}

/// One line of LIST or LSUB.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListItem {
    /// Attributes.
    pub attributes: Vec<Attribute>,
    /// The name; empty for the root that `LIST "" ""` asks about.
    pub name: String,
    /// Which selection options its children meet (RFC 5258 4 `CHILDINFO`).
    pub child_info: Vec<&'static str>,
    /// What it was called before it was renamed (RFC 5465 5.4).
    pub old_name: Option<MailboxName>,
}

/// One METADATA response with values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MetadataData {
    /// Whose; without a name, the server's.
    pub of: Option<MailboxName>,
    /// Names and values; `None` is NIL: there is none.
    pub values: Vec<(AnnotationName, Option<Octets>)>,
}

/// One item of STATUS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StatusData {
    /// Whose.
    pub name: MailboxName,
    /// Item name and value, in the order that was asked for.
    pub values: Vec<(&'static str, StatusValue)>,
}

/// The value of an item of STATUS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StatusValue {
    /// Most are numbers.
    Number(u64),
    /// RFC 8474 4.3.
    MailboxId(MailboxId),
}

/// One ESEARCH response (RFC 4731 3, RFC 4466 2.6.2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EsearchData {
    /// Of the command that it answers.
    pub tag: Tag,
    /// Where, if another mailbox than the selected one may be meant (RFC 7377 2.1).
    pub mailbox: Option<(MailboxName, UidValidity)>,
    /// What the numbers are.
    pub by: Numbering,
    /// What was asked for and is there.
    pub items: Vec<EsearchItem>,
}

/// One item of ESEARCH. Sets are ranges in the order of the result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EsearchItem {
    /// The first of the result.
    Min(u32),
    /// The last of the result.
    Max(u32),
    /// All of it.
    All(Vec<(u32, u32)>),
    /// Some of it; without ranges it is `NIL`.
    Partial(PartialRange, Vec<(u32, u32)>),
    /// How many.
    Count(u32),
    /// The highest mod-sequence of what is answered.
    ModSeq(ModSeq),
    /// How well each of the result fits, 1 to 100 (RFC 6203 4).
    Relevancy(Vec<u8>),
    /// What has come to the result since (RFC 5267 4.3.3).
    AddTo(Vec<(u32, u32)>),
    /// What has gone from it since (RFC 5267 4.3.4).
    RemoveFrom(Vec<(u32, u32)>),
}

/// A message in a thread, or a place where one is missing: parents before their children.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ThreadRow {
    /// Its number; `None` for a message that is not among those found.
    pub number: Option<u32>,
    /// 0 for the beginning of a thread; a child is one deeper than its parent.
    pub depth: usize,
}

/// One untagged FETCH response.
#[derive(Debug, Clone)]
pub struct FetchData {
    /// Of which message.
    pub number: MessageNumber,
    /// In the order that was asked for.
    pub values: Vec<FetchValue>,
}

/// One untagged FETCH response that tells of changed flags.
#[derive(Debug, Clone)]
pub struct ToldFlags {
    /// Of which message.
    pub number: MessageNumber,
    /// The UID, where it is wanted or harmless.
    pub uid: Option<Uid>,
    /// The flags; messages share them.
    pub flags: Option<(Arc<FlagSet>, Recency)>,
    /// The mod-sequence, for clients that know it.
    pub mod_seq: Option<ModSeq>,
}

/// What a FETCH response calls its message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MessageNumber {
    /// `* n FETCH`
    Sequence(SequenceNumber),
    /// `* uid UIDFETCH` (RFC 9586)
    Uid(Uid),
}

/// One item of a FETCH response.
#[derive(Debug, Clone)]
pub enum FetchValue {
    /// `UID`.
    Uid(Uid),
    /// `FLAGS`.
    Flags(FlagSet, Recency),
    /// `MODSEQ`.
    ModSeq(ModSeq),
    /// `INTERNALDATE`.
    InternalDate(Timestamp),
    /// `RFC822.SIZE`.
    Size(u64),
    /// `ENVELOPE`.
    Envelope(Arc<Message>),
    /// `BODY`.
    Body(Arc<Message>),
    /// `BODYSTRUCTURE`.
    BodyStructure(Arc<Message>),
    /// `EMAILID`.
    EmailId(MessageHash),
    /// `THREADID`.
    ThreadId(String),
    /// `SAVEDATE`.
    SaveDate(Timestamp),
    /// `PREVIEW`; `None` is NIL: it is not at hand.
    Preview(Option<String>),
    /// `BINARY[]`; `None` is NIL: the message has no such part.
    Binary(BinaryRequest, Option<SectionOctets>),
    /// `BINARY.SIZE[]`, of the part with these numbers.
    BinarySize(Vec<u32>, u64),
    /// `BODY[]`; `None` is NIL: the message has no such part.
    Section(SectionRequest, Option<SectionOctets>),
    /// `BODY[]` of which the octets are read while they are written.
    Stream(SectionRequest, Arc<Message>, Span),
    /// Another one of these as it was written before.
    Rendered(Rendered),
}

/// A value of a FETCH response as it goes out; its `Debug` tells the size alone.
#[derive(Clone)]
pub struct Rendered(pub Arc<[u8]>);

impl core::fmt::Debug for Rendered {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "Rendered({})", self.0.len())
    }
}

/// Octets of a message; their `Debug` tells the size alone.
pub type SectionOctets = Octets;

/// Whether the session shows `\Recent`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Recency {
    /// It does.
    Recent,
    /// It does not.
    Old,
}

impl Recency {
    /// From a view's slot.
    pub fn of(recent: bool) -> Self {
        if recent { Self::Recent } else { Self::Old }
    }
}

/// When a message vanished (RFC 7162 3.2.10).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Earlier {
    /// Before this session could count it: `(EARLIER)`.
    Yes,
    /// From under the session: the numbers above move down.
    No,
}

/// A whole response.
#[derive(Debug, Clone)]
pub enum Response {
    /// `+ text`
    Continue(Cow<'static, str>),
    /// `tag condition [code] text`
    Tagged(Tag, Reply),
    /// `* condition [code] text`
    Untagged(Reply),
    /// `* CAPABILITY ..`
    Capability(String),
    /// `* ENABLED ..`
    Enabled(Vec<&'static str>),
    /// `* ID ..`: name and version of the server.
    Id,
    /// `* NAMESPACE ..`
    Namespace,
    /// `* LIST ..`
    List(ListItem),
    /// `* LSUB ..`
    Lsub(ListItem),
    /// `* MYRIGHTS ..`: all that a user can do with his own mailbox.
    MyRights(MailboxName, Rights),
    /// `* QUOTA ..`: the one quota root, which may have no limits.
    Quota(Option<Room>),
    /// `* QUOTAROOT ..`: the one quota root.
    QuotaRoot(MailboxName),
    /// `* STATUS ..`
    Status(StatusData),
    /// `* METADATA ..` with values (RFC 5464 4.4.1).
    Metadata(MetadataData),
    /// `* METADATA ..` without: these have changed, of a mailbox or of the server
    /// (RFC 5464 4.4.2).
    MetadataChanged(Option<MailboxName>, Vec<AnnotationName>),
    /// `* FLAGS ..`: system flags and these keywords.
    Flags(BTreeSet<Flag>),
    /// `* n EXISTS`
    Exists(u32),
    /// `* n RECENT`
    Recent(u32),
    /// `* n EXPUNGE`
    Expunge(SequenceNumber),
    /// `* SEARCH ..`, with the highest mod-sequence among them if that was a criterion.
    Search(Vec<u32>, Option<ModSeq>),
    /// `* SORT ..`, with the highest mod-sequence among them if that was a criterion.
    Sort(Vec<u32>, Option<ModSeq>),
    /// `* THREAD ..`
    Thread(Vec<ThreadRow>),
    /// `* ESEARCH ..`
    Esearch(EsearchData),
    /// `* UIDBATCHES ..`: ranges of UIDs, each from its highest to its lowest, descending.
    UidBatches(Tag, Vec<(u32, u32)>),
    /// `* n FETCH ..`
    Fetch(FetchData),
    /// `* n FETCH (FLAGS ..)` for each: many are one answer.
    ToldFlags(Vec<ToldFlags>),
    /// `* VANISHED ..`: ascending ranges of UIDs.
    Vanished(Earlier, Vec<(u32, u32)>),
}

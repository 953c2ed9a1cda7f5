//! What SEARCH and its kin ask for (RFC 3501 6.4.4, RFC 4731, RFC 5256, RFC 7377), as values.

use letterlock_core::model::Flag;

use super::MailboxArgument;
use crate::imap::date::Date;
use crate::imap::set::{SequenceSet, UidSet};

/// The arguments of SEARCH (RFC 3501 6.4.4).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SearchCommand {
    /// What the answer counts in.
    pub by: Numbering,
    /// What is answered; without it, all as `SEARCH` lists them.
    pub returns: Option<SearchReturn>,
    /// All of these must hold.
    pub keys: Vec<SearchKey>,
}

/// Result options (RFC 4731 3.1).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "options that the RFCs let come in any mixture"
)]
pub struct SearchReturn {
    /// The lowest number.
    pub min: bool,
    /// The highest number.
    pub max: bool,
    /// All of them.
    pub all: bool,
    /// How many.
    pub count: bool,
    /// Keep them as `$` (RFC 5182).
    pub save: bool,
    /// Tell what comes to them and what goes (RFC 5267 4.3).
    pub update: bool,
    /// How well each fits (RFC 6203 4).
    pub relevancy: bool,
    /// Some of them, by their place in the result (RFC 9394).
    pub partial: Option<PartialRange>,
}

/// Which mailboxes are searched (RFC 7377 2.2, RFC 5465 6).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// The selected one.
    Selected,
    /// Those that mail comes into by itself.
    Inboxes,
    /// All of the user's.
    Personal,
    /// Those that the user subscribed to.
    Subscribed,
    /// These and all below them.
    Subtree(Vec<MailboxArgument>),
    /// These and those one level below them.
    SubtreeOne(Vec<MailboxArgument>),
    /// These.
    Mailboxes(Vec<MailboxArgument>),
}

/// The arguments of SORT (RFC 5256 3, RFC 5267 3).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SortCommand {
    /// What is looked for and how the answer is given.
    pub search: SearchCommand,
    /// By what it is sorted, the most important first.
    pub criteria: Vec<SortCriterion>,
}

/// By what messages are sorted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SortCriterion {
    /// By this.
    pub key: SortKey,
    /// From the highest to the lowest.
    pub reverse: bool,
}

/// What messages are sorted by (RFC 5256 3, RFC 5957 4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SortKey {
    /// Internal date.
    Arrival,
    /// Local part of the first address in `Cc`.
    Cc,
    /// When it was sent.
    Date,
    /// How well it fits, the best first (RFC 6203 6).
    Relevancy,
    /// Name or address of the first person in `From`.
    DisplayFrom,
    /// Name or address of the first person in `To`.
    DisplayTo,
    /// Local part of the first address in `From`.
    From,
    /// Octets.
    Size,
    /// Base subject.
    Subject,
    /// Local part of the first address in `To`.
    To,
}

/// The arguments of THREAD (RFC 5256 3).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ThreadCommand {
    /// What the answer counts in.
    pub by: Numbering,
    /// How messages belong together.
    pub algorithm: ThreadAlgorithm,
    /// All of these must hold.
    pub keys: Vec<SearchKey>,
}

/// How messages belong together (RFC 5256 3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ThreadAlgorithm {
    /// Those with the same base subject.
    OrderedSubject,
    /// Those that name each other.
    References,
}

/// Places in a result, from its beginning or from its end (RFC 9394 4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PartialRange {
    /// As written; 1 is the first.
    pub from: u32,
    /// As written.
    pub to: u32,
    /// Whether 1 is the last, written with `-` before each number.
    pub from_end: bool,
}

impl PartialRange {
    /// Which of `count` results these are: a half-open range of indices.
    pub fn of(self, count: usize) -> (usize, usize) {
        let place = |number: u32| usize::try_from(number).unwrap_or(usize::MAX).min(count);
        let first = place(self.from.min(self.to).saturating_sub(1));
        let end = place(self.from.max(self.to));
        if self.from_end {
            (count.saturating_sub(end), count.saturating_sub(first))
        } else {
            (first, end)
        }
    }
}

/// Sequence numbers, or UIDs for a command with the `UID` prefix.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Numbering {
    /// Positions in the view.
    Sequence,
    /// Unique identifiers.
    Uid,
}

/// A search key (RFC 3501 6.4.4). Texts are in UTF-8, whatever charset the client used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SearchKey {
    /// Every message.
    All,
    /// All of them hold.
    And(Vec<SearchKey>),
    /// One of the two holds.
    Or(Box<SearchKey>, Box<SearchKey>),
    /// It does not hold.
    Not(Box<SearchKey>),
    /// It holds, or nearly (RFC 6203 3).
    Fuzzy(Box<SearchKey>),
    /// These positions.
    Sequence(SequenceSet),
    /// These UIDs.
    Uid(UidSet),
    /// Has the flag or keyword.
    Flag(Flag),
    /// Has `\Recent`.
    Recent,
    /// Internal date before the day.
    Before(Date),
    /// Internal date on the day.
    On(Date),
    /// Internal date on the day or later.
    Since(Date),
    /// `Date:` field before the day.
    SentBefore(Date),
    /// `Date:` field on the day.
    SentOn(Date),
    /// `Date:` field on the day or later.
    SentSince(Date),
    /// More octets than this.
    Larger(u64),
    /// Fewer octets than this.
    Smaller(u64),
    /// The named field has the text in it; an empty text asks for the field.
    Header { name: String, text: String },
    /// The text is in the body.
    Body(String),
    /// The text is in the header or the body.
    Text(String),
    /// Changed at this mod-sequence or later (RFC 7162 3.1.5).
    ModSeq(u64),
    /// `$`: what the last SEARCH saved (RFC 5182).
    Saved,
    /// Internal date this many seconds ago or earlier (RFC 5032).
    Older(u32),
    /// Internal date this many seconds ago or later (RFC 5032).
    Younger(u32),
    /// The message has this id (RFC 8474 6).
    EmailId(String),
    /// Its thread has this id (RFC 8474 6).
    ThreadId(String),
    /// Came into the mailbox before the day (RFC 8514 4.3).
    SavedBefore(Date),
    /// Came into the mailbox on the day.
    SavedOn(Date),
    /// Came into the mailbox on the day or later.
    SavedSince(Date),
}

impl SearchKey {
    /// Whether this key or one within it passes a test.
    pub fn any(&self, test: &impl Fn(&Self) -> bool) -> bool {
        test(self)
            || match self {
                Self::And(keys) => keys.iter().any(|key| key.any(test)),
                Self::Or(left, right) => left.any(test) || right.any(test),
                Self::Not(key) | Self::Fuzzy(key) => key.any(test),
                _ => false,
            }
    }

    /// The same with each innermost key replaced by what `replace` makes of it.
    #[must_use]
    pub fn map(self, replace: &impl Fn(Self) -> Self) -> Self {
        match self {
            Self::And(keys) => Self::And(keys.into_iter().map(|key| key.map(replace)).collect()),
            Self::Or(left, right) => {
                Self::Or(Box::new(left.map(replace)), Box::new(right.map(replace)))
            }
            Self::Not(key) => Self::Not(Box::new(key.map(replace))),
            Self::Fuzzy(key) => Self::Fuzzy(Box::new(key.map(replace))),
            key => replace(key),
        }
    }
}

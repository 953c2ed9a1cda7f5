//! What people type to find mail.
//!
//! ```text
//! query   = *(clause)                     all of them must hold
//! clause  = term *("OR" term)             one of them must hold
//! term    = ["-"] (group / filter / words)
//! group   = "(" query ")"
//! filter  = name ":" value                from: to: cc: bcc: subject: body: filename:
//!                                         has: before: after: since: on: in: is: larger: smaller:
//! words   = word / word"*" / quoted       a quoted text is a phrase
//! ```
//!
//! Invariant: [`Query::parse`] takes any text. What it does not understand it looks for as words,
//! and says so in a [`Note`]; and `parse(query.to_string())` is the query again. Rejected: errors,
//! which leave a person who types with nothing; and AND, NOT as words, which mail is full of.

mod parse;
mod show;
#[cfg(test)]
mod tests;

use super::document::Field;
use crate::mime::days_from_civil;

/// Longest query that is looked at, in octets.
pub(super) const MAX_QUERY_OCTETS: usize = 4096;
/// Deepest nesting of groups.
pub(super) const MAX_DEPTH: usize = 32;
/// Most terms.
pub(super) const MAX_TERMS: usize = 200;

/// What to look for.
///
/// # Examples
/// ```
/// use letterlock_core::search::Query;
/// let query = Query::parse("from:ines  -in:trash seeds OR \"garden plan\"");
/// assert_eq!(query.to_string(), "from:ines -in:trash seeds OR \"garden plan\"");
/// assert!(query.notes().is_empty());
/// let query = Query::parse("before:yesterday");
/// assert_eq!(query.notes()[0].to_string(), "`yesterday` is no date such as 2024, 2024-05 or 2024-05-17; it is looked for as words");
/// ```
#[derive(Debug, Clone)]
pub struct Query {
    pub(super) root: Node,
    notes: Vec<Note>,
}

/// Two queries are equal that look for the same.
impl PartialEq for Query {
    fn eq(&self, other: &Self) -> bool {
        self.root == other.root
    }
}

impl Query {
    /// Reads what a person typed.
    pub fn parse(text: &str) -> Self {
        parse::parse(text)
    }

    /// What was not understood, for the person.
    pub fn notes(&self) -> &[Note] {
        &self.notes
    }

    /// Whether nothing is asked, so that every message is found.
    pub fn is_empty(&self) -> bool {
        self.root == Node::And(Vec::new())
    }
}

/// A part of a query.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Node {
    /// All hold. Empty only as a whole query; never one alone, never directly in another.
    And(Vec<Node>),
    /// One holds; as for `And`, and never empty.
    Or(Vec<Node>),
    Not(Box<Node>),
    /// Words beside each other, in a field or in any.
    Words {
        field: Option<Field>,
        text: String,
        /// Whether the last word may go on.
        prefix: bool,
    },
    Attachment,
    Before(Date),
    Since(Date),
    On(Date),
    /// In a mailbox of this name or role.
    In(String),
    Is(State),
    Larger(u64),
    Smaller(u64),
}

impl Node {
    pub(super) fn and(nodes: Vec<Self>) -> Self {
        let mut flat = Vec::with_capacity(nodes.len());
        for node in nodes {
            match node {
                Self::And(inner) => flat.extend(inner),
                node => flat.push(node),
            }
        }
        if flat.len() == 1
            && let Some(only) = flat.pop()
        {
            return only;
        }
        Self::And(flat)
    }

    /// `None` of no nodes; groups in which nothing was asked are left out.
    pub(super) fn or(nodes: Vec<Self>) -> Option<Self> {
        let mut flat = Vec::with_capacity(nodes.len());
        for node in nodes {
            match node {
                Self::Or(inner) => flat.extend(inner),
                Self::And(inner) if inner.is_empty() => {}
                node => flat.push(node),
            }
        }
        if flat.len() <= 1 {
            return flat.pop();
        }
        Some(Self::Or(flat))
    }
}

/// A day, a month or a year, in UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Date {
    pub(super) year: u16,
    pub(super) month: Option<u8>,
    pub(super) day: Option<u8>,
}

impl Date {
    /// Days since 1970-01-01: the first, and the first after it.
    pub(super) fn days(self) -> (i64, i64) {
        let (year, month) = (i64::from(self.year), i64::from(self.month.unwrap_or(1)));
        let first = days_from_civil(year, month, i64::from(self.day.unwrap_or(1)));
        let end = match (self.month, self.day) {
            (None, _) | (Some(12), None) => days_from_civil(year + 1, 1, 1),
            (Some(_), None) => days_from_civil(year, month + 1, 1),
            (Some(_), Some(_)) => first + 1,
        };
        (first, end)
    }
}

/// What a message is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    Unread,
    Read,
    Flagged,
    Unflagged,
    Answered,
    Unanswered,
    Draft,
    Encrypted,
    Signed,
}

impl State {
    pub(super) const ALL: [Self; 9] = [
        Self::Unread,
        Self::Read,
        Self::Flagged,
        Self::Unflagged,
        Self::Answered,
        Self::Unanswered,
        Self::Draft,
        Self::Encrypted,
        Self::Signed,
    ];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Unread => "unread",
            Self::Read => "read",
            Self::Flagged => "flagged",
            Self::Unflagged => "unflagged",
            Self::Answered => "answered",
            Self::Unanswered => "unanswered",
            Self::Draft => "draft",
            Self::Encrypted => "encrypted",
            Self::Signed => "signed",
        }
    }

    fn parse(text: &str) -> Option<Self> {
        let name = match text {
            "unseen" => "unread",
            "seen" => "read",
            "starred" => "flagged",
            "unstarred" => "unflagged",
            "replied" => "answered",
            name => name,
        };
        Self::ALL.into_iter().find(|state| state.name() == name)
    }
}

/// What of a query was not understood; `Display` says it in words.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Note {
    /// A filter's value is no date.
    #[error("`{0}` is no date such as 2024, 2024-05 or 2024-05-17; it is looked for as words")]
    Date(String),
    /// A filter's value is no size.
    #[error("`{0}` is no size such as 500K or 5M; it is looked for as words")]
    Size(String),
    /// `is:` with an unknown word.
    #[error(
        "a message is unread, read, flagged, answered, draft, encrypted or signed, but not `{0}`; it is looked for as words"
    )]
    State(String),
    /// `has:` with an unknown word.
    #[error("`has:attachment` is all that a message can have; `{0}` is looked for as words")]
    Thing(String),
    /// A filter without a value.
    #[error("`{0}:` has nothing after it")]
    NoValue(String),
    /// No mailbox has this name or role.
    #[error("there is no mailbox `{0}`")]
    NoMailbox(String),
    /// A text without letters and digits.
    #[error("`{0}` has no letter or digit to look for")]
    NoWords(String),
    /// A quote is not closed.
    #[error("a quote is not closed; all that follows it is one phrase")]
    OpenQuote,
    /// Parentheses do not match.
    #[error("a parenthesis has no other; it is passed over")]
    Parenthesis,
    /// `OR` with nothing on one side.
    #[error("`OR` needs something on both sides; it is looked for as a word")]
    Or,
    /// The query is too long or too deep.
    #[error("the query is too long; not all of it is looked for")]
    TooLong,
}

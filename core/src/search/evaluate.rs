//! Judges a query over a snapshot: first the words, which are read from the store, then the rest,
//! from memory.
//!
//! Invariant: a message is found if it is placed somewhere and the query holds. What a query asks
//! of the place of a message (`in:`, and `is:` of flags) in one group must hold of one place:
//! `in:inbox is:unread` is a message that is unread in the inbox, not one that is read there and
//! unread elsewhere. Rejected: judging document by document; a bit costs less than a question.

use std::sync::Arc;

use super::bitmap::Bitmap;
use super::document::{Field, Traits};
use super::index::{Index, SearchError};
use super::lookup::{documents_with, elements};
use super::query::{Node, Note, Query, State};
use super::snapshot::Snapshot;
use crate::id::{MailboxId, MessageHash, Timestamp};
use crate::portable::MaybeSync;
use crate::store::Store;

/// Seconds in a day.
const DAY: i64 = 86_400;
/// If so many times fewer messages are in question than are placed, each is asked for its places.
const FEW: usize = 16;

/// What the index asks of the mail around it: which messages are placed, where, with what flags.
pub trait Population: MaybeSync {
    /// Is another number whenever a message has got its first place or lost its last.
    fn changes(&self) -> u64;

    /// How many places there are.
    fn places(&self) -> usize;

    /// The mailboxes of this name or role.
    fn mailboxes(&self, named: &str) -> Vec<MailboxId>;

    /// Visits every message that is placed, at least once.
    fn each_message(&self, visit: &mut dyn FnMut(&MessageHash));

    /// Visits every place; with `mailboxes`, those in these.
    fn each_place(&self, mailboxes: Option<&[MailboxId]>, visit: &mut dyn FnMut(&Facts));

    /// Visits the places of one message.
    fn each_place_of(&self, message: &MessageHash, visit: &mut dyn FnMut(&Facts));
}

/// A place of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "they are flags")]
pub struct Facts {
    /// The message.
    pub message: MessageHash,
    /// Where it is.
    pub mailbox: MailboxId,
    /// `\Seen`
    pub seen: bool,
    /// `\Flagged`
    pub flagged: bool,
    /// `\Answered`
    pub answered: bool,
    /// `\Draft`
    pub draft: bool,
}

/// Which of the messages found are wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Page {
    /// So many are passed over.
    pub offset: usize,
    /// So many are wanted at most.
    pub limit: usize,
}

/// A message found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hit {
    /// The message.
    pub message: MessageHash,
    /// When it came here first.
    pub date: Timestamp,
}

/// What was found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Found {
    /// How many there are.
    pub total: usize,
    /// Those of the page; the newest first, of one date by hash.
    pub hits: Vec<Hit>,
    /// What of the query could not be answered, beside [`Query::notes`].
    pub notes: Vec<Note>,
}

impl Index {
    /// Finds messages.
    pub async fn search<S: Store>(
        &self,
        store: &S,
        mail: &impl Population,
        query: &Query,
        page: Page,
    ) -> Result<Found, SearchError> {
        let (snapshot, found, notes) = self.matching(store, mail, query).await?;
        let numbers = found.iter();
        let mut hits: Vec<Hit> = numbers
            .filter_map(|number| snapshot.document(number))
            .map(|document| Hit {
                message: document.hash,
                date: document.date,
            })
            .collect();
        let total = hits.len();
        let order = |a: &Hit, b: &Hit| (b.date, &a.message).cmp(&(a.date, &b.message));
        let end = page.offset.saturating_add(page.limit);
        if end < total {
            // Only those wanted are put in order.
            hits.select_nth_unstable_by(end, order);
            hits.truncate(end);
        }
        hits.sort_unstable_by(order);
        hits.drain(..page.offset.min(hits.len()));
        Ok(Found { total, hits, notes })
    }

    /// Finds all messages, by hash.
    pub async fn search_all<S: Store>(
        &self,
        store: &S,
        mail: &impl Population,
        query: &Query,
    ) -> Result<Vec<MessageHash>, SearchError> {
        let (snapshot, found, _) = self.matching(store, mail, query).await?;
        let mut hashes: Vec<MessageHash> = found
            .iter()
            .filter_map(|number| snapshot.document(number))
            .map(|document| document.hash)
            .collect();
        hashes.sort_unstable();
        Ok(hashes)
    }

    async fn matching<S: Store>(
        &self,
        store: &S,
        mail: &impl Population,
        query: &Query,
    ) -> Result<(Arc<Snapshot>, Bitmap, Vec<Note>), SearchError> {
        let words = all_words(&query.root);
        let (snapshot, sets) = self
            .reading(store, |snapshot| {
                let words = &words;
                async move {
                    let mut sets = Vec::with_capacity(words.len());
                    for (field, text, prefix) in words {
                        let elements = elements(text, *prefix);
                        let fields = field
                            .as_ref()
                            .map_or(&Field::READ[..], core::slice::from_ref);
                        sets.push(documents_with(store, &snapshot, &elements, fields).await?);
                    }
                    Ok((snapshot, sets))
                }
            })
            .await?;
        let mut within = Bitmap::clone(&snapshot.placed(mail));
        within.intersect(snapshot.current());
        let mut judge = Judge {
            snapshot: &snapshot,
            mail,
            words: sets.into_iter(),
            notes: Vec::new(),
        };
        let mut root = judge.prepare(&query.root);
        let found = judge.holds(&mut root, &within);
        let notes = judge.notes;
        Ok((snapshot, found, notes))
    }
}

type WordsOf<'q> = (Option<Field>, &'q str, bool);

/// The words that a query asks for, in the order of the tree.
fn all_words(node: &Node) -> Vec<WordsOf<'_>> {
    match node {
        Node::And(nodes) | Node::Or(nodes) => nodes.iter().flat_map(all_words).collect(),
        Node::Not(inner) => all_words(inner),
        Node::Words {
            field,
            text,
            prefix,
        } => vec![(*field, text, *prefix)],
        Node::Attachment
        | Node::Before(_)
        | Node::Since(_)
        | Node::On(_)
        | Node::In(_)
        | Node::Is(_)
        | Node::Larger(_)
        | Node::Smaller(_) => Vec::new(),
    }
}

/// A query whose words have been looked up.
enum Ready {
    And(Vec<Ready>),
    Or(Vec<Ready>),
    Not(Box<Ready>),
    Set(Bitmap),
    /// All of these hold of one place.
    Placed(Vec<Demand>),
}

/// What is asked of a place.
enum Demand {
    In(Vec<MailboxId>),
    Is(State),
}

impl Demand {
    fn holds(&self, facts: &Facts) -> bool {
        match self {
            Self::In(mailboxes) => mailboxes.contains(&facts.mailbox),
            Self::Is(State::Unread) => !facts.seen,
            Self::Is(State::Read) => facts.seen,
            Self::Is(State::Flagged) => facts.flagged,
            Self::Is(State::Unflagged) => !facts.flagged,
            Self::Is(State::Answered) => facts.answered,
            Self::Is(State::Unanswered) => !facts.answered,
            Self::Is(State::Draft) => facts.draft,
            // These are of the message, not of its place.
            Self::Is(State::Encrypted | State::Signed) => true,
        }
    }
}

impl Ready {
    /// The cheaper ones are judged first: they leave less to the others.
    const fn cost(&self) -> u8 {
        match self {
            Self::Set(_) => 0,
            Self::And(_) | Self::Or(_) | Self::Not(_) => 1,
            Self::Placed(_) => 2,
        }
    }
}

struct Judge<'a, P> {
    snapshot: &'a Snapshot,
    mail: &'a P,
    words: std::vec::IntoIter<Bitmap>,
    notes: Vec<Note>,
}

impl<P: Population> Judge<'_, P> {
    fn prepare(&mut self, node: &Node) -> Ready {
        match node {
            Node::And(nodes) => {
                let mut demands = Vec::new();
                let mut ready = Vec::new();
                for node in nodes {
                    match self.prepare(node) {
                        Ready::Placed(mut more) => demands.append(&mut more),
                        other => ready.push(other),
                    }
                }
                if !demands.is_empty() {
                    ready.push(Ready::Placed(demands));
                }
                ready.sort_by_key(Ready::cost);
                Ready::And(ready)
            }
            Node::Or(nodes) => Ready::Or(nodes.iter().map(|node| self.prepare(node)).collect()),
            Node::Not(inner) => Ready::Not(Box::new(self.prepare(inner))),
            Node::Words { .. } => {
                let empty = || Bitmap::empty(self.snapshot.total);
                Ready::Set(self.words.next().unwrap_or_else(empty))
            }
            Node::In(name) => {
                let mailboxes = self.mail.mailboxes(name);
                if mailboxes.is_empty() {
                    self.notes.push(Note::NoMailbox(name.clone()));
                }
                Ready::Placed(vec![Demand::In(mailboxes)])
            }
            Node::Is(State::Encrypted) => self.with_trait(Traits::ENCRYPTED),
            Node::Is(State::Signed) => self.with_trait(Traits::SIGNED),
            Node::Is(state) => Ready::Placed(vec![Demand::Is(*state)]),
            Node::Attachment => self.with_trait(Traits::ATTACHMENT),
            Node::Before(date) => self.dated(|day| day < date.days().0),
            Node::Since(date) => self.dated(|day| day >= date.days().0),
            Node::On(date) => {
                let (first, end) = date.days();
                self.dated(|day| (first..end).contains(&day))
            }
            Node::Larger(size) => self.sized(|octets| octets > *size),
            Node::Smaller(size) => self.sized(|octets| octets < *size),
        }
    }

    fn with_trait(&self, wanted: Traits) -> Ready {
        self.documents(|document| document.traits.any(wanted))
    }

    fn dated(&self, wanted: impl Fn(i64) -> bool) -> Ready {
        self.documents(|document| wanted(document.date.as_secs().div_euclid(DAY)))
    }

    fn sized(&self, wanted: impl Fn(u64) -> bool) -> Ready {
        self.documents(|document| wanted(u64::from(document.size)))
    }

    fn documents(&self, wanted: impl Fn(&super::document::Document) -> bool) -> Ready {
        let mut set = Bitmap::empty(self.snapshot.total);
        for (number, document) in (0..).zip(self.snapshot.documents()) {
            if wanted(document) {
                set.insert(number);
            }
        }
        Ready::Set(set)
    }

    /// Those of `within` for which it holds.
    fn holds(&self, ready: &mut Ready, within: &Bitmap) -> Bitmap {
        match ready {
            Ready::Set(set) => {
                let mut set = set.clone();
                set.intersect(within);
                set
            }
            Ready::And(all) => {
                let mut left = within.clone();
                for one in all {
                    if left.is_empty() {
                        break;
                    }
                    left = self.holds(one, &left);
                }
                left
            }
            Ready::Or(any) => {
                let mut found = Bitmap::empty(self.snapshot.total);
                for one in any {
                    found.union(&self.holds(one, within));
                }
                found
            }
            Ready::Not(inner) => {
                let mut left = within.clone();
                left.subtract(&self.holds(inner, within));
                left
            }
            Ready::Placed(demands) => self.placed(demands, within),
        }
    }

    fn placed(&self, demands: &[Demand], within: &Bitmap) -> Bitmap {
        let mut found = Bitmap::empty(self.snapshot.total);
        let holds = |facts: &Facts| demands.iter().all(|demand| demand.holds(facts));
        if within.count().saturating_mul(FEW) < self.mail.places() {
            for number in within.iter() {
                if let Some(document) = self.snapshot.document(number) {
                    self.mail.each_place_of(&document.hash, &mut |facts| {
                        if holds(facts) {
                            found.insert(number);
                        }
                    });
                }
            }
            return found;
        }
        let mailboxes = demands.iter().find_map(|demand| match demand {
            Demand::In(mailboxes) => Some(&mailboxes[..]),
            Demand::Is(_) => None,
        });
        self.mail.each_place(mailboxes, &mut |facts| {
            if holds(facts)
                && let Some(number) = self.snapshot.number(&facts.message)
            {
                found.insert(number);
            }
        });
        found.intersect(within);
        found
    }
}

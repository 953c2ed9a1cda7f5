//! Which thread a message is in, kept up to date as messages come and go.
//!
//! Two messages are in one thread if a chain of ties leads from one to the other. A tie is an id
//! that both have or name; and a message that says "Re:" but names nothing is tied to the
//! newest older message of the same base subject, as JWZ has it for such mail, if that is at most
//! [`SUBJECT_DAYS`] older.
//!
//! Invariant: the threads follow from the set of messages, not from its history (property test).
//! A new message joins threads by union, smaller into larger; only where a tie by subject moves or
//! a message goes are the threads that it touches found anew, by a walk over their ties.
//! Rejected: union-find alone; it cannot take a tie away.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

use super::link::Link;
use crate::id::MessageHash;

/// How much older the message may be that a bare "Re:" answers, in days.
pub const SUBJECT_DAYS: i64 = 90;
const SECONDS_OF_A_DAY: i64 = 24 * 60 * 60;

/// A thread's name: the lowest hash of its messages. It changes when threads join or part.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ThreadId(pub MessageHash);

/// A message's number here.
type Slot = u32;
/// A thread's number here.
type Tree = u32;

#[derive(Debug)]
struct Entry {
    message: MessageHash,
    link: Link,
    tree: Tree,
}

/// The messages of one thread.
#[derive(Debug)]
struct Members {
    slots: BTreeSet<Slot>,
    /// The lowest hash among them.
    name: MessageHash,
}

/// The threads of all messages of an account.
#[derive(Debug, Default)]
pub struct Forest {
    entries: BTreeMap<Slot, Entry>,
    slots: BTreeMap<MessageHash, Slot>,
    next_slot: Slot,
    /// Messages that have or name an id.
    by_id: BTreeMap<u64, BTreeSet<Slot>>,
    /// Messages of a base subject, by date.
    by_subject: BTreeMap<u64, BTreeMap<(i64, MessageHash), Slot>>,
    trees: BTreeMap<Tree, Members>,
    next_tree: Tree,
}

impl Forest {
    /// No messages.
    pub fn new() -> Self {
        Self::default()
    }

    /// How many messages there are.
    pub fn len(&self) -> usize {
        self.slots.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// Takes a message in; one that is known already stays as it is.
    pub fn insert(&mut self, message: MessageHash, link: Link) {
        if self.slots.contains_key(&message) {
            return;
        }
        // The bare reply behind it, and what that one was tied to before this one came between.
        let behind = self.subject_successor(&link, message);
        let loosened = behind.and_then(|behind| self.subject_parent(behind));
        let slot = self.next_slot;
        self.next_slot = self.next_slot.wrapping_add(1);
        self.index(message, slot, link);
        let tree = self.plant(slot, message);
        let mut ties = self.ties(slot);
        ties.extend(self.subject_child(slot));
        self.join(tree, &ties);
        if let Some(loosened) = loosened {
            self.regrow([slot, loosened].into_iter().chain(behind).collect());
        }
    }

    /// Forgets a message.
    pub fn remove(&mut self, message: &MessageHash) {
        let Some(slot) = self.slots.get(message).copied() else {
            return;
        };
        let mut left: BTreeSet<Slot> = self.companions(slot).into_iter().collect();
        left.remove(&slot);
        self.unindex(message, slot);
        // What answered it may now answer one of another thread.
        let tied = left.iter().filter_map(|slot| self.subject_parent(*slot));
        self.regrow(tied.chain(left.iter().copied()).collect());
    }

    /// The thread of a message; `None` if the message is not known.
    pub fn thread_of(&self, message: &MessageHash) -> Option<ThreadId> {
        let entry = self.entries.get(self.slots.get(message)?)?;
        self.trees
            .get(&entry.tree)
            .map(|members| ThreadId(members.name))
    }

    /// The messages of a thread, oldest first; empty if there is no such thread.
    pub fn messages(&self, thread: ThreadId) -> Vec<MessageHash> {
        let mut members: Vec<(i64, MessageHash)> = self
            .slots
            .get(&thread.0)
            .map(|slot| self.companions(*slot))
            .unwrap_or_default()
            .into_iter()
            .filter_map(|slot| self.entries.get(&slot))
            .map(|entry| (entry.link.date, entry.message))
            .collect();
        members.sort_unstable();
        members.into_iter().map(|(_, message)| message).collect()
    }

    /// The messages that have this `Message-ID` or name it, by its hash.
    pub fn with_id(&self, id: u64) -> Vec<MessageHash> {
        let slots = self.by_id.get(&id).into_iter().flatten();
        slots
            .filter_map(|slot| self.entries.get(slot))
            .filter(|entry| entry.link.id == Some(id))
            .map(|entry| entry.message)
            .collect()
    }

    fn index(&mut self, message: MessageHash, slot: Slot, link: Link) {
        for id in link.ids() {
            self.by_id.entry(id).or_default().insert(slot);
        }
        if let Some(subject) = link.subject {
            let bucket = self.by_subject.entry(subject).or_default();
            bucket.insert((link.date, message), slot);
        }
        self.slots.insert(message, slot);
        let tree = Tree::MAX;
        let entry = Entry {
            message,
            link,
            tree,
        };
        self.entries.insert(slot, entry);
    }

    fn unindex(&mut self, message: &MessageHash, slot: Slot) {
        self.slots.remove(message);
        let Some(Entry { link, tree, .. }) = self.entries.remove(&slot) else {
            return;
        };
        for id in link.ids() {
            if let Some(slots) = self.by_id.get_mut(&id) {
                slots.remove(&slot);
                if slots.is_empty() {
                    self.by_id.remove(&id);
                }
            }
        }
        if let Some(subject) = link.subject
            && let Some(bucket) = self.by_subject.get_mut(&subject)
        {
            bucket.remove(&(link.date, *message));
            if bucket.is_empty() {
                self.by_subject.remove(&subject);
            }
        }
        self.uproot(tree, slot);
    }

    /// A thread of its own for a message.
    fn plant(&mut self, slot: Slot, name: MessageHash) -> Tree {
        let tree = self.next_tree;
        self.next_tree = self.next_tree.wrapping_add(1);
        let slots = BTreeSet::from([slot]);
        self.trees.insert(tree, Members { slots, name });
        if let Some(entry) = self.entries.get_mut(&slot) {
            entry.tree = tree;
        }
        tree
    }

    /// Takes a message out of its thread, whose name is not true until it has been found anew.
    fn uproot(&mut self, tree: Tree, slot: Slot) {
        if let Some(members) = self.trees.get_mut(&tree) {
            members.slots.remove(&slot);
            if members.slots.is_empty() {
                self.trees.remove(&tree);
            }
        }
    }

    /// Joins the threads of these messages with `tree`, the smaller into the larger.
    fn join(&mut self, mut tree: Tree, slots: &[Slot]) -> Tree {
        for slot in slots {
            let Some(other) = self.entries.get(slot).map(|entry| entry.tree) else {
                continue;
            };
            if other == tree {
                continue;
            }
            let size = |tree| self.trees.get(&tree).map_or(0, |m| m.slots.len());
            let (small, large) = if size(other) < size(tree) {
                (other, tree)
            } else {
                (tree, other)
            };
            let Some(members) = self.trees.remove(&small) else {
                continue;
            };
            for member in &members.slots {
                if let Some(entry) = self.entries.get_mut(member) {
                    entry.tree = large;
                }
            }
            if let Some(joined) = self.trees.get_mut(&large) {
                joined.name = joined.name.min(members.name);
                joined.slots.extend(members.slots);
            }
            tree = large;
        }
        tree
    }

    /// Finds the threads anew of all that are in a thread with one of these.
    fn regrow(&mut self, seeds: BTreeSet<Slot>) {
        let mut left: BTreeSet<Slot> = seeds
            .into_iter()
            .flat_map(|slot| self.companions(slot))
            .collect();
        for slot in &left {
            if let Some(tree) = self.entries.get(slot).map(|entry| entry.tree) {
                self.uproot(tree, *slot);
            }
        }
        let mut seen_ids = BTreeSet::new();
        while let Some(first) = left.pop_first() {
            let Some(name) = self.entries.get(&first).map(|entry| entry.message) else {
                continue;
            };
            let tree = self.plant(first, name);
            let mut open = vec![first];
            while let Some(slot) = open.pop() {
                for tied in self.new_ties(slot, &mut seen_ids) {
                    if left.remove(&tied) {
                        open.push(tied);
                        self.graft(tree, tied);
                    }
                }
            }
        }
    }

    /// Puts a message that is in no thread into one.
    fn graft(&mut self, tree: Tree, slot: Slot) {
        if let (Some(entry), Some(members)) =
            (self.entries.get_mut(&slot), self.trees.get_mut(&tree))
        {
            entry.tree = tree;
            members.name = members.name.min(entry.message);
            members.slots.insert(slot);
        }
    }

    /// The messages tied to one, but those by ids that were followed already.
    fn new_ties(&self, slot: Slot, seen_ids: &mut BTreeSet<u64>) -> Vec<Slot> {
        let Some(entry) = self.entries.get(&slot) else {
            return Vec::new();
        };
        let mut ties: Vec<Slot> = entry
            .link
            .ids()
            .filter(|id| seen_ids.insert(*id))
            .filter_map(|id| self.by_id.get(&id))
            .flatten()
            .copied()
            .collect();
        ties.extend(self.subject_parent(slot));
        ties.extend(self.subject_child(slot));
        ties
    }

    /// One message tied to `slot` by each id (all who share an id are in one thread already), and
    /// those tied to it by subject.
    fn ties(&self, slot: Slot) -> Vec<Slot> {
        let Some(entry) = self.entries.get(&slot) else {
            return Vec::new();
        };
        let by_id = |id: u64| {
            let mut slots = self.by_id.get(&id)?.iter();
            slots.find(|other| **other != slot).copied()
        };
        let mut ties: Vec<Slot> = entry.link.ids().filter_map(by_id).collect();
        ties.extend(self.subject_parent(slot));
        ties
    }

    /// What a bare reply answers.
    fn subject_parent(&self, slot: Slot) -> Option<Slot> {
        let Entry { message, link, .. } = self.entries.get(&slot)?;
        if !link.is_bare_reply {
            return None;
        }
        let bucket = self.by_subject.get(&link.subject?)?;
        let ((date, _), parent) = bucket.range(..(link.date, *message)).next_back()?;
        let limit = SUBJECT_DAYS.saturating_mul(SECONDS_OF_A_DAY);
        (link.date.saturating_sub(*date) <= limit).then_some(*parent)
    }

    /// The bare reply that answers a message by subject.
    fn subject_child(&self, slot: Slot) -> Option<Slot> {
        let Entry { message, link, .. } = self.entries.get(&slot)?;
        let next = self.subject_successor(link, *message)?;
        (self.subject_parent(next) == Some(slot)).then_some(next)
    }

    /// The next message of the same subject, if it is a bare reply.
    fn subject_successor(&self, link: &Link, message: MessageHash) -> Option<Slot> {
        let bucket = self.by_subject.get(&link.subject?)?;
        let behind = (Bound::Excluded((link.date, message)), Bound::Unbounded);
        let (_, next) = bucket.range(behind).next()?;
        let is_bare = self.entries.get(next)?.link.is_bare_reply;
        is_bare.then_some(*next)
    }

    /// The messages of the thread of one, itself among them.
    fn companions(&self, slot: Slot) -> Vec<Slot> {
        let tree = self.entries.get(&slot).map(|entry| entry.tree);
        let members = tree.and_then(|tree| self.trees.get(&tree));
        members
            .map(|members| members.slots.iter().copied().collect())
            .unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn hash(number: u8) -> MessageHash {
        MessageHash::new([number; 32])
    }

    /// The definition, without any index: who is tied to whom, over all messages.
    fn by_definition(messages: &BTreeMap<MessageHash, Link>) -> BTreeSet<BTreeSet<MessageHash>> {
        let mut threads: BTreeMap<MessageHash, MessageHash> = messages
            .keys()
            .map(|message| (*message, *message))
            .collect();
        let mut tie = |a: MessageHash, b: MessageHash| {
            let (from, to) = (threads[&a], threads[&b]);
            for thread in threads.values_mut().filter(|thread| **thread == from) {
                *thread = to;
            }
        };
        for (a, link) in messages {
            for (b, other) in messages {
                if link.ids().any(|id| other.ids().any(|theirs| theirs == id)) {
                    tie(*a, *b);
                }
            }
            let older = messages.iter().filter(|(b, other)| {
                other.subject.is_some()
                    && other.subject == link.subject
                    && (other.date, **b) < (link.date, *a)
            });
            let newest = older.max_by_key(|(b, other)| (other.date, **b));
            if let Some((b, other)) = newest.filter(|_| link.is_bare_reply)
                && link.date - other.date <= SUBJECT_DAYS * SECONDS_OF_A_DAY
            {
                tie(*a, *b);
            }
        }
        let mut groups: BTreeMap<MessageHash, BTreeSet<MessageHash>> = BTreeMap::new();
        for (message, thread) in threads {
            groups.entry(thread).or_default().insert(message);
        }
        groups.into_values().collect()
    }

    fn threads(forest: &Forest) -> BTreeSet<BTreeSet<MessageHash>> {
        let mut groups: BTreeMap<ThreadId, BTreeSet<MessageHash>> = BTreeMap::new();
        for message in forest.slots.keys() {
            let thread = forest.thread_of(message).unwrap();
            groups.entry(thread).or_default().insert(*message);
        }
        for (thread, members) in &groups {
            assert_eq!(Some(&thread.0), members.first(), "the lowest hash names it");
            let listed: BTreeSet<_> = forest.messages(*thread).into_iter().collect();
            assert_eq!(listed, *members);
        }
        groups.into_values().collect()
    }

    fn any_link() -> impl Strategy<Value = Link> {
        (
            proptest::option::of(0..12_u64),
            proptest::collection::vec(0..12_u64, 0..3),
            proptest::option::of(0..3_u64),
            any::<bool>(),
            0..200_i64,
        )
            .prop_map(|(id, references, subject, reply, days)| Link {
                is_bare_reply: reply && references.is_empty(),
                id,
                references,
                subject,
                date: days * SECONDS_OF_A_DAY,
            })
    }

    proptest! {
        #[test]
        fn threads_follow_from_the_set_of_messages(
            steps in proptest::collection::vec((0..20_u8, proptest::option::weighted(0.75, any_link())), 0..60)
        ) {
            let mut forest = Forest::new();
            let mut messages = BTreeMap::new();
            for (number, link) in steps {
                if let Some(link) = link {
                    messages.entry(hash(number)).or_insert_with(|| link.clone());
                    forest.insert(hash(number), link);
                } else {
                    messages.remove(&hash(number));
                    forest.remove(&hash(number));
                }
                prop_assert_eq!(threads(&forest), by_definition(&messages));
            }
            prop_assert_eq!(forest.len(), messages.len());
        }
    }

    #[test]
    fn a_long_thread_grows_quickly() {
        let mut forest = Forest::new();
        for number in 0..20_000_u64 {
            let mut octets = [0; 32];
            octets[..8].copy_from_slice(&number.to_le_bytes());
            let link = Link {
                id: Some(number),
                references: vec![0, number / 2, number.saturating_sub(1)],
                subject: Some(1),
                is_bare_reply: false,
                date: 0,
            };
            forest.insert(MessageHash::new(octets), link);
        }
        let thread = forest.thread_of(&MessageHash::new([0; 32])).unwrap();
        assert_eq!(forest.messages(thread).len(), 20_000);
    }
}

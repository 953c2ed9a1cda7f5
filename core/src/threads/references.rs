//! THREAD=REFERENCES (RFC 5256 3): the tree of a set of messages.
//!
//! Follows the steps of the RFC by their numbers. Invariant: every message stands in the result
//! once; no message is below itself, whatever the headers claim; the depth of the tree is bounded
//! by the number of messages alone, so nothing here recurses, and the result is a list of rows.
//! Rejected: boxes that own their children; the steps move parts of the tree about, and dropping a
//! chain of a hundred thousand answers would overflow the stack.

use std::collections::BTreeMap;

use super::base_subject::{BaseSubject, base_subject};
use crate::casemap::casemap;

/// What the algorithm reads of a message.
#[derive(Debug, Clone, Copy)]
pub struct Threadable<'a> {
    /// `Message-ID`, without brackets.
    pub message_id: Option<&'a str>,
    /// `References`, oldest first; where there are none, the first id of `In-Reply-To`.
    pub references: &'a [String],
    /// Decoded subject.
    pub subject: &'a str,
    /// When it was sent (RFC 5256 2.2), in any unit that sorts.
    pub sent: i64,
}

/// A message, or a place where one is missing: a line of the tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Row {
    /// Index of the message in the input; `None` for a message that is not there.
    pub message: Option<usize>,
    /// 0 for the beginning of a thread; an answer is one deeper than what it answers.
    pub depth: usize,
}

/// Arranges messages as threads: each message is followed by its answers, siblings by the date
/// sent. Messages with equal dates keep their order in the input.
///
/// # Examples
/// ```
/// use letterlock_core::threads::{Threadable, references};
/// let first = Threadable { message_id: Some("a@x"), references: &[], subject: "Hi", sent: 1 };
/// let named = ["a@x".to_owned()];
/// let answer = Threadable { message_id: Some("b@x"), references: &named, subject: "Re: Hi", sent: 2 };
/// let threads = references(&[answer, first]);
/// assert_eq!((threads[0].message, threads[0].depth), (Some(1), 0));
/// assert_eq!((threads[1].message, threads[1].depth), (Some(0), 1));
/// ```
pub fn references(messages: &[Threadable<'_>]) -> Vec<Row> {
    let mut arena = Arena::link(messages);
    arena.prune();
    let mut roots = arena.roots();
    arena.sort(&mut roots);
    let mut roots = arena.gather_by_subject(&roots);
    arena.sort_all(&mut roots);
    arena.rows(roots)
}

/// A container, as JWZ calls it.
#[derive(Debug, Default)]
struct Container {
    message: Option<usize>,
    parent: Option<usize>,
    children: Vec<usize>,
}

struct Arena<'a> {
    messages: &'a [Threadable<'a>],
    containers: Vec<Container>,
}

impl<'a> Arena<'a> {
    /// Step 1: parents and children as the references say.
    fn link(messages: &'a [Threadable<'a>]) -> Self {
        let mut arena = Self {
            messages,
            containers: Vec::with_capacity(messages.len()),
        };
        let mut by_id: BTreeMap<&str, usize> = BTreeMap::new();
        for (index, message) in messages.iter().enumerate() {
            let own = message.message_id.and_then(|id| {
                let at = *by_id.entry(id).or_insert_with(|| arena.add());
                // A second message with the same id is one without (step 1, note).
                arena.take(at, index)
            });
            let own = own.unwrap_or_else(|| {
                let at = arena.add();
                arena.take(at, index);
                at
            });
            let mut above = None;
            for id in message.references {
                let at = *by_id.entry(id).or_insert_with(|| arena.add());
                if let Some(parent) = above
                    && arena.parent(at).is_none()
                {
                    arena.attach(at, parent);
                }
                above = Some(at);
            }
            // Step 1 B: the last reference is the parent, whatever others said.
            if let Some(parent) = above {
                arena.detach(own);
                arena.attach(own, parent);
            } else if arena.parent(own).is_some() {
                arena.detach(own);
            }
        }
        arena
    }

    fn add(&mut self) -> usize {
        self.containers.push(Container::default());
        self.containers.len().saturating_sub(1)
    }

    /// Puts a message into a container that has none.
    fn take(&mut self, at: usize, message: usize) -> Option<usize> {
        let container = self.containers.get_mut(at)?;
        if container.message.is_some() {
            return None;
        }
        container.message = Some(message);
        Some(at)
    }

    fn parent(&self, at: usize) -> Option<usize> {
        self.containers.get(at)?.parent
    }

    fn children(&self, at: usize) -> &[usize] {
        self.containers.get(at).map_or(&[], |c| &c.children)
    }

    fn message(&self, at: usize) -> Option<usize> {
        self.containers.get(at)?.message
    }

    /// Makes one the child of another, unless that would be a loop.
    fn attach(&mut self, child: usize, parent: usize) {
        // What has no children is above nothing, so that a chain in order is linked in one pass.
        let leaf = child != parent && self.children(child).is_empty();
        let mut above = Some(parent).filter(|_| !leaf);
        while let Some(at) = above {
            if at == child {
                return;
            }
            above = self.parent(at);
        }
        if let Some(container) = self.containers.get_mut(child) {
            container.parent = Some(parent);
        }
        if let Some(container) = self.containers.get_mut(parent) {
            container.children.push(child);
        }
    }

    fn detach(&mut self, child: usize) {
        let Some(parent) = self.parent(child) else {
            return;
        };
        if let Some(container) = self.containers.get_mut(parent) {
            container.children.retain(|other| *other != child);
        }
        if let Some(container) = self.containers.get_mut(child) {
            container.parent = None;
        }
    }

    /// Containers, every parent before its children. Step 2 is where it begins: those without one.
    fn top_down(&self) -> Vec<usize> {
        let mut order = self.roots();
        let mut at = 0;
        while let Some(next) = order.get(at).copied() {
            order.extend_from_slice(self.children(next));
            at = at.saturating_add(1);
        }
        order
    }

    fn roots(&self) -> Vec<usize> {
        let all = self.containers.iter().enumerate();
        // Pruned containers have neither message nor children.
        all.filter(|(_, c)| c.parent.is_none() && (c.message.is_some() || !c.children.is_empty()))
            .map(|(at, _)| at)
            .collect()
    }

    /// Step 3: takes out containers without messages, children first.
    fn prune(&mut self) {
        for at in self.top_down().into_iter().rev() {
            if self.message(at).is_some() {
                continue;
            }
            let children = self.children(at).to_vec();
            let parent = self.parent(at);
            if parent.is_none() && children.len() > 1 {
                continue;
            }
            self.detach(at);
            for child in children {
                self.detach(child);
                if let Some(parent) = parent {
                    self.attach(child, parent);
                }
            }
        }
    }

    /// The date of a message, or of the first child of a container without one.
    fn sent(&self, at: usize) -> (i64, usize) {
        let mut at = at;
        loop {
            if let Some(index) = self.message(at) {
                return (self.messages.get(index).map_or(0, |m| m.sent), index);
            }
            match self.children(at).first() {
                Some(first) => at = *first,
                None => return (0, usize::MAX),
            }
        }
    }

    /// Step 4: those under the root by date; a container without message has its children sorted
    /// first, because the first of them says its date.
    fn sort(&mut self, roots: &mut [usize]) {
        for at in roots.iter() {
            if self.message(*at).is_none() {
                self.sort_children(*at);
            }
        }
        roots.sort_by_key(|at| self.sent(*at));
    }

    fn sort_children(&mut self, at: usize) {
        let mut children = self.children(at).to_vec();
        children.sort_by_key(|child| self.sent(*child));
        if let Some(container) = self.containers.get_mut(at) {
            container.children = children;
        }
    }

    /// Step 6: all siblings by date.
    fn sort_all(&mut self, roots: &mut [usize]) {
        for at in self.top_down().into_iter().rev() {
            self.sort_children(at);
        }
        roots.sort_by_key(|at| self.sent(*at));
    }

    fn subject(&self, at: usize) -> BaseSubject {
        let (_, index) = self.sent(at);
        let message = self.messages.get(index);
        let base = message.map(|message| base_subject(message.subject));
        let base = base.unwrap_or_default();
        BaseSubject {
            // As RFC 5256 7 has subjects compared.
            text: casemap(&base.text),
            ..base
        }
    }

    /// Step 5: threads under the root that have the same base subject become one.
    fn gather_by_subject(&mut self, roots: &[usize]) -> Vec<usize> {
        let subjects: Vec<_> = roots.iter().map(|at| self.subject(*at)).collect();
        let mut table: BTreeMap<&str, (usize, bool)> = BTreeMap::new();
        for (at, subject) in roots.iter().zip(&subjects) {
            if subject.text.is_empty() {
                continue;
            }
            let reply = subject.is_reply_or_forward;
            let entry = table.entry(&subject.text).or_insert((*at, reply));
            let dummy = |at: usize| self.message(at).is_none();
            let better = dummy(*at) && !dummy(entry.0) || !dummy(entry.0) && entry.1 && !reply;
            if better {
                *entry = (*at, reply);
            }
        }
        let mut merged: Vec<usize> = Vec::with_capacity(roots.len());
        for (at, subject) in roots.iter().copied().zip(&subjects) {
            // Merged into another already.
            if self.parent(at).is_some() {
                continue;
            }
            match table.get(subject.text.as_str()).copied() {
                Some((into, into_is_reply)) if into != at => {
                    let reply = subject.is_reply_or_forward && !into_is_reply;
                    let joined = self.merge(at, into, reply);
                    if joined != into {
                        merged.retain(|root| *root != into);
                        merged.push(joined);
                        table.insert(&subject.text, (joined, into_is_reply));
                    }
                }
                _ => merged.push(at),
            }
        }
        merged
    }

    /// Step 5 C: merges two threads; returns the container that has both.
    fn merge(&mut self, current: usize, into: usize, current_is_reply: bool) -> usize {
        match (self.message(current), self.message(into)) {
            (None, None) => {
                for child in self.children(current).to_vec() {
                    self.detach(child);
                    self.attach(child, into);
                }
                into
            }
            (Some(_), None) => {
                self.attach(current, into);
                into
            }
            _ if current_is_reply => {
                self.attach(current, into);
                into
            }
            _ => {
                let both = self.add();
                self.attach(into, both);
                self.attach(current, both);
                both
            }
        }
    }

    /// The tree, line by line.
    fn rows(&self, roots: Vec<usize>) -> Vec<Row> {
        let mut rows = Vec::with_capacity(self.messages.len());
        let mut open: Vec<(usize, usize)> = roots.into_iter().rev().map(|at| (at, 0)).collect();
        while let Some((at, depth)) = open.pop() {
            let message = self.message(at);
            rows.push(Row { message, depth });
            let children = self.children(at).iter().rev();
            open.extend(children.map(|child| (*child, depth.saturating_add(1))));
        }
        rows
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// `(id, references, subject, sent)` per message; the tree as IMAP writes it.
    fn check(messages: &[(&str, &str, &str, i64)], expected: &str) {
        let named: Vec<Vec<String>> = messages
            .iter()
            .map(|(_, names, ..)| names.split_whitespace().map(str::to_owned).collect())
            .collect();
        let input: Vec<Threadable<'_>> = messages
            .iter()
            .zip(&named)
            .map(|((id, _, subject, sent), references)| Threadable {
                message_id: (!id.is_empty()).then_some(*id),
                references,
                subject,
                sent: *sent,
            })
            .collect();
        assert_eq!(written(&references(&input)), expected);
    }

    /// Depth and number of each row; messages are numbered from 1.
    fn written(rows: &[Row]) -> String {
        let row = |row: &Row| {
            let message = row.message.map_or("-".to_owned(), |m| (m + 1).to_string());
            format!("{}{message}", ".".repeat(row.depth))
        };
        rows.iter().map(row).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn by_references() {
        check(&[], "");
        check(
            &[
                ("a", "", "x", 1),
                ("b", "a", "Re: x", 2),
                ("c", "a b", "Re: x", 3),
            ],
            "1 .2 ..3",
        );
        // In any order, and with a message between that is missing.
        check(&[("c", "a b", "Re: x", 3), ("a", "", "x", 1)], "2 .1");
        // Siblings by date.
        check(
            &[
                ("a", "", "x", 1),
                ("b", "a", "Re: x", 5),
                ("c", "a", "Re: x", 4),
            ],
            "1 .3 .2",
        );
        // The first message is missing and two answer it: a place stands for it.
        check(&[("b", "a", "Re: x", 2), ("c", "a", "Re: x", 3)], "- .1 .2");
        // One alone stands for itself.
        check(&[("b", "a", "Re: x", 2)], "1");
        // A loop is not followed.
        check(&[("a", "b", "x", 1), ("b", "a", "y", 2)], "2 .1");
        check(&[("a", "a", "x", 1)], "1");
        // The same id twice: the second is a message without.
        check(
            &[("a", "", "x", 1), ("a", "", "y", 2), ("b", "a", "z", 3)],
            "1 .3 2",
        );
    }

    #[test]
    fn by_subject() {
        // RFC 5256 3, step 5: an answer without references finds its subject.
        check(&[("a", "", "x", 1), ("b", "", "Re: x", 2)], "1 .2");
        check(&[("b", "", "Re: x", 1), ("a", "", "x", 2)], "2 .1");
        // Two that are not answers stand side by side below a place of their own.
        check(&[("a", "", "x", 1), ("b", "", "x", 2)], "- .1 .2");
        check(
            &[("a", "", "x", 1), ("b", "", "x", 2), ("c", "", "x", 3)],
            "- .1 .2 .3",
        );
        // Without subject nothing is gathered.
        check(&[("a", "", "", 1), ("b", "", "Re:", 2)], "1 2");
    }

    proptest! {
        #[test]
        fn every_message_stands_once_and_below_none_of_its_own(
            messages in proptest::collection::vec(
                (0..8_u8, proptest::collection::vec(0..8_u8, 0..4), 0..4_u8, any::<bool>(), 0..9_i64), 0..12)
        ) {
            let named: Vec<Vec<String>> = messages.iter()
                .map(|(_, names, ..)| names.iter().map(u8::to_string).collect()).collect();
            let ids: Vec<String> = messages.iter().map(|(id, ..)| id.to_string()).collect();
            let subjects: Vec<String> = messages.iter()
                .map(|(_, _, subject, reply, _)| format!("{}{}", if *reply { "Re: " } else { "" }, "x".repeat((*subject).into()))).collect();
            let input: Vec<Threadable<'_>> = (0..messages.len()).map(|n| Threadable {
                message_id: (ids[n] != "0").then_some(ids[n].as_str()),
                references: &named[n],
                subject: &subjects[n],
                sent: messages[n].4,
            }).collect();
            let rows = references(&input);
            let mut seen: Vec<usize> = rows.iter().filter_map(|row| row.message).collect();
            seen.sort_unstable();
            prop_assert_eq!(seen, (0..messages.len()).collect::<Vec<_>>());
            let mut depth = 0;
            for row in &rows {
                prop_assert!(row.depth <= depth, "a row is at most one deeper than the last");
                depth = row.depth + 1;
                prop_assert!(row.message.is_some() || row.depth == 0, "only roots may be missing");
            }
        }
    }

    #[test]
    fn a_long_chain_is_no_trouble() {
        let ids: Vec<String> = (0..20_000).map(|n| n.to_string()).collect();
        let input: Vec<Threadable<'_>> = (0..ids.len())
            .map(|n| Threadable {
                message_id: Some(&ids[n]),
                references: &ids[n.saturating_sub(1)..n],
                subject: "x",
                sent: 0,
            })
            .collect();
        let rows = references(&input);
        assert_eq!(rows.last().unwrap().depth, 19_999);
    }
}

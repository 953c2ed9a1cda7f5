//! SEARCH, SORT and THREAD in a selected mailbox, and their answers (RFC 3501 6.4.4, RFC 4731,
//! RFC 5182, RFC 5256, RFC 5267 3, RFC 9394).

use std::collections::BTreeSet;

use letterlock_core::id::{ModSeq, Uid};

use super::follow::followable;
use super::{Running, Session, State};
use crate::imap::capability::Extension;
use crate::imap::command::{
    Numbering, SearchCommand, SearchKey, SearchReturn, SortCommand, Source, Tag, ThreadCommand,
};
use crate::imap::ops::search_many::SearchManyOp;
use crate::imap::ops::{FoundIn, Hit, Op, Threaded};
use crate::imap::response::{EsearchData, EsearchItem, Reply, Response, ThreadRow};
use crate::imap::set::{UidSet, spans_of};
use crate::imap::view::{Release, Slot};

/// A SEARCH under way.
#[derive(Debug)]
pub(super) struct Searching {
    pub(super) by: Numbering,
    /// What is answered in an ESEARCH response; without it a SEARCH response is.
    pub(super) returns: Option<SearchReturn>,
    /// What may be told at its end.
    pub(super) release: Release,
    /// Whether the mod-sequence is a criterion and so part of the answer.
    pub(super) mod_seq: bool,
    pub(super) kind: Kind,
    /// The criteria, if the result can be followed.
    pub(super) followed: Option<SearchKey>,
}

impl Searching {
    /// Whether the client wants to be told how the result changes.
    fn follows(&self) -> bool {
        self.returns.as_ref().is_some_and(|returns| returns.update)
    }
}

/// Which command it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Search,
    Sort,
}

/// What may be told at the end of a command with these criteria: numbers in them mean what they
/// meant at its beginning (RFC 7162 3.2.10.2, RFC 9051 6.4.9).
pub(super) fn release_after_search(by: Numbering, keys: &[SearchKey]) -> Release {
    let is_number = |key: &SearchKey| matches!(key, SearchKey::Sequence(_));
    if by == Numbering::Sequence || keys.iter().any(|key| key.any(&is_number)) {
        Release::HoldExpunges
    } else {
        Release::All
    }
}

/// Whether a criterion is about mod-sequences.
fn asks_for_mod_seq(keys: &[SearchKey]) -> bool {
    let is_mod_seq = |key: &SearchKey| matches!(key, SearchKey::ModSeq(_));
    keys.iter().any(|key| key.any(&is_mod_seq))
}

impl Session {
    pub(super) fn search(&mut self, tag: Tag, command: SearchCommand) {
        let mut returns = command.returns;
        if self.enabled.has(Extension::Imap4rev2) {
            // SEARCH answers with ESEARCH (RFC 9051 6.4.4).
            returns = returns.or(Some(SearchReturn {
                all: true,
                ..SearchReturn::default()
            }));
        }
        let mut searching = Searching {
            by: command.by,
            returns,
            release: release_after_search(command.by, &command.keys),
            mod_seq: asks_for_mod_seq(&command.keys),
            kind: Kind::Search,
            followed: None,
        };
        if searching.follows() && self.follows(&tag) {
            return self.bad(
                Some(tag),
                Reply::bad("The tag belongs to a search that is followed"),
            );
        }
        if searching.mod_seq {
            self.know_condstore();
        }
        let State::Selected(selected) = &self.state else {
            return;
        };
        let keys = with_saved(command.keys, &selected.saved);
        if searching.follows() {
            searching.followed = followable(&keys, &selected.view);
        }
        let op = Op::Search {
            mailbox: selected.mailbox,
            slots: selected.view.slots().collect(),
            keys,
        };
        self.run(op, Running::Search(tag, searching));
    }

    /// ESEARCH (RFC 7377 2.2).
    pub(super) fn search_many(&mut self, tag: Tag, sources: Vec<Source>, command: SearchCommand) {
        let sources = if sources.is_empty() {
            vec![Source::Selected]
        } else {
            sources
        };
        let has_selected = sources.contains(&Source::Selected);
        let elsewhere = sources.iter().any(|source| *source != Source::Selected);
        let mut searching = Searching {
            by: command.by,
            returns: command.returns,
            release: release_after_search(command.by, &command.keys),
            mod_seq: asks_for_mod_seq(&command.keys),
            kind: Kind::Search,
            followed: None,
        };
        if self.enabled.has(Extension::UidOnly) && searching.release == Release::HoldExpunges {
            return self.uid_required(tag);
        }
        let saves = searching.returns.as_ref().is_some_and(|r| r.save);
        let wrong = match &self.state {
            State::Selected(_) if saves && elsewhere => Some("SAVE is for the selected mailbox"),
            State::Selected(_) if searching.follows() && elsewhere => {
                Some("UPDATE is for the selected mailbox")
            }
            State::Selected(_) if searching.follows() && self.follows(&tag) => {
                Some("The tag belongs to a search that is followed")
            }
            State::Selected(_) => None,
            _ if has_selected || saves || searching.follows() => Some("Select a mailbox first"),
            _ => None,
        };
        if let Some(wrong) = wrong {
            return self.bad(Some(tag), Reply::bad(wrong));
        }
        if searching.mod_seq {
            self.know_condstore();
        }
        let mut op = SearchManyOp {
            sources,
            selected: None,
            keys: command.keys,
        };
        if let State::Selected(selected) = &self.state {
            let keys = with_saved(op.keys.clone(), &selected.saved);
            if searching.follows() {
                searching.followed = followable(&keys, &selected.view);
            }
            let slots = selected.view.slots().collect();
            op.selected = Some((selected.mailbox, slots, keys));
        }
        self.run(
            Op::SearchMany(Box::new(op)),
            Running::SearchMany(tag, searching),
        );
    }

    /// A response for each mailbox in which something was found (RFC 7377 2.1).
    pub(super) fn found_many(&mut self, tag: Tag, searching: &Searching, found: Vec<FoundIn>) {
        let Some(returns) = &searching.returns else {
            return;
        };
        // SAVE and UPDATE are for the selected mailbox alone, and then there is no other.
        let first = found.first().map_or(&[][..], |found| &found.hits);
        if returns.save {
            self.save(&answered(returns, first));
        }
        let follow = returns.update.then(|| first.to_vec());
        for FoundIn {
            name,
            uid_validity,
            hits,
        } in found
        {
            let items = items(searching, returns, &hits, &answered(returns, &hits));
            if !only_saves(returns) {
                self.send(Response::Esearch(EsearchData {
                    tag: tag.clone(),
                    mailbox: Some((name, uid_validity)),
                    by: Numbering::Uid,
                    items,
                }));
            }
        }
        if let Some(hits) = follow {
            self.follow(&tag, Numbering::Uid, searching.followed.clone(), &hits);
        }
        self.finish(tag, Reply::ok("ESEARCH done"), searching.release);
    }

    pub(super) fn sort(&mut self, tag: Tag, command: SortCommand) {
        let SortCommand { search, criteria } = command;
        let searching = Searching {
            by: search.by,
            returns: search.returns,
            release: release_after_search(search.by, &search.keys),
            mod_seq: asks_for_mod_seq(&search.keys),
            kind: Kind::Sort,
            followed: None,
        };
        if searching.mod_seq {
            self.know_condstore();
        }
        let State::Selected(selected) = &self.state else {
            return;
        };
        let op = Op::Sort {
            mailbox: selected.mailbox,
            slots: selected.view.slots().collect(),
            keys: with_saved(search.keys, &selected.saved),
            criteria,
        };
        self.run(op, Running::Search(tag, searching));
    }

    pub(super) fn thread(&mut self, tag: Tag, command: ThreadCommand) {
        if asks_for_mod_seq(&command.keys) {
            self.know_condstore();
        }
        let State::Selected(selected) = &self.state else {
            return;
        };
        let release = release_after_search(command.by, &command.keys);
        let op = Op::Thread {
            mailbox: selected.mailbox,
            slots: selected.view.slots().collect(),
            keys: with_saved(command.keys, &selected.saved),
            algorithm: command.algorithm,
        };
        self.run(op, Running::Thread(tag, command.by, release));
    }

    pub(super) fn threaded(&mut self, by: Numbering, rows: &[Threaded]) {
        let row = |row: &Threaded| ThreadRow {
            number: row.slot.map(|slot| number(by, slot)),
            depth: row.depth,
        };
        self.send(Response::Thread(rows.iter().map(row).collect()));
    }

    /// Answers with what was found, in its order.
    pub(super) fn found(&mut self, tag: Tag, searching: &Searching, hits: &[Hit]) {
        if let Some(returns) = &searching.returns {
            self.found_extended(&tag, searching, returns, hits);
        } else {
            let numbers = numbers(searching.by, hits);
            let highest = highest(hits).filter(|_| searching.mod_seq);
            self.send(match searching.kind {
                Kind::Search => Response::Search(numbers, highest),
                Kind::Sort => Response::Sort(numbers, highest),
            });
        }
        let done = match searching.kind {
            Kind::Search => "SEARCH done",
            Kind::Sort => "SORT done",
        };
        self.finish(tag, Reply::ok(done), searching.release);
    }

    fn found_extended(
        &mut self,
        tag: &Tag,
        searching: &Searching,
        returns: &SearchReturn,
        hits: &[Hit],
    ) {
        let answered = answered(returns, hits);
        if returns.save {
            self.save(&answered);
        }
        let items = items(searching, returns, hits, &answered);
        if !only_saves(returns) {
            self.send(Response::Esearch(EsearchData {
                tag: tag.clone(),
                mailbox: None,
                by: searching.by,
                items,
            }));
        }
        if returns.update {
            // Of a SORT nothing is followed: `followed` has no criteria then.
            self.follow(tag, searching.by, searching.followed.clone(), hits);
        }
    }

    fn save(&mut self, hits: &[Hit]) {
        if let State::Selected(selected) = &mut self.state {
            selected.saved = hits.iter().map(|hit| hit.slot.uid).collect();
        }
    }

    /// A search failed: what it was to save is nothing (RFC 5182 2.1).
    pub(super) fn forget_saved(&mut self) {
        if let State::Selected(selected) = &mut self.state {
            selected.saved.clear();
        }
    }
}

/// Whether nothing is answered (RFC 5182 1).
fn only_saves(returns: &SearchReturn) -> bool {
    let asks = returns.min || returns.max || returns.all || returns.count;
    returns.save && !asks && returns.partial.is_none()
}

/// Puts the saved messages in the place of `$`.
pub(super) fn with_saved(keys: Vec<SearchKey>, saved: &BTreeSet<Uid>) -> Vec<SearchKey> {
    let is_saved = |key: &SearchKey| matches!(key, SearchKey::Saved);
    if !keys.iter().any(|key| key.any(&is_saved)) {
        return keys;
    }
    let spans = spans_of(saved.iter().map(|uid| uid.get()));
    let replace = |key| match key {
        SearchKey::Saved => SearchKey::Uid(UidSet::from_spans(&spans)),
        key => key,
    };
    keys.into_iter().map(|key| key.map(&replace)).collect()
}

fn numbers(by: Numbering, hits: &[Hit]) -> Vec<u32> {
    hits.iter().map(|hit| number(by, hit.slot)).collect()
}

fn number(by: Numbering, slot: Slot) -> u32 {
    match by {
        Numbering::Sequence => slot.number.get(),
        Numbering::Uid => slot.uid.get(),
    }
}

fn highest(hits: &[Hit]) -> Option<ModSeq> {
    hits.iter().map(|hit| hit.mod_seq).max()
}

/// The messages that an answer names: those that SAVE keeps, and whose mod-sequences count
/// (RFC 5182 2.4, RFC 9394 3.2, RFC 4731 3.2).
fn answered(returns: &SearchReturn, hits: &[Hit]) -> Vec<Hit> {
    let some = returns.min || returns.max || returns.partial.is_some();
    if returns.all || returns.count || !some {
        return hits.to_vec();
    }
    let (from, to) = returns.partial.map_or((0, 0), |range| range.of(hits.len()));
    let last = hits.len().saturating_sub(1);
    let mut named = Vec::new();
    for (index, hit) in hits.iter().enumerate() {
        let is_named = (returns.min && index == 0)
            || (returns.max && index == last)
            || (from..to).contains(&index);
        if is_named {
            named.push(*hit);
        }
    }
    named
}

fn items(
    searching: &Searching,
    returns: &SearchReturn,
    hits: &[Hit],
    answered: &[Hit],
) -> Vec<EsearchItem> {
    let found = numbers(searching.by, hits);
    let mut items = Vec::new();
    if returns.min {
        items.extend(found.first().copied().map(EsearchItem::Min));
    }
    if returns.max {
        items.extend(found.last().copied().map(EsearchItem::Max));
    }
    if returns.all && !found.is_empty() {
        items.push(EsearchItem::All(spans_of(found.iter().copied())));
    }
    if let Some(range) = returns.partial {
        let (from, to) = range.of(found.len());
        let part = found.get(from..to).unwrap_or_default();
        let spans = spans_of(part.iter().copied());
        items.push(EsearchItem::Partial(range, spans));
    }
    if returns.count {
        let count = u32::try_from(found.len()).unwrap_or(u32::MAX);
        items.push(EsearchItem::Count(count));
    }
    if returns.relevancy && !answered.is_empty() {
        let scores = answered.iter().map(|hit| hit.relevancy).collect();
        items.push(EsearchItem::Relevancy(scores));
    }
    if searching.mod_seq {
        items.extend(highest(answered).map(EsearchItem::ModSeq));
    }
    items
}

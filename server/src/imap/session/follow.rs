//! Searches whose results are followed (RFC 5267 4.3, CONTEXT=SEARCH with UPDATE).
//!
//! ```text
//! SEARCH RETURN (UPDATE) -> result and criteria are kept -> each refresh asks about what changed
//!   -> REMOVEFROM before EXPUNGE, ADDTO after EXISTS, so that numbers are right when they are read
//! ```
//!
//! Invariant: what the client is told adds up to the result of the same search made anew, as far
//! as it asks for what changes with messages. What changes by time alone is not followed.
//! Rejected: keeping every criterion's verdict; a message that has changed is judged again.

use std::collections::BTreeSet;
use std::sync::Arc;

use letterlock_core::id::Uid;

use super::selected::Selected;
use super::{Session, State};
use crate::imap::command::{Numbering, SearchKey, Tag};
use crate::imap::ops::Hit;
use crate::imap::response::{Code, EsearchData, EsearchItem, Reply, Response};
use crate::imap::set::{UidSet, spans_of};
use crate::imap::view::View;

/// Most searches that one session follows; for more there is `NO [NOUPDATE]`.
const MAX_FOLLOWED: usize = 16;

/// A search that is followed.
#[derive(Debug)]
pub(super) struct Followed {
    tag: Tag,
    by: Numbering,
    key: Arc<SearchKey>,
    found: BTreeSet<Uid>,
}

/// What has come to a followed result and what has gone from it.
#[derive(Debug)]
pub(super) struct Moved {
    tag: Tag,
    by: Numbering,
    gone: BTreeSet<Uid>,
    come: BTreeSet<Uid>,
}

/// The criteria of a search with the numbers in them as they count now (RFC 5267 4.3); `None`
/// if they ask for something that cannot be followed.
pub(super) fn followable(keys: &[SearchKey], view: &View) -> Option<SearchKey> {
    let changes_by_itself = |key: &SearchKey| {
        matches!(
            key,
            SearchKey::Recent | SearchKey::Older(_) | SearchKey::Younger(_) | SearchKey::Fuzzy(_)
        )
    };
    if keys.iter().any(|key| key.any(&changes_by_itself)) {
        return None;
    }
    let fixed = |key| match key {
        SearchKey::Sequence(set) => {
            let meant = view.slots().filter(|slot| {
                let number = slot.number.get();
                set.0.iter().any(|range| {
                    let (from, to) = range.resolve(view.len());
                    (from..=to).contains(&number)
                })
            });
            let uids = spans_of(meant.map(|slot| slot.uid.get()));
            SearchKey::Uid(UidSet::from_spans(&uids))
        }
        key => key,
    };
    Some(SearchKey::And(keys.to_vec()).map(&fixed))
}

impl Session {
    /// Whether a search of this tag is followed already: its answers could not be told apart.
    pub(super) fn follows(&self, tag: &Tag) -> bool {
        match &self.state {
            State::Selected(selected) => selected.followed.iter().any(|one| one.tag == *tag),
            _ => false,
        }
    }

    /// Follows a search from its result on, or says that it is not done (RFC 5267 4.3.1).
    pub(super) fn follow(
        &mut self,
        tag: &Tag,
        by: Numbering,
        key: Option<SearchKey>,
        hits: &[Hit],
    ) {
        let State::Selected(selected) = &mut self.state else {
            return;
        };
        if let Some(key) = key
            && selected.followed.len() < MAX_FOLLOWED
        {
            selected.followed.push(Followed {
                tag: tag.clone(),
                by,
                key: Arc::new(key),
                found: hits.iter().map(|hit| hit.slot.uid).collect(),
            });
            return;
        }
        let reply = Reply::no("Changes to this result are not told");
        let code = Code::NoUpdate(tag.clone());
        self.send(Response::Untagged(reply.with(code)));
    }

    /// CANCELUPDATE (RFC 5267 4.3.5).
    pub(super) fn cancel_update(&mut self, tag: Tag, tags: &[String]) {
        let is_named = |one: &Followed| tags.iter().any(|tag| tag == one.tag.as_str());
        if let State::Selected(selected) = &mut self.state {
            selected.followed.retain(|one| !is_named(one));
        }
        let done = Reply::ok("CANCELUPDATE done");
        self.finish(tag, done, crate::imap::view::Release::All);
    }

    pub(super) fn tell_gone(&mut self, moved: &[Moved]) {
        for one in moved {
            self.tell_moved(one, &one.gone, EsearchItem::RemoveFrom);
        }
    }

    pub(super) fn tell_come(&mut self, moved: &[Moved]) {
        for one in moved {
            self.tell_moved(one, &one.come, EsearchItem::AddTo);
        }
    }

    fn tell_moved(
        &mut self,
        moved: &Moved,
        uids: &BTreeSet<Uid>,
        item: fn(Vec<(u32, u32)>) -> EsearchItem,
    ) {
        let State::Selected(selected) = &self.state else {
            return;
        };
        let slots = uids.iter().filter_map(|uid| selected.view.find(*uid));
        let numbers = slots.map(|slot| match moved.by {
            Numbering::Sequence => slot.number.get(),
            Numbering::Uid => slot.uid.get(),
        });
        let spans = spans_of(numbers);
        if !spans.is_empty() {
            self.send(Response::Esearch(EsearchData {
                tag: moved.tag.clone(),
                mailbox: None,
                by: moved.by,
                items: vec![item(spans)],
            }));
        }
    }
}

impl Selected {
    /// The criteria of the searches that are followed.
    pub(super) fn followed_keys(&self) -> Vec<Arc<SearchKey>> {
        let keys = self.followed.iter().map(|one| Arc::clone(&one.key));
        keys.collect()
    }

    /// What has moved, after the view has taken in what changed: `changed` messages are found
    /// by a search if they are among `found`; what vanished is found by none.
    pub(super) fn moved(&mut self, changed: &[Uid], found: &[BTreeSet<Uid>]) -> Vec<Moved> {
        let view = &self.view;
        let none = BTreeSet::new();
        let mut moved = Vec::new();
        for (index, one) in self.followed.iter_mut().enumerate() {
            let now = found.get(index).unwrap_or(&none);
            let mut gone: BTreeSet<Uid> = one
                .found
                .iter()
                .copied()
                .filter(|uid| view.is_gone(*uid))
                .collect();
            let not_found = changed.iter().copied().filter(|uid| !now.contains(uid));
            gone.extend(not_found.filter(|uid| one.found.contains(uid)));
            let come = now.difference(&one.found).copied();
            let come: BTreeSet<Uid> = come
                .filter(|uid| view.has(*uid) && !view.is_gone(*uid))
                .collect();
            one.found.retain(|uid| !gone.contains(uid));
            one.found.extend(&come);
            moved.push(Moved {
                tag: one.tag.clone(),
                by: one.by,
                gone,
                come,
            });
        }
        moved
    }
}

//! What happened in mailboxes that are not selected (RFC 5465 5).
//!
//! Invariant: what is told adds up: each answer begins where the one before ended, and if too much
//! has happened to know all of it, that is said instead. What a name was before is remembered, for
//! the store tells that a mailbox changed and not how.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use letterlock_core::account::{ChangedAnnotation, MailboxStatus};
use letterlock_core::id::{MailboxId, MailboxName, ModSeq};
use letterlock_core::model::{AnnotationName, AnnotationOwner};
use letterlock_core::store::Store;

use super::{Context, OpError, Outcome, list, status};
use crate::imap::command::StatusItem;
use crate::imap::notify::{Events, NotifySet, StatusFirst};
use crate::imap::response::{Attribute, ListItem, Response};

/// Most responses to one look; for more the client had better ask itself.
const MAX_RESPONSES: usize = 2000;

/// What is watched, and what was seen of it.
#[derive(Debug, Clone)]
pub struct Watch {
    /// What the client wants.
    pub events: Arc<NotifySet>,
    /// Everything up to here was told.
    pub state: ModSeq,
    /// Names and subscriptions as they were told.
    pub known: BTreeMap<MailboxId, (MailboxName, bool)>,
    /// Whether mod-sequences are told (RFC 7162).
    pub mod_seqs: bool,
    /// ENABLE METADATA without NOTIFY: nothing else is told.
    pub metadata_alone: bool,
    /// Changes of annotations that the client made itself.
    pub own: BTreeSet<ModSeq>,
}

/// What is asked.
#[derive(Debug)]
pub enum WatchOp {
    /// NOTIFY SET: what is to be told from here on.
    Begin {
        /// What the client wants.
        events: Arc<NotifySet>,
        /// Whether it wants to know first how things are.
        first: StatusFirst,
        /// Of this mailbox it is told otherwise.
        selected: Option<MailboxId>,
        /// Whether mod-sequences are told.
        mod_seqs: bool,
        /// Whether it is ENABLE METADATA.
        metadata_alone: bool,
    },
    /// What has happened since the last look.
    Look {
        /// What is watched.
        watch: Box<Watch>,
        /// Of this mailbox the client is told otherwise.
        selected: Option<MailboxId>,
    },
}

/// Begins to watch, or looks.
pub(super) async fn run<S: Store>(
    context: &Context<'_, S>,
    op: WatchOp,
) -> Result<Outcome, OpError> {
    match op {
        WatchOp::Begin {
            events,
            first,
            selected,
            mod_seqs,
            metadata_alone,
        } => {
            let (watch, responses) = begin(context, events, first, selected, mod_seqs);
            let watch = Watch {
                metadata_alone,
                ..watch
            };
            Ok(Outcome::Watched(Some(Box::new(watch)), responses))
        }
        WatchOp::Look { watch, selected } => look(context, *watch, selected).await,
    }
}

/// Begins to watch.
fn begin<S: Store>(
    context: &Context<'_, S>,
    events: Arc<NotifySet>,
    first: StatusFirst,
    selected: Option<MailboxId>,
    mod_seqs: bool,
) -> (Watch, Vec<Response>) {
    // Before the mailboxes are read: what comes in between is told twice rather than never.
    let state = context.account.mod_seq();
    let mailboxes = context.account.shown_mailboxes();
    let mut responses = Vec::new();
    if first == StatusFirst::Yes {
        for mailbox in &mailboxes {
            let wanted = Events::of(&events.groups, &mailbox.name, mailbox.subscribed);
            if wanted.messages && Some(mailbox.id) != selected {
                let items = first_items(wanted, mod_seqs);
                responses.push(Response::Status(status::data(context, mailbox, &items)));
            }
        }
    }
    let watch = Watch {
        events,
        state,
        known: known(&mailboxes),
        mod_seqs,
        metadata_alone: false,
        own: BTreeSet::new(),
    };
    (watch, responses)
}

/// What is new since the last look.
async fn look<S: Store>(
    context: &Context<'_, S>,
    mut watch: Watch,
    selected: Option<MailboxId>,
) -> Result<Outcome, OpError> {
    if context.account.mod_seq() == watch.state {
        return Ok(Outcome::Watched(Some(Box::new(watch)), Vec::new()));
    }
    if watch.metadata_alone {
        // These are remembered whatever else has happened.
        let state = context.account.mod_seq();
        let mut changed = context.account.annotations_since(watch.state);
        changed.retain(|one| one.mod_seq <= state);
        let mailboxes = context.account.shown_mailboxes();
        let responses = annotations(&watch, &mailboxes, changed);
        watch.seen(state);
        return Ok(Outcome::Watched(Some(Box::new(watch)), responses));
    }
    let Some(changes) = context.account.changes_since(watch.state).await? else {
        return Ok(Outcome::Watched(None, Vec::new()));
    };
    let mailboxes = context.account.shown_mailboxes();
    let mut responses = Vec::new();
    if !changes.mailboxes.is_empty() {
        names(context, &watch, &mailboxes, &mut responses);
        watch.known = known(&mailboxes);
    }
    let mut touched: BTreeMap<MailboxId, Touched> = BTreeMap::new();
    let came = changes.created.iter().map(|(mailbox, _)| *mailbox);
    let left = changes.vanished.iter().map(|vanished| vanished.mailbox);
    for mailbox in came.chain(left) {
        touched.entry(mailbox).or_default().messages = true;
    }
    for (mailbox, _) in &changes.updated {
        touched.entry(*mailbox).or_default().flags = true;
    }
    for mailbox in &mailboxes {
        let Some(touched) = touched.get(&mailbox.id) else {
            continue;
        };
        let wanted = Events::of(&watch.events.groups, &mailbox.name, mailbox.subscribed);
        if Some(mailbox.id) != selected
            && let Some(items) = items(*touched, wanted, watch.mod_seqs)
        {
            responses.push(Response::Status(status::data(context, mailbox, &items)));
        }
    }
    responses.extend(annotations(&watch, &mailboxes, changes.annotations));
    watch.seen(changes.state);
    if responses.len() > MAX_RESPONSES {
        return Ok(Outcome::Watched(None, Vec::new()));
    }
    Ok(Outcome::Watched(Some(Box::new(watch)), responses))
}

impl Watch {
    /// Everything up to here was told.
    fn seen(&mut self, state: ModSeq) {
        self.state = state;
        self.own.retain(|mod_seq| *mod_seq > state);
    }
}

/// Which annotations others have changed (RFC 5465 5.6, 5.7).
fn annotations(
    watch: &Watch,
    mailboxes: &[MailboxStatus],
    changed: Vec<ChangedAnnotation>,
) -> Vec<Response> {
    let groups = &watch.events.groups;
    let mut by_owner: BTreeMap<AnnotationOwner, Vec<AnnotationName>> = BTreeMap::new();
    for one in changed {
        if one.mod_seq > watch.state && !watch.own.contains(&one.mod_seq) {
            by_owner.entry(one.owner).or_default().push(one.name);
        }
    }
    let told = by_owner.into_iter().filter_map(|(owner, names)| {
        let of = match owner {
            AnnotationOwner::Account => {
                let mut wanted = groups.iter().map(|group| group.events.server_metadata);
                wanted.any(|wanted| wanted).then_some(None)?
            }
            AnnotationOwner::Mailbox(id) => {
                let mailbox = mailboxes.iter().find(|mailbox| mailbox.id == id)?;
                let wanted = Events::of(groups, &mailbox.name, mailbox.subscribed);
                Some(wanted.metadata.then(|| mailbox.name.clone())?)
            }
        };
        Some(Response::MetadataChanged(of, names))
    });
    told.collect()
}

/// What happened to the messages of a mailbox.
#[derive(Clone, Copy, Default)]
struct Touched {
    /// Some came or went.
    messages: bool,
    /// Flags of some changed.
    flags: bool,
}

fn known(mailboxes: &[MailboxStatus]) -> BTreeMap<MailboxId, (MailboxName, bool)> {
    let entry = |mailbox: &MailboxStatus| (mailbox.id, (mailbox.name.clone(), mailbox.subscribed));
    mailboxes.iter().map(entry).collect()
}

/// Items of the STATUS that a client asks for first (RFC 5465 3.1).
fn first_items(wanted: Events, mod_seqs: bool) -> Vec<StatusItem> {
    let mut items = vec![
        StatusItem::UidValidity,
        StatusItem::UidNext,
        StatusItem::Messages,
    ];
    if wanted.flags && mod_seqs {
        items.push(StatusItem::HighestModSeq);
    }
    items
}

/// Items of a STATUS that tells what happened (RFC 5465 5.1 to 5.3).
fn items(touched: Touched, wanted: Events, mod_seqs: bool) -> Option<Vec<StatusItem>> {
    let messages = touched.messages && wanted.messages;
    let flags = touched.flags && wanted.flags;
    let mut items = match (messages, flags) {
        (false, false) => return None,
        (true, false) => vec![StatusItem::UidNext, StatusItem::Messages],
        (false, true) => vec![StatusItem::UidValidity, StatusItem::Unseen],
        (true, true) => vec![
            StatusItem::UidValidity,
            StatusItem::UidNext,
            StatusItem::Messages,
            StatusItem::Unseen,
        ],
    };
    if mod_seqs {
        items.push(StatusItem::HighestModSeq);
    }
    Some(items)
}

/// What happened to the mailboxes themselves (RFC 5465 5.4, 5.5).
fn names<S: Store>(
    context: &Context<'_, S>,
    watch: &Watch,
    mailboxes: &[MailboxStatus],
    responses: &mut Vec<Response>,
) {
    let tree = list::tree(context);
    let groups = &watch.events.groups;
    let mut told: Vec<(MailboxName, Option<MailboxName>)> = Vec::new();
    for mailbox in mailboxes {
        let wanted = Events::of(groups, &mailbox.name, mailbox.subscribed);
        match watch.known.get(&mailbox.id) {
            None if wanted.names => {
                // Its parent has a child more (RFC 5465 5.4).
                told.extend(mailbox.name.parent().map(|parent| (parent, None)));
                told.push((mailbox.name.clone(), None));
            }
            Some((before, _)) if *before != mailbox.name => {
                let wanted = wanted.names || Events::of(groups, before, false).names;
                if wanted && !went_with_parent(watch, mailboxes, before, &mailbox.name) {
                    told.push((mailbox.name.clone(), Some(before.clone())));
                }
            }
            Some((_, before)) if *before != mailbox.subscribed => {
                let then = Events::of(groups, &mailbox.name, *before);
                if wanted.subscriptions || then.subscriptions {
                    told.push((mailbox.name.clone(), None));
                }
            }
            None | Some(_) => {}
        }
    }
    for (id, (name, subscribed)) in &watch.known {
        let gone = !mailboxes.iter().any(|mailbox| mailbox.id == *id);
        if gone && Events::of(groups, name, *subscribed).names {
            told.extend(name.parent().map(|parent| (parent, None)));
            told.push((name.clone(), None));
        }
    }
    let mut seen = Vec::new();
    for (name, old_name) in told {
        if seen.contains(&name) {
            continue;
        }
        responses.push(Response::List(ListItem {
            attributes: if tree.contains_key(&name) {
                list::all_attributes(&tree, &name)
            } else {
                vec![Attribute::NonExistent]
            },
            name: name.to_string(),
            child_info: Vec::new(),
            old_name,
        }));
        seen.push(name);
    }
}

/// Whether a mailbox has another name only because one above it has (RFC 5465 5.4).
fn went_with_parent(
    watch: &Watch,
    mailboxes: &[MailboxStatus],
    before: &MailboxName,
    after: &MailboxName,
) -> bool {
    mailboxes.iter().any(|other| {
        let old = watch.known.get(&other.id).map(|(name, _)| name);
        old.is_some_and(|old| {
            let rest = before.as_str().strip_prefix(old.as_str());
            let rest =
                rest.filter(|rest| rest.starts_with(letterlock_core::id::HIERARCHY_SEPARATOR));
            *old != other.name
                && rest.is_some_and(|rest| {
                    after.as_str().strip_prefix(other.name.as_str()) == Some(rest)
                })
        })
    })
}

//! ESEARCH over several mailboxes (RFC 7377).
//!
//! Invariant: a mailbox is searched once, however many sources name it; names of no mailbox name
//! nothing (RFC 5465 6). A virtual mailbox is searched where it is named or selected: elsewhere it
//! would find messages twice.

use letterlock_core::account::MailboxStatus;
use letterlock_core::id::{
    HIERARCHY_SEPARATOR, MailboxId, MailboxName, SequenceNumber, UidValidity,
};
use letterlock_core::store::Store;

use super::{Context, Hit, OpError, search};
use crate::imap::command::{Access, MailboxArgument, SearchKey, Source};
use crate::imap::view::Slot;

/// ESEARCH.
#[derive(Debug)]
pub struct SearchManyOp {
    /// Where.
    pub sources: Vec<Source>,
    /// The selected mailbox, the messages that the session counts, and the criteria there.
    pub selected: Option<(MailboxId, Vec<Slot>, Vec<SearchKey>)>,
    /// The criteria elsewhere.
    pub keys: Vec<SearchKey>,
}

/// What was found in one of several mailboxes.
#[derive(Debug)]
pub struct FoundIn {
    /// Its name.
    pub name: MailboxName,
    /// What its UIDs belong to.
    pub uid_validity: UidValidity,
    /// Ascending.
    pub hits: Vec<Hit>,
}

/// Searches one mailbox after the other; those without a hit are left out.
pub(super) async fn run<S: Store>(
    context: &Context<'_, S>,
    op: SearchManyOp,
) -> Result<Vec<FoundIn>, OpError> {
    context.progress.expect_more();
    let mut selected = op.selected;
    let selected_id = selected.as_ref().map(|(id, ..)| *id);
    let mut found = Vec::new();
    for mailbox in context.account.shown_mailboxes() {
        let is_meant = |source: &Source| includes(source, &mailbox, selected_id);
        if !op.sources.iter().any(is_meant) {
            continue;
        }
        let (slots, keys) = match selected.take_if(|(id, ..)| *id == mailbox.id) {
            Some((_, slots, keys)) => (slots, keys),
            None => (slots(context, &mailbox), op.keys.clone()),
        };
        let hits = search::run(context, mailbox.id, slots, keys).await?;
        if !hits.is_empty() {
            found.push(FoundIn {
                name: mailbox.name,
                uid_validity: mailbox.uid_validity,
                hits,
            });
        }
    }
    Ok(found)
}

fn includes(source: &Source, mailbox: &MailboxStatus, selected: Option<MailboxId>) -> bool {
    let any = |arguments: &[MailboxArgument], test: fn(&MailboxName, &MailboxName) -> bool| {
        arguments.iter().any(|argument| match argument {
            MailboxArgument::Name(name) => test(name, &mailbox.name),
            MailboxArgument::Impossible => false,
        })
    };
    match source {
        Source::Selected => selected == Some(mailbox.id),
        Source::Mailboxes(names) => any(names, |wanted, name| wanted == name),
        _ if mailbox.virtual_mailbox.is_some() => false,
        Source::Inboxes => mailbox.name.is_inbox(),
        Source::Personal => true,
        Source::Subscribed => mailbox.subscribed,
        Source::Subtree(names) => any(names, is_at_or_below),
        Source::SubtreeOne(names) => any(names, |root, name| {
            root == name || name.parent().is_some_and(|parent| parent == *root)
        }),
    }
}

fn is_at_or_below(root: &MailboxName, name: &MailboxName) -> bool {
    let rest = name.as_str().strip_prefix(root.as_str());
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(HIERARCHY_SEPARATOR))
}

/// The messages of a mailbox that nobody has selected here.
fn slots<S: Store>(context: &Context<'_, S>, mailbox: &MailboxStatus) -> Vec<Slot> {
    let recents = context.recents;
    let recent_from = recents.claim(mailbox.id, mailbox.uid_next, Access::ReadOnly);
    let roster = context.account.roster(mailbox.id).unwrap_or_default();
    let slots = (1_u32..).zip(roster.iter()).filter_map(|(number, entry)| {
        Some(Slot {
            number: SequenceNumber::new(number)?,
            uid: entry.uid(),
            mod_seq: entry.mod_seq(),
            recent: entry.uid() >= recent_from,
        })
    });
    slots.collect()
}

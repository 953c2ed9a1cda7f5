//! STATUS (RFC 3501 6.3.10; RFC 7162 3.1.7; RFC 8438; RFC 8474 4.3).

use letterlock_core::account::{MAX_APPEND_OCTETS, MailboxStatus};
use letterlock_core::id::MailboxName;
use letterlock_core::model::Flag;
use letterlock_core::store::Store;

use super::{Context, OpError, Outcome};
use crate::imap::command::{Access, StatusItem};
use crate::imap::response::{StatusData, StatusValue};

/// Tells the counts of a mailbox.
pub(super) fn run<S: Store>(
    context: &Context<'_, S>,
    name: &MailboxName,
    items: &[StatusItem],
) -> Result<Outcome, OpError> {
    let status = context
        .account
        .mailbox(name)
        .ok_or(OpError::NoSuchMailbox)?;
    Ok(Outcome::Status(data(context, &status, items)))
}

/// The counts of a mailbox that was looked up.
pub(super) fn data<S: Store>(
    context: &Context<'_, S>,
    status: &MailboxStatus,
    items: &[StatusItem],
) -> StatusData {
    let value = |item: &StatusItem| match item {
        StatusItem::MailboxId => ("MAILBOXID", StatusValue::MailboxId(status.id)),
        item => {
            let (name, number) = number(context, status, *item);
            (name, StatusValue::Number(number))
        }
    };
    StatusData {
        name: status.name.clone(),
        values: items.iter().map(value).collect(),
    }
}

fn number<S: Store>(
    context: &Context<'_, S>,
    status: &MailboxStatus,
    item: StatusItem,
) -> (&'static str, u64) {
    match item {
        // It is no number.
        StatusItem::MailboxId => ("MAILBOXID", 0),
        StatusItem::Size => ("SIZE", status.size),
        StatusItem::HighestModSeq => ("HIGHESTMODSEQ", status.highest_mod_seq.get()),
        StatusItem::Messages => ("MESSAGES", u64::from(status.messages)),
        StatusItem::Recent => ("RECENT", recent(context, status)),
        StatusItem::UidNext => ("UIDNEXT", u64::from(status.uid_next.get())),
        StatusItem::UidValidity => ("UIDVALIDITY", u64::from(status.uid_validity.get())),
        StatusItem::Unseen => ("UNSEEN", u64::from(status.unseen)),
        StatusItem::Deleted => ("DELETED", u64::from(status.deleted)),
        StatusItem::DeletedStorage => ("DELETED-STORAGE", deleted_octets(context, status)),
        StatusItem::AppendLimit => ("APPENDLIMIT", MAX_APPEND_OCTETS),
    }
}

/// What an EXPUNGE would free: the sizes of those messages (RFC 9208 4.1.4).
fn deleted_octets<S: Store>(context: &Context<'_, S>, status: &MailboxStatus) -> u64 {
    if status.deleted == 0 {
        return 0;
    }
    let roster = context.account.roster(status.id).unwrap_or_default();
    let deleted = roster.iter().filter(|entry| entry.has(&Flag::Deleted));
    deleted.fold(0, |sum, entry| sum.saturating_add(entry.size()))
}

/// Messages that the next SELECT would show as `\Recent`; asking takes it from nobody.
fn recent<S: Store>(context: &Context<'_, S>, status: &MailboxStatus) -> u64 {
    let from = context
        .recents
        .claim(status.id, status.uid_next, Access::ReadOnly);
    if from >= status.uid_next {
        return 0;
    }
    let roster = context.account.roster(status.id).unwrap_or_default();
    roster.len().saturating_sub(roster.position_from(from)) as u64
}

//! SELECT and EXAMINE (RFC 3501 6.3.1, 6.3.2), and what has changed since a client last looked
//! (RFC 7162 3.2.5).

use std::sync::Arc;

use letterlock_core::account::{MailboxStatus, Roster};
use letterlock_core::id::{MailboxName, ModSeq};
use letterlock_core::model::Flag;
use letterlock_core::store::Store;

use super::store::Shared;
use super::vanished::{self, Question};
use super::{Context, OpError, Outcome, SelectedMailbox};
use crate::imap::command::{Access, Resync};
use crate::imap::set::within;
use crate::imap::view::{Changed, Snapshot};

/// SELECT, EXAMINE.
#[derive(Debug)]
pub struct SelectOp {
    /// Which.
    pub name: MailboxName,
    /// EXAMINE takes no `\Recent` away from others.
    pub access: Access,
    /// What the client knows of it already.
    pub resync: Option<Resync>,
}

/// What has changed since a client last looked (RFC 7162 3.2.5).
#[derive(Debug)]
pub struct Resynced {
    /// UIDs that are not there any more.
    pub vanished: vanished::Spans,
    /// Messages with other flags, ascending.
    pub changed: Vec<Changed>,
}

/// Opens a mailbox.
pub(super) async fn run<S: Store>(
    context: &Context<'_, S>,
    op: SelectOp,
) -> Result<Outcome, OpError> {
    let status = context
        .account
        .mailbox(&op.name)
        .ok_or(OpError::NoSuchMailbox)?;
    let roster = context.account.roster(status.id);
    let roster = roster.ok_or(OpError::NoSuchMailbox)?;
    let next = roster.uid_next();
    let resynced = match op.resync {
        // With another UIDVALIDITY nothing that the client knows counts (RFC 7162 3.2.5).
        Some(resync) if resync.uid_validity == status.uid_validity.get() => {
            Some(resynced(context, &status, &roster, &resync).await?)
        }
        Some(_) | None => None,
    };
    Ok(Outcome::Selected(Box::new(SelectedMailbox {
        id: status.id,
        name: status.name,
        uid_validity: status.uid_validity,
        uid_next: next,
        unseen: roster.first_unseen().map(|(_, entry)| entry.uid()),
        keywords: roster.keywords().cloned().map(Flag::Keyword).collect(),
        snapshot: Snapshot {
            roster,
            recent_from: context.recents.claim(status.id, next, op.access),
            tells_flags: true,
        },
        resynced,
        behind: context.behind,
    })))
}

async fn resynced<S: Store>(
    context: &Context<'_, S>,
    status: &MailboxStatus,
    roster: &Arc<Roster>,
    resync: &Resync,
) -> Result<Resynced, OpError> {
    let next = roster.uid_next();
    let matches = resync.matches.as_ref();
    let known = vanished::known(resync, next);
    let since = ModSeq::new(resync.mod_seq).unwrap_or(ModSeq::ONE);
    let changed = roster.changed_since(since).map(|(_, entry)| entry);
    let changed = changed.filter(|entry| within(&known, entry.uid().get()));
    let mut shared = Shared::default();
    let changed = changed.map(|entry| Changed {
        uid: entry.uid(),
        mod_seq: entry.mod_seq(),
        flags: shared.flags(entry),
    });
    let changed = changed.collect();
    let question = Question {
        mailbox: status.id,
        since: resync.mod_seq,
        among: known,
        present: roster,
        known_up_to: matches.map_or(0, |matches| vanished::known_up_to(matches, roster)),
    };
    Ok(Resynced {
        vanished: vanished::spans(context, question).await?,
        changed,
    })
}

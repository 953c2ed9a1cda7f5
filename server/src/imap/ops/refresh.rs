//! What is new in the selected mailbox.

use std::sync::Arc;

use letterlock_core::account::{Roster, RosterEntry};
use letterlock_core::id::{MailboxId, ModSeq, SequenceNumber, Uid};
use letterlock_core::store::Store;

use super::{Context, Followed, News, OpError, Refreshed, search};
use crate::imap::command::{Access, SearchKey};
use crate::imap::view::{Slot, Snapshot};

/// Compares by HIGHESTMODSEQ first, which every change raises, so that nothing new costs nothing.
pub(super) async fn run<S: Store>(
    context: &Context<'_, S>,
    mailbox: MailboxId,
    since: Option<ModSeq>,
    access: Access,
    followed: &[Arc<SearchKey>],
) -> Result<Refreshed, OpError> {
    let Some(roster) = context.account.roster(mailbox) else {
        return Ok(Refreshed::Gone);
    };
    if Some(roster.highest_mod_seq()) == since {
        return Ok(Refreshed::Same);
    }
    let mut news = News {
        snapshot: Snapshot {
            recent_from: context.recents.claim(mailbox, roster.uid_next(), access),
            tells_flags: true,
            roster,
        },
        followed: None,
    };
    if !followed.is_empty() {
        news.followed = Some(look(context, mailbox, since, &news.snapshot.roster, followed).await?);
    }
    Ok(Refreshed::News(news))
}

/// Which of the changed messages followed searches find now.
async fn look<S: Store>(
    context: &Context<'_, S>,
    mailbox: MailboxId,
    since: Option<ModSeq>,
    roster: &Roster,
    searches: &[Arc<SearchKey>],
) -> Result<Followed, OpError> {
    let since = since.unwrap_or(ModSeq::ONE);
    let changed = roster.changed_since(since);
    let slots: Vec<Slot> = changed.map(|(_, entry)| slot(&entry)).collect();
    let changed: Vec<Uid> = slots.iter().map(|slot| slot.uid).collect();
    let mut found = Vec::with_capacity(searches.len());
    if let Some(last) = roster.last().map(|entry| slot(&entry)) {
        for key in searches {
            found.push(search::matching(context, mailbox, slots.clone(), last, key).await?);
        }
    }
    Ok(Followed { changed, found })
}

/// A message whose number and `\Recent` no followed search asks for.
fn slot(entry: &RosterEntry<'_>) -> Slot {
    Slot {
        number: SequenceNumber::ONE,
        uid: entry.uid(),
        mod_seq: entry.mod_seq(),
        recent: false,
    }
}

//! STORE (RFC 3501 6.4.6), also on condition (RFC 7162 3.1.3).

use std::sync::Arc;

use letterlock_core::account::{FlagEdit, Roster, RosterEntry};
use letterlock_core::id::Uid;
use letterlock_core::model::{Flag, FlagChange, FlagSet};
use letterlock_core::store::Store;

use super::{Context, OpError, StoreOp, Stored};
use crate::imap::command::Echo;
use crate::imap::view::Changed;

/// Changes flags. With `.SILENT` only those messages are told of whose flags somebody else had
/// changed, unknown to this session.
pub(super) async fn run<S: Store>(
    context: &Context<'_, S>,
    op: StoreOp,
) -> Result<Stored, OpError> {
    let mut stored = Stored::default();
    let before = context.account.roster(op.mailbox).unwrap_or_default();
    // Whether the session knows the flags that a message has before.
    let mut known = Vec::with_capacity(op.slots.len());
    let mut seeker = before.seek();
    for slot in &op.slots {
        let entry = seeker.find(slot.uid).map(|(_, entry)| entry);
        known.push(entry.is_some_and(|entry| entry.mod_seq() <= slot.mod_seq));
        stored.gone |= entry.is_none();
    }
    let uids: Vec<Uid> = op.slots.iter().map(|slot| slot.uid).collect();
    let edit = FlagEdit {
        mailbox: op.mailbox,
        uids: &uids,
        how: op.change,
        flags: &op.flags,
    };
    let passes = |entry: RosterEntry<'_>| {
        let unchanged = is_unchanged(&op, &entry);
        if !unchanged {
            stored.modified.push(entry.uid());
        }
        unchanged
    };
    context
        .account
        .store_flags_if(edit, passes, context.now)
        .await?;
    stored.modified.sort_unstable();
    let after = context.account.roster(op.mailbox).unwrap_or_default();
    let mut seeker = after.seek();
    let mut shared = Shared::default();
    for (uid, known) in uids.into_iter().zip(known) {
        if stored.modified.binary_search(&uid).is_ok() {
            continue;
        }
        let Some((_, entry)) = seeker.find(uid) else {
            stored.told.extend(left(context, &before, uid));
            continue;
        };
        if op.echo == Echo::Silent && known {
            stored.silent.push((uid, entry.mod_seq()));
        } else {
            stored.told.push(Changed {
                uid,
                mod_seq: entry.mod_seq(),
                flags: shared.flags(entry),
            });
        }
    }
    Ok(stored)
}

/// Most sets of flags that are remembered: a mailbox has few.
const MOST_SHARED: usize = 16;

/// Sets of flags that several messages have, made once.
#[derive(Default)]
pub(super) struct Shared<'a>(Vec<(RosterEntry<'a>, Arc<FlagSet>)>);

impl<'a> Shared<'a> {
    /// The flags of a message.
    pub(super) fn flags(&mut self, entry: RosterEntry<'a>) -> Arc<FlagSet> {
        let known = self.0.iter().find(|(known, _)| known.has_flags_of(&entry));
        if let Some((_, flags)) = known {
            return Arc::clone(flags);
        }
        let flags = Arc::new(entry.flags());
        if self.0.len() < MOST_SHARED {
            self.0.push((entry, Arc::clone(&flags)));
        }
        flags
    }
}

/// The flags of a message that a virtual mailbox does not find any more since they are changed.
fn left<S: Store>(context: &Context<'_, S>, before: &Roster, uid: Uid) -> Option<Changed> {
    let message = before.find(uid)?.message();
    let places = context.account.placements_of(message);
    let (mailbox, at) = places.first()?;
    let placement = context.account.placement(*mailbox, *at)?;
    Some(Changed {
        uid,
        mod_seq: placement.mod_seq,
        flags: Arc::new(placement.flags),
    })
}

/// Whether a message passes UNCHANGEDSINCE. A message has one mod-sequence for all its flags;
/// with 0 a client asks whether a keyword is there at all, and that is known exactly
/// (RFC 7162 3.1.3).
fn is_unchanged(op: &StoreOp, entry: &RosterEntry<'_>) -> bool {
    let is_keyword = |flag: &Flag| matches!(flag, Flag::Keyword(_));
    match op.unchanged_since {
        None => true,
        Some(0) if op.change != FlagChange::Replace && op.flags.iter().all(is_keyword) => {
            !op.flags.iter().any(|flag| entry.has(flag))
        }
        Some(since) => entry.mod_seq().get() <= since,
    }
}

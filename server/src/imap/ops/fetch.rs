//! FETCH (RFC 3501 6.4.5): some messages at a time, and of each only what was asked for.
//!
//! Invariant: a step ends once its answers are larger than [`FETCH_STEP_OCTETS`], so that what
//! is held is that and one more answer, however many messages the command names. A section above
//! a limit ([`super::fetch_parts`]) is not held at all: it is read while it is written.

use std::sync::Arc;

use letterlock_core::account::{MessageDocument as Message, Placement};
use letterlock_core::id::{MailboxId, Uid};
use letterlock_core::model::{Flag, FlagChange, FlagSet};
use letterlock_core::store::Store;

use super::fetch_parts::content;
use super::{Context, FetchOp, Fetched, FetchedMessage, OpError, Tells};
use crate::imap::command::{Access, BinaryRequest, FetchItem, SectionRequest, SetsSeen};
use crate::imap::response::{FetchValue, Recency};
use crate::imap::view::Slot;

/// Octets of answers after which a step ends.
const FETCH_STEP_OCTETS: u64 = 256 * 1024;

/// Fetches some messages.
pub(super) async fn run<S: Store>(
    context: &Context<'_, S>,
    op: FetchOp,
) -> Result<Fetched, OpError> {
    let sets_seen = op.access == Access::ReadWrite && op.items.iter().any(sets_seen);
    let mut slots = op.slots.as_slice();
    if sets_seen {
        // Only what goes out in this step is marked: the client may leave before the next.
        slots = within_step(context, op.mailbox, slots);
        mark_seen(context, op.mailbox, slots).await?;
    }
    let mut fetched = Fetched {
        messages: Vec::new(),
        taken: 0,
        gone: false,
        failed: None,
    };
    let mut octets = 0_u64;
    for slot in slots {
        fetched.taken = fetched.taken.saturating_add(1);
        let Some(placement) = context.account.placement(op.mailbox, slot.uid) else {
            fetched.gone = true;
            continue;
        };
        if op
            .changed_since
            .is_some_and(|since| placement.mod_seq.get() <= since)
        {
            continue;
        }
        let mut message = match fetch_one(context, *slot, &placement, &op.items).await {
            Ok(message) => message,
            Err(error) => {
                // One message that cannot be read does not hide the others.
                fetched.failed.get_or_insert(error);
                continue;
            }
        };
        if sets_seen && placement.mod_seq > slot.mod_seq {
            tell_change(&mut message, &placement, op.tells);
        }
        octets = message
            .values
            .iter()
            .fold(octets, |sum, value| sum.saturating_add(weight(value)));
        fetched.messages.push(message);
        if octets > FETCH_STEP_OCTETS {
            break;
        }
    }
    Ok(fetched)
}

/// The client is told that its fetch has changed the flags (RFC 3501 6.4.5), and when
/// (RFC 7162 3.2.4).
fn tell_change(message: &mut FetchedMessage, placement: &Placement, tells: Tells) {
    if message.told.is_none() {
        let flags = flags_value(placement, &message.slot);
        message.values.push(flags);
        message.told = Some(placement.mod_seq);
    }
    let values = &mut message.values;
    if tells == Tells::Flags {
        return;
    }
    let has_uid = values
        .iter()
        .any(|value| matches!(value, FetchValue::Uid(_)));
    if tells == Tells::ModSeq && !has_uid {
        values.insert(0, FetchValue::Uid(placement.uid));
    }
    if !values
        .iter()
        .any(|value| matches!(value, FetchValue::ModSeq(_)))
    {
        values.push(FetchValue::ModSeq(placement.mod_seq));
    }
}

fn sets_seen(item: &FetchItem) -> bool {
    matches!(
        item,
        FetchItem::Section(SectionRequest {
            seen: SetsSeen::Yes,
            ..
        }) | FetchItem::Binary(BinaryRequest {
            seen: SetsSeen::Yes,
            ..
        })
    )
}

/// The first messages, at least one, that are no larger than a step.
fn within_step<'a, S: Store>(
    context: &Context<'_, S>,
    mailbox: MailboxId,
    slots: &'a [Slot],
) -> &'a [Slot] {
    let mut octets = 0_u64;
    let fits = |slot: &&Slot| {
        let size = context
            .account
            .placement(mailbox, slot.uid)
            .map_or(0, |placement| placement.size);
        octets = octets.saturating_add(size);
        octets <= FETCH_STEP_OCTETS
    };
    let count = slots.iter().take_while(fits).count();
    slots.get(..count.max(1)).unwrap_or(slots)
}

async fn mark_seen<S: Store>(
    context: &Context<'_, S>,
    mailbox: MailboxId,
    slots: &[Slot],
) -> Result<(), OpError> {
    let unseen = |uid: &Uid| {
        let placement = context.account.placement(mailbox, *uid);
        placement.is_some_and(|placement| !placement.flags.contains(&Flag::Seen))
    };
    let uids: Vec<Uid> = slots.iter().map(|slot| slot.uid).filter(unseen).collect();
    if !uids.is_empty() {
        let seen = FlagSet::from([Flag::Seen]);
        context
            .account
            .store_flags(mailbox, &uids, FlagChange::Add, &seen, context.now)
            .await?;
    }
    Ok(())
}

/// About how much a value holds in memory and on the wire.
fn weight(value: &FetchValue) -> u64 {
    match value {
        FetchValue::Section(_, Some(octets)) | FetchValue::Binary(_, Some(octets)) => {
            octets.0.len() as u64
        }
        FetchValue::Envelope(message)
        | FetchValue::Body(message)
        | FetchValue::BodyStructure(message) => message.skeleton.len() as u64,
        _ => 32,
    }
}

async fn fetch_one<S: Store>(
    context: &Context<'_, S>,
    slot: Slot,
    placement: &Placement,
    items: &[FetchItem],
) -> Result<FetchedMessage, OpError> {
    let mut fetched = FetchedMessage {
        slot,
        values: Vec::with_capacity(items.len()),
        told: None,
    };
    let mut message: Option<Arc<Message>> = None;
    for item in items {
        let value = match item {
            FetchItem::Uid | FetchItem::ImpliedUid => FetchValue::Uid(slot.uid),
            FetchItem::Flags => {
                fetched.told = Some(placement.mod_seq);
                flags_value(placement, &slot)
            }
            FetchItem::ModSeq => FetchValue::ModSeq(placement.mod_seq),
            FetchItem::EmailId => FetchValue::EmailId(placement.message),
            FetchItem::SaveDate => FetchValue::SaveDate(placement.save_date),
            FetchItem::InternalDate => FetchValue::InternalDate(placement.internal_date),
            FetchItem::Size => FetchValue::Size(placement.size),
            FetchItem::Envelope
            | FetchItem::Body
            | FetchItem::BodyStructure
            | FetchItem::ThreadId
            | FetchItem::Preview(_)
            | FetchItem::Binary(_)
            | FetchItem::BinarySize(_)
            | FetchItem::Section(_) => {
                let message = if let Some(message) = &message {
                    Arc::clone(message)
                } else {
                    let read = context.account.message(placement.message).await?;
                    Arc::clone(message.insert(read.ok_or(OpError::NotHere)?))
                };
                content(context, message, item).await?
            }
        };
        fetched.values.push(value);
    }
    Ok(fetched)
}

fn flags_value(placement: &Placement, slot: &Slot) -> FetchValue {
    FetchValue::Flags(placement.flags.clone(), Recency::of(slot.recent))
}

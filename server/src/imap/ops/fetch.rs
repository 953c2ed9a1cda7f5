//! FETCH (RFC 3501 6.4.5): some messages at a time, and of each only what was asked for.
//!
//! Invariant: a step ends once its answers are larger than [`FETCH_STEP_OCTETS`], so that what
//! is held is that and one more answer, however many messages the command names. A section above
//! [`STREAM_OCTETS`] is not held at all: it is read while it is written.

use std::sync::Arc;

use letterlock_core::account::{MessageDocument as Message, Placement};
use letterlock_core::id::{MailboxId, Uid};
use letterlock_core::mime::SectionKind;
use letterlock_core::mime::Span;
use letterlock_core::mime::header::{FieldSelection, select_fields};
use letterlock_core::model::{Flag, FlagChange, FlagSet};
use letterlock_core::store::Store;

use super::{Context, FetchOp, Fetched, FetchedMessage, OpError};
use crate::imap::command::{Access, FetchItem, Octets, SectionRequest, SectionText, SetsSeen};
use crate::imap::response::{FetchValue, Recency};
use crate::imap::view::Slot;

/// Octets of answers after which a step ends.
const FETCH_STEP_OCTETS: u64 = 256 * 1024;

/// Sections that are longer are read while they are written.
const STREAM_OCTETS: u64 = 256 * 1024;

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
        let mut message = match fetch_one(context, *slot, &placement, &op.items).await {
            Ok(message) => message,
            Err(error) => {
                // One message that cannot be read does not hide the others.
                fetched.failed.get_or_insert(error);
                continue;
            }
        };
        // The client is told that its fetch has changed the flags (RFC 3501 6.4.5).
        if sets_seen && message.told.is_none() && placement.mod_seq > slot.mod_seq {
            message.values.push(flags_value(&placement, slot));
            message.told = Some(placement.mod_seq);
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

fn sets_seen(item: &FetchItem) -> bool {
    matches!(
        item,
        FetchItem::Section(SectionRequest {
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
        FetchValue::Section(_, Some(octets)) => octets.0.len() as u64,
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
            FetchItem::Uid => FetchValue::Uid(slot.uid),
            FetchItem::Flags => {
                fetched.told = Some(placement.mod_seq);
                flags_value(placement, &slot)
            }
            FetchItem::InternalDate => FetchValue::InternalDate(placement.internal_date),
            FetchItem::Size => FetchValue::Size(placement.size),
            FetchItem::Envelope
            | FetchItem::Body
            | FetchItem::BodyStructure
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

async fn content<S: Store>(
    context: &Context<'_, S>,
    message: Arc<Message>,
    item: &FetchItem,
) -> Result<FetchValue, OpError> {
    Ok(match item {
        FetchItem::Envelope => FetchValue::Envelope(message),
        FetchItem::Body => FetchValue::Body(message),
        FetchItem::Section(request) => section(context, message, request).await?,
        _ => FetchValue::BodyStructure(message),
    })
}

/// A section, or what is asked for of it.
async fn section<S: Store>(
    context: &Context<'_, S>,
    message: Arc<Message>,
    request: &SectionRequest,
) -> Result<FetchValue, OpError> {
    let request = request.clone();
    let octets = match find(context, &message, &request).await? {
        None => None,
        Some(Found::Octets(octets)) => {
            let whole = Span {
                start: 0,
                end: octets.len() as u64,
            };
            Some(cut(whole, request.partial).of(&octets).to_vec())
        }
        Some(Found::Span(span)) => {
            let span = cut(span, request.partial);
            if span.end.saturating_sub(span.start) > STREAM_OCTETS {
                // Once the literal's length is told, nothing can be taken back.
                if !context.account.is_here(&message, span).await? {
                    return Err(OpError::NotHere);
                }
                return Ok(FetchValue::Stream(request, message, span));
            }
            Some(context.account.read(&message, span).await?)
        }
    };
    Ok(FetchValue::Section(request, octets.map(Octets)))
}

/// Where the octets of a section are.
pub(super) enum Found {
    /// In the message.
    Span(Span),
    /// Here: they were put together.
    Octets(Vec<u8>),
}

/// Finds a section, whatever its partial; `None` if the message has no such part.
pub(super) async fn find<S: Store>(
    context: &Context<'_, S>,
    message: &Message,
    request: &SectionRequest,
) -> Result<Option<Found>, OpError> {
    let kind = match request.text {
        SectionText::Whole => SectionKind::Content,
        SectionText::Text => SectionKind::Text,
        SectionText::Mime => SectionKind::Mime,
        SectionText::Header | SectionText::HeaderFields(_) | SectionText::HeaderFieldsNot(_) => {
            SectionKind::Header
        }
    };
    let Some(span) = message.structure.section(&request.part, kind) else {
        return Ok(None);
    };
    let (selection, names) = match &request.text {
        SectionText::HeaderFields(names) => (FieldSelection::Fields, names),
        SectionText::HeaderFieldsNot(names) => (FieldSelection::FieldsNot, names),
        SectionText::Whole | SectionText::Text | SectionText::Mime | SectionText::Header => {
            return Ok(Some(Found::Span(span)));
        }
    };
    let header = context.account.read(message, span).await?;
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let octets = select_fields(&header, selection, &names);
    Ok(Some(Found::Octets(octets)))
}

/// What a partial fetch leaves of a section; beyond its end that is nothing (RFC 3501 6.4.5).
pub(super) fn cut(span: Span, partial: Option<(u32, u32)>) -> Span {
    let Some((first, count)) = partial else {
        return span;
    };
    let start = span.start.saturating_add(u64::from(first)).min(span.end);
    let end = start.saturating_add(u64::from(count)).min(span.end);
    Span { start, end }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn partials_stay_inside_their_section() {
        let span = Span { start: 10, end: 20 };
        for (partial, start, end) in [
            (None, 10, 20),
            (Some((0, 5)), 10, 15),
            (Some((5, 100)), 15, 20),
            (Some((100, 5)), 20, 20),
            (Some((u32::MAX, u32::MAX)), 20, 20),
        ] {
            assert_eq!(cut(span, partial), Span { start, end });
        }
    }
}

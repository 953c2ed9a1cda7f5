//! FETCH (RFC 3501 6.4.5): some messages at a time, and of each only what was asked for.
//!
//! Invariant: the messages of a step are one, or not larger together than [`FETCH_STEP_OCTETS`]
//! where their octets are wanted and [`HEADER_STEP_OCTETS`] where headers are, however many the
//! command names. A section above a limit
//! ([`super::fetch_parts`]) is not held at all: it is read while it is written. What a list of
//! messages shows is kept as it was written ([`crate::imap::recall`]).

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use letterlock_core::account::{Roster, RosterEntry};
use letterlock_core::id::{MailboxId, MessageHash, Uid};
use letterlock_core::model::{Flag, FlagChange, FlagSet};
use letterlock_core::store::Store;
use tokio::time::sleep;

use super::fetch_parts::{Made, is_octets, made};
use super::lanes::load;
use super::{Context, FetchOp, Fetched, FetchedMessage, OpError, Tells};
use crate::imap::command::{BinaryRequest, FetchItem, SectionRequest, SetsSeen};
use crate::imap::encoder::{item_name, rendered};
use crate::imap::recall::Kind;
use crate::imap::response::{FetchValue, Recency, Rendered};
use crate::imap::view::Slot;

/// Octets of messages that a step brings.
const FETCH_STEP_OCTETS: u64 = 512 * 1024;
/// Octets of messages of which a step reads what is no content: headers may be as long as they.
const HEADER_STEP_OCTETS: u64 = 16 * 1024 * 1024;

/// How long a FETCH waits for what the first sync is still to bring.
const FIRST_SYNC_PATIENCE: Duration = Duration::from_secs(20);
/// How long between two looks at what it has brought.
const FIRST_SYNC_PAUSE: Duration = Duration::from_millis(100);

/// Fetches some messages.
pub(super) async fn run<S: Store>(
    context: &Context<'_, S>,
    op: FetchOp,
) -> Result<Fetched, OpError> {
    let sets_seen = op.sets_seen();
    let mut roster = context.account.roster(op.mailbox).unwrap_or_default();
    let mut slots = op.slots.as_slice();
    if let Some(most) = step_octets(&op.items) {
        slots = within_step(&roster, slots, most);
    }
    if sets_seen {
        // Only what goes out in this step is marked: the client may leave before the next.
        mark_seen(context, op.mailbox, &roster, slots).await?;
        roster = context.account.roster(op.mailbox).unwrap_or_default();
    }
    let mut fetched = Fetched {
        messages: Vec::with_capacity(slots.len()),
        taken: slots.len(),
        gone: false,
        failed: None,
    };
    let mut plans = Vec::with_capacity(slots.len());
    for slot in slots {
        let Some(entry) = roster.find(slot.uid) else {
            fetched.gone = true;
            continue;
        };
        let passes = |since| entry.mod_seq().get() > since;
        if op.changed_since.is_none_or(passes) {
            plans.push(Plan::of(*slot, entry, &op.items));
        }
    }
    fill(context, &op.items, &mut plans).await?;
    if context.behind {
        wait_for_rest(context, &op.items, &mut plans).await?;
    }
    for plan in plans {
        let entry = plan.entry;
        let mut message = match plan.finish() {
            Ok(message) => message,
            Err(error) => {
                // One message that cannot be read does not hide the others.
                fetched.failed.get_or_insert(error);
                continue;
            }
        };
        if sets_seen && entry.mod_seq() > message.slot.mod_seq {
            tell_change(&mut message, &entry, op.tells);
        }
        fetched.messages.push(message);
    }
    Ok(fetched)
}

/// A message to be fetched, with what is known of it.
struct Plan<'a> {
    slot: Slot,
    entry: RosterEntry<'a>,
    /// A value for each item; `None` where the message has to be asked.
    values: Vec<Option<FetchValue>>,
    failed: Option<OpError>,
    tells_flags: bool,
}

impl<'a> Plan<'a> {
    fn of(slot: Slot, entry: RosterEntry<'a>, items: &[FetchItem]) -> Self {
        Self {
            slot,
            entry,
            values: items
                .iter()
                .map(|item| at_hand(item, slot, &entry))
                .collect(),
            failed: None,
            tells_flags: items.contains(&FetchItem::Flags),
        }
    }

    fn is_open(&self) -> bool {
        self.values.iter().any(Option::is_none)
    }

    fn finish(self) -> Result<FetchedMessage, OpError> {
        match self.failed {
            Some(error) => Err(error),
            None => Ok(FetchedMessage {
                slot: self.slot,
                values: self.values.into_iter().flatten().collect(),
                told: self.tells_flags.then(|| self.entry.mod_seq()),
            }),
        }
    }
}

/// The value of an item that needs no message.
fn at_hand(item: &FetchItem, slot: Slot, entry: &RosterEntry<'_>) -> Option<FetchValue> {
    Some(match item {
        FetchItem::Uid | FetchItem::ImpliedUid => FetchValue::Uid(slot.uid),
        FetchItem::Flags => flags_value(entry, &slot),
        FetchItem::ModSeq => FetchValue::ModSeq(entry.mod_seq()),
        FetchItem::EmailId => FetchValue::EmailId(entry.message()),
        FetchItem::SaveDate => FetchValue::SaveDate(entry.save_date()),
        FetchItem::InternalDate => FetchValue::InternalDate(entry.internal_date()),
        FetchItem::Size => FetchValue::Size(entry.size()),
        FetchItem::Envelope
        | FetchItem::Body
        | FetchItem::BodyStructure
        | FetchItem::ThreadId
        | FetchItem::Preview(_)
        | FetchItem::Binary(_)
        | FetchItem::BinarySize(_)
        | FetchItem::Section(_) => return None,
    })
}

/// Fills in what the messages have to be asked for: first by what was kept of them.
async fn fill<S: Store>(
    context: &Context<'_, S>,
    items: &Arc<[FetchItem]>,
    plans: &mut [Plan<'_>],
) -> Result<(), OpError> {
    let kind = |item| item_name(item).and_then(|name| context.recall.kind(&name));
    let kinds: Vec<Option<Kind>> = items.iter().map(kind).collect();
    for (nth, kind) in kinds.iter().enumerate() {
        let Some(kind) = kind else { continue };
        let hashes = plans.iter().map(|plan| plan.entry.message());
        let kept = context.recall.find(*kind, hashes);
        for (plan, kept) in plans.iter_mut().zip(kept) {
            if let Some(value) = plan.values.get_mut(nth) {
                *value = kept.map(|octets| FetchValue::Rendered(Rendered(octets)));
            }
        }
    }
    let open = plans.iter().filter(|plan| plan.is_open());
    let open: Vec<Wanted> = open
        .map(|plan| Wanted {
            message: plan.entry.message(),
            items: plan.values.iter().map(Option::is_none).collect(),
        })
        .collect();
    let kept: Arc<[bool]> = kinds.iter().map(Option::is_some).collect();
    let read = load(context.account, open, |account, wanted| {
        let (items, kept) = (Arc::clone(items), Arc::clone(&kept));
        async move {
            let mut all = made(&account, &wanted, &items).await;
            for (made, wanted) in all.iter_mut().zip(&wanted) {
                write_kept(made, wanted, &kept);
            }
            Ok(all)
        }
    });
    let mut read = read.await?.into_iter();
    for plan in plans.iter_mut().filter(|plan| plan.is_open()) {
        match read.next() {
            Some(Ok(Made { values, digest })) => {
                if let Some(digest) = digest {
                    digest.keep(context.recall, plan.entry.message());
                }
                let places = plan.values.iter_mut().zip(&kinds);
                let open = places.filter(|(place, _)| place.is_none());
                for ((place, kind), value) in open.zip(values) {
                    if let (Some(kind), FetchValue::Rendered(Rendered(octets))) = (kind, &value) {
                        context.recall.keep(*kind, plan.entry.message(), octets);
                    }
                    *place = Some(value);
                }
            }
            Some(Err(error)) => plan.failed = Some(error),
            None => plan.failed = Some(OpError::Interrupted),
        }
    }
    Ok(())
}

/// Writes what will be kept as it will go out, while the message is at hand.
fn write_kept(made: &mut Result<Made, OpError>, wanted: &Wanted, kept: &[bool]) {
    let Ok(Made { values, .. }) = made else {
        return;
    };
    let items = wanted.items.iter().zip(kept).filter(|(is, _)| **is);
    for (value, (_, kept)) in values.iter_mut().zip(items) {
        if *kept {
            *value = FetchValue::Rendered(Rendered(rendered(value).into()));
        }
    }
}

/// Waits, while the first sync runs, for what is not here yet. A program that is answered NO passes
/// over the message, and some never ask again; one that is hung up on does.
async fn wait_for_rest<S: Store>(
    context: &Context<'_, S>,
    items: &Arc<[FetchItem]>,
    plans: &mut [Plan<'_>],
) -> Result<(), OpError> {
    let mut news = context.account.subscribe();
    let mut patience = pin!(sleep(FIRST_SYNC_PATIENCE));
    loop {
        let mut waits = false;
        for plan in plans.iter_mut() {
            if matches!(plan.failed, Some(OpError::NotHere)) {
                (waits, plan.failed) = (true, None);
            }
        }
        if !waits {
            return Ok(());
        }
        fill(context, items, plans).await?;
        if plans
            .iter()
            .any(|plan| matches!(plan.failed, Some(OpError::NotHere)))
        {
            tokio::select! {
                () = news.changed() => sleep(FIRST_SYNC_PAUSE).await,
                () = &mut patience => return Err(OpError::StillToCome),
            }
        }
    }
}

/// A message to be read, and for which items.
pub(super) struct Wanted {
    pub(super) message: MessageHash,
    /// For each item, whether it is wanted.
    pub(super) items: Vec<bool>,
}

/// The client is told that its fetch has changed the flags (RFC 3501 6.4.5), and when
/// (RFC 7162 3.2.4).
fn tell_change(message: &mut FetchedMessage, entry: &RosterEntry<'_>, tells: Tells) {
    if message.told.is_none() {
        let flags = flags_value(entry, &message.slot);
        message.values.push(flags);
        message.told = Some(entry.mod_seq());
    }
    let values = &mut message.values;
    if tells == Tells::Flags {
        return;
    }
    let has_uid = values
        .iter()
        .any(|value| matches!(value, FetchValue::Uid(_)));
    if tells == Tells::ModSeq && !has_uid {
        values.insert(0, FetchValue::Uid(entry.uid()));
    }
    if !values
        .iter()
        .any(|value| matches!(value, FetchValue::ModSeq(_)))
    {
        values.push(FetchValue::ModSeq(entry.mod_seq()));
    }
}

pub(super) fn sets_seen(item: &FetchItem) -> bool {
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

/// How large the messages of a step may be together; `None` if they are not read.
fn step_octets(items: &[FetchItem]) -> Option<u64> {
    let is_at_hand = |item: &FetchItem| {
        matches!(
            item,
            FetchItem::Uid
                | FetchItem::ImpliedUid
                | FetchItem::Flags
                | FetchItem::ModSeq
                | FetchItem::EmailId
                | FetchItem::SaveDate
                | FetchItem::InternalDate
                | FetchItem::Size
        )
    };
    if items.iter().any(is_octets) {
        Some(FETCH_STEP_OCTETS)
    } else {
        (!items.iter().all(is_at_hand)).then_some(HEADER_STEP_OCTETS)
    }
}

/// The first messages, at least one, that are no larger together than that.
fn within_step<'a>(roster: &Roster, slots: &'a [Slot], most: u64) -> &'a [Slot] {
    let mut octets = 0_u64;
    let fits = |slot: &&Slot| {
        let size = roster.find(slot.uid).map_or(0, |entry| entry.size());
        octets = octets.saturating_add(size);
        octets <= most
    };
    let count = slots.iter().take_while(fits).count();
    slots.get(..count.max(1)).unwrap_or(slots)
}

async fn mark_seen<S: Store>(
    context: &Context<'_, S>,
    mailbox: MailboxId,
    roster: &Roster,
    slots: &[Slot],
) -> Result<(), OpError> {
    let unseen = |uid: &Uid| roster.find(*uid).is_some_and(|entry| !entry.is_seen());
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

fn flags_value(entry: &RosterEntry<'_>, slot: &Slot) -> FetchValue {
    FetchValue::Flags(entry.flags(), Recency::of(slot.recent))
}

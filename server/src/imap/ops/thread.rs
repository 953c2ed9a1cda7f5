//! THREAD (RFC 5256 3): what was found, as threads.
//!
//! Invariant: every message found stands in the answer once.

use std::collections::BTreeMap;
use std::sync::Arc;

use letterlock_core::account::{MessageDocument, Placement};
use letterlock_core::id::MailboxId;
use letterlock_core::store::Store;
use letterlock_core::threads::{Threadable, references};

use super::sort::{sent, subject};
use super::{Context, Hit, OpError, Outcome, search};
use crate::imap::command::{SearchKey, ThreadAlgorithm};
use crate::imap::view::Slot;

/// A line of a tree of threads; parents come before their children.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Threaded {
    /// The message; `None` where one is missing.
    pub slot: Option<Slot>,
    /// 0 for the beginning of a thread.
    pub depth: usize,
}

/// A message that was found, and what it says of itself.
struct Found {
    slot: Slot,
    placement: Placement,
    /// `None` if it is not on this device.
    message: Option<Arc<MessageDocument>>,
}

/// Finds messages and arranges them.
pub(super) async fn find<S: Store>(
    context: &Context<'_, S>,
    mailbox: MailboxId,
    slots: Vec<Slot>,
    keys: Vec<SearchKey>,
    algorithm: ThreadAlgorithm,
) -> Result<Outcome, OpError> {
    let hits = search::run(context, mailbox, slots, keys).await?;
    let threaded = run(context, mailbox, &hits, algorithm).await?;
    Ok(Outcome::Threaded(threaded))
}

/// Arranges what was found; what is gone meanwhile is left out.
async fn run<S: Store>(
    context: &Context<'_, S>,
    mailbox: MailboxId,
    hits: &[Hit],
    algorithm: ThreadAlgorithm,
) -> Result<Vec<Threaded>, OpError> {
    let mut found = Vec::with_capacity(hits.len());
    for hit in hits {
        if let Some(placement) = context.account.placement(mailbox, hit.slot.uid) {
            let message = context.account.message(placement.message).await?;
            found.push(Found {
                slot: hit.slot,
                placement,
                message,
            });
        }
    }
    Ok(match algorithm {
        ThreadAlgorithm::OrderedSubject => by_subject(&found),
        ThreadAlgorithm::References => by_references(&found),
    })
}

fn by_references(found: &[Found]) -> Vec<Threaded> {
    let threadables: Vec<Threadable<'_>> = found.iter().map(threadable).collect();
    let rows = references(&threadables).into_iter();
    let row = |row: letterlock_core::threads::Row| Threaded {
        slot: row
            .message
            .and_then(|index| found.get(index))
            .map(|found| found.slot),
        depth: row.depth,
    };
    rows.map(row).collect()
}

fn threadable(found: &Found) -> Threadable<'_> {
    let summary = found
        .message
        .as_ref()
        .map(|message| &message.structure.summary);
    let named = summary.map_or(&[][..], |summary| {
        if summary.references.is_empty() {
            summary.in_reply_to.get(..1).unwrap_or_default()
        } else {
            &summary.references
        }
    });
    Threadable {
        message_id: summary.and_then(|summary| summary.message_id.as_deref()),
        references: named,
        subject: summary.map_or("", |summary| &summary.subject),
        sent: sent(&found.placement, found.message.as_deref()).as_secs(),
    }
}

/// "Poor man's threading": one level, by base subject and date.
fn by_subject(found: &[Found]) -> Vec<Threaded> {
    let mut threads: BTreeMap<String, Vec<(i64, Slot)>> = BTreeMap::new();
    for found in found {
        let message = found.message.as_deref();
        let sent = sent(&found.placement, message).as_secs();
        let thread = threads.entry(subject(message)).or_default();
        thread.push((sent, found.slot));
    }
    let by_date = |(sent, slot): &(i64, Slot)| (*sent, slot.number);
    let mut threads: Vec<_> = threads.into_values().collect();
    for thread in &mut threads {
        thread.sort_by_key(by_date);
    }
    threads.sort_by_key(|thread| thread.first().map(by_date));
    let mut rows = Vec::with_capacity(found.len());
    for thread in threads {
        for (index, (_, slot)) in thread.into_iter().enumerate() {
            rows.push(Threaded {
                slot: Some(slot),
                depth: usize::from(index > 0),
            });
        }
    }
    rows
}

//! THREAD (RFC 5256 3): what was found, as threads.
//!
//! Invariant: every message found stands in the answer once.

use std::collections::BTreeMap;

use letterlock_core::account::RosterEntry;
use letterlock_core::id::{MailboxId, MessageHash};
use letterlock_core::store::Store;
use letterlock_core::threads::{Threadable, references};

use super::digest::{self, Digest, Text};
use super::sort::sent;
use super::{Context, Hit, OpError};
use crate::imap::command::ThreadAlgorithm;
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
struct Found<'a> {
    slot: Slot,
    sent: i64,
    /// `None` if it is not on this device.
    digest: Option<&'a Digest>,
    /// What it answers.
    named: Vec<String>,
}

impl<'a> Found<'a> {
    fn of(slot: Slot, entry: &RosterEntry<'_>, digest: Option<&'a Digest>) -> Self {
        let named = digest.map_or("", |digest| digest.text(Text::References));
        Self {
            slot,
            sent: sent(entry, digest).as_secs(),
            digest,
            named: named.lines().map(str::to_owned).collect(),
        }
    }

    fn text(&self, text: Text) -> &'a str {
        self.digest.map_or("", |digest| digest.text(text))
    }
}

/// Arranges what was found; what is gone meanwhile is left out.
pub(super) async fn run<S: Store>(
    context: &Context<'_, S>,
    mailbox: MailboxId,
    hits: &[Hit],
    algorithm: ThreadAlgorithm,
) -> Result<Vec<Threaded>, OpError> {
    let roster = context.account.roster(mailbox).unwrap_or_default();
    let there = hits
        .iter()
        .filter_map(|hit| Some((hit.slot, roster.find(hit.slot.uid)?)));
    let there: Vec<(Slot, RosterEntry<'_>)> = there.collect();
    let messages = there.iter().map(|(_, entry)| entry.message());
    let digests = digest::all(context, &messages.collect::<Vec<MessageHash>>()).await?;
    let found = there.iter().zip(&digests);
    let found: Vec<Found<'_>> = found
        .map(|((slot, entry), digest)| Found::of(*slot, entry, digest.as_ref()))
        .collect();
    Ok(match algorithm {
        ThreadAlgorithm::OrderedSubject => by_subject(&found),
        ThreadAlgorithm::References => by_references(&found),
    })
}

fn by_references(found: &[Found<'_>]) -> Vec<Threaded> {
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

fn threadable<'a>(found: &'a Found<'_>) -> Threadable<'a> {
    let message_id = found.text(Text::MessageId);
    Threadable {
        message_id: (!message_id.is_empty()).then_some(message_id),
        references: &found.named,
        subject: found.text(Text::Subject),
        sent: found.sent,
    }
}

/// "Poor man's threading": one level, by base subject and date.
fn by_subject(found: &[Found<'_>]) -> Vec<Threaded> {
    let mut threads: BTreeMap<&str, Vec<(i64, Slot)>> = BTreeMap::new();
    for found in found {
        let thread = threads.entry(found.text(Text::Base)).or_default();
        thread.push((found.sent, found.slot));
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

//! SORT (RFC 5256 3) with the criteria of RFC 5957: what was found, in another order.
//!
//! Invariant: messages that are equal by all criteria stay in the order of the mailbox, reversed
//! or not. Texts are compared by i;unicode-casemap (RFC 5256 7). Of each message only what the
//! criteria ask for is kept while sorting.

use std::cmp::Ordering;

use letterlock_core::account::RosterEntry;
use letterlock_core::id::{MailboxId, MessageHash, Timestamp};
use letterlock_core::store::Store;

use super::digest::{self, Digest, Text};
use super::{Context, Hit, OpError};
use crate::imap::command::{SortCriterion, SortKey};

/// What a message is compared by.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Value<'a> {
    Number(i64),
    Text(&'a str),
}

/// Sorts what was found; what is gone meanwhile is left out.
pub(super) async fn run<S: Store>(
    context: &Context<'_, S>,
    mailbox: MailboxId,
    hits: Vec<Hit>,
    criteria: &[SortCriterion],
) -> Result<Vec<Hit>, OpError> {
    let reads = criteria.iter().any(|criterion| {
        let at_hand = [SortKey::Arrival, SortKey::Size, SortKey::Relevancy];
        !at_hand.contains(&criterion.key)
    });
    let roster = context.account.roster(mailbox).unwrap_or_default();
    let found = hits
        .into_iter()
        .filter_map(|hit| Some((hit, roster.find(hit.slot.uid)?)));
    let found: Vec<(Hit, RosterEntry<'_>)> = found.collect();
    let digests = if reads {
        let messages = found.iter().map(|(_, entry)| entry.message());
        digest::all(context, &messages.collect::<Vec<MessageHash>>()).await?
    } else {
        vec![None; found.len()]
    };
    let rows = found.iter().zip(&digests).map(|((hit, entry), digest)| {
        let values = criteria.iter().map(|criterion| match criterion.key {
            // The best comes first (RFC 6203 6).
            SortKey::Relevancy => Value::Number(-i64::from(hit.relevancy)),
            key => value(key, entry, digest.as_ref()),
        });
        (*hit, values.collect())
    });
    let mut rows: Vec<(Hit, Vec<Value<'_>>)> = rows.collect();
    // A stable sort: equal messages keep their order.
    rows.sort_by(|(_, left), (_, right)| compare(criteria, left, right));
    Ok(rows.into_iter().map(|(hit, _)| hit).collect())
}

fn compare(criteria: &[SortCriterion], left: &[Value<'_>], right: &[Value<'_>]) -> Ordering {
    let mut pairs = criteria.iter().zip(left.iter().zip(right));
    let decided = pairs.find_map(|(criterion, (left, right))| {
        let order = left.cmp(right);
        let order = if criterion.reverse {
            order.reverse()
        } else {
            order
        };
        (order != Ordering::Equal).then_some(order)
    });
    decided.unwrap_or(Ordering::Equal)
}

/// A message that is not on this device has empty texts.
fn value<'a>(key: SortKey, entry: &RosterEntry<'_>, digest: Option<&'a Digest>) -> Value<'a> {
    let text = |text| Value::Text(digest.map_or("", |digest| digest.text(text)));
    match key {
        // That is the hit's.
        SortKey::Relevancy => Value::Number(0),
        SortKey::Arrival => Value::Number(entry.internal_date().as_secs()),
        SortKey::Size => Value::Number(i64::try_from(entry.size()).unwrap_or(i64::MAX)),
        SortKey::Date => Value::Number(sent(entry, digest).as_secs()),
        SortKey::Subject => text(Text::Base),
        SortKey::Cc => text(Text::Cc),
        SortKey::From => text(Text::From),
        SortKey::To => text(Text::To),
        SortKey::DisplayFrom => text(Text::DisplayFrom),
        SortKey::DisplayTo => text(Text::DisplayTo),
    }
}

/// When a message was sent, or else when it arrived (RFC 5256 2.2).
pub(super) fn sent(entry: &RosterEntry<'_>, digest: Option<&Digest>) -> Timestamp {
    let sent = digest.and_then(Digest::sent);
    sent.unwrap_or_else(|| entry.internal_date())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reversing_one_criterion_reverses_no_other() {
        let by = |reverse| SortCriterion {
            key: SortKey::Size,
            reverse,
        };
        let number = |a, b| [Value::Number(a), Value::Number(b)];
        for (criteria, expected) in [
            ([by(false), by(false)], Ordering::Less),
            ([by(false), by(true)], Ordering::Greater),
        ] {
            let order = compare(&criteria, &number(1, 2), &number(1, 3));
            assert_eq!(order, expected);
        }
        assert!(Value::Text("") < Value::Text("a"));
    }
}

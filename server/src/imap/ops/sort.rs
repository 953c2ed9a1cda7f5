//! SORT (RFC 5256 3) with the criteria of RFC 5957: what was found, in another order.
//!
//! Invariant: messages that are equal by all criteria stay in the order of the mailbox, reversed
//! or not. Texts are compared by i;unicode-casemap (RFC 5256 7). Of each message only what the
//! criteria ask for is kept while sorting.

use std::cmp::Ordering;

use letterlock_core::account::{MessageDocument, Placement};
use letterlock_core::casemap::casemap;
use letterlock_core::id::{MailboxId, Timestamp};
use letterlock_core::mime::{EnvelopeAddress, decode_header};
use letterlock_core::store::Store;
use letterlock_core::threads::base_subject;

use super::{Context, Hit, OpError, Outcome, search};
use crate::imap::command::{SearchKey, SortCriterion, SortKey};
use crate::imap::view::Slot;

/// What a message is compared by.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Value {
    Number(i64),
    Text(String),
}

/// Finds messages and sorts them.
pub(super) async fn find<S: Store>(
    context: &Context<'_, S>,
    mailbox: MailboxId,
    slots: Vec<Slot>,
    keys: Vec<SearchKey>,
    criteria: &[SortCriterion],
) -> Result<Outcome, OpError> {
    let hits = search::run(context, mailbox, slots, keys).await?;
    let sorted = run(context, mailbox, hits, criteria).await?;
    Ok(Outcome::Found(sorted))
}

/// Sorts what was found; what is gone meanwhile is left out.
async fn run<S: Store>(
    context: &Context<'_, S>,
    mailbox: MailboxId,
    hits: Vec<Hit>,
    criteria: &[SortCriterion],
) -> Result<Vec<Hit>, OpError> {
    let reads = criteria.iter().any(|criterion| {
        let at_hand = [SortKey::Arrival, SortKey::Size, SortKey::Relevancy];
        !at_hand.contains(&criterion.key)
    });
    let mut rows: Vec<(Hit, Vec<Value>)> = Vec::with_capacity(hits.len());
    for hit in hits {
        let Some(placement) = context.account.placement(mailbox, hit.slot.uid) else {
            continue;
        };
        let message = if reads {
            context.account.message(placement.message).await?
        } else {
            None
        };
        let values = criteria.iter().map(|criterion| match criterion.key {
            // The best comes first (RFC 6203 6).
            SortKey::Relevancy => Value::Number(-i64::from(hit.relevancy)),
            key => value(key, &placement, message.as_deref()),
        });
        rows.push((hit, values.collect()));
    }
    // A stable sort: equal messages keep their order.
    rows.sort_by(|(_, left), (_, right)| compare(criteria, left, right));
    Ok(rows.into_iter().map(|(hit, _)| hit).collect())
}

fn compare(criteria: &[SortCriterion], left: &[Value], right: &[Value]) -> Ordering {
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
fn value(key: SortKey, placement: &Placement, message: Option<&MessageDocument>) -> Value {
    let envelope = message.map(|message| &message.structure.envelope);
    let text = |of: fn(&EnvelopeAddress) -> String, list: Option<&Vec<EnvelopeAddress>>| {
        let first = list.and_then(|list| list.first());
        Value::Text(casemap(&first.map(of).unwrap_or_default()))
    };
    match key {
        // That is the hit's.
        SortKey::Relevancy => Value::Number(0),
        SortKey::Arrival => Value::Number(placement.internal_date.as_secs()),
        SortKey::Size => Value::Number(i64::try_from(placement.size).unwrap_or(i64::MAX)),
        SortKey::Date => Value::Number(sent(placement, message).as_secs()),
        SortKey::Subject => Value::Text(subject(message)),
        SortKey::Cc => text(local_part, envelope.map(|envelope| &envelope.cc)),
        SortKey::From => text(local_part, envelope.map(|envelope| &envelope.from)),
        SortKey::To => text(local_part, envelope.map(|envelope| &envelope.to)),
        SortKey::DisplayFrom => text(display, envelope.map(|envelope| &envelope.from)),
        SortKey::DisplayTo => text(display, envelope.map(|envelope| &envelope.to)),
    }
}

/// When a message was sent, or else when it arrived (RFC 5256 2.2).
pub(super) fn sent(placement: &Placement, message: Option<&MessageDocument>) -> Timestamp {
    let sent = message.and_then(|message| message.structure.summary.date);
    sent.unwrap_or(placement.internal_date)
}

/// The base subject as it is compared (RFC 5256 2.1).
pub(super) fn subject(message: Option<&MessageDocument>) -> String {
    let subject = message.map(|message| base_subject(&message.structure.summary.subject));
    subject.map(|base| casemap(&base.text)).unwrap_or_default()
}

/// `addr-mailbox`
fn local_part(address: &EnvelopeAddress) -> String {
    text_of(address.mailbox.as_deref())
}

/// RFC 5957 3.
fn display(address: &EnvelopeAddress) -> String {
    let name = address.name.as_deref().map(decode_header);
    if let Some(name) = name.filter(|name| !name.is_empty()) {
        return name;
    }
    let mailbox = text_of(address.mailbox.as_deref());
    match &address.host {
        Some(host) if address.mailbox.is_some() => format!("{mailbox}@{}", text_of(Some(host))),
        _ => mailbox,
    }
}

fn text_of(octets: Option<&[u8]>) -> String {
    String::from_utf8_lossy(octets.unwrap_or_default()).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn people_are_shown_by_name_or_address() {
        // RFC 5957 3.
        let address = |name: Option<&str>, mailbox: Option<&str>, host: Option<&str>| {
            let octets = |text: Option<&str>| text.map(|text| text.as_bytes().to_vec());
            display(&EnvelopeAddress {
                name: octets(name),
                adl: None,
                mailbox: octets(mailbox),
                host: octets(host),
            })
        };
        for (shown, expected) in [
            (
                address(Some("=?utf-8?q?Zo=C3=AB?="), Some("z"), Some("x")),
                "Zoë",
            ),
            (address(Some(""), Some("z"), Some("x")), "z@x"),
            (address(None, Some("z"), Some("x")), "z@x"),
            (address(None, Some("Friends"), None), "Friends"),
            (address(None, None, None), ""),
        ] {
            assert_eq!(shown, expected);
        }
    }

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
        assert!(Value::Text(String::new()) < Value::Text("a".to_owned()));
    }
}

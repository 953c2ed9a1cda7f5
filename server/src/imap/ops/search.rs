//! SEARCH (RFC 3501 6.4.4): exact substrings, in text as people read it.
//!
//! A message is judged by what is at hand first: numbers, flags, dates; only if that does not
//! decide is its header read, and only then its body. Texts are compared without regard to case.
//! The account's index is asked first which messages cannot have a text: those are not read for
//! it ([`super::search_narrow`]). Rejected: believing the index; it knows words, not octets.

use letterlock_core::account::{MessageDocument as Message, Placement};
use letterlock_core::id::MailboxId;
use letterlock_core::search::CandidatePlace as Place;
use letterlock_core::store::Store;

use super::search_narrow::Narrowing;
use super::search_text::{Header, body_texts, read_header};
use super::{Context, OpError};
use crate::imap::command::SearchKey;
use crate::imap::date::Date;
use crate::imap::set::Range;
use crate::imap::view::Slot;

/// A message and what has been read of it.
struct Candidate {
    slot: Slot,
    /// What `*` stands for.
    last: Slot,
    placement: Placement,
    header: Option<Header>,
    body: Option<Vec<String>>,
}

/// Finds the messages for which all keys hold.
pub(super) async fn run<S: Store>(
    context: &Context<'_, S>,
    mailbox: MailboxId,
    slots: Vec<Slot>,
    keys: Vec<SearchKey>,
) -> Result<Vec<Slot>, OpError> {
    let key = folded(SearchKey::And(keys));
    let Some(last) = slots.last().copied() else {
        return Ok(Vec::new());
    };
    let narrowing = Narrowing::of(context.account, &key, slots.len()).await;
    find(context, mailbox, slots, last, &Question { key, narrowing }).await
}

/// What is asked, and what the index says to it.
pub(super) struct Question {
    /// Its texts in lower case.
    pub(super) key: SearchKey,
    pub(super) narrowing: Narrowing,
}

async fn find<S: Store>(
    context: &Context<'_, S>,
    mailbox: MailboxId,
    slots: Vec<Slot>,
    last: Slot,
    question: &Question,
) -> Result<Vec<Slot>, OpError> {
    let mut found = Vec::new();
    for slot in slots {
        let Some(placement) = context.account.placement(mailbox, slot.uid) else {
            continue;
        };
        let mut candidate = Candidate {
            slot,
            last,
            placement,
            header: None,
            body: None,
        };
        if holds(context, question, &mut candidate).await? {
            found.push(slot);
        }
    }
    Ok(found)
}

async fn holds<S: Store>(
    context: &Context<'_, S>,
    question: &Question,
    candidate: &mut Candidate,
) -> Result<bool, OpError> {
    let judge = |candidate: &Candidate| judge(&question.key, candidate, &question.narrowing);
    if let Some(decided) = judge(candidate) {
        return Ok(decided);
    }
    let message = context.account.message(candidate.placement.message).await?;
    // What has not come to this device yet cannot be searched; it does not fail the rest.
    let Some(message) = message else {
        return Ok(false);
    };
    let message: &Message = &message;
    candidate.header = Some(read_header(context.account, message).await?);
    if let Some(decided) = judge(candidate) {
        return Ok(decided);
    }
    candidate.body = Some(body_texts(context.account, message).await?);
    Ok(judge(candidate).unwrap_or(false))
}

/// Whether a key holds; `None` if more has to be read first.
fn judge(key: &SearchKey, candidate: &Candidate, narrowing: &Narrowing) -> Option<bool> {
    let placement = &candidate.placement;
    let day = || Date::of(placement.internal_date);
    let on_day = |test: fn(Date, Date) -> bool, date: Date| {
        let header = candidate.header.as_ref()?;
        Some(header.sent.is_some_and(|sent| test(sent, date)))
    };
    match key {
        SearchKey::All => Some(true),
        SearchKey::And(keys) => all(keys.iter().map(|key| judge(key, candidate, narrowing))),
        SearchKey::Or(left, right) => {
            let not = |key| judge(key, candidate, narrowing).map(|holds| !holds);
            all([not(left), not(right)].into_iter()).map(|neither| !neither)
        }
        SearchKey::Not(key) => judge(key, candidate, narrowing).map(|holds| !holds),
        SearchKey::Sequence(set) => Some(contains(
            &set.0,
            candidate.slot.number.get(),
            candidate.last.number.get(),
        )),
        SearchKey::Uid(set) => Some(contains(
            &set.0,
            candidate.slot.uid.get(),
            candidate.last.uid.get(),
        )),
        SearchKey::Flag(flag) => Some(placement.flags.contains(flag)),
        SearchKey::Recent => Some(candidate.slot.recent),
        SearchKey::Before(date) => Some(day() < *date),
        SearchKey::On(date) => Some(day() == *date),
        SearchKey::Since(date) => Some(day() >= *date),
        SearchKey::SentBefore(date) => on_day(|sent, date| sent < date, *date),
        SearchKey::SentOn(date) => on_day(|sent, date| sent == date, *date),
        SearchKey::SentSince(date) => on_day(|sent, date| sent >= date, *date),
        SearchKey::Larger(size) => Some(placement.size > *size),
        SearchKey::Smaller(size) => Some(placement.size < *size),
        SearchKey::Header { name, text } => {
            if Place::of_header(name)
                .is_some_and(|place| narrowing.rules_out(place, text, &placement.message))
            {
                return Some(false);
            }
            Some(candidate.header.as_ref()?.field_contains(name, text))
        }
        SearchKey::Body(text) => body_contains(candidate, text, narrowing),
        SearchKey::Text(text) => {
            if candidate.header.as_ref()?.contains(text) {
                return Some(true);
            }
            body_contains(candidate, text, narrowing)
        }
    }
}

fn body_contains(candidate: &Candidate, text: &str, narrowing: &Narrowing) -> Option<bool> {
    if narrowing.rules_out(Place::Body, text, &candidate.placement.message) {
        return Some(false);
    }
    Some(
        candidate
            .body
            .as_ref()?
            .iter()
            .any(|body| body.contains(text)),
    )
}

/// Three-valued "and": one `false` decides.
fn all(verdicts: impl Iterator<Item = Option<bool>>) -> Option<bool> {
    let mut decided = Some(true);
    for verdict in verdicts {
        match verdict {
            Some(false) => return Some(false),
            Some(true) => {}
            None => decided = None,
        }
    }
    decided
}

fn contains(ranges: &[Range], number: u32, last: u32) -> bool {
    ranges.iter().any(|range| {
        let (from, to) = range.resolve(last);
        (from..=to).contains(&number)
    })
}

/// The same key with its texts in lower case.
fn folded(key: SearchKey) -> SearchKey {
    match key {
        SearchKey::And(keys) => SearchKey::And(keys.into_iter().map(folded).collect()),
        SearchKey::Or(left, right) => {
            SearchKey::Or(Box::new(folded(*left)), Box::new(folded(*right)))
        }
        SearchKey::Not(key) => SearchKey::Not(Box::new(folded(*key))),
        SearchKey::Header { name, text } => SearchKey::Header {
            name,
            text: text.to_lowercase(),
        },
        SearchKey::Body(text) => SearchKey::Body(text.to_lowercase()),
        SearchKey::Text(text) => SearchKey::Text(text.to_lowercase()),
        key => key,
    }
}

#[cfg(test)]
mod tests;

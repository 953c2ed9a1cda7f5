//! SEARCH (RFC 3501 6.4.4): exact substrings, in text as people read it.
//!
//! A message is judged by what is at hand first: numbers, flags, dates; only if that does not
//! decide is its header read, and only then its body. Texts are compared by i;unicode-casemap
//! (RFC 5255 4.3).
//! The account's index is asked first which messages cannot have a text: those are not read for
//! it ([`super::search_narrow`]). Rejected: believing the index; it knows words, not octets.

use std::collections::BTreeSet;

use letterlock_core::account::{MessageDocument as Message, Placement};
use letterlock_core::casemap::casemap;
use letterlock_core::id::{MailboxId, ModSeq, Timestamp, Uid};
use letterlock_core::search::CandidatePlace as Place;
use letterlock_core::store::Store;

use super::search_fuzzy::{self, Loose};
use super::search_narrow::Narrowing;
use super::search_text::{Header, body_texts, read_header};
use super::{Context, OpError};
use crate::imap::command::SearchKey;
use crate::imap::date::Date;
use crate::imap::object_id::{email_id, thread_id};
use crate::imap::set::Range;
use crate::imap::view::Slot;

/// A message that a search has found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hit {
    /// Which.
    pub slot: Slot,
    /// Its mod-sequence now.
    pub mod_seq: ModSeq,
    /// How well it fits, from 1 to 100; 100 where nothing was loose (RFC 6203 4).
    pub relevancy: u8,
}

/// A message and what has been read of it.
struct Candidate {
    slot: Slot,
    /// What `*` stands for.
    last: Slot,
    placement: Placement,
    now: Timestamp,
    /// Its THREADID, with the header.
    thread: Option<String>,
    header: Option<Header>,
    body: Option<Vec<String>>,
}

/// Finds the messages for which all keys hold.
pub(super) async fn run<S: Store>(
    context: &Context<'_, S>,
    mailbox: MailboxId,
    slots: Vec<Slot>,
    keys: Vec<SearchKey>,
) -> Result<Vec<Hit>, OpError> {
    let key = search_fuzzy::pushed_down(SearchKey::And(keys));
    let Some(last) = slots.last().copied() else {
        return Ok(Vec::new());
    };
    let narrowing = Narrowing::of(context.account, &key, slots.len()).await;
    let loose = Loose::of(context.account, &key).await;
    let question = Question {
        key: mapped(key),
        narrowing,
        loose,
    };
    find(context, mailbox, slots, last, &question).await
}

/// Which of these messages a search finds: of the few that have changed, without the index.
pub(super) async fn matching<S: Store>(
    context: &Context<'_, S>,
    mailbox: MailboxId,
    slots: Vec<Slot>,
    last: Slot,
    key: &SearchKey,
) -> Result<BTreeSet<Uid>, OpError> {
    let question = Question {
        key: mapped(key.clone()),
        narrowing: Narrowing::default(),
        loose: Loose::default(),
    };
    let found = find(context, mailbox, slots, last, &question).await?;
    Ok(found.iter().map(|hit| hit.slot.uid).collect())
}

/// What is asked, and what the index says to it.
pub(super) struct Question {
    /// Its texts as they are compared.
    pub(super) key: SearchKey,
    pub(super) narrowing: Narrowing,
    /// What the index says to texts that are looked for loosely.
    pub(super) loose: Loose,
}

async fn find<S: Store>(
    context: &Context<'_, S>,
    mailbox: MailboxId,
    slots: Vec<Slot>,
    last: Slot,
    question: &Question,
) -> Result<Vec<Hit>, OpError> {
    let mut found = Vec::new();
    for slot in slots {
        let Some(placement) = context.account.placement(mailbox, slot.uid) else {
            continue;
        };
        let mut candidate = Candidate {
            slot,
            last,
            placement,
            now: context.now,
            thread: None,
            header: None,
            body: None,
        };
        if holds(context, question, &question.key, &mut candidate).await? {
            let relevancy = relevancy(context, question, &mut candidate).await?;
            found.push(Hit {
                slot,
                mod_seq: candidate.placement.mod_seq,
                relevancy,
            });
        }
    }
    Ok(found)
}

/// How well a message fits that was found, from 1 to 100.
async fn relevancy<S: Store>(
    context: &Context<'_, S>,
    question: &Question,
    candidate: &mut Candidate,
) -> Result<u8, OpError> {
    let (mut sum, mut count) = (0_usize, 0_usize);
    for leaf in search_fuzzy::leaves(&question.key) {
        let score = if holds(context, question, leaf, candidate).await? {
            search_fuzzy::WHOLLY
        } else if question.loose.has(leaf, &candidate.placement.message) == Some(true) {
            search_fuzzy::BY_WORDS
        } else {
            continue;
        };
        sum = sum.saturating_add(usize::from(score));
        count = count.saturating_add(1);
    }
    let mean = sum.checked_div(count);
    Ok(mean
        .and_then(|mean| u8::try_from(mean).ok())
        .unwrap_or(search_fuzzy::WHOLLY))
}

/// Whether a key holds, which is that of the question or one within it.
async fn holds<S: Store>(
    context: &Context<'_, S>,
    question: &Question,
    key: &SearchKey,
    candidate: &mut Candidate,
) -> Result<bool, OpError> {
    let judge = |candidate: &Candidate| judge(key, candidate, question);
    if let Some(decided) = judge(candidate) {
        return Ok(decided);
    }
    let message = context.account.message(candidate.placement.message).await?;
    // What has not come to this device yet cannot be searched; it does not fail the rest.
    let Some(message) = message else {
        return Ok(false);
    };
    let message: &Message = &message;
    let summary = &message.structure.summary;
    let keys = context.account.keys();
    candidate.thread = Some(thread_id(keys, &message.hash, summary));
    if let Some(decided) = judge(candidate) {
        return Ok(decided);
    }
    candidate.header = Some(read_header(context.account, message).await?);
    if let Some(decided) = judge(candidate) {
        return Ok(decided);
    }
    candidate.body = Some(body_texts(context.account, message).await?);
    Ok(judge(candidate).unwrap_or(false))
}

/// Whether a key holds; `None` if more has to be read first.
fn judge(key: &SearchKey, candidate: &Candidate, question: &Question) -> Option<bool> {
    let narrowing = &question.narrowing;
    let placement = &candidate.placement;
    let day = || Date::of(placement.internal_date);
    let on_day = |test: fn(Date, Date) -> bool, date: Date| {
        let header = candidate.header.as_ref()?;
        Some(header.sent.is_some_and(|sent| test(sent, date)))
    };
    match key {
        SearchKey::All => Some(true),
        SearchKey::And(keys) => all(keys.iter().map(|key| judge(key, candidate, question))),
        SearchKey::Or(left, right) => {
            let not = |key| judge(key, candidate, question).map(|holds| !holds);
            all([not(left), not(right)].into_iter()).map(|neither| !neither)
        }
        SearchKey::Not(key) => judge(key, candidate, question).map(|holds| !holds),
        SearchKey::Fuzzy(key) => {
            let loose = question.loose.has(key, &placement.message);
            loose.or_else(|| judge(key, candidate, question))
        }
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
        SearchKey::ModSeq(mod_seq) => Some(placement.mod_seq.get() >= *mod_seq),
        // The session has put UIDs in its place.
        SearchKey::Saved => Some(false),
        SearchKey::Older(seconds) => {
            Some(placement.internal_date.as_secs() <= ago(candidate.now, *seconds))
        }
        SearchKey::Younger(seconds) => {
            Some(placement.internal_date.as_secs() >= ago(candidate.now, *seconds))
        }
        SearchKey::EmailId(id) => Some(email_id(&placement.message) == *id),
        SearchKey::ThreadId(id) => Some(candidate.thread.as_ref()? == id),
        SearchKey::SavedBefore(date) => Some(Date::of(placement.save_date) < *date),
        SearchKey::SavedOn(date) => Some(Date::of(placement.save_date) == *date),
        SearchKey::SavedSince(date) => Some(Date::of(placement.save_date) >= *date),
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

/// The second so long before (RFC 5032 2).
fn ago(now: Timestamp, seconds: u32) -> i64 {
    now.as_secs().saturating_sub(i64::from(seconds))
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

/// The same key with its texts as they are compared (RFC 5255 4.3).
fn mapped(key: SearchKey) -> SearchKey {
    key.map(&|key| match key {
        SearchKey::Header { name, text } => SearchKey::Header {
            name,
            text: casemap(&text),
        },
        SearchKey::Body(text) => SearchKey::Body(casemap(&text)),
        SearchKey::Text(text) => SearchKey::Text(casemap(&text)),
        key => key,
    })
}

#[cfg(test)]
mod tests;

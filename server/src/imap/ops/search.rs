//! SEARCH (RFC 3501 6.4.4): exact substrings, in text as people read it.
//!
//! A message is judged by what is at hand first: numbers, flags, dates; only if that does not
//! decide is its header read, and only then its body ([`super::search_read`]). Texts are compared by i;unicode-casemap
//! (RFC 5255 4.3).
//! The account's index is asked first which messages cannot have a text: those are not read for
//! it ([`super::search_narrow`]). Rejected: believing the index; it knows words, not octets.

use std::collections::BTreeSet;
use std::sync::Arc;

use letterlock_core::account::{MessageDocument as Message, RosterEntry};
use letterlock_core::casemap::casemap;
use letterlock_core::id::{MailboxId, ModSeq, Timestamp, Uid};
use letterlock_core::search::CandidatePlace as Place;
use letterlock_core::store::Store;

use super::digest::{Digest, Text};
use super::search_fuzzy::{self, Loose};
use super::search_narrow::Narrowing;
use super::search_text::Header;
use super::{Context, OpError, search_read};
use crate::imap::command::SearchKey;
use crate::imap::date::Date;
use crate::imap::object_id::email_id;
use crate::imap::set::Range;
use crate::imap::view::Slot;

/// Messages that are judged together: so many documents are in memory.
const STEP: usize = 64;

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
pub(super) struct Candidate<'a> {
    pub(super) slot: Slot,
    /// What `*` stands for.
    pub(super) last: Slot,
    pub(super) entry: RosterEntry<'a>,
    pub(super) now: Timestamp,
    pub(super) digest: Option<Digest>,
    pub(super) message: Option<Arc<Message>>,
    /// Its THREADID, with the message.
    pub(super) thread: Option<String>,
    pub(super) header: Option<Header>,
    pub(super) body: Option<Vec<String>>,
    /// What its body has decided.
    pub(super) decided: Option<bool>,
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
    let roster = context.account.roster(mailbox).unwrap_or_default();
    let mut found = Vec::new();
    context.progress.expect(slots.len());
    for slots in slots.chunks(STEP) {
        let candidate = |slot: &Slot| {
            Some(Candidate {
                slot: *slot,
                last,
                entry: roster.find(slot.uid)?,
                now: context.now,
                digest: None,
                message: None,
                thread: None,
                header: None,
                body: None,
                decided: None,
            })
        };
        let candidates: Vec<Candidate<'_>> = slots.iter().filter_map(candidate).collect();
        for mut candidate in search_read::holding(context, question, candidates).await? {
            let relevancy = relevancy(context, question, &mut candidate).await?;
            found.push(Hit {
                slot: candidate.slot,
                mod_seq: candidate.entry.mod_seq(),
                relevancy,
            });
        }
        context.progress.step(slots.len());
    }
    Ok(found)
}

/// How well a message fits that was found, from 1 to 100.
async fn relevancy<S: Store>(
    context: &Context<'_, S>,
    question: &Question,
    candidate: &mut Candidate<'_>,
) -> Result<u8, OpError> {
    let (mut sum, mut count) = (0_usize, 0_usize);
    for leaf in search_fuzzy::leaves(&question.key) {
        let score = if search_read::holds(context, question, leaf, candidate).await? {
            search_fuzzy::WHOLLY
        } else if question.loose.has(leaf, &candidate.entry.message()) == Some(true) {
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

/// Whether a key holds; `None` if more has to be read first.
pub(super) fn judge(
    key: &SearchKey,
    candidate: &Candidate<'_>,
    question: &Question,
) -> Option<bool> {
    let narrowing = &question.narrowing;
    let entry = &candidate.entry;
    let day = || Date::of(entry.internal_date());
    let on_day = |test: fn(Date, Date) -> bool, date: Date| {
        let day = candidate.digest.as_ref()?.day();
        Some(day.is_some_and(|day| test(day, date)))
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
            let loose = question.loose.has(key, &entry.message());
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
        SearchKey::Flag(flag) => Some(entry.has(flag)),
        SearchKey::Recent => Some(candidate.slot.recent),
        SearchKey::Before(date) => Some(day() < *date),
        SearchKey::On(date) => Some(day() == *date),
        SearchKey::Since(date) => Some(day() >= *date),
        SearchKey::SentBefore(date) => on_day(|sent, date| sent < date, *date),
        SearchKey::SentOn(date) => on_day(|sent, date| sent == date, *date),
        SearchKey::SentSince(date) => on_day(|sent, date| sent >= date, *date),
        SearchKey::ModSeq(mod_seq) => Some(entry.mod_seq().get() >= *mod_seq),
        // The session has put UIDs in its place.
        SearchKey::Saved => Some(false),
        SearchKey::Older(seconds) => {
            Some(entry.internal_date().as_secs() <= ago(candidate.now, *seconds))
        }
        SearchKey::Younger(seconds) => {
            Some(entry.internal_date().as_secs() >= ago(candidate.now, *seconds))
        }
        SearchKey::EmailId(id) => Some(email_id(&entry.message()) == *id),
        SearchKey::ThreadId(id) => Some(candidate.thread.as_ref()? == id),
        SearchKey::SavedBefore(date) => Some(Date::of(entry.save_date()) < *date),
        SearchKey::SavedOn(date) => Some(Date::of(entry.save_date()) == *date),
        SearchKey::SavedSince(date) => Some(Date::of(entry.save_date()) >= *date),
        SearchKey::Larger(size) => Some(entry.size() > *size),
        SearchKey::Smaller(size) => Some(entry.size() < *size),
        SearchKey::Header { name, text } => header_contains(candidate, name, text, narrowing),
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

fn header_contains(
    candidate: &Candidate<'_>,
    name: &str,
    text: &str,
    narrowing: &Narrowing,
) -> Option<bool> {
    let message = candidate.entry.message();
    if Place::of_header(name).is_some_and(|place| narrowing.rules_out(place, text, &message)) {
        return Some(false);
    }
    match &candidate.digest {
        // No field has a line end in it.
        Some(digest) if is_message_id(name) && !text.contains('\n') => {
            let mut fields = digest.text(Text::MessageIdFields).lines();
            Some(fields.any(|field| field.contains(text)))
        }
        _ => Some(candidate.header.as_ref()?.field_contains(name, text)),
    }
}

/// Whether a field is one that a digest has.
pub(super) fn is_message_id(name: &str) -> bool {
    name.eq_ignore_ascii_case("message-id")
}

fn body_contains(candidate: &Candidate<'_>, text: &str, narrowing: &Narrowing) -> Option<bool> {
    if narrowing.rules_out(Place::Body, text, &candidate.entry.message()) {
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

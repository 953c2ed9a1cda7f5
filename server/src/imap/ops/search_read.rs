//! What a SEARCH reads: of many messages at once, and of each no more than decides.
//!
//! Invariant: bodies of at most [`BODY_OCTETS`], or of one message, are in memory at a time.

use std::sync::Arc;

use letterlock_core::account::{Account, MessageDocument as Message};
use letterlock_core::id::MessageHash;
use letterlock_core::mime::Span;
use letterlock_core::store::Store;

use super::lanes::load;
use super::search::{Candidate, Question, is_message_id, judge};
use super::search_text::{body_spans, body_texts, read_header};
use super::{Context, OpError, digest};
use crate::imap::command::SearchKey;
use crate::imap::object_id::thread_id;

/// Octets of bodies that are read together.
const BODY_OCTETS: u64 = 1024 * 1024;

/// Those for which the question's key holds.
pub(super) async fn holding<'a, S: Store>(
    context: &Context<'_, S>,
    question: &Question,
    mut candidates: Vec<Candidate<'a>>,
) -> Result<Vec<Candidate<'a>>, OpError> {
    let mut open = Undecided::of(question, &candidates);
    if !open.0.is_empty() && question.key.any(&reads_digest) {
        read_digests(context, &mut candidates, &open.0).await?;
        open.judge(question, &candidates);
    }
    if !open.0.is_empty() {
        read_messages(context, &mut candidates, &open.0).await?;
        open.judge(question, &candidates);
    }
    for nth in &open.0 {
        if let Some(candidate) = candidates.get_mut(*nth) {
            candidate.header = candidate.message.as_deref().map(read_header);
        }
    }
    open.judge(question, &candidates);
    read_bodies(context, question, &mut candidates, &open.0).await?;
    candidates.retain(|candidate| {
        let decided = candidate.decided;
        decided.or_else(|| judge(&question.key, candidate, question)) == Some(true)
    });
    Ok(candidates)
}

/// Whether a key holds for one message, which is that of the question or one within it.
pub(super) async fn holds<S: Store>(
    context: &Context<'_, S>,
    question: &Question,
    key: &SearchKey,
    candidate: &mut Candidate<'_>,
) -> Result<bool, OpError> {
    if let Some(decided) = judge(key, candidate, question) {
        return Ok(decided);
    }
    if candidate.digest.is_none() && key.any(&reads_digest) {
        let digests = digest::all(context, &[candidate.entry.message()]).await?;
        candidate.digest = digests.into_iter().next().flatten();
    }
    if candidate.message.is_none() {
        let message = context.account.message(candidate.entry.message()).await?;
        take_message(context, candidate, message);
    }
    candidate.header = candidate.message.as_deref().map(read_header);
    if let Some(decided) = judge(key, candidate, question) {
        return Ok(decided);
    }
    if let Some(message) = candidate.message.clone() {
        candidate.body = bodies(context.account, &[message]).await?.pop();
    }
    Ok(judge(key, candidate, question).unwrap_or(false))
}

/// Which candidates are not decided.
struct Undecided(Vec<usize>);

impl Undecided {
    fn of(question: &Question, candidates: &[Candidate<'_>]) -> Self {
        let mut open = Self((0..candidates.len()).collect());
        open.judge(question, candidates);
        open
    }

    fn judge(&mut self, question: &Question, candidates: &[Candidate<'_>]) {
        self.0.retain(|nth| {
            let candidate = candidates.get(*nth);
            candidate.is_some_and(|one| judge(&question.key, one, question).is_none())
        });
    }
}

/// Whether a key is about something that a digest has.
fn reads_digest(key: &SearchKey) -> bool {
    match key {
        SearchKey::SentBefore(_) | SearchKey::SentOn(_) | SearchKey::SentSince(_) => true,
        SearchKey::Header { name, .. } => is_message_id(name),
        _ => false,
    }
}

async fn read_digests<S: Store>(
    context: &Context<'_, S>,
    candidates: &mut [Candidate<'_>],
    open: &[usize],
) -> Result<(), OpError> {
    let digests = digest::all(context, &hashes(candidates, open)).await?;
    for (nth, digest) in open.iter().zip(digests) {
        if let Some(candidate) = candidates.get_mut(*nth) {
            candidate.digest = digest;
        }
    }
    Ok(())
}

async fn read_messages<S: Store>(
    context: &Context<'_, S>,
    candidates: &mut [Candidate<'_>],
    open: &[usize],
) -> Result<(), OpError> {
    let found = load(context.account, hashes(candidates, open), documents).await?;
    for (nth, message) in open.iter().zip(found) {
        if let Some(candidate) = candidates.get_mut(*nth) {
            take_message(context, candidate, message);
        }
    }
    Ok(())
}

async fn documents<S: Store>(
    account: Arc<Account<S>>,
    hashes: Vec<MessageHash>,
) -> Result<Vec<Option<Arc<Message>>>, OpError> {
    let found = account.messages(&hashes).await?.into_iter();
    found.map(|message| Ok(message?)).collect()
}

/// What has not come to this device yet cannot be searched; it does not fail the rest.
fn take_message<S: Store>(
    context: &Context<'_, S>,
    candidate: &mut Candidate<'_>,
    message: Option<Arc<Message>>,
) {
    let thread = message.as_ref().map(|message| {
        let summary = &message.structure.summary;
        thread_id(context.account.keys(), &message.hash, summary)
    });
    candidate.thread = thread;
    candidate.message = message;
}

fn hashes(candidates: &[Candidate<'_>], open: &[usize]) -> Vec<MessageHash> {
    let open = open.iter().filter_map(|nth| candidates.get(*nth));
    open.map(|candidate| candidate.entry.message()).collect()
}

/// Reads the bodies of those that are not decided, some at a time, and keeps what is decided.
async fn read_bodies<S: Store>(
    context: &Context<'_, S>,
    question: &Question,
    candidates: &mut [Candidate<'_>],
    open: &[usize],
) -> Result<(), OpError> {
    let mut open = open;
    while !open.is_empty() {
        let mut octets = 0_u64;
        let fits = |nth: &&usize| {
            let size = candidates.get(**nth).map_or(0, |one| one.entry.size());
            octets = octets.saturating_add(size);
            octets <= BODY_OCTETS
        };
        let count = open.iter().take_while(fits).count().max(1);
        let (now, later) = open.split_at_checked(count).unwrap_or((open, &[]));
        open = later;
        let messages = now
            .iter()
            .filter_map(|nth| candidates.get(*nth)?.message.clone());
        let messages: Vec<Arc<Message>> = messages.collect();
        let read = load(context.account, messages, |account, messages| async move {
            bodies(&account, &messages).await
        });
        let mut read = read.await?.into_iter();
        for nth in now {
            if let Some(candidate) = candidates.get_mut(*nth)
                && candidate.message.is_some()
            {
                candidate.body = read.next();
                candidate.decided = judge(&question.key, candidate, question);
                candidate.body = None;
            }
        }
    }
    Ok(())
}

/// The texts of messages.
async fn bodies<S: Store>(
    account: &Account<S>,
    messages: &[Arc<Message>],
) -> Result<Vec<Vec<String>>, OpError> {
    let spans: Vec<Vec<Span>> = messages.iter().map(|message| body_spans(message)).collect();
    let each = messages.iter().zip(&spans);
    let wanted =
        each.flat_map(|(message, spans)| spans.iter().map(|span| (Arc::clone(message), *span)));
    let wanted: Vec<(Arc<Message>, Span)> = wanted.collect();
    let mut read = account.read_many(&wanted).await?.into_iter();
    let each = messages.iter().zip(&spans);
    each.map(|(message, spans)| body_texts(message, read.by_ref().take(spans.len())))
        .collect()
}

//! Contents of messages, fetched when they are wanted.
//!
//! A browser hears of everything but the contents ([`Extent::WithoutContents`]). What somebody opens
//! is fetched at that moment, the texts of the newest messages are fetched ahead, and what was used
//! least lately is let go when it is more than [`BUDGET_OCTETS`].
//!
//! Invariant: a content that comes is the one that was wanted; its id is a keyed hash of what is in it.
//! Rejected: fetching everything in the background, which a telephone pays for and a browser's
//! storage may not hold.
//!
//! [`Extent::WithoutContents`]: letterlock_core::sync::engine::Extent::WithoutContents

use std::rc::Rc;
use std::sync::Arc;

use letterlock_core::account::{MessageDocument as Message, ReplicaError};
use letterlock_core::id::{DocId, Timestamp};
use letterlock_core::mime::Span;
use letterlock_core::sync::filling::Filling;
use letterlock_core::sync::wire::{DocumentsRequest, DocumentsResponse};

use super::exchange::{ExchangeError, token};
use super::provider::{self, ProviderError};
use super::session::{Session, now};
use super::{devices, mail, present};
use crate::protocol::{Failure, Place, Response};

/// How many octets of contents a browser keeps, sealed. What it opened last stays readable without a
/// network; what browsers grant an origin is more, but not much more on a telephone.
pub const BUDGET_OCTETS: u64 = 256 * 1024 * 1024;
/// After so many fetched octets it is looked whether the budget holds.
const LOOKED_AT_OCTETS: u64 = 4 * 1024 * 1024;
/// So many of the newest messages can be read without a network: their texts are fetched ahead,
const AHEAD_MESSAGES: usize = 50;
/// as far as these have so many octets.
const AHEAD_OCTETS: u64 = 8 * 1024 * 1024;
/// How often it is tried while another tab writes.
const TRIES: usize = 3;
/// How often the collector runs, in milliseconds; the first time when the first pull has ended.
const COLLECT_EVERY_MS: i64 = 10 * 60 * 1000;
/// Most messages and contents that one run of the collector removes.
const COLLECT_LIMIT: usize = 500;

type Wanted = Vec<(Arc<Message>, Span)>;

/// One message, opened.
pub async fn message(session: &Rc<Session>, place: &Place) -> Result<Response, Failure> {
    let wanted = mail::wanted(&session.account, place).await?;
    fetch(session, wanted).await?;
    mail::message(&session.account, place).await
}

/// The octets of an attachment, with its media type and file name.
pub async fn attachment(
    session: &Rc<Session>,
    place: &Place,
    index: u32,
) -> Result<(Vec<u8>, String, String), Failure> {
    let wanted = mail::wanted_attachment(&session.account, place, index).await?;
    fetch(session, wanted).await?;
    mail::attachment(&session.account, place, index).await
}

async fn fetch(session: &Rc<Session>, wanted: Wanted) -> Result<(), Failure> {
    for _ in 0..TRIES {
        let missing = session.account.missing(&wanted).await;
        let missing = missing.map_err(mail::failed)?;
        if missing.is_empty() {
            break;
        }
        match bring(session, missing).await {
            Ok(()) | Err(ExchangeError::Replica(ReplicaError::Busy)) => {}
            Err(error) => return Err(not_fetched(error)),
        }
    }
    // Nobody waits for the note, which may have to wait for who writes.
    let session = Rc::clone(session);
    wasm_bindgen_futures::spawn_local(async move {
        session.account.note_used(&wanted, now()).await.ok();
    });
    Ok(())
}

fn not_fetched(error: ExchangeError) -> Failure {
    match error {
        ExchangeError::Provider(ProviderError::Unreachable) => Failure::Away,
        ExchangeError::Replica(error) => mail::failed(error),
        error => Failure::Refused(format!("This could not be fetched: {error}.")),
    }
}

/// Fetches documents of contents, in this order. What the provider does not have does not come.
pub async fn bring(session: &Session, documents: Vec<DocId>) -> Result<(), ExchangeError> {
    let account = &session.account;
    let mut filling = Filling::of(documents);
    while let Some(request) = filling.next_request(account).await? {
        let response = ask(session, &request).await?;
        let octets: usize = response.envelopes.iter().map(|one| one.len()).sum();
        let octets = u64::try_from(octets).unwrap_or(u64::MAX);
        let fetched = session.fetched.get().saturating_add(octets);
        session.fetched.set(fetched);
        filling.handle_documents(account, response, now()).await?;
    }
    if session.fetched.get() >= LOOKED_AT_OCTETS {
        session.fetched.set(0);
        account.let_go(BUDGET_OCTETS, now()).await?;
    }
    Ok(())
}

async fn ask(
    session: &Session,
    request: &DocumentsRequest,
) -> Result<DocumentsResponse, ExchangeError> {
    match provider::documents(&token(session)?, request).await {
        Err(ProviderError::Unauthorized) if devices::log_in_again(session).await? => {
            Ok(provider::documents(&token(session)?, request).await?)
        }
        response => Ok(response?),
    }
}

/// Fetches the texts of the newest messages whenever the exchange has come to rest.
pub async fn ahead_loop(session: Rc<Session>) {
    loop {
        session.rested.wait().await;
        if session.closed.get() {
            return;
        }
        // What fails is fetched the next time, or when it is opened.
        ahead(&session).await.ok();
    }
}

async fn ahead(session: &Session) -> Result<(), ExchangeError> {
    let account = &session.account;
    if !account.awaits_any().await? {
        return Ok(());
    }
    let mut newest = account.newest_messages();
    newest.truncate(AHEAD_MESSAGES);
    let mut wanted: Wanted = Vec::new();
    let mut room = AHEAD_OCTETS;
    for message in account.messages(&newest).await? {
        let Ok(Some(message)) = message else { continue };
        for span in present::wanted(&message.structure) {
            let Some(left) = room.checked_sub(span.len()) else {
                continue;
            };
            room = left;
            wanted.push((Arc::clone(&message), span));
        }
    }
    bring(session, account.missing(&wanted).await?).await
}

/// Judges and opens again what newer keys allow; a failure holds up nothing.
pub async fn judge_again(session: &Session) {
    let account = &session.account;
    let mut missing = Vec::new();
    account.open_closed_lazily(now(), &mut missing).await.ok();
    account.judge_again_lazily(now(), &mut missing).await.ok();
    if !missing.is_empty() && bring(session, missing).await.is_ok() {
        account.open_closed(now()).await.ok();
        account.judge_again(now()).await.ok();
    }
}

/// Removes what nothing refers to any more, and lets go what is too much, now and then: mail that is
/// taken in here is not fetched. What fails is done the next time.
pub async fn collect(session: &Session, last: &mut Option<Timestamp>) {
    let now = now();
    let is_due = last
        .is_none_or(|last| now.as_millis().saturating_sub(last.as_millis()) >= COLLECT_EVERY_MS);
    if is_due {
        *last = Some(now);
        try_collect(session, now).await.ok();
        session.account.let_go(BUDGET_OCTETS, now).await.ok();
    }
}

/// What is to be removed and is not here is fetched first: a removal follows what was there.
async fn try_collect(session: &Session, now: Timestamp) -> Result<(), ExchangeError> {
    let account = &session.account;
    let gone = session.gone.borrow().clone();
    let collecting = account.collect_lazily(now, COLLECT_LIMIT, &gone);
    let (_, missing) = collecting.await?;
    if missing.is_empty() {
        return Ok(());
    }
    bring(session, missing.clone()).await?;
    let still = account.awaited_of(&missing).await?;
    session.gone.borrow_mut().extend(still);
    let gone = session.gone.borrow().clone();
    let collecting = account.collect_lazily(now, COLLECT_LIMIT, &gone);
    collecting.await?;
    Ok(())
}

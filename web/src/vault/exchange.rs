//! The exchange with the provider while an account is open: one loop that pulls, one that pushes, one
//! that indexes, and one that fetches contents ahead ([`super::fetching`]).
//!
//! One pulls, listens for news, and takes in what came; another pushes whenever
//! something has changed here, and sends what waits in the outbox; the third takes what has come
//! into the search index. None knows of the others: the replica's writer lock keeps them apart.
//!
//! Invariant: nothing is lost when a call fails or the worker ends at any moment; what was not
//! confirmed is done again, and doing it again changes nothing.

use std::rc::Rc;

use futures::FutureExt;
use letterlock_core::account::{
    Answers, DevicesError, DirectoryError, KeyError, MustEncrypt, Prepared, TakenIn,
};
use letterlock_core::account::{IncomingMessage, OutboxEntry, PendingPush, ReplicaError};
use letterlock_core::auth::wire::{Publish, Token};
use letterlock_core::id::{Address, Timestamp};
use letterlock_core::keys::Found;
use letterlock_core::model::Role;
use letterlock_core::sync::engine::{self, Extent, Next};
use rand::Rng as _;
use rand::rngs::OsRng;

use super::listening::{Heard, Listening};
use super::provider::{self, ProviderError};
use super::session::{Session, device_store, now};
use super::signal::pause;
use super::{device, devices, directory, fetching, first_look, serve};
use crate::protocol::{News, SyncState};

/// The first pause after a failure, in milliseconds; it doubles each time.
const FIRST_PAUSE_MS: i32 = 2_000;
/// The longest pause, in milliseconds.
const LONGEST_PAUSE_MS: i32 = 60_000;
/// Messages that are indexed at a time: what the page asks for waits so long.
const INDEXED_AT_A_TIME: usize = 16;
/// How often the account's own keys are looked at, in milliseconds.
const MAINTAIN_EVERY_MS: i64 = 60 * 60 * 1000;
/// How often a message is tried at which the worker died.
const MAX_ATTEMPTS: u8 = 2;

/// Why a round ended.
#[derive(Debug, thiserror::Error)]
pub enum ExchangeError {
    /// The provider.
    #[error(transparent)]
    Provider(#[from] ProviderError),
    /// The replica.
    #[error(transparent)]
    Replica(#[from] ReplicaError),
    /// The account's key.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The provider's key directory.
    #[error(transparent)]
    Directory(#[from] DirectoryError),
    /// The account's list of devices.
    #[error(transparent)]
    Devices(#[from] DevicesError),
}

/// Starts the loops; they end when the session is closed.
pub fn start(session: &Rc<Session>) {
    wasm_bindgen_futures::spawn_local(pull_loop(Rc::clone(session)));
    wasm_bindgen_futures::spawn_local(push_loop(Rc::clone(session)));
    wasm_bindgen_futures::spawn_local(index_loop(Rc::clone(session)));
    wasm_bindgen_futures::spawn_local(fetching::ahead_loop(Rc::clone(session)));
}

async fn pull_loop(session: Rc<Session>) {
    let mut listening = Listening::default();
    let mut told = SyncState::Unknown;
    let mut waits = false;
    let mut pause_ms = FIRST_PAUSE_MS;
    let mut working = true;
    let mut collected_at = None;
    let mut maintained_at = None;
    let mut checked_at = None;
    let mut again = Again::May;
    // What fails there is told here.
    first_look::look(&session).await.ok();
    while !session.closed.get() {
        if working {
            serve::tell(News::Sync(SyncState::Working { taken_in: 0 }));
        }
        let heard = if waits {
            listening.wait(&session).await
        } else {
            Ok(Heard::Ask(0))
        };
        if session.closed.get() {
            return;
        }
        let asks = matches!(heard, Ok(Heard::Ask(_)));
        match hear(&session, heard).await {
            Ok(Next::Again) => (waits, working) = (false, true),
            Ok(Next::Idle) => {
                (waits, pause_ms, working) = (true, FIRST_PAUSE_MS, false);
                again = Again::May;
                maintain_keys(&session, &mut maintained_at).await;
                // Not with each piece of news: the tab asks soon after.
                if asks && check(&session, &mut checked_at, &mut told).await == Next::Again {
                    waits = false;
                } else {
                    serve::tell(News::Sync(told.clone()));
                }
                fetching::collect(&session, &mut collected_at).await;
                session.rested.set();
            }
            Err(error) => {
                let Some(error) = renewed(&session, error, &mut again).await else {
                    waits = false;
                    continue;
                };
                serve::tell(News::Sync(state(&session, &error).await));
                let again = pause(jittered(pause_ms)).fuse();
                let woken = session.wake.wait().fuse();
                futures::pin_mut!(again, woken);
                futures::future::select(again, woken).await;
                pause_ms = pause_ms.saturating_mul(2).min(LONGEST_PAUSE_MS);
                (waits, working) = (false, true);
            }
        }
    }
}

/// Whether this device has logged in again since an exchange ended well.
#[derive(PartialEq, Eq)]
enum Again {
    May,
    Has,
}

/// Logs in again if the token has ended, as one does after a day; else what is wrong.
async fn renewed(
    session: &Session,
    error: ExchangeError,
    again: &mut Again,
) -> Option<ExchangeError> {
    let ended = matches!(error, ExchangeError::Provider(ProviderError::Unauthorized));
    if !ended || *again == Again::Has {
        return Some(error);
    }
    match devices::log_in_again(session).await {
        Ok(true) => {
            *again = Again::Has;
            None
        }
        Ok(false) => Some(error),
        Err(error) => Some(error),
    }
}

/// Between half and all of it: not all devices of a provider that was away come back at once.
fn jittered(ms: i32) -> i32 {
    OsRng.gen_range(ms / 2..=ms)
}

/// Checks what the provider says of keys and of devices; what to tell of it.
async fn check(
    session: &Session,
    checked_at: &mut Option<Timestamp>,
    told: &mut SyncState,
) -> Next {
    let false_keys = match directory::check(session).await {
        Ok((Next::Again, _)) => return Next::Again,
        Ok((Next::Idle, alarm)) => alarm.map(|alarm| alarm.to_string()),
        // If the provider does not answer, the next pull says so.
        Err(_) => None,
    };
    let false_devices = devices::check(session, checked_at).await.ok().flatten();
    let alarm = false_keys.or_else(|| false_devices.map(|alarm| alarm.to_string()));
    *told = match alarm {
        Some(alarm) => {
            SyncState::Failed(format!("{alarm}. A message in the inbox says what to do."))
        }
        None => SyncState::Current,
    };
    Next::Idle
}

/// Renews and makes the account's own keys where that is due, now and then. Only when all that the
/// provider has is here: the one that is missing may be on its way.
async fn maintain_keys(session: &Session, last: &mut Option<Timestamp>) {
    let now = now();
    let is_due = last
        .is_none_or(|last| now.as_millis().saturating_sub(last.as_millis()) >= MAINTAIN_EVERY_MS);
    if is_due {
        *last = Some(now);
        // What fails is done the next time.
        session.account.maintain_keys(now).await.ok();
    }
}

/// Tells the directory what it does not have yet of the account's certificates.
async fn publish_keys(session: &Session) -> Result<(), ExchangeError> {
    let Ok(Some(publication)) = session.account.to_publish(now()).await else {
        return Ok(());
    };
    let certificates = publication.certificates.iter();
    let body = Publish {
        certificates: certificates
            .map(|certificate| certificate.to_bytes().into())
            .collect(),
    };
    match provider::publish(&token(session)?, &body).await {
        Err(error) if error.is_passing() => return Err(error.into()),
        // Refused for good, or done.
        _ => session.account.note_published(&publication),
    }
    Ok(())
}

async fn push_loop(session: Rc<Session>) {
    let mut changes = session.account.subscribe();
    let mut pause_ms = FIRST_PAUSE_MS;
    while !session.closed.get() {
        let result = push_round(&session).await;
        serve::tell(News::Changed);
        if result.is_ok() {
            pause_ms = FIRST_PAUSE_MS;
            changes.changed().await;
        } else {
            // The pull loop says what is wrong: it fails by the same cause.
            pause(jittered(pause_ms)).await;
            pause_ms = pause_ms.saturating_mul(2).min(LONGEST_PAUSE_MS);
        }
    }
}

/// Nobody waits for the index: a search brings it up to date.
async fn index_loop(session: Rc<Session>) {
    let mut changes = session.account.subscribe();
    while !session.closed.get() {
        match session.account.index_step(INDEXED_AT_A_TIME).await {
            // The page's questions come first.
            Ok(step) if step.more => pause(0).await,
            // Another window may have written; whatever it was, the next change tries again.
            Ok(_) | Err(_) => changes.changed().await,
        }
    }
}

async fn state(session: &Session, error: &ExchangeError) -> SyncState {
    match error {
        ExchangeError::Provider(ProviderError::Unreachable) => SyncState::Offline,
        ExchangeError::Provider(ProviderError::Unauthorized) => {
            session.drop_token().await;
            SyncState::Failed(
                "The provider asks for your password again: lock this tab and log in.".to_owned(),
            )
        }
        error => SyncState::Failed(format!("The mail here is not in step: {error}.")),
    }
}

pub(super) fn token(session: &Session) -> Result<Token, ProviderError> {
    session.token().ok_or(ProviderError::Unauthorized)
}

/// Takes in what was pushed, or asks.
async fn hear(
    session: &Session,
    heard: Result<Heard, ProviderError>,
) -> Result<Next, ExchangeError> {
    let account = &session.account;
    let next = match heard? {
        Heard::News(news) => engine::handle_news(account, news, now()).await,
        Heard::Ask(wait_ms) => {
            let request = engine::pull_request(account, Extent::WithoutContents, wait_ms).await?;
            let response = provider::pull(&token(session)?, &request).await?;
            engine::handle_pull(account, request.since, response, now()).await
        }
    };
    let next = match next {
        Err(error) if error.is_later_epoch() => {
            devices::fetch_keys(session).await?;
            return Err(error.into());
        }
        next => next?,
    };
    account.tell_of_manifest(now()).await?;
    if next == Next::Idle {
        take_in_all(session).await?;
        fetching::judge_again(session).await;
    }
    Ok(next)
}

/// Opens and stores what waits. A message that does not open stays and is tried again when the
/// account is opened the next time.
async fn take_in_all(session: &Session) -> Result<(), ExchangeError> {
    let mut taken_in = 0;
    let mut after = None;
    // One at a time: each may be as large as a message can be.
    while let Some(incoming) = session.account.next_incoming(after).await? {
        after = Some(incoming.generation);
        if let TakenIn::Done(_) = take_in(session, &incoming).await? {
            taken_in += 1;
            serve::tell(News::Sync(SyncState::Working { taken_in }));
        }
    }
    Ok(())
}

async fn take_in(session: &Session, incoming: &IncomingMessage) -> Result<TakenIn, ExchangeError> {
    if incoming.problem.is_some() {
        return Ok(TakenIn::Kept(String::new()));
    }
    let id = incoming.id.as_bytes();
    let store = device_store().await.ok();
    if let Some(store) = &store
        && device::count_attempt(store, id)
            .await
            .is_ok_and(|count| count > MAX_ATTEMPTS)
    {
        return Ok(TakenIn::Kept(String::new()));
    }
    let outcome = judged(session, incoming).await;
    // Whatever came of it, the worker lives.
    if let Some(store) = &store {
        device::clear_attempts(store, id).await.ok();
    }
    outcome
}

async fn judged(session: &Session, incoming: &IncomingMessage) -> Result<TakenIn, ExchangeError> {
    let account = &session.account;
    // What the directory could not prove is nobody's key here, and not known elsewhere.
    let mut unproven = Answers::new();
    loop {
        let mut answers = session.answers.borrow().clone();
        answers.extend(unproven.clone());
        match account.take_in(incoming, &answers, now()).await? {
            TakenIn::NeedsCertificate(address) => match look_up(session, &address).await {
                Err(ExchangeError::Directory(_)) => {
                    unproven.insert(address.canonical(), None);
                }
                other => other?,
            },
            done @ (TakenIn::Done(_) | TakenIn::Kept(_)) => return Ok(done),
        }
    }
}

/// Asks the directory once for an address while this account is open.
pub async fn look_up(session: &Session, address: &Address) -> Result<(), ExchangeError> {
    let found = if session.account.is_at_home(address) {
        directory::proven(session, address).await?
    } else {
        let answer = provider::certificates(&token(session)?, address).await?;
        let own = session.account.address();
        // What does not parse can be used for nothing: the same as none.
        answer.and_then(|octets| Found::answered(own, address, &octets, now()))
    };
    session
        .answers
        .borrow_mut()
        .insert(address.canonical(), found);
    Ok(())
}

async fn push_round(session: &Session) -> Result<(), ExchangeError> {
    for entry in session.account.outbox().await? {
        // One mail that is refused does not hold up the next.
        match send(session, &entry).await {
            Err(ExchangeError::Provider(error)) if error.is_passing() => return Err(error.into()),
            // What needs a key of a directory that does not hold waits, and nothing else with it.
            Ok(()) | Err(ExchangeError::Provider(_) | ExchangeError::Directory(_)) => {}
            Err(error) => return Err(error),
        }
    }
    if let Some(contents) = session.account.unsure_contents().await? {
        fetching::bring(session, contents).await?;
        session.account.contents_are_known(now()).await?;
    }
    while let Some(push) = engine::next_push(&session.account).await? {
        let response = match provider::push(&token(session)?, &push.request).await {
            Err(ProviderError::SetBack) => {
                engine::handle_gap(&session.account, &push, now()).await?;
                return Err(ProviderError::SetBack.into());
            }
            Err(ProviderError::OldKeys) => {
                seal_again(session, &push).await?;
                continue;
            }
            response => response?,
        };
        engine::handle_push(&session.account, &push, response, now()).await?;
    }
    publish_keys(session).await
}

/// The provider takes nothing more under the keys that a push was sealed under: it is sealed again
/// under the newest, which the list of devices brings if they are not here.
async fn seal_again(session: &Session, push: &PendingPush) -> Result<(), ExchangeError> {
    let account = &session.account;
    if engine::handle_old_keys(account, push, now()).await? {
        return Ok(());
    }
    devices::fetch_keys(session).await?;
    if engine::handle_old_keys(account, push, now()).await? {
        return Ok(());
    }
    // Nothing newer is known: the provider does not mean what it says.
    Err(ProviderError::OldKeys.into())
}

/// Protects a mail of the outbox, hands it over and files it under Sent.
pub async fn send(session: &Session, entry: &OutboxEntry) -> Result<(), ExchangeError> {
    let account = &session.account;
    let token = token(session)?;
    loop {
        let answers = session.answers.borrow().clone();
        match account.prepare(entry, &answers, now()).await? {
            Prepared::NeedsCertificates(addresses) => {
                for address in &addresses {
                    look_up(session, address).await?;
                }
            }
            Prepared::Ready(ready) => {
                let mut refusal = None;
                for submission in &ready.submissions {
                    match provider::submit(&token, submission).await {
                        // The other groups get it; the user hears of this one.
                        Err(error) if !error.is_passing() => {
                            refusal.get_or_insert(error.to_string());
                        }
                        other => other?,
                    }
                }
                if let Some(reason) = refusal {
                    return give_up(session, entry, &reason).await;
                }
                account.file_sent(entry, ready.protection, now()).await?;
                return Ok(());
            }
            Prepared::Refused { missing, because } => {
                let names: Vec<&str> = missing.iter().map(Address::as_str).collect();
                let names = names.join(", ");
                let reason = match because {
                    MustEncrypt::Policy => format!("no key is known for {names}"),
                    MustEncrypt::Answer => {
                        format!("it answers an encrypted letter, and no key is known for {names}")
                    }
                };
                return give_up(session, entry, &reason).await;
            }
            Prepared::Failed(error) => return give_up(session, entry, &error.to_string()).await,
        }
    }
}

/// Puts a mail that cannot be sent among the drafts, and out of the outbox.
async fn give_up(
    session: &Session,
    entry: &OutboxEntry,
    reason: &str,
) -> Result<(), ExchangeError> {
    let drafts = session
        .account
        .mailbox_for(Role::Drafts)
        .ok_or(ReplicaError::NoSuchMailbox)?;
    session
        .account
        .outbox_failed(entry, drafts.id, &entry.message, now())
        .await?;
    let message = format!("{reason}; it was put among the drafts");
    Err(ProviderError::Refused {
        status: 422,
        message,
    }
    .into())
}

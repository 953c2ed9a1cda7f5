//! Drives the core's sans-IO engine over HTTP: pull or listen, and take in; push.
//!
//! Three loops for each account. One pulls, listens for news, takes incoming mail in after each, and fetches what a first sync has left out, the newest first; another pushes
//! whenever the replica has changed; the third takes what has come, from wherever, into the search
//! index. Invariant: a failure of any kind waits and tries
//! again, nothing is dropped, and the status says why.

use std::sync::Arc;
use std::time::Duration;

use letterlock_core::account::Subscription;
use letterlock_core::account::{Answers, DirectoryError, KeyError, TakenIn};
use letterlock_core::account::{IncomingMessage, PendingPush, ReplicaError};
use letterlock_core::id::{Generation, Timestamp};
use letterlock_core::keys::lookup::Purpose;
use letterlock_core::sync::engine::{self, Extent, Next};
use letterlock_core::sync::filling::Filling;
use letterlock_core::sync::wire::PushResponse;
use rand::rngs::OsRng;
use tokio_util::sync::CancellationToken;

use super::accounts::{BridgeAccount, SyncStatus};
use super::backoff::Backoff;
use super::contents;
use super::devices;
use super::directory;
use super::listening::{Heard, Listening};
use super::own_keys;
use super::provider_client::ProviderError;
use crate::clock;
use crate::imap::Room;
use crate::shutdown::Shutdown;

/// Most conflicts in a row that are merged before the provider is given time: another device may
/// write on and on, or the provider may not mean what it says.
const MAX_CONFLICTS: usize = 8;
/// Most certificates that are looked up for one message.
const MAX_LOOKUPS_PER_MESSAGE: usize = 4;
/// Messages that are indexed at a time: a few milliseconds, in which nothing else runs here.
const INDEXED_AT_A_TIME: usize = 32;

/// How long the index rests after it has taken in all there was: what comes meanwhile is taken in
/// together. Each message by itself would be a write of its own beside the one that stores it.
const INDEX_REST: Duration = Duration::from_secs(1);
/// So long nothing must have changed before a change is pushed: a mail program that is at it waits
/// for nothing of it, and what it does in one go is one push.
const PUSH_LULL: Duration = Duration::from_millis(10);
/// But no change waits longer than this for such a moment.
const PUSH_AT_LAST: Duration = Duration::from_millis(500);
/// How long the index waits at first for mail that is still coming in: the provider may be away.
const INDEX_WAIT: Duration = Duration::from_mins(10);

/// How often the provider is asked how much room the account takes and who its devices are, in
/// milliseconds.
const ASK_EVERY_MS: i64 = 5 * 60 * 1000;
/// How often the collector runs, in milliseconds.
const COLLECT_EVERY_MS: i64 = 5 * 60 * 1000;
/// Most messages and contents that one run of the collector removes.
const COLLECT_LIMIT: usize = 2000;

/// Why an exchange stopped; it is tried again.
#[derive(Debug, thiserror::Error)]
pub(super) enum ExchangeError {
    #[error(transparent)]
    Provider(#[from] ProviderError),
    #[error(transparent)]
    Replica(#[from] ReplicaError),
    #[error(transparent)]
    Key(#[from] KeyError),
    #[error(transparent)]
    Directory(#[from] DirectoryError),
}

/// Starts an account's loops.
pub fn start(account: &Arc<BridgeAccount>, shutdown: &Shutdown) {
    let (pulling, token) = (Arc::clone(account), shutdown.token.clone());
    shutdown.spawn_behind(async move { pull_loop(&pulling, &token).await });
    let (pushing, token) = (Arc::clone(account), shutdown.token.clone());
    shutdown.spawn_behind(async move { push_loop(&pushing, &token).await });
    let (indexing, token) = (Arc::clone(account), shutdown.token.clone());
    shutdown.spawn_behind(async move { index_loop(&indexing, &token).await });
}

async fn pull_loop(account: &BridgeAccount, shutdown: &CancellationToken) {
    let mut backoff = Backoff::default();
    let mut listening = Listening::new();
    let mut waits = false;
    // What could not be opened before may open now: a newer program, a key that came.
    let mut retry_kept = true;
    let mut first = FirstSync::of(account);
    let mut collected_at = Timestamp::from_millis(0);
    let mut asked_at = collected_at;
    let mut maintained_at = collected_at;
    loop {
        let exchange = Box::pin(async {
            let heard = if waits {
                listening.wait(account).await?
            } else {
                Heard::Ask(0)
            };
            hear(account, heard, &mut first, &mut retry_kept).await
        });
        let result = tokio::select! {
            () = shutdown.cancelled() => return,
            result = exchange => result,
        };
        match result {
            Ok(Next::Again) => {
                account.set_behind(true);
                waits = false;
            }
            Ok(Next::Idle) => {
                account.set_behind(false);
                backoff.reset();
                account.set_status(SyncStatus::Current);
                waits = true;
                own_keys::maintain(account, &mut maintained_at).await;
                collect(account, &mut collected_at).await;
                ask_for_account(account, &mut asked_at).await;
            }
            Err(error) => {
                // After a failure the state is told at once, not with the next news.
                waits = false;
                if !pause(account, &error, &mut backoff, shutdown).await {
                    return;
                }
            }
        }
    }
}

/// What a device hears of before it is up to date for the first time, and what it has left out.
struct FirstSync {
    /// A device that has nothing yet hears of all messages before it fetches their contents.
    extent: Extent,
    filling: Option<Filling>,
    /// Whether it is known what was left out, by this or by an earlier run.
    looked: bool,
}

impl FirstSync {
    fn of(account: &BridgeAccount) -> Self {
        let is_new = account.account.pulled() == Generation::default();
        Self {
            extent: if is_new {
                Extent::WithoutContents
            } else {
                Extent::Everything
            },
            filling: None,
            looked: false,
        }
    }

    /// Fetches some of what was left out. Between two steps new mail is heard of.
    async fn fill(&mut self, account: &BridgeAccount) -> Result<Next, ExchangeError> {
        self.extent = Extent::Everything;
        if !self.looked {
            self.filling = Filling::begin(&account.account).await?;
            self.looked = true;
        }
        let Some(filling) = &mut self.filling else {
            return Ok(Next::Idle);
        };
        let Some(request) = filling.next_request(&account.account).await? else {
            self.filling = None;
            return Ok(Next::Idle);
        };
        let token = account.token();
        let response = account.provider.documents(&token, &request).await?;
        let now = clock::now();
        filling
            .handle_documents(&account.account, response, now)
            .await?;
        Ok(Next::Again)
    }
}

/// Removes what nothing refers to any more, now and then. After a pull, because the newest of
/// what other devices refer to is known then.
async fn collect(account: &BridgeAccount, last: &mut Timestamp) {
    let now = clock::now();
    if now.as_millis().saturating_sub(last.as_millis()) < COLLECT_EVERY_MS {
        return;
    }
    *last = now;
    match account.account.collect(now, COLLECT_LIMIT).await {
        Ok(collected) => tracing::debug!(
            messages = collected.messages,
            contents = collected.contents,
            octets = collected.octets,
            "what nothing refers to was removed"
        ),
        Err(error) => tracing::warn!(%error, "the collector stopped and is tried again"),
    }
}

/// Asks now and then how much room the account takes at its provider, for IMAP QUOTA, and holds the
/// provider to the account's list of devices.
async fn ask_for_account(account: &BridgeAccount, last: &mut Timestamp) {
    let now = clock::now();
    if now.as_millis().saturating_sub(last.as_millis()) < ASK_EVERY_MS {
        return;
    }
    *last = now;
    match account.provider.account(&account.token()).await {
        Ok(state) => {
            account.set_room(state.quota_octets.map(|quota_octets| Room {
                used_octets: state.used_octets,
                quota_octets,
            }));
            if let Err(error) = devices::check(account, &state.devices, now).await {
                tracing::warn!(%error, "the list of devices was not checked");
            }
        }
        // What was known stays; the next pull says what is wrong.
        Err(error) => tracing::debug!(%error, "the provider did not tell the account's room"),
    }
}

/// Takes in what was pushed, or asks.
async fn hear(
    account: &BridgeAccount,
    heard: Heard,
    first: &mut FirstSync,
    retry_kept: &mut bool,
) -> Result<Next, ExchangeError> {
    let asks = matches!(heard, Heard::Ask(_));
    let next = match heard {
        Heard::News(news) => engine::handle_news(&account.account, news, clock::now()).await,
        Heard::Ask(wait_ms) => {
            let request = engine::pull_request(&account.account, first.extent, wait_ms).await?;
            let response = account.provider.pull(&account.token(), &request).await?;
            engine::handle_pull(&account.account, request.since, response, clock::now()).await
        }
    };
    let next = match next {
        Err(error) if error.is_later_epoch() => {
            Box::pin(devices::fetch_keys(account, clock::now())).await?;
            return Err(error.into());
        }
        next => next?,
    };
    if let Some(alarm) = account.account.tell_of_manifest(clock::now()).await? {
        tracing::warn!(%alarm, "the provider does not show what was stored");
    }
    take_in_all(account, *retry_kept).await?;
    *retry_kept = false;
    match Box::pin(account.account.open_closed(clock::now())).await {
        Ok(0) => {}
        Ok(messages) => tracing::info!(messages, "a key that came later opened them"),
        Err(error) => tracing::warn!(%error, "closed messages were not tried again"),
    }
    match Box::pin(account.account.judge_again(clock::now())).await {
        Ok(0) => {}
        Ok(messages) => tracing::info!(messages, "their signers' keys have become known"),
        Err(error) => tracing::warn!(%error, "signatures were not judged again"),
    }
    match next {
        Next::Again => Ok(Next::Again),
        Next::Idle => match first.fill(account).await? {
            Next::Again => Ok(Next::Again),
            // Not with each piece of news: the device asks soon after.
            Next::Idle if asks => directory::check(account).await,
            Next::Idle => Ok(Next::Idle),
        },
    }
}

/// Takes in what waits, in the order in which it came. What does not open stays where it is, and
/// what fails here holds up nothing behind it.
async fn take_in_all(account: &BridgeAccount, retry_kept: bool) -> Result<(), ExchangeError> {
    let mut failed = None;
    let mut after = None;
    // One at a time: each may be as large as a message can be.
    while let Some(incoming) = account.account.next_incoming(after).await? {
        after = Some(incoming.generation);
        if incoming.problem.is_some() && !retry_kept {
            continue;
        }
        match Box::pin(take_in(account, &incoming)).await {
            Ok(()) => {}
            // The key is still on its way; so is the rest of the first sync.
            Err(ExchangeError::Key(KeyError::NotHere)) => return Ok(()),
            Err(error @ ExchangeError::Provider(_)) => return Err(error),
            Err(error) => {
                tracing::error!(incoming = %incoming.id, %error, "a message is not taken in yet");
                failed.get_or_insert(error);
            }
        }
    }
    failed.map_or(Ok(()), Err)
}

async fn take_in(account: &BridgeAccount, incoming: &IncomingMessage) -> Result<(), ExchangeError> {
    let mut answers = Answers::new();
    for _ in 0..MAX_LOOKUPS_PER_MESSAGE {
        let taken = account
            .account
            .take_in(incoming, &answers, clock::now())
            .await?;
        match taken {
            TakenIn::Done(_) => return Ok(()),
            TakenIn::Kept(problem) => {
                tracing::warn!(incoming = %incoming.id, problem, "a message does not open and is kept");
                return Ok(());
            }
            TakenIn::NeedsCertificate(address) => {
                let purpose = Purpose::Verifying;
                directory::look_up(account, &[address], purpose, &mut answers, clock::now())
                    .await?;
            }
        }
    }
    Ok(())
}

/// Nobody waits for the index: a search brings it up to date, and IMAP reads what it does not have.
async fn index_loop(account: &BridgeAccount, shutdown: &CancellationToken) {
    let mut changes = account.account.subscribe();
    if !come_first(account, shutdown).await {
        return;
    }
    loop {
        let step = tokio::select! {
            () = shutdown.cancelled() => return,
            step = Box::pin(account.account.index_step(INDEXED_AT_A_TIME)) => step,
        };
        match step {
            Ok(step) if step.more => tokio::task::yield_now().await,
            Ok(_) => {
                if !rest(INDEX_REST, &mut changes, shutdown).await {
                    return;
                }
            }
            Err(error) => {
                tracing::warn!(%error, "the search index is not up to date; it is tried again with the next change");
                tokio::select! {
                    () = shutdown.cancelled() => return,
                    () = changes.changed() => {}
                }
            }
        }
    }
}

/// Lets mail come in before it is indexed: a message whose contents follow later would be indexed
/// twice. False when the process shall end.
async fn come_first(account: &BridgeAccount, shutdown: &CancellationToken) -> bool {
    let mut behind = account.behind();
    let here = behind.wait_for(|behind| !behind);
    let waited = shutdown.run_until_cancelled(tokio::time::timeout(INDEX_WAIT, here));
    waited.await.is_some()
}

async fn push_loop(account: &BridgeAccount, shutdown: &CancellationToken) {
    let mut backoff = Backoff::default();
    let mut changes = account.account.subscribe();
    loop {
        let result = tokio::select! {
            () = shutdown.cancelled() => return,
            result = Box::pin(push_all(account)) => result,
        };
        match result {
            Ok(()) => {
                backoff.reset();
                // What changed while it was pushed is pushed with what follows closely.
                if !rest(PUSH_LULL, &mut changes, shutdown).await {
                    return;
                }
                lull(&mut changes).await;
            }
            Err(error) => {
                if !pause(account, &error, &mut backoff, shutdown).await {
                    return;
                }
            }
        }
    }
}

/// Waits until nothing changes for a moment, but not for ever.
async fn lull(changes: &mut Subscription) {
    let quiet = async {
        while tokio::time::timeout(PUSH_LULL, changes.changed())
            .await
            .is_ok()
        {}
    };
    // Whether it was quiet or too long makes no difference.
    let _either = tokio::time::timeout(PUSH_AT_LAST, quiet).await;
}

/// Waits a while, and then for a change if none came. False when the process shall end.
async fn rest(time: Duration, changes: &mut Subscription, shutdown: &CancellationToken) -> bool {
    let work = async {
        tokio::time::sleep(time).await;
        changes.changed().await;
    };
    shutdown.run_until_cancelled(work).await.is_some()
}

async fn push_all(account: &BridgeAccount) -> Result<(), ExchangeError> {
    let mut conflicts = 0;
    contents::know(account).await?;
    while let Some(push) = engine::next_push(&account.account).await? {
        let response = match account.provider.push(&account.token(), &push.request).await {
            Err(ProviderError::Refused { code, .. }) if code == engine::REVISION_GAP => {
                engine::handle_gap(&account.account, &push, clock::now()).await?;
                return Err(ProviderError::SetBack.into());
            }
            Err(ProviderError::Refused { code, .. }) if code == engine::OLD_KEYS => {
                seal_again(account, &push).await?;
                continue;
            }
            Err(ProviderError::OverQuota) => {
                account.note_full();
                return Err(ProviderError::OverQuota.into());
            }
            response => response?,
        };
        conflicts = match response {
            PushResponse::Accepted { .. } => 0,
            PushResponse::Conflict { .. } => conflicts + 1,
        };
        let merged = engine::handle_push(&account.account, &push, response, clock::now()).await;
        if let Err(error) = &merged
            && error.is_later_epoch()
        {
            Box::pin(devices::fetch_keys(account, clock::now())).await?;
        }
        merged?;
        if conflicts > MAX_CONFLICTS {
            return Err(ProviderError::Busy { wait: None }.into());
        }
    }
    Ok(own_keys::publish(account).await?)
}

/// The provider takes nothing more under the keys that a push was sealed under: it is sealed again
/// under the newest, which the list of devices brings if they are not here.
async fn seal_again(account: &BridgeAccount, push: &PendingPush) -> Result<(), ExchangeError> {
    let replica = &account.account;
    if engine::handle_old_keys(replica, push, clock::now()).await? {
        return Ok(());
    }
    Box::pin(devices::fetch_keys(account, clock::now())).await?;
    if engine::handle_old_keys(replica, push, clock::now()).await? {
        return Ok(());
    }
    // Nothing newer is known: the provider does not mean what it says.
    Err(ProviderError::Busy { wait: None }.into())
}

/// Says what failed and waits. False when the process shall end.
pub(super) async fn pause(
    account: &BridgeAccount,
    error: &ExchangeError,
    backoff: &mut Backoff,
    shutdown: &CancellationToken,
) -> bool {
    let mut wait = backoff.next(&mut OsRng);
    match error {
        ExchangeError::Provider(ProviderError::Unauthorized) => log_in_again(account).await,
        ExchangeError::Provider(ProviderError::Busy { wait: Some(asked) }) => {
            wait = wait.max(*asked);
        }
        ExchangeError::Provider(_) => account.set_status(waiting(error)),
        // The check of the directory tells the user; mail that needs a key of it waits.
        ExchangeError::Replica(ReplicaError::Busy) | ExchangeError::Directory(_) => {}
        ExchangeError::Replica(_) | ExchangeError::Key(_) => {
            tracing::error!(%error, "an exchange with the provider failed on this device");
            account.set_status(waiting(error));
        }
    }
    tracing::info!(%error, wait_ms = wait.as_millis(), "an exchange is tried again");
    tokio::select! {
        () = shutdown.cancelled() => false,
        () = tokio::time::sleep(wait) => true,
    }
}

/// The token has ended, as one does after a day. If the provider does not take this device's key
/// either, its user has to log in; that ends the waiting of a program that runs, too.
async fn log_in_again(account: &BridgeAccount) {
    match Box::pin(devices::log_in_again(account, clock::now())).await {
        Ok(true) => tracing::debug!("this device has logged in again"),
        Ok(false) => account.set_status(SyncStatus::LoggedOut),
        Err(error) => tracing::warn!(%error, "this device has not logged in again yet"),
    }
}

fn waiting(error: &ExchangeError) -> SyncStatus {
    SyncStatus::Waiting {
        reason: error.to_string(),
    }
}

//! From the outbox to the provider: look certificates up, protect, hand over, file.
//!
//! Invariant: a mail leaves the outbox in the same atomic step in which it appears in Sent, or
//! its failure report in INBOX. Handing over twice changes nothing: the submission's id follows
//! from the mail. A mail that the account's policy forbids to send is never sent in the clear.

use std::sync::Arc;
use std::time::Duration;

use letterlock_core::account::{Answers, MustEncrypt, Prepared, Ready};
use letterlock_core::account::{OutboxEntry, ReplicaError};
use letterlock_core::id::{Address, MailboxName};
use letterlock_core::keys::lookup::Purpose;
use rand::rngs::OsRng;
use tokio_util::sync::CancellationToken;

use super::accounts::BridgeAccount;
use super::backoff::Backoff;
use super::delivery_report::{self, Failure};
use super::directory;
use super::provider_client::ProviderError;
use super::sync_loop::{ExchangeError, pause};
use crate::clock;
use crate::shutdown::Shutdown;

/// How often the outbox is looked at without being told to: another device may have filled it.
const LOOK_AGAIN: Duration = Duration::from_mins(5);
/// Most rounds of looking certificates up for one mail.
const MAX_LOOKUPS: usize = 3;

/// Starts an account's sending loop.
pub fn start(account: &Arc<BridgeAccount>, shutdown: &Shutdown) {
    let (sending, token) = (Arc::clone(account), shutdown.token.clone());
    shutdown.spawn(async move { send_loop(&sending, &token).await });
}

async fn send_loop(account: &BridgeAccount, shutdown: &CancellationToken) {
    let mut backoff = Backoff::default();
    loop {
        let result = tokio::select! {
            () = shutdown.cancelled() => return,
            result = Box::pin(run_once(account)) => result,
        };
        match result {
            Ok(()) => {
                backoff.reset();
                tokio::select! {
                    () = shutdown.cancelled() => return,
                    () = account.submitted.notified() => {}
                    () = tokio::time::sleep(LOOK_AGAIN) => {}
                }
            }
            Err(error) => {
                if !pause(account, &error, &mut backoff, shutdown).await {
                    return;
                }
            }
        }
    }
}

/// Sends all that waits. On a failure that may pass, what is left stays in the outbox; one mail
/// that fails on this device does not hold up the others.
pub(super) async fn run_once(account: &BridgeAccount) -> Result<(), ExchangeError> {
    let mut failed = None;
    for entry in account.account.outbox().await? {
        let Err(error) = Box::pin(send(account, &entry)).await else {
            continue;
        };
        let reason = error.to_string();
        let noted = account
            .account
            .outbox_problem(&entry, reason, clock::now())
            .await;
        if let Err(error) = noted {
            tracing::warn!(mail = %entry.id, %error, "a problem could not be noted");
        }
        let for_all = matches!(
            error,
            ExchangeError::Provider(
                ProviderError::Away { .. }
                    | ProviderError::Busy { .. }
                    | ProviderError::Unauthorized
            )
        );
        if for_all {
            return Err(error);
        }
        failed.get_or_insert(error);
    }
    failed.map_or(Ok(()), Err)
}

async fn send(account: &BridgeAccount, entry: &OutboxEntry) -> Result<(), ExchangeError> {
    let mut answers = Answers::new();
    for _ in 0..MAX_LOOKUPS {
        let now = clock::now();
        match account.account.prepare(entry, &answers, now).await? {
            Prepared::NeedsCertificates(addresses) => {
                let purpose = Purpose::Sending;
                directory::look_up(account, &addresses, purpose, &mut answers, now).await?;
            }
            Prepared::Ready(ready) => return hand_over(account, entry, ready).await,
            Prepared::Refused { missing, because } => {
                let failure = match because {
                    MustEncrypt::Policy => Failure::no_certificate(missing),
                    MustEncrypt::Answer => Failure::answers_encrypted(missing),
                };
                return Ok(give_up(account, entry, &failure).await?);
            }
            Prepared::Failed(error) => {
                tracing::warn!(mail = %entry.id, %error, "a mail could not be protected");
                let failure = Failure::unprotectable(&entry.forward_paths);
                return Ok(give_up(account, entry, &failure).await?);
            }
        }
    }
    let failure = Failure::unprotectable(&entry.forward_paths);
    Ok(give_up(account, entry, &failure).await?)
}

async fn hand_over(
    account: &BridgeAccount,
    entry: &OutboxEntry,
    ready: Ready,
) -> Result<(), ExchangeError> {
    let mut refused: Option<(Vec<Address>, u16, String)> = None;
    for submission in &ready.submissions {
        let result = account.provider.submit(&account.token(), submission).await;
        match result {
            Ok(()) => {}
            // The others get it; the report names all who do not.
            Err(ProviderError::Refused { status, code }) => {
                let (paths, _, _) = refused.get_or_insert((Vec::new(), status, code));
                paths.extend_from_slice(&submission.forward_paths);
            }
            Err(error) => return Err(error.into()),
        }
    }
    if let Some((paths, status, code)) = refused {
        let failure = Failure::refused(&paths, status, &code);
        return Ok(give_up(account, entry, &failure).await?);
    }
    Ok(account
        .account
        .file_sent(entry, ready.protection, clock::now())
        .await?)
}

/// Puts a report into INBOX in place of the mail in the outbox.
async fn give_up(
    account: &BridgeAccount,
    entry: &OutboxEntry,
    failure: &Failure,
) -> Result<(), ReplicaError> {
    let now = clock::now();
    let inbox = account.account.mailbox(&MailboxName::inbox());
    let inbox = inbox.ok_or(ReplicaError::NoSuchMailbox)?.id;
    let report = delivery_report::build(entry, failure, now, &mut OsRng);
    account
        .account
        .outbox_failed(entry, inbox, &report, now)
        .await
}

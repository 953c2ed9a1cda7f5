//! A device's submission: to local accounts at once, to others through the relay's queue.
//!
//! Invariant: local deliveries, the queue's row and the record of the submission's id are one
//! transaction, so that a repeated submission changes nothing, whatever was killed in between. Where there
//! are several databases, others get theirs before, under an id that is the same when it is repeated.

use std::collections::BTreeSet;
use std::sync::Arc;

use letterlock_core::id::{AccountId, Timestamp};
use letterlock_core::sync::wire::{MAX_FORWARD_PATHS, MAX_MESSAGE_OCTETS, Submission};
use zeroize::Zeroizing;

use super::intake::{DeliverError, Plain, SealedMail};
use super::trace::{Peer, Protocol};
use crate::provider::Provider;
use crate::provider::db::queue::{self, Queued};
use crate::provider::db::{DbError, Decision, Scope, accounts, incoming};

/// Why a submission was not accepted; nobody got anything then.
#[derive(Debug, thiserror::Error)]
pub enum SubmitError {
    /// The reverse path is not the account's address.
    #[error("mail may only be sent from the account's own address")]
    WrongSender,
    /// Nobody to send to, or more than [`MAX_FORWARD_PATHS`].
    #[error("a mail must have between 1 and {MAX_FORWARD_PATHS} recipients")]
    Recipients,
    /// A recipient was refused.
    #[error("recipient {position} of {count} was refused: {error}")]
    Recipient {
        /// Counted from 1.
        position: usize,
        /// How many there are.
        count: usize,
        /// Why.
        error: DeliverError,
    },
    /// Larger than [`MAX_MESSAGE_OCTETS`].
    #[error("the message is larger than {MAX_MESSAGE_OCTETS} octets")]
    TooLarge,
    /// The storage failed.
    #[error(transparent)]
    Storage(#[from] DbError),
}

impl Provider {
    /// Accepts a mail from an account; durable when this returns `Ok`. The same id again is
    /// accepted and changes nothing.
    pub(crate) async fn submit(
        &self,
        account: AccountId,
        submission: Submission,
        now: Timestamp,
    ) -> Result<(), SubmitError> {
        let count = submission.forward_paths.len();
        if count == 0 || count > MAX_FORWARD_PATHS {
            return Err(SubmitError::Recipients);
        }
        if submission.message.len() > MAX_MESSAGE_OCTETS {
            return Err(SubmitError::TooLarge);
        }
        let outbox = submission.id;
        let (sender, repeated) = self
            .db
            .read_account(account, move |transaction, _| {
                let sender = accounts::address(transaction, account)?;
                let repeated = queue::is_remembered(transaction, account, outbox)?;
                Ok((sender, repeated))
            })
            .await?;
        if sender != Some(submission.reverse_path.canonical()) {
            return Err(SubmitError::WrongSender);
        }
        if repeated {
            return Ok(());
        }
        let (sealed, outside) = self.prepare(account, submission, now).await?;
        let queued = match outside {
            Some(outside) => Some(self.stage_queued(outside).await?),
            None => None,
        };
        let relayed = queued.is_some();
        let sealed = self.deliver_elsewhere(account, sealed).await?;
        let scope = Scope::account(account).with(sealed.iter().map(|mail| mail.recipient.account));
        self.db
            .write(scope, move |transaction, effects| {
                if !queue::remember(transaction, account, outbox, now)? {
                    return Ok(Decision::Rollback(()));
                }
                for mail in sealed {
                    let to = mail.recipient.account;
                    incoming::insert_once(transaction, effects, to, mail.incoming)?;
                }
                if let Some(queued) = queued {
                    queue::push(transaction, effects, queued)?;
                }
                Ok(Decision::Commit(()))
            })
            .await?;
        if relayed {
            self.relay_pending().await;
        }
        Ok(())
    }

    /// Delivers to the accounts that may be in other databases than the sender; the rest.
    async fn deliver_elsewhere(
        &self,
        sender: AccountId,
        sealed: Vec<SealedMail>,
    ) -> Result<Vec<SealedMail>, DbError> {
        let mut rest = Vec::new();
        for mail in sealed {
            let to = mail.recipient.account;
            if to == sender || self.db.is_one() {
                rest.push(mail);
                continue;
            }
            self.db
                .write(Scope::account(to), move |transaction, effects| {
                    incoming::insert_once(transaction, effects, to, mail.incoming)
                        .map(Decision::Commit)
                })
                .await?;
        }
        Ok(rest)
    }

    /// Seals for the local recipients, each account once, and collects the others.
    async fn prepare(
        &self,
        account: AccountId,
        submission: Submission,
        now: Timestamp,
    ) -> Result<(Vec<SealedMail>, Option<Queued<Vec<u8>>>), SubmitError> {
        let count = submission.forward_paths.len();
        let found = self.resolve(submission.forward_paths.clone()).await?;
        let plain = Plain {
            reverse_path: Some(submission.reverse_path.clone()),
            message: Arc::new(Zeroizing::new(submission.message.into_vec())),
            peer: Peer {
                name: String::new(),
                ip: None,
                protocol: Protocol::Http,
            },
            host: self.name().to_owned(),
            now,
            submission: Some((account, submission.id)),
        };
        let mut outside = Vec::new();
        let mut sealed = Vec::new();
        let mut served = BTreeSet::new();
        for (at, (address, found)) in submission.forward_paths.into_iter().zip(found).enumerate() {
            let refused = |error| SubmitError::Recipient {
                position: at + 1,
                count,
                error,
            };
            if !self.is_local(address.domain()) {
                outside.push(address);
                continue;
            }
            let recipient = self
                .known(&address, found)
                .and_then(|known| self.with_room(known, plain.message.len()))
                .map_err(refused)?;
            if served.insert(recipient.account) {
                let mail = self.seal_for(recipient, address, plain.clone()).await;
                sealed.push(mail.map_err(refused)?);
            }
        }
        let queued = (!outside.is_empty()).then(|| Queued {
            outbox: submission.id,
            reverse_path: submission.reverse_path,
            forward_paths: outside,
            accepted_at: now,
            message: plain.message.to_vec(),
        });
        Ok((sealed, queued))
    }

    async fn stage_queued(
        &self,
        queued: Queued<Vec<u8>>,
    ) -> Result<Queued<crate::provider::db::Value>, DbError> {
        let blobs = self.db.blobs().clone();
        crate::provider::db::blocking(move || {
            Ok(Queued {
                outbox: queued.outbox,
                reverse_path: queued.reverse_path,
                forward_paths: queued.forward_paths,
                accepted_at: queued.accepted_at,
                message: blobs.stage(queued.message)?,
            })
        })
        .await?
    }
}

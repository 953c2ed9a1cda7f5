//! The local submission server (RFC 6409): from a mail program into the outbox.
//!
//! Invariant: `250` means durable in the outbox. A mail that the account's policy forbids to send
//! is refused while the mail program still listens, naming who has no certificate.

use letterlock_core::account::ReplicaError;
use letterlock_core::account::{Answers, SubmitError};
use letterlock_core::id::Address;
use letterlock_core::keys::lookup::Purpose;
use letterlock_core::sending::SendingPolicy;
use letterlock_core::store::StoreError;

use super::accounts::{Accounts, BridgeAccount, Refused};
use super::app_passwords::Scope;
use super::directory;
use crate::clock;
use crate::smtp::conn::{Admitted, Handler};
use crate::smtp::{Credentials, Envelope, Message, Refusal};

/// What the SMTP server asks, answered by the accounts.
pub struct Submissions {
    accounts: Accounts,
}

impl Submissions {
    /// For these accounts.
    pub const fn new(accounts: Accounts) -> Self {
        Self { accounts }
    }

    async fn accept(&self, envelope: &Envelope, message: &Message) -> Result<(), Refusal> {
        let submitter = envelope.submitter.as_ref().ok_or(Refusal::Unavailable)?;
        let account = self.accounts.get(submitter).ok_or(Refusal::Unavailable)?;
        if account.account.sending_policy() == SendingPolicy::RequireEncryption {
            check_certificates(account, &envelope.forward_paths).await?;
        }
        let forward_paths = envelope.forward_paths.clone();
        let queued = account
            .account
            .submit(submitter, forward_paths, message.as_bytes(), clock::now())
            .await;
        match queued {
            Ok(_) => {
                account.submitted.notify_one();
                Ok(())
            }
            Err(error) => Err(refusal(&error)),
        }
    }
}

impl Handler for Submissions {
    async fn authenticate(&self, credentials: Credentials) -> Result<Option<Admitted>, Refusal> {
        let Credentials {
            peer,
            username,
            password,
        } = &credentials;
        let scope = Scope::Smtp;
        match self.accounts.log_in(username, password, scope, *peer) {
            Ok((account, admitted)) => Ok(Some(Admitted {
                address: account.account.address().clone(),
                revoked: admitted.revoked,
            })),
            Err(Refused::Wrong) => Ok(None),
            Err(Refused::Busy | Refused::Locked { .. }) => Err(Refusal::Unavailable),
        }
    }

    /// Every address may be written to; whether it can be is found out on the way.
    async fn check_recipient(&self, _recipient: &Address) -> Result<(), Refusal> {
        Ok(())
    }

    async fn deliver(&self, envelope: Envelope, message: Message) -> Vec<Result<(), Refusal>> {
        let result = Box::pin(self.accept(&envelope, &message)).await;
        vec![result; envelope.forward_paths.len()]
    }
}

/// Refuses if somebody is known to have no certificate. A directory that is away is no reason to
/// refuse: the mail waits in the outbox and the same rule holds there.
async fn check_certificates(account: &BridgeAccount, to: &[Address]) -> Result<(), Refusal> {
    let mut answers = Answers::new();
    let now = clock::now();
    let unavailable = |error| {
        tracing::error!(%error, "a recipient could not be checked");
        Refusal::Unavailable
    };
    let first = account.account.recipients(to, &answers, now).await;
    let found = match first.map_err(unavailable)? {
        Ok(found) => found,
        Err(unknown) => {
            if directory::look_up(account, &unknown, Purpose::Sending, &mut answers, now)
                .await
                .is_err()
            {
                return Ok(());
            }
            let second = account.account.recipients(to, &answers, now).await;
            second.map_err(unavailable)?.unwrap_or_default()
        }
    };
    let missing: Vec<Address> = found
        .into_iter()
        .filter(|(_, certificate)| certificate.is_none())
        .map(|(address, _)| address)
        .collect();
    if missing.is_empty() {
        Ok(())
    } else {
        Err(Refusal::NoCertificate {
            recipients: missing,
        })
    }
}

fn refusal(error: &SubmitError) -> Refusal {
    match error {
        SubmitError::Replica(ReplicaError::Store(StoreError::Full { .. })) => {
            tracing::error!(%error, "a mail could not be queued");
            Refusal::StorageFull
        }
        SubmitError::Replica(ReplicaError::MessageTooLarge) => Refusal::Unacceptable {
            reason: "The message is too large",
        },
        SubmitError::Replica(error) => {
            tracing::error!(%error, "a mail could not be queued");
            Refusal::Unavailable
        }
        SubmitError::WrongSender => Refusal::Unacceptable {
            reason: "Mail is sent as the account's own address only",
        },
        SubmitError::Recipients => Refusal::Unacceptable {
            reason: "Too many recipients",
        },
    }
}

//! The MX's LMTP listener: what the SMTP server asks, answered by the provider.

use std::sync::Arc;

use letterlock_core::id::Address;

use crate::clock;
use crate::provider::{DbError, DeliverError, Peer, Protocol, Provider};
use crate::smtp::conn::{Admitted, Handler};
use crate::smtp::{Credentials, Envelope, Message, Refusal, ReversePath};

/// Takes mail in for the provider's accounts.
pub(crate) struct Intake {
    provider: Arc<Provider>,
}

impl Intake {
    pub(crate) const fn new(provider: Arc<Provider>) -> Self {
        Self { provider }
    }
}

impl Handler for Intake {
    /// Nobody logs in to LMTP.
    async fn authenticate(&self, _credentials: Credentials) -> Result<Option<Admitted>, Refusal> {
        Ok(None)
    }

    async fn check_recipient(&self, recipient: &Address) -> Result<(), Refusal> {
        let checked = self.provider.check_recipient(recipient).await;
        checked.map_err(|error| refusal(&error))
    }

    async fn deliver(&self, envelope: Envelope, message: Message) -> Vec<Result<(), Refusal>> {
        let peer = Peer {
            name: envelope.client_name,
            ip: envelope.peer,
            protocol: Protocol::Lmtp,
        };
        let reverse_path = match envelope.reverse_path {
            ReversePath::Null => None,
            ReversePath::Address(address) => Some(address),
        };
        let delivering = self.provider.deliver_all(
            reverse_path,
            &envelope.forward_paths,
            message.as_bytes(),
            &peer,
            clock::now(),
        );
        let results = Box::pin(delivering).await.into_iter();
        results
            .map(|result| result.map_err(|error| refusal(&error)))
            .collect()
    }
}

/// Everything that may pass is told as such; nothing is lost by it.
fn refusal(error: &DeliverError) -> Refusal {
    match error {
        DeliverError::UnknownRecipient => Refusal::UnknownRecipient,
        DeliverError::NotLocal => Refusal::NotLocal,
        DeliverError::TooLarge => Refusal::Unacceptable {
            reason: "The message is too large",
        },
        DeliverError::MailboxFull => Refusal::MailboxFull,
        DeliverError::LargerThanQuota => Refusal::LargerThanQuota,
        DeliverError::NoCertificate => Refusal::CannotEncrypt,
        DeliverError::Encryption => {
            tracing::error!(%error, "a message was not taken in");
            Refusal::Unavailable
        }
        DeliverError::Storage(cause) => {
            tracing::error!(%error, "a message was not taken in");
            if is_full(cause) {
                Refusal::StorageFull
            } else {
                Refusal::Unavailable
            }
        }
    }
}

fn is_full(error: &DbError) -> bool {
    matches!(error, DbError::Full { .. })
}

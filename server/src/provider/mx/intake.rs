//! Intake: a message is encrypted to its recipient in memory, stored, and only then accepted.
//!
//! Invariant: `Ok` means that the sealed message is durable; any failure before that leaves
//! nothing behind, and the sender tries again. There is no plaintext fallback.

use std::io::Read as _;
use std::sync::Arc;

use letterlock_core::id::{AccountId, Address, IncomingId, OutboxId, Timestamp};
use letterlock_core::keys::Published;
use letterlock_core::openpgp::encrypt;
use letterlock_core::sync::wire::MAX_MESSAGE_OCTETS;
use rand::RngCore;
use rand::rngs::OsRng;
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use super::recipient::Recipient;
use super::trace::{self, Peer};
use crate::provider::Provider;
use crate::provider::db::incoming::{self, Incoming};
use crate::provider::db::{Blobs, DbError, Decision, Scope, blocking};

/// Why a message was not accepted for a recipient.
#[derive(Debug, Clone, thiserror::Error)]
pub enum DeliverError {
    /// The domain is ours, the mailbox does not exist (550 5.1.1).
    #[error("there is no such mailbox here")]
    UnknownRecipient,
    /// The domain is not ours (550 5.7.1).
    #[error("mail for this domain is not taken in here")]
    NotLocal,
    /// Larger than [`MAX_MESSAGE_OCTETS`] (552 5.3.4).
    #[error("the message is larger than {MAX_MESSAGE_OCTETS} octets")]
    TooLarge,
    /// The recipient's certificates are missing or cannot be encrypted to now (451 4.7.5).
    #[error("the recipient has no certificate that can be encrypted to")]
    NoCertificate,
    /// The recipient's account has used up its room (452 4.2.2).
    #[error("the recipient's mailbox is full")]
    MailboxFull,
    /// Larger than all the room that an account has (552 5.2.2).
    #[error("the message is larger than the recipient's mailbox may become")]
    LargerThanQuota,
    /// Encryption failed (451 4.3.0).
    #[error("the message could not be encrypted")]
    Encryption,
    /// The message could not be stored (451 4.3.0, 452 4.3.1 for a full disk).
    #[error("the message could not be stored: {0}")]
    Storage(Arc<DbError>),
}

impl DeliverError {
    /// Whether it is no use to try again. Only what the sender did wrong is permanent.
    pub fn is_permanent(&self) -> bool {
        match self {
            Self::UnknownRecipient | Self::NotLocal | Self::TooLarge | Self::LargerThanQuota => {
                true
            }
            Self::MailboxFull | Self::NoCertificate | Self::Encryption | Self::Storage(_) => false,
        }
    }
}

impl From<DbError> for DeliverError {
    fn from(error: DbError) -> Self {
        Self::Storage(Arc::new(error))
    }
}

/// A message that is sealed and waits for its transaction.
pub(crate) struct SealedMail {
    pub(crate) recipient: Recipient,
    pub(crate) incoming: Incoming,
}

/// One message on its way to some recipients.
#[derive(Clone)]
pub(crate) struct Plain {
    pub(crate) reverse_path: Option<Address>,
    pub(crate) message: Arc<Zeroizing<Vec<u8>>>,
    pub(crate) peer: Peer,
    pub(crate) host: String,
    pub(crate) now: Timestamp,
    /// What a device has handed in, and which account's; such a message comes to each recipient once.
    pub(crate) submission: Option<(AccountId, OutboxId)>,
}

impl Provider {
    /// Whether mail for this recipient would be taken in, for the answer to RCPT.
    pub async fn check_recipient(&self, recipient: &Address) -> Result<(), DeliverError> {
        let found = self.resolve(vec![recipient.clone()]).await?;
        let recipient = self.known(recipient, found.into_iter().next().flatten())?;
        self.has_room(&recipient, 0)?;
        recipient
            .certificates
            .map(|_| ())
            .ok_or(DeliverError::NoCertificate)
    }

    /// Takes in a message for one recipient; durable when this returns `Ok`.
    pub async fn deliver(
        &self,
        reverse_path: Option<Address>,
        recipient: &Address,
        message: &[u8],
        peer: &Peer,
        now: Timestamp,
    ) -> Result<(), DeliverError> {
        let recipients = std::slice::from_ref(recipient);
        let results = self
            .deliver_all(reverse_path, recipients, message, peer, now)
            .await;
        results
            .into_iter()
            .next()
            .unwrap_or(Err(DeliverError::Encryption))
    }

    /// Takes in a message for many recipients, in one transaction if all are in one database; a result
    /// for each, in order.
    /// Who is given twice gets it twice.
    pub async fn deliver_all(
        &self,
        reverse_path: Option<Address>,
        recipients: &[Address],
        message: &[u8],
        peer: &Peer,
        now: Timestamp,
    ) -> Vec<Result<(), DeliverError>> {
        if message.len() > MAX_MESSAGE_OCTETS {
            return recipients
                .iter()
                .map(|_| Err(DeliverError::TooLarge))
                .collect();
        }
        let found = match self.resolve(recipients.to_vec()).await {
            Ok(found) => found,
            Err(error) => return fail_all(recipients, &error.into()),
        };
        let plain = Plain {
            reverse_path,
            message: Arc::new(Zeroizing::new(message.to_vec())),
            peer: peer.clone(),
            host: self.name().to_owned(),
            now,
            submission: None,
        };
        let mut sealed = Vec::new();
        let mut results = Vec::with_capacity(recipients.len());
        for (at, (address, found)) in recipients.iter().zip(found).enumerate() {
            let recipient = self.known(address, found);
            let result = match recipient.and_then(|known| self.with_room(known, message.len())) {
                Ok(recipient) => {
                    self.seal_for(recipient, address.clone(), plain.clone())
                        .await
                }
                Err(error) => Err(error),
            };
            results.push(result.map(|mail| sealed.push((at, mail))));
        }
        drop(plain);
        let together = if self.db.is_one() { sealed.len() } else { 1 };
        let mut sealed = sealed.into_iter().peekable();
        while sealed.peek().is_some() {
            let (positions, some): (Vec<_>, Vec<_>) = sealed.by_ref().take(together).unzip();
            if let Err(error) = self.store(some).await {
                let error = DeliverError::from(error);
                for at in positions {
                    if let Some(result) = results.get_mut(at) {
                        *result = Err(error.clone());
                    }
                }
            }
        }
        results
    }

    /// Tells an unknown mailbox from a foreign domain.
    pub(crate) fn known(
        &self,
        address: &Address,
        found: Option<Recipient>,
    ) -> Result<Recipient, DeliverError> {
        found.ok_or_else(|| {
            if self.is_local(address.domain()) {
                DeliverError::UnknownRecipient
            } else {
                DeliverError::NotLocal
            }
        })
    }

    /// The recipient, if the account has room for a message of this size.
    pub(crate) fn with_room(
        &self,
        recipient: Recipient,
        size: usize,
    ) -> Result<Recipient, DeliverError> {
        self.has_room(&recipient, size).map(|()| recipient)
    }

    /// Counts what was stored when the recipient was looked up: messages that come in at the same
    /// moment may each find the same room.
    fn has_room(&self, recipient: &Recipient, size: usize) -> Result<(), DeliverError> {
        let Some(quota) = self.config.quota_octets else {
            return Ok(());
        };
        let size = u64::try_from(size).unwrap_or(u64::MAX);
        if size > quota {
            return Err(DeliverError::LargerThanQuota);
        }
        // An account that is exactly full has no room for the smallest message.
        if recipient.octets.saturating_add(size.max(1)) > quota {
            return Err(DeliverError::MailboxFull);
        }
        Ok(())
    }

    /// Encrypts for one recipient and makes the result ready to be stored.
    pub(crate) async fn seal_for(
        &self,
        recipient: Recipient,
        address: Address,
        plain: Plain,
    ) -> Result<SealedMail, DeliverError> {
        let blobs = self.db.blobs().clone();
        blocking(move || seal(&blobs, recipient, &address, &plain)).await?
    }

    async fn store(&self, sealed: Vec<SealedMail>) -> Result<(), DbError> {
        let scope = Scope::accounts(sealed.iter().map(|mail| mail.recipient.account));
        self.db
            .write(scope, move |transaction, effects| {
                for mail in sealed {
                    incoming::insert(transaction, effects, mail.recipient.account, mail.incoming)?;
                }
                Ok(Decision::Commit(()))
            })
            .await
    }
}

fn seal(
    blobs: &Blobs,
    recipient: Recipient,
    address: &Address,
    plain: &Plain,
) -> Result<SealedMail, DeliverError> {
    let published = Published::parse(recipient.certificates.as_deref().unwrap_or_default());
    let certificate = published
        .for_sealing(plain.now)
        .ok_or(DeliverError::NoCertificate)?;
    let id = incoming_id(plain, &recipient);
    let reverse_path = plain.reverse_path.as_ref();
    let fields = trace::fields(
        &plain.peer,
        &plain.host,
        reverse_path,
        address,
        id,
        plain.now,
    )
    .into_bytes();
    let mut sealed = Vec::with_capacity(plain.message.len() + fields.len() + 1024);
    encrypt::to_recipient_streaming(
        certificate,
        fields.as_slice().chain(plain.message.as_slice()),
        &mut sealed,
        plain.now,
        &mut OsRng,
    )
    .map_err(|_| DeliverError::Encryption)?;
    let incoming = Incoming {
        id,
        received_at: plain.now,
        message: blobs.stage(sealed)?,
    };
    Ok(SealedMail {
        recipient,
        incoming,
    })
}

/// A random one; what a device may hand in again has the same each time.
fn incoming_id(plain: &Plain, recipient: &Recipient) -> IncomingId {
    let mut id = [0; 16];
    match &plain.submission {
        None => OsRng.fill_bytes(&mut id),
        Some((account, outbox)) => {
            let digest = Sha256::new()
                .chain_update("incoming of a submission")
                .chain_update(account.as_bytes())
                .chain_update(outbox.as_bytes())
                .chain_update(recipient.account.as_bytes())
                .finalize();
            let octets = digest.iter().zip(&mut id);
            octets.for_each(|(octet, id)| *id = *octet);
        }
    }
    IncomingId::new(id)
}

fn fail_all(recipients: &[Address], error: &DeliverError) -> Vec<Result<(), DeliverError>> {
    recipients.iter().map(|_| Err(error.clone())).collect()
}

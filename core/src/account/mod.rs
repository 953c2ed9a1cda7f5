//! The public mail API: one account on one device, its mail and its keys.
//!
//! What the IMAP and SMTP servers, the command line, the webmail and other programs use: an
//! [`Account`] has [`Mailbox`]es, these have messages, a [`Message`] has parts and octets, and
//! [`Events`] say what happens. Nothing of it needs to know what a document or an envelope is.
//!
//! An account is a [`Replica`] that can also open what came in and protect what goes out. It asks for certificates by saying which it
//! lacks; a shell looks them up and calls again with [`Answers`].
//!
//! ```text
//! take_in(incoming, answers) -> Done | NeedsCertificate(address) | Kept(problem)
//! prepare(entry, answers)    -> Ready(submissions) | NeedsCertificates(addresses) | Refused
//! ```

mod events;
mod incoming;
mod indexing;
mod mailbox;
mod message;
mod outgoing;
mod reopening;
mod search;
mod verification;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::ops::Deref;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use rand::SeedableRng;
use rand_chacha::ChaCha20Rng;

use crate::id::{Address, Timestamp};
use crate::keys::lookup::Sources;
use crate::keys::{Found, keyring};
use crate::openpgp::{Certificate, SecretCertificate};
use crate::seal::AccountKeys;
use crate::sending::SendingPolicy;
use crate::store::Store;

pub use crate::replica::{
    ARRIVED_KEPT_MS, Appended, Appender, ChangedAnnotation, Changes, CheckReport, Checkpoint,
    Collected, Copied, Counts, Finding, FlagEdit, GARBAGE_KEPT_MS, IncomingMessage,
    MAX_APPEND_OCTETS, MAX_FINDINGS, MAX_VANISHED, MailboxStatus, Message as MessageDocument,
    NewMessage, OutboxEntry, OutboxProblem, PartialMessage, PendingPush, Pieces, Placement,
    Replica, ReplicaError, Roster, RosterEntry, Subscription, Usage, Vanished,
};
pub use events::{Event, Events};
pub use incoming::TakenIn;
pub use indexing::{IndexError, IndexStep};
pub use mailbox::Mailbox;
pub use message::{HeaderField, Message};
pub use outgoing::{MustEncrypt, Prepared, Ready, SubmitError};
pub use verification::{CompareError, Comparison};

/// What was looked up, by canonical address: a certificate and where it came from, or that nobody
/// has one.
pub type Answers = BTreeMap<Address, Option<Found>>;

/// Why an account's key is not usable.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The replica failed.
    #[error(transparent)]
    Replica(#[from] ReplicaError),
    /// The key has not been synced to this device yet.
    #[error("the account's key is not on this device yet")]
    NotHere,
    /// A stored key does not parse.
    #[error("the account's key is damaged")]
    Damaged,
}

/// One account on one device.
pub struct Account<S> {
    replica: Replica<S>,
    address: Address,
    policy: RwLock<SendingPolicy>,
    sources: RwLock<Sources>,
    secret: RwLock<Arc<[SecretCertificate]>>,
    rng: Mutex<ChaCha20Rng>,
    indexing: indexing::Indexing,
}

/// An account is its replica, and more.
impl<S> Deref for Account<S> {
    type Target = Replica<S>;

    fn deref(&self) -> &Replica<S> {
        &self.replica
    }
}

impl<S: Store> Account<S> {
    /// Opens the account in `store`. `seed` is fresh randomness.
    pub async fn open(
        store: S,
        address: Address,
        keys: AccountKeys,
        seed: [u8; 32],
        now: Timestamp,
    ) -> Result<Self, ReplicaError> {
        let own = blake3::derive_key("letterlock account rng", &seed);
        let replica = Replica::open(store, keys, seed, now).await?;
        replica.create_default_mailboxes(now).await?;
        Ok(Self {
            replica,
            address,
            policy: RwLock::default(),
            sources: RwLock::default(),
            secret: RwLock::new(Arc::new([])),
            rng: Mutex::new(ChaCha20Rng::from_seed(own)),
            indexing: indexing::Indexing::default(),
        })
    }

    /// Makes the account's first key and lets it wait to be pushed. For sign-up: what waits then
    /// is to be handed over with the sign-up itself, so that no certificate is ever published
    /// whose key could be lost.
    pub async fn create_key(&self, now: Timestamp) -> Result<Certificate, KeyError> {
        let secret = self
            .with_rng(|rng| SecretCertificate::generate(&self.address, None, now, rng))
            .map_err(|_| KeyError::Damaged)?;
        self.store_key(&secret.to_bytes(), now).await?;
        Ok(secret.certificate().clone())
    }

    /// The account's address.
    pub const fn address(&self) -> &Address {
        &self.address
    }

    /// What is done with mail that cannot be encrypted to everyone.
    pub fn sending_policy(&self) -> SendingPolicy {
        *self.policy.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes it, on this device.
    pub fn set_sending_policy(&self, policy: SendingPolicy) {
        *self.policy.write().unwrap_or_else(PoisonError::into_inner) = policy;
    }

    /// Whom this account lets be asked for certificates.
    pub fn key_sources(&self) -> Sources {
        let sources = self.sources.read();
        sources.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Changes it, on this device.
    pub fn set_key_sources(&self, sources: Sources) {
        *self.sources.write().unwrap_or_else(PoisonError::into_inner) = sources;
    }

    /// The account's keys, those used for signing first; [`KeyError::NotHere`] before the first
    /// sync has brought them.
    pub async fn own_keys(&self) -> Result<Arc<[SecretCertificate]>, KeyError> {
        let known = self
            .secret
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        if !known.is_empty() {
            return Ok(known);
        }
        let mut parsed = Vec::new();
        for document in self.secret_keys().await? {
            let secret = SecretCertificate::parse(&document.secret, None);
            parsed.push(secret.map_err(|_| KeyError::Damaged)?);
        }
        parsed.sort_by_key(|secret| core::cmp::Reverse(secret.certificate().created_at()));
        let parsed: Arc<[SecretCertificate]> = parsed.into();
        if parsed.is_empty() {
            return Err(KeyError::NotHere);
        }
        *self.secret.write().unwrap_or_else(PoisonError::into_inner) = parsed.clone();
        Ok(parsed)
    }

    /// Lets the next question read the account's keys again.
    fn forget_own_keys(&self) {
        let mut known = self.secret.write().unwrap_or_else(PoisonError::into_inner);
        *known = Arc::new([]);
    }

    /// The certificate that is used for an address: our own, a contact's, or what a directory
    /// answered. `None`: nobody has been asked yet, `Some(None)`: nobody has one.
    async fn certificate_for(
        &self,
        address: &Address,
        answers: &Answers,
    ) -> Result<Option<Option<Certificate>>, KeyError> {
        if address.canonical() == self.address.canonical() {
            let keys = self.own_keys().await?;
            return Ok(Some(keys.first().map(|key| key.certificate().clone())));
        }
        if let Some(contact) = self.contact(address).await?
            && let Ok(certificate) = Certificate::parse(&contact.certificate)
        {
            return Ok(Some(Some(certificate)));
        }
        let answer = answers.get(&address.canonical());
        Ok(answer.map(|found| found.as_ref().map(|found| found.certificate.clone())))
    }

    /// The certificate to encrypt to: the one that is known while it can be used, else what was
    /// looked up, as far as the rules of replacement let it take that one's place. `None`: it has
    /// not been looked up yet.
    async fn certificate_to_encrypt_to(
        &self,
        address: &Address,
        answers: &Answers,
        now: Timestamp,
    ) -> Result<Option<Option<Certificate>>, KeyError> {
        if address.canonical() == self.address.canonical() {
            return self.certificate_for(address, answers).await;
        }
        let contact = self.contact(address).await?;
        let known = contact
            .as_ref()
            .and_then(keyring::Contact::parse_certificate);
        let usable = |certificate: &Certificate| certificate.usable_for_encryption(now).is_ok();
        if known.as_ref().is_some_and(usable) {
            return Ok(Some(known));
        }
        let Some(answer) = answers.get(&address.canonical()) else {
            return Ok(None);
        };
        let offered = answer.as_ref().and_then(|found| {
            let offer = found.offer(address, now);
            match keyring::consider(contact.as_ref(), &offer, now) {
                keyring::Decision::Store(contact) => contact.parse_certificate(),
                keyring::Decision::Keep(_) => None,
            }
        });
        Ok(Some(offered.filter(usable)))
    }

    fn with_rng<T>(&self, work: impl FnOnce(&mut ChaCha20Rng) -> T) -> T {
        work(&mut self.rng.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

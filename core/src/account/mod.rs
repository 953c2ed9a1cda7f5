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

mod chest;
mod devices;
mod directory;
mod events;
mod heard;
mod incoming;
mod indexing;
mod keys;
mod mailbox;
mod manifest;
mod message;
mod outgoing;
mod recipients;
mod rejudging;
mod reopening;
mod search;
mod verification;
#[cfg(test)]
mod pair_tests;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::ops::Deref;
use std::sync::{Mutex, OnceLock, PoisonError, RwLock};

use rand::{RngCore as _, SeedableRng};
use rand_chacha::ChaCha20Rng;

use crate::id::{Address, Timestamp};
use crate::keys::Found;
use crate::keys::lookup::Sources;
use crate::keys::own::OwnKeyError;
use crate::openpgp::Certificate;
use crate::openpgp::bulk::BulkCipher;
use crate::seal::AccountKeys;
use crate::sending::SendingPolicy;
use crate::store::Store;

pub use crate::replica::directory::DirectoryState;
pub use crate::replica::{
    ARRIVED_KEPT_MS, Appended, Appender, ChangedAnnotation, Changes, CheckReport, Checkpoint,
    Collected, Copied, Counts, DevicesState, Finding, FlagEdit, GARBAGE_KEPT_MS, IncomingMessage,
    MAX_APPEND_OCTETS, MAX_FINDINGS, MAX_VANISHED, MailboxStatus, Message as MessageDocument,
    NewMessage, OutboxEntry, OutboxProblem, PartialMessage, PendingPush, Pieces, Placement,
    Replica, ReplicaError, Roster, RosterEntry, Seeker, Subscription, Usage, Vanished,
    begin_enrolled,
};
pub use chest::{ChestError, KeyChest};
pub use devices::{DevicesCheck, DevicesError, STRANGER_MS};
pub use directory::{DirectoryError, DirectorySession};
pub use events::{Event, Events};
pub use incoming::TakenIn;
pub use indexing::{IndexError, IndexStep};
pub use keys::Publication;
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
    /// A key could not be made or renewed.
    #[error(transparent)]
    Making(#[from] OwnKeyError),
}

/// One account on one device.
pub struct Account<S> {
    replica: Replica<S>,
    address: Address,
    policy: RwLock<SendingPolicy>,
    sources: RwLock<Sources>,
    own: keys::Kept,
    /// The platform's AES.
    bulk: OnceLock<Box<dyn BulkCipher>>,
    rng: Mutex<ChaCha20Rng>,
    indexing: indexing::Indexing,
    /// Whoever holds it talks with the key directory.
    directory_turn: futures::lock::Mutex<()>,
    /// An own entry of the directory that no device is known to have made.
    suspected: Mutex<Option<directory::Suspected>>,
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
            own: keys::Kept::default(),
            bulk: OnceLock::new(),
            rng: Mutex::new(ChaCha20Rng::from_seed(own)),
            indexing: indexing::Indexing::default(),
            directory_turn: futures::lock::Mutex::default(),
            suspected: Mutex::default(),
        })
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

    /// Hands in the platform's AES, for long messages; the first one stays.
    pub fn set_bulk_cipher(&self, cipher: Box<dyn BulkCipher>) {
        self.bulk.get_or_init(|| cipher);
    }

    fn bulk(&self) -> Option<&dyn BulkCipher> {
        self.bulk.get().map(|cipher| &**cipher)
    }

    /// The certificates that judge what an address has signed: our own, a contact's, or what a
    /// directory answered. `None`: nobody has been asked yet; empty: nobody has one.
    async fn certificates_of(
        &self,
        address: &Address,
        answers: &Answers,
    ) -> Result<Option<Vec<Certificate>>, KeyError> {
        if address.canonical() == self.address.canonical() {
            let keys = self.own_keys().await?;
            return Ok(Some(
                keys.iter().map(|key| key.certificate().clone()).collect(),
            ));
        }
        if let Some(contact) = self.contact(address).await?
            && let Some(certificate) = contact.parse_certificate()
        {
            let companion = contact.parse_companion();
            return Ok(Some([certificate].into_iter().chain(companion).collect()));
        }
        let answer = answers.get(&address.canonical());
        Ok(answer.map(|found| {
            let found = found.iter();
            let both = found.flat_map(|found| [Some(&found.certificate), found.companion.as_ref()]);
            both.flatten().cloned().collect()
        }))
    }

    /// Randomness for what takes a while, during which others need theirs.
    fn own_rng(&self) -> ChaCha20Rng {
        let mut seed = [0; 32];
        self.with_rng(|rng| rng.fill_bytes(&mut seed));
        ChaCha20Rng::from_seed(seed)
    }

    fn with_rng<T>(&self, work: impl FnOnce(&mut ChaCha20Rng) -> T) -> T {
        work(&mut self.rng.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

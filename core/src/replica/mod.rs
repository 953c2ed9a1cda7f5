//! One account's truth on one device: typed operations over a [`Store`].
//!
//! A replica gives out UIDs and mod-sequences (local, never synced), seals every document before
//! it writes, and remembers what waits to be pushed. Counters, mailboxes and placements are held
//! in memory and change only after a commit; structure and content are read from the store when
//! asked for.
//!
//! ```text
//! append, flags, move, expunge, ... ─┐                      ┌─► Store: one Batch, all or nothing
//! documents pulled from the provider ─┴─► Change (read, merge, seal) ─┴─► View, then subscribers
//! ```
//!
//! Invariant: every write is one [`crate::store::Batch`] that expects the counters row unchanged, so two writers on
//! one store cannot both win; the loser gets [`ReplicaError::Busy`], sees the winner's state and
//! may try again. Rejected: a write-behind cache; a `250` or `OK` is given only for what outlives
//! the process, and only a change of flags and what can be made again for what a machine that
//! loses its power may lose (`flags`).

mod awaited;
mod kept;
mod foreseen;
mod change;
mod load;
pub mod document;
mod coding;
mod dictionary;
mod packed;
pub mod page;
pub mod annotations;
pub mod directory;
mod devices;
mod epochs;
mod documents;
mod pages;
mod kept_pages;
mod references;
mod append;
mod partial;
mod appender;
mod expunge;
mod fetch;
mod fetch_many;
mod pieces;
mod flags;
mod flag_edits;
mod incoming;
mod mailboxes;
mod outbox;
mod pointers;
mod silences;
mod unjudged;
mod remote;
mod hearing;
mod stating;
mod unsure;
mod manifest;
mod rules;
mod recent;
mod reopen;
mod take_page;
mod removable;
mod set_back;
mod changes;
mod threads;
mod collect;
mod check;
mod view;
mod virtual_mailboxes;
mod roster;
mod places;
mod visit;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard};

use futures::channel::mpsc;
use rand::SeedableRng;
use rand_chacha::ChaCha20Rng;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::id::{
    DocId, Generation, MailboxId, MailboxName, MessageHash, ModSeq, ReplicaId, Timestamp, Uid,
};
use crate::seal::{AccountKeys, OpenError, SealError};
use crate::store::{Store, StoreError, Table};
use crate::threads::Forest;

pub use append::{Appended, Checkpoint, Copied, NewMessage};
pub use appender::Appender;
pub use changes::{ChangedAnnotation, Changes, MAX_VANISHED, Vanished};
pub use check::{CheckReport, Finding, MAX_FINDINGS};
pub use collect::{ARRIVED_KEPT_MS, Collected, GARBAGE_KEPT_MS, MISSING_AT_ONCE};
pub use devices::{DevicesState, begin_enrolled};
pub use fetch::Message;
pub use flags::FlagEdit;
pub(crate) use incoming::Arrived;
pub use incoming::IncomingMessage;
pub use kept::LetGo;
pub(crate) use manifest::Anew;
pub use outbox::{OutboxEntry, OutboxProblem};
pub use pages::PAGE_PLACEMENTS;
pub use partial::{MAX_APPEND_OCTETS, PartialMessage};
pub use pieces::Pieces;
pub use remote::PendingPush;
pub use roster::{Counts, Roster, RosterEntry, Seeker};
pub(crate) use stating::state_once;
pub(crate) use unjudged::Unjudged;
pub use view::{MailboxStatus, Placement, Usage};

use change::Change;
use kept_pages::KeptPages;
use view::{Counters, View};

const COUNTERS: &[u8] = b"counters";
const REPLICA: &[u8] = b"replica";
/// How many mod-sequences an opening leaves out. A machine that lost its power may have lost the
/// last changes of flags with the mod-sequences that sessions were told; these must not come to
/// mean something else (RFC 7162 3.1). Far more than can be given out before they are on the disk.
const LEFT_OUT: u64 = 1 << 20;

/// Why an operation was not done. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum ReplicaError {
    /// The store failed.
    #[error(transparent)]
    Store(StoreError),
    /// Another program wrote to the same store at the same moment; trying again helps.
    #[error("another window or program wrote at the same moment")]
    Busy,
    /// A sealed document does not open.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// A document's payload is not what it should be.
    #[error("document {id} {cause}")]
    Document {
        /// Which.
        id: DocId,
        /// Why.
        cause: document::DocumentError,
    },
    /// Something too large to seal.
    #[error("the document {0}")]
    Seal(#[from] SealError),
    /// No such mailbox.
    #[error("there is no such mailbox")]
    NoSuchMailbox,
    /// A mailbox of this name exists.
    #[error("a mailbox of this name exists")]
    MailboxExists,
    /// Another mailbox has this role.
    #[error("another mailbox has this role")]
    RoleTaken,
    /// The mailbox cannot have this role, or there is no such role.
    #[error("the mailbox cannot have this role")]
    RoleNotPossible,
    /// An annotation that only the server sets, or that is none.
    #[error("this annotation cannot be set")]
    AnnotationFixed,
    /// A value longer than [`crate::model::MAX_ANNOTATION_OCTETS`].
    #[error("the value of an annotation is too long")]
    AnnotationTooLong,
    /// More than [`crate::model::MAX_ANNOTATIONS`], or more octets than
    /// [`crate::model::MAX_ANNOTATIONS_OCTETS`] in the account.
    #[error("there are too many annotations")]
    TooManyAnnotations,
    /// A virtual mailbox takes no messages and annotations, has no mailboxes below it, and is
    /// neither renamed nor deleted.
    #[error("this cannot be done with a virtual mailbox")]
    Virtual,
    /// INBOX cannot be deleted, and nothing can be renamed to it.
    #[error("this cannot be done with INBOX")]
    Inbox,
    /// The message is longer than [`crate::sync::wire::MAX_MESSAGE_OCTETS`], or one of its
    /// documents would be longer than [`crate::sync::wire::MAX_DOCUMENT_OCTETS`].
    #[error("the message is too large")]
    MessageTooLarge,
    /// A message would carry more flags than [`crate::model::MAX_FLAGS_PER_MESSAGE`].
    #[error(
        "a message carries at most {} flags",
        crate::model::MAX_FLAGS_PER_MESSAGE
    )]
    TooManyFlags,
    /// The mailbox has given out all 2^32 UIDs, or there are no more mod-sequences.
    #[error("the mailbox has no more numbers to give out")]
    Exhausted,
    /// A row of the store does not decode.
    #[error("a row of table {0} is damaged")]
    Row(&'static str),
    /// A row of the store has a form that this program does not know.
    #[error("a row of table {0} was written by a newer version of Letterlock: update this device")]
    NewerRow(&'static str),
    /// A part of a message has not been synced to this device.
    #[error("a part of this message is not on this device yet: document {0}")]
    NotHere(DocId),
}

impl ReplicaError {
    /// Whether something was sealed in a key epoch that this device does not know yet: the list of
    /// devices brings its keys.
    pub const fn is_later_epoch(&self) -> bool {
        matches!(self, Self::Open(OpenError::LaterEpoch(_)))
    }
}

impl From<StoreError> for ReplicaError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Conflict => Self::Busy,
            error => Self::Store(error),
        }
    }
}

/// One account's truth on one device.
pub struct Replica<S> {
    store: S,
    keys: AccountKeys,
    id: ReplicaId,
    view: RwLock<View>,
    /// The least mod-sequence to give out.
    first_mod_seq: ModSeq,
    /// Most placements that go into one page.
    page_placements: u32,
    /// What the last changes read.
    kept_pages: Mutex<KeptPages>,
    recent: recent::Recent,
    nothing_awaited: awaited::NothingAwaited,
    /// Whether contents are fetched when they are wanted, and let go.
    is_lazy: AtomicBool,
    decoders: coding::Decoders,
    /// The threads, once somebody has asked for them.
    forest: Mutex<Option<Forest>>,
    /// Whoever holds it writes.
    writer: futures::lock::Mutex<ChaCha20Rng>,
    subscribers: Mutex<Vec<mpsc::Sender<()>>>,
    /// Contents of messages that are being appended piece by piece, and by how many.
    staged: partial::StagedContents,
    /// What was known when the last pull was asked.
    asked: Mutex<Option<manifest::Asked>>,
    /// The time of the last change, in milliseconds.
    now: AtomicI64,
}

/// Wakes when something in the replica has changed; several changes may be one wake-up.
#[derive(Debug)]
pub struct Subscription(mpsc::Receiver<()>);

impl Subscription {
    /// Waits for the next change. Cancel-safe.
    pub async fn changed(&mut self) {
        use futures::StreamExt;
        let _: Option<()> = self.0.next().await;
    }
}

impl<S: Store> Replica<S> {
    /// Opens the replica that `store` holds, or makes a new, empty one in it.
    ///
    /// `seed` is fresh randomness: nonces and ids come from it.
    pub async fn open(
        store: S,
        keys: AccountKeys,
        seed: [u8; 32],
        now: Timestamp,
    ) -> Result<Self, ReplicaError> {
        let mut rng = ChaCha20Rng::from_seed(seed);
        let id = load::replica_id(&store, &mut rng).await?;
        epochs::restore_epochs(&store, &keys).await?;
        let view = View::load(&store, &keys, now).await?;
        let first_mod_seq = view.counters.first_mod_seq();
        Ok(Self {
            store,
            keys,
            id,
            view: RwLock::new(view),
            first_mod_seq,
            page_placements: PAGE_PLACEMENTS,
            kept_pages: Mutex::default(),
            recent: recent::Recent::default(),
            nothing_awaited: awaited::NothingAwaited::default(),
            is_lazy: AtomicBool::new(false),
            decoders: coding::Decoders::default(),
            forest: Mutex::new(None),
            writer: futures::lock::Mutex::new(rng),
            subscribers: Mutex::new(Vec::new()),
            staged: partial::StagedContents::default(),
            asked: Mutex::new(None),
            now: AtomicI64::new(now.as_millis()),
        })
    }

    /// Sets how many placements go into one page, for those who measure. Pages that are there
    /// stay as they are.
    #[doc(hidden)]
    #[must_use]
    pub fn with_page_placements(mut self, placements: u32) -> Self {
        self.page_placements = placements.max(1);
        self
    }

    /// This device's id.
    pub fn id(&self) -> ReplicaId {
        self.id
    }

    /// The account's keys.
    pub fn keys(&self) -> &AccountKeys {
        &self.keys
    }

    /// Wakes the returned subscription at every change from here on.
    pub fn subscribe(&self) -> Subscription {
        // A buffer of one and a lost `try_send` coalesce wake-ups.
        let (sender, receiver) = mpsc::channel(0);
        self.subscribers
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(sender);
        Subscription(receiver)
    }

    /// All mailboxes but the virtual ones, by name.
    pub fn mailboxes(&self) -> Vec<MailboxStatus> {
        let mut all: Vec<MailboxStatus> = self.view().live().map(MailboxStatus::from).collect();
        all.sort_by(|a, b| a.name.cmp(&b.name));
        all
    }

    /// The mailbox of this name, virtual or not.
    pub fn mailbox(&self, name: &MailboxName) -> Option<MailboxStatus> {
        let real = self.view().by_name(name).map(MailboxStatus::from);
        real.or_else(|| self.virtual_named(name))
    }

    /// The mailbox with this id, virtual or not.
    pub fn mailbox_by_id(&self, id: MailboxId) -> Option<MailboxStatus> {
        let view = self.view();
        let state = view
            .mailboxes
            .get(&id)
            .filter(|state| !state.row.document.deleted);
        let real = state.map(MailboxStatus::from);
        drop(view);
        real.or_else(|| self.virtual_with_id(id))
    }

    /// HIGHESTMODSEQ of a mailbox (RFC 7162 3.1.2.1): cheap, so that a session can ask after every
    /// command whether anything is new. `None` if there is no such mailbox.
    pub fn highest_mod_seq(&self, id: MailboxId) -> Option<ModSeq> {
        let view = self.view();
        view.shown(id).map(|(row, _)| row.highest_mod_seq)
    }

    /// The messages of a mailbox, by ascending UID; none if there is no such mailbox.
    pub fn placements(&self, mailbox: MailboxId) -> Vec<Placement> {
        let view = self.view();
        let shown = view.shown(mailbox).into_iter();
        shown
            .flat_map(|(_, roster)| roster.iter())
            .map(Placement::from)
            .collect()
    }

    /// The messages of a mailbox as of now, without copying them: later changes do not show.
    /// `None` if there is no such mailbox.
    pub fn roster(&self, mailbox: MailboxId) -> Option<Arc<Roster>> {
        let view = self.view();
        let shown = view.shown(mailbox);
        shown.map(|(_, roster)| Arc::clone(roster))
    }

    /// One message of a mailbox.
    pub fn placement(&self, mailbox: MailboxId, uid: Uid) -> Option<Placement> {
        let view = self.view();
        let (_, roster) = view.shown(mailbox)?;
        roster.find(uid).map(Placement::from)
    }

    /// Where a message is placed, by mailbox and UID; empty if it is in no mailbox.
    pub fn placements_of(&self, message: MessageHash) -> Vec<(MailboxId, Uid)> {
        let view = self.view();
        let places = view.places_of(message);
        places
            .map(|(mailbox, entry)| (mailbox, entry.uid()))
            .collect()
    }

    /// Every message that is placed, those with the latest dates first.
    pub fn newest_messages(&self) -> Vec<MessageHash> {
        let view = self.view();
        let placed = view.live().flat_map(|state| state.roster.iter());
        let mut all: Vec<_> = placed
            .map(|entry| (entry.internal_date(), entry.message()))
            .collect();
        drop(view);
        all.sort_unstable();
        all.reverse();
        let mut seen = BTreeSet::new();
        all.retain(|(_, message)| seen.insert(*message));
        all.into_iter().map(|(_, message)| message).collect()
    }

    /// How much the mailboxes hold.
    pub fn usage(&self) -> Usage {
        self.view().places.usage()
    }

    /// The last mod-sequence given out.
    pub fn mod_seq(&self) -> ModSeq {
        self.view().counters.mod_seq
    }

    /// Everything up to here has been pulled from the provider.
    pub fn pulled(&self) -> Generation {
        self.view().counters.pulled
    }

    /// Whether a message that is being appended has this content.
    fn is_staged(&self, content: DocId) -> bool {
        let staged = self.staged.lock().unwrap_or_else(PoisonError::into_inner);
        staged.contains_key(&content)
    }

    fn kept_pages(&self) -> MutexGuard<'_, KeptPages> {
        let kept = self.kept_pages.lock();
        kept.unwrap_or_else(PoisonError::into_inner)
    }

    fn view(&self) -> RwLockReadGuard<'_, View> {
        self.view.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn notify(&self) {
        let mut subscribers = self
            .subscribers
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        subscribers.retain_mut(|sender| match sender.try_send(()) {
            Ok(()) => true,
            Err(error) => error.is_full(),
        });
    }

    fn asked(&self) -> MutexGuard<'_, Option<manifest::Asked>> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The time of the last change.
    fn last_now(&self) -> Timestamp {
        Timestamp::from_millis(self.now.load(Ordering::Relaxed))
    }

    async fn begin(&self, now: Timestamp) -> Change<'_, S> {
        self.now.store(now.as_millis(), Ordering::Relaxed);
        let rng = self.writer.lock().await;
        Change::new(self, rng, now)
    }
}

fn encode_row<T: Serialize>(value: &T) -> Vec<u8> {
    postcard::to_extend(value, Vec::new())
        .expect("writing to memory does not fail, and every length is known")
}

fn decode_row<T: DeserializeOwned>(table: Table, octets: &[u8]) -> Result<T, ReplicaError> {
    postcard::from_bytes(octets).map_err(|_| ReplicaError::Row(table.name()))
}

impl Counters {
    fn new(now: Timestamp) -> Self {
        // A replica that starts empty gives a later UIDVALIDITY than one of the past did
        // (RFC 9051 2.3.1.1): seconds since the epoch, as most servers do.
        let uid_validity = u32::try_from(now.as_secs()).unwrap_or(1).max(1);
        Self {
            mod_seq: ModSeq::ONE,
            clock: 0,
            uid_validity,
            pulled: Generation::default(),
            writes: 0,
            page: None,
        }
    }

    /// The least mod-sequence that whoever opened this may give out.
    fn first_mod_seq(&self) -> ModSeq {
        if self.writes == 0 {
            return ModSeq::ONE;
        }
        ModSeq::new(self.mod_seq.get().saturating_add(LEFT_OUT)).unwrap_or(ModSeq::LAST)
    }
}

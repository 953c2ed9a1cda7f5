//! What commands do to the store: one file per command, each takes values and gives values.
//!
//! Invariant: nothing here writes to the peer, knows sequence-number rules or touches a socket;
//! and nothing else in `imap` calls the account. Rejected: states of the session for storage
//! work; waiting for a disk is not protocol.

mod copy;
mod digest;
mod error;
mod expunge;
mod fetch;
mod fetch_parts;
mod lanes;
mod list;
mod mailboxes;
mod metadata;
mod progress;
mod refresh;
mod search;
mod search_fuzzy;
pub mod search_many;
mod search_narrow;
mod search_read;
mod search_text;
mod select;
mod sort;
mod status;
mod store;
mod thread;
pub mod upload;
pub mod vanished;
mod watch;

use std::collections::BTreeSet;
use std::sync::Arc;

use letterlock_core::account::Account;
use letterlock_core::id::{MailboxId, MailboxName, ModSeq, Timestamp, Uid, UidValidity};
use letterlock_core::model::{Flag, FlagChange, FlagSet, Role};
use letterlock_core::store::Store;

use super::accounts::Room;
use super::command::{
    Access, Echo, FetchItem, ListCommand, SearchKey, SortCriterion, StatusItem, ThreadAlgorithm,
};
use super::recall::Recall;
use super::recent::Recents;
use super::response::{FetchValue, MetadataData, Response, Rights, StatusData};
use super::set::UidSet;
use super::view::{Changed, Slot, Snapshot};

pub use error::OpError;
pub use list::ListedMailbox;
pub use metadata::MetadataOp;
pub use progress::Progress;
pub use search::Hit;
pub use search_many::FoundIn;
pub use select::{Resynced, SelectOp};
pub use thread::Threaded;
pub use upload::{Begin, Upload, UploadStep};
pub use watch::{Watch, WatchOp};

/// Work for the store.
#[derive(Debug)]
pub enum Op {
    /// SELECT, EXAMINE.
    Select(Box<SelectOp>),
    /// What is new in the selected mailbox.
    Refresh {
        /// Which.
        mailbox: MailboxId,
        /// Flags from above this mod-sequence are wanted.
        since: Option<ModSeq>,
        /// A read-only session takes no `\Recent` away from others.
        access: Access,
        /// Searches whose results are followed: which of the changed messages do they find?
        followed: Vec<Arc<SearchKey>>,
    },
    /// LIST.
    List(ListCommand),
    /// LSUB.
    Lsub {
        /// Prefix of the pattern.
        reference: String,
        /// With `*` and `%`.
        pattern: String,
    },
    /// STATUS.
    Status(MailboxName, Vec<StatusItem>),
    /// CREATE.
    Create(MailboxName, Option<Role>),
    /// Whether there is such a mailbox, and what may be done with it: MYRIGHTS.
    Exists(MailboxName),
    /// The room at the provider: GETQUOTA, GETQUOTAROOT.
    Room,
    /// GETMETADATA, SETMETADATA.
    Metadata(MetadataOp),
    /// NOTIFY, ENABLE METADATA.
    Watch(WatchOp),
    /// DELETE.
    Delete(MailboxName),
    /// RENAME.
    Rename(MailboxName, MailboxName),
    /// SUBSCRIBE, UNSUBSCRIBE.
    Subscribe(MailboxName, Subscription),
    /// FETCH of some messages.
    Fetch(FetchOp),
    /// Which of these UIDs have vanished since a mod-sequence.
    Vanished {
        /// From where.
        mailbox: MailboxId,
        /// Since when.
        since: u64,
        /// Which are asked for.
        among: UidSet,
    },
    /// SEARCH.
    Search {
        /// Where.
        mailbox: MailboxId,
        /// Among which messages.
        slots: Vec<Slot>,
        /// All of these must hold.
        keys: Vec<SearchKey>,
    },
    /// ESEARCH.
    SearchMany(Box<search_many::SearchManyOp>),
    /// SORT.
    Sort {
        /// Where.
        mailbox: MailboxId,
        /// Among which messages.
        slots: Vec<Slot>,
        /// What is looked for.
        keys: Vec<SearchKey>,
        /// By what it is sorted.
        criteria: Vec<SortCriterion>,
    },
    /// THREAD.
    Thread {
        /// Where.
        mailbox: MailboxId,
        /// Among which messages.
        slots: Vec<Slot>,
        /// What is looked for.
        keys: Vec<SearchKey>,
        /// How messages belong together.
        algorithm: ThreadAlgorithm,
    },
    /// STORE.
    Store(StoreOp),
    /// COPY.
    Copy(CopyOp),
    /// MOVE.
    Move(CopyOp),
    /// EXPUNGE and CLOSE; with UIDs, UID EXPUNGE.
    Expunge(MailboxId, Option<Among>),
}

/// Of which messages UID EXPUNGE is.
#[derive(Debug)]
pub struct Among {
    /// These.
    pub uids: BTreeSet<Uid>,
    /// Most that are expunged.
    pub most: usize,
}

/// Whether a mailbox is subscribed to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Subscription {
    /// SUBSCRIBE.
    On,
    /// UNSUBSCRIBE.
    Off,
}

/// FETCH of some messages.
#[derive(Debug)]
pub struct FetchOp {
    /// Where.
    pub mailbox: MailboxId,
    /// Which.
    pub slots: Vec<Slot>,
    /// What.
    pub items: Arc<[FetchItem]>,
    /// Those alone that have changed after this mod-sequence.
    pub changed_since: Option<u64>,
    /// What is told when the fetch itself changes something.
    pub tells: Tells,
    /// A read-only session sets no `\Seen`.
    pub access: Access,
}

impl FetchOp {
    /// Whether it marks what it brings as seen.
    pub fn sets_seen(&self) -> bool {
        self.access == Access::ReadWrite && self.items.iter().any(fetch::sets_seen)
    }
}

impl Op {
    /// Whether it is a step of a FETCH that changes nothing.
    pub fn only_reads(&self) -> bool {
        matches!(self, Self::Fetch(op) if !op.sets_seen())
    }
}

/// What is told of a change that nobody asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tells {
    /// The flags.
    Flags,
    /// Mod-sequence and UID too: the client knows CONDSTORE (RFC 7162 3.2.4).
    ModSeq,
    /// Mod-sequence too; the response begins with the UID anyway (RFC 9586 3.3).
    ModSeqAlone,
}

/// STORE.
#[derive(Debug)]
pub struct StoreOp {
    /// Where.
    pub mailbox: MailboxId,
    /// Which.
    pub slots: Vec<Slot>,
    /// Those alone that have not changed after this mod-sequence.
    pub unchanged_since: Option<u64>,
    /// Set, add or remove.
    pub change: FlagChange,
    /// Whether to tell the new flags.
    pub echo: Echo,
    /// The flags.
    pub flags: FlagSet,
}

/// COPY and MOVE.
#[derive(Debug)]
pub struct CopyOp {
    /// From where.
    pub mailbox: MailboxId,
    /// Which.
    pub slots: Vec<Slot>,
    /// Where to.
    pub to: MailboxName,
}

/// What came of it.
#[derive(Debug)]
pub enum Outcome {
    /// Nothing to tell.
    Done,
    /// Of [`Op::Select`].
    Selected(Box<SelectedMailbox>),
    /// Of [`Op::Refresh`].
    Refreshed(Refreshed),
    /// Of [`Op::List`] and [`Op::Lsub`].
    Listed(Vec<ListedMailbox>),
    /// Of [`Op::Watch`]: what goes on being watched, unless there was too
    /// much to tell, and what is told.
    Watched(Option<Box<Watch>>, Vec<Response>),
    /// Of [`Op::Exists`].
    Rights(Rights),
    /// Of [`Op::Room`].
    Room(Option<Room>),
    /// Of [`Op::Status`].
    Status(StatusData),
    /// Of [`MetadataOp::Get`]: and how long the longest value is that was too long.
    Metadata(MetadataData, Option<usize>),
    /// Of [`MetadataOp::Set`]: the mod-sequence, if there was a change.
    MetadataSet(Option<ModSeq>),
    /// Of [`UploadStep::End`].
    Appended(UidValidity, Vec<Uid>),
    /// Of [`Op::Fetch`].
    Fetched(Fetched),
    /// Of [`Op::Vanished`].
    Vanished(vanished::Spans),
    /// Of [`Op::Create`].
    Created(MailboxId),
    /// Of [`Op::Search`]: ascending; of [`Op::Sort`]: as sorted.
    Found(Vec<Hit>),
    /// Of [`Op::SearchMany`]: mailboxes in which something was found, by name.
    FoundMany(Vec<FoundIn>),
    /// Of [`Op::Thread`].
    Threaded(Vec<Threaded>),
    /// Of [`Op::Store`].
    Stored(Stored),
    /// Of [`Op::Expunge`]: whether anything was removed, and below which UID nothing was because
    /// there was too much.
    Expunged(bool, Option<Uid>),
    /// Of [`Op::Copy`] and [`Op::Move`]: source and copy.
    Copied(UidValidity, Vec<(Uid, Uid)>),
}

/// A mailbox that was opened.
#[derive(Debug)]
pub struct SelectedMailbox {
    /// Its id: it stays when the mailbox is renamed.
    pub id: MailboxId,
    /// Its name.
    pub name: MailboxName,
    /// UIDVALIDITY.
    pub uid_validity: UidValidity,
    /// UIDNEXT.
    pub uid_next: Uid,
    /// The first message without `\Seen`.
    pub unseen: Option<Uid>,
    /// Keywords in use.
    pub keywords: BTreeSet<Flag>,
    /// Its messages.
    pub snapshot: Snapshot,
    /// Not all of the account's mail has come to this device yet.
    pub behind: bool,
    /// What has changed since the client last looked, if that could be compared.
    pub resynced: Option<Resynced>,
}

/// How the selected mailbox is now.
#[derive(Debug)]
pub enum Refreshed {
    /// As it was.
    Same,
    /// Like this.
    News(News),
    /// It was deleted.
    Gone,
}

/// What has changed in a mailbox.
#[derive(Debug)]
pub struct News {
    /// How it is now.
    pub snapshot: Snapshot,
    /// What that is to searches that are followed, if any are.
    pub followed: Option<Followed>,
}

/// What followed searches find.
#[derive(Debug)]
pub struct Followed {
    /// The messages that have changed.
    pub changed: Vec<Uid>,
    /// For each search, those of them that it finds now.
    pub found: Vec<BTreeSet<Uid>>,
}

/// Some messages.
#[derive(Debug)]
pub struct Fetched {
    /// In the order asked for.
    pub messages: Vec<FetchedMessage>,
    /// How many of the slots were dealt with, found or not; at least one.
    pub taken: usize,
    /// Whether some were expunged by somebody else.
    pub gone: bool,
    /// Why the first of those that cannot be read cannot: the others come all the same.
    pub failed: Option<OpError>,
}

/// One of them.
#[derive(Debug)]
pub struct FetchedMessage {
    /// Which.
    pub slot: Slot,
    /// Its items.
    pub values: Vec<FetchValue>,
    /// The mod-sequence of the flags, if they are among the items.
    pub told: Option<ModSeq>,
}

/// What STORE did.
#[derive(Debug, Default)]
pub struct Stored {
    /// Flags to tell, by ascending UID.
    pub told: Vec<Changed>,
    /// Changes that the client asked not to be told of.
    pub silent: Vec<(Uid, ModSeq)>,
    /// Messages that had changed and were left alone, ascending.
    pub modified: Vec<Uid>,
    /// Whether some were expunged by somebody else.
    pub gone: bool,
}

/// What an operation works with.
pub struct Context<'a, S: Store> {
    /// Whose mail.
    pub account: &'a Arc<Account<S>>,
    /// What was `\Recent` to whom.
    pub recents: &'a Recents,
    /// What was shown of messages.
    pub recall: &'a Recall,
    /// The time.
    pub now: Timestamp,
    /// How far it is: written here, read while it runs.
    pub progress: &'a Progress,
    /// Not all of the account's mail has come to this device yet.
    pub behind: bool,
    /// The room at the provider, if that has a limit.
    pub room: Option<Room>,
}

/// Does one operation.
pub async fn run<S: Store>(context: &Context<'_, S>, op: Op) -> Result<Outcome, OpError> {
    match op {
        Op::Select(op) => select::run(context, *op).await,
        Op::Refresh {
            mailbox,
            since,
            access,
            followed,
        } => {
            let refreshed = refresh::run(context, mailbox, since, access, &followed);
            refreshed.await.map(Outcome::Refreshed)
        }
        Op::List(command) => Ok(Outcome::Listed(list::run(context, &command).await)),
        Op::Lsub { reference, pattern } => {
            Ok(Outcome::Listed(list::lsub(context, &reference, &pattern)))
        }
        Op::Status(name, items) => status::run(context, &name, &items),
        Op::Create(name, role) => mailboxes::create(context, &name, role).await,
        Op::Metadata(op) => metadata::run(context, op).await,
        Op::Watch(op) => watch::run(context, op).await,
        Op::Room => Ok(Outcome::Room(context.room)),
        Op::Exists(name) => mailboxes::exists(context, &name),
        Op::Delete(name) => mailboxes::delete(context, &name).await,
        Op::Rename(from, to) => mailboxes::rename(context, &from, &to).await,
        Op::Subscribe(name, subscription) => {
            mailboxes::subscribe(context, &name, subscription).await
        }
        Op::Fetch(op) => fetch::run(context, op).await.map(Outcome::Fetched),
        Op::Vanished {
            mailbox,
            since,
            among,
        } => vanished::run(context, mailbox, since, &among)
            .await
            .map(Outcome::Vanished),
        Op::Search {
            mailbox,
            slots,
            keys,
        } => search::run(context, mailbox, slots, keys)
            .await
            .map(Outcome::Found),
        Op::SearchMany(op) => search_many::run(context, *op).await.map(Outcome::FoundMany),
        Op::Sort {
            mailbox,
            slots,
            keys,
            criteria,
        } => {
            let hits = search::run(context, mailbox, slots, keys).await?;
            let sorted = sort::run(context, mailbox, hits, &criteria).await?;
            Ok(Outcome::Found(sorted))
        }
        Op::Thread {
            mailbox,
            slots,
            keys,
            algorithm,
        } => {
            let hits = search::run(context, mailbox, slots, keys).await?;
            let threaded = thread::run(context, mailbox, &hits, algorithm).await?;
            Ok(Outcome::Threaded(threaded))
        }
        Op::Store(op) => store::run(context, op).await.map(Outcome::Stored),
        Op::Copy(op) => copy::copy(context, op).await,
        Op::Move(op) => copy::move_messages(context, op).await,
        Op::Expunge(mailbox, uids) => expunge::run(context, mailbox, uids).await,
    }
}

//! One trait for every place where a replica is kept: memory, SQLite, IndexedDB.
//!
//! A store is an ordered key-value map of opaque octets in a few tables, with one atomic write.
//! It knows no mail and no crypto. Read, compute, seal, *then* [`Store::commit`]: an IndexedDB
//! transaction ends by itself when its task yields, so nothing foreign may happen inside one and
//! no transaction object leaves a backend.
//!
//! Rejected: a trait with a method per mail operation, as most mail stores have; every backend
//! would write the mail rules again.

mod batch;
mod journal;
mod memory;
mod sealed;
#[cfg(any(test, feature = "conformance"))]
pub mod conformance;

use core::future::Future;

use crate::portable::{MaybeSend, MaybeSync};

pub use batch::{Batch, Durability, Expectation, Op};
pub use journal::{JournalKey, RecordPlace, UnknownChange};
pub use memory::MemoryStore;
pub use sealed::SealedStore;

/// A table; each has its own key space.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Table {
    /// Single values by name: counters, cursors, settings of the replica.
    Meta,
    /// Mailboxes by id.
    Mailboxes,
    /// UIDs and mod-sequences of the messages in mailboxes, by page.
    Placements,
    /// Sealed documents as they travel, by document id.
    Documents,
    /// Documents and removals that wait to be pushed: class, then id.
    Pending,
    /// Messages as the MX sealed them, not yet taken in, by generation.
    Incoming,
    /// Mails that wait to be sent, by id.
    Outbox,
    /// Certificates of correspondents, by address.
    Contacts,
    /// Sealed contents as they travel, by document id: the bulk of an account.
    Contents,
    /// How many messages refer to a content, by document id.
    References,
    /// What may have lost its last reference, for the collector: kind, then id.
    Garbage,
    /// Messages removed from mailboxes: mailbox id, mod-sequence, then UID, big-endian.
    Vanished,
    /// Messages that the search index and the threads do not know yet, by hash.
    Unindexed,
    /// The search index: segments in blocks.
    SearchIndex,
    /// Which messages answer which.
    Threads,
    /// What is referred to and not on this device, by document id.
    Awaited,
    /// The revision of each document that the provider's log told last, by document id.
    Told,
}

impl Table {
    /// All tables.
    pub const ALL: [Self; 17] = [
        Self::Meta,
        Self::Mailboxes,
        Self::Placements,
        Self::Documents,
        Self::Pending,
        Self::Incoming,
        Self::Outbox,
        Self::Contacts,
        Self::Contents,
        Self::References,
        Self::Garbage,
        Self::Vanished,
        Self::Unindexed,
        Self::SearchIndex,
        Self::Threads,
        Self::Awaited,
        Self::Told,
    ];

    /// The name that a backend gives the table.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Meta => "meta",
            Self::Mailboxes => "mailboxes",
            Self::Placements => "placements",
            Self::Documents => "documents",
            Self::Pending => "pending",
            Self::Incoming => "incoming",
            Self::Outbox => "outbox",
            Self::Contacts => "contacts",
            Self::Contents => "contents",
            Self::References => "content_references",
            Self::Garbage => "garbage",
            Self::Vanished => "vanished",
            Self::Unindexed => "unindexed",
            Self::SearchIndex => "search_index",
            Self::Threads => "threads",
            Self::Awaited => "awaited",
            Self::Told => "told",
        }
    }
}

/// A key: ordered as octets, so that a range is an index on every backend.
pub type Key = Vec<u8>;

/// Keys from `start` (included) to `end` (excluded; `None`: to the table's last), at most
/// `limit` of them, ascending.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyRange {
    /// First key.
    pub start: Key,
    /// First key that is not part of the range.
    pub end: Option<Key>,
    /// Most rows to return.
    pub limit: usize,
}

impl KeyRange {
    /// Every key.
    pub const fn all() -> Self {
        Self {
            start: Vec::new(),
            end: None,
            limit: usize::MAX,
        }
    }

    /// Every key that begins with `prefix`.
    pub fn prefix(prefix: &[u8]) -> Self {
        let mut end = prefix.to_vec();
        while let Some(last) = end.pop() {
            if let Some(next) = last.checked_add(1) {
                end.push(next);
                return Self {
                    start: prefix.to_vec(),
                    end: Some(end),
                    limit: usize::MAX,
                };
            }
        }
        Self {
            start: prefix.to_vec(),
            end: None,
            limit: usize::MAX,
        }
    }

    /// The same range, cut to `limit` rows.
    #[must_use]
    pub fn limit(mut self, limit: usize) -> Self {
        self.limit = limit;
        self
    }
}

/// Why a store could not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// An expectation of the batch does not hold (any more); nothing was written.
    #[error("another writer was first")]
    Conflict,
    /// No room; nothing was written.
    #[error("no room left on {place}")]
    Full {
        /// The file or database.
        place: String,
    },
    /// What was read is damaged.
    #[error("{place} is damaged in table {table}: {detail}")]
    Damaged {
        /// The file or database.
        place: String,
        /// The table's name.
        table: &'static str,
        /// What the backend says; no content.
        detail: String,
    },
    /// The backend failed otherwise.
    #[error("{place}: {detail}")]
    Backend {
        /// The file or database.
        place: String,
        /// What the backend says; no content.
        detail: String,
    },
}

/// A place to keep a replica in.
pub trait Store: MaybeSend + MaybeSync + 'static {
    /// The value under `key`.
    fn get(
        &self,
        table: Table,
        key: &[u8],
    ) -> impl Future<Output = Result<Option<Vec<u8>>, StoreError>> + MaybeSend;

    /// The values under several keys, in their order: for backends to which one question with
    /// many keys is cheaper than many questions.
    fn get_many(
        &self,
        table: Table,
        keys: Vec<Key>,
    ) -> impl Future<Output = Result<Vec<Option<Vec<u8>>>, StoreError>> + MaybeSend {
        async move {
            let mut values = Vec::with_capacity(keys.len());
            for key in &keys {
                values.push(self.get(table, key).await?);
            }
            Ok(values)
        }
    }

    /// The rows of a range, in the order of their keys.
    fn scan(
        &self,
        table: Table,
        range: KeyRange,
    ) -> impl Future<Output = Result<Vec<(Key, Vec<u8>)>, StoreError>> + MaybeSend;

    /// Applies all of `batch`, as durably as it says, or nothing; [`StoreError::Conflict`] if an
    /// expectation does not hold.
    fn commit(&self, batch: Batch) -> impl Future<Output = Result<(), StoreError>> + MaybeSend;
}
